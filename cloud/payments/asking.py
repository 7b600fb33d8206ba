"""Asks the channels after open orders and refunds, so that a lost notification loses no money."""

import time
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from cloud.payments import refunds, repository, service
from cloud.payments.channel import Channel, ChannelRefusedError, ChannelUnreachableError, Status
from cloud.payments.merchants import Channels
from cloud.payments.states import Order, State, next_ask_us

TICK_S: Final = 2.0
_MOST: Final = 50

log = structlog.get_logger("payments")


def step(engine: Engine, channels: Channels, now_us: int | None = None) -> int:
    """Ask after what is due; return how many were asked. Every order is its own transaction."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        due = repository.to_ask(reader, now_us, channels=tuple(channels), most=_MOST)
    silent: set[str] = set()
    asked = 0
    for order in due:
        channel = channels[order.channel]
        if channel.name in silent:
            continue
        try:
            ask(engine, channel, order, now_us)
        except ChannelUnreachableError as error:
            silent.add(channel.name)
            log.warning("channel_unreachable", channel=channel.name, reason=str(error))
            with engine.begin() as connection:
                _postpone(connection, order, now_us)
        asked += 1
    return asked + refunds.step(engine, channels, now_us, most=_MOST, silent=silent)


def ask(engine: Engine, channel: Channel, order: Order, now_us: int) -> None:
    """Ask after one order, enter what was paid, close it when its time is over."""
    try:
        told = channel.query(order.number)
        if told.number != order.number:
            message = f"{channel.name}: asked after {order.number}, told of {told.number}"
            raise ChannelUnreachableError(message)
        if told.status is Status.PAID:
            with engine.begin() as connection:
                service.take(connection, channel, told, source="query", now_us=now_us)
                _postpone(connection, order, now_us)
            return
        is_over = now_us >= order.expires_us
        if order.state is State.CREATED and (told.status is Status.CLOSED or is_over):
            if told.status is not Status.CLOSED:
                channel.close(order.number)
            with engine.begin() as connection:
                service.close(connection, order, now_us)
            return
    except ChannelRefusedError as error:
        log.warning("order_not_told", number=order.number, reason=str(error))
    with engine.begin() as connection:
        _postpone(connection, order, now_us)


def _postpone(connection: Connection, order: Order, now_us: int) -> None:
    held = repository.order_of(connection, order.number)
    if held is not None:
        repository.change(connection, held, ask_us=next_ask_us(held, now_us))
