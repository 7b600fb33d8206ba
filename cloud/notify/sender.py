"""Sends the messages that are due: at least once, never in quiet hours, so many a day."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.notify import outbox, pacing
from cloud.notify.notifier import Notifier, NotSentError
from cloud.notify.outbox import Due, State
from cloud.notify.sms import HttpSms

TICK_S: Final = 5.0
AT_ONCE: Final = 50

log = structlog.get_logger("notify")


def notifiers_of(settings: Settings) -> dict[str, Notifier]:
    """Return the ways out that are configured; RefusedError names the setting that cannot be."""
    ways: dict[str, Notifier] = {}
    if settings.sms_url:
        ways["sms"] = HttpSms(
            settings.sms_url,
            headers=settings.sms_headers,
            body=settings.sms_body,
            accepted=settings.sms_accepted,
        )
    if settings.notify_urls:
        try:
            # an extra: who sends nothing by it need not have it
            from cloud.notify.apprise_notifier import AppriseNotifier  # noqa: PLC0415
        except ModuleNotFoundError as error:
            message = "HUTONG_NOTIFY_URLS: needs apprise: allowed after pip install hutong[notify]"
            raise RefusedError(message) from error
        ways["apprise"] = AppriseNotifier(settings.notify_urls)
    return ways


class Sender:
    """Any number of processes may send: an attempt is counted before it is made."""

    def __init__(self, engine: Engine, ways: Mapping[str, Notifier], *, per_day: int) -> None:
        self._engine = engine
        self._ways = ways
        self._per_day = per_day

    async def run(self) -> None:
        """Send for ever."""
        while True:
            try:
                await asyncio.to_thread(self.step)
            except DBAPIError as error:
                log.warning("step_failed", reason=str(error.orig))
            await asyncio.sleep(TICK_S)

    def step(self) -> int:
        """Send what is due now; return how many messages were sent."""
        with self._engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            found = outbox.due_ids(reader, _now_us(), limit=AT_ONCE)
        return sum(self._send(message_id) for message_id in found)

    def _send(self, message_id: int) -> bool:
        due = self._begin(message_id)
        if due is None:
            return False
        way = self._ways.get(due.via)
        try:
            if way is None:
                message = f"{due.via}: not configured"
                raise NotSentError(message)
            way.send(due.outgoing)
        except NotSentError as error:
            attempts = due.attempts + 1
            state = State.GIVEN_UP if attempts >= pacing.MOST_ATTEMPTS else State.FAILED
            with self._engine.begin() as connection:
                outbox.settle(connection, due, state, reason=str(error))
            log.warning("not_sent", message=message_id, attempts=attempts, reason=str(error))
            return False
        with self._engine.begin() as connection:
            outbox.settle(connection, due, State.SENT, sent_us=_now_us())
        log.info("sent", message=message_id, via=due.via)
        return True

    def _begin(self, message_id: int) -> Due | None:
        now_us = _now_us()
        with self._engine.begin() as connection:
            due = outbox.lock_due(connection, message_id, now_us)
            if due is None:
                return None
            zone = ZoneInfo(due.zone_name)
            until_us = pacing.allowed_us(now_us, zone)
            today_us = pacing.day_start_us(now_us, zone)
            if outbox.attempted_since(connection, due, today_us) >= self._per_day:
                until_us = pacing.next_day_us(now_us, zone)
            if until_us > now_us:
                outbox.postpone(connection, due, until_us)
                return None
            next_us = now_us + pacing.wait_us(due.attempts + 1)
            outbox.begin(connection, due, now_us=now_us, next_us=next_us)
            return due


def _now_us() -> int:
    return time.time_ns() // 1000
