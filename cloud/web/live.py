"""What changed on a site, looked up once for all who watch it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from cloud.web.alert_queries import open_mark
from cloud.web.site_queries import (
    GatewayRow,
    count_states,
    devices_of,
    gateways_of,
    load_of,
    master_devices,
)

EVERY_S: Final = 1.5
KEEP_ALIVE_S: Final = 15.0
_WAITING: Final = 32
_LOG = structlog.get_logger(__name__)


class DeviceNow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device now: state, newest reading in milliseconds, main value as a decimal string."""

    state: str
    at: int | None = None
    value: str | None = None


class GatewayNow(msgspec.Struct, frozen=True):
    """A gateway now; times in milliseconds."""

    state: str
    seen: int | None
    newest: int | None
    backlog: int
    waiting: int


class LoadNow(msgspec.Struct, frozen=True):
    """The site's load in kW now."""

    value: str | None
    at: int | None
    late: bool


class Message(msgspec.Struct, frozen=True):
    """What is sent: the devices that changed, and the whole of everything short."""

    now: int
    devices: dict[str, DeviceNow]
    counts: dict[str, int]
    gateways: dict[str, GatewayNow]
    load: LoadNow
    alerts: str


@dataclass(frozen=True)
class Snapshot:
    """A site at one moment; `homes` are the devices of premises, whose values are private."""

    message: Message
    homes: frozenset[str]

    def since(self, before: "Snapshot | None") -> Message:
        """Return the message with only those devices that are not as they were before."""
        if before is None:
            return self.message
        known = before.message.devices
        changed = {
            name: device
            for name, device in self.message.devices.items()
            if known.get(name) != device
        }
        return msgspec.structs.replace(self.message, devices=changed)


def look(engine: Engine, project_id: str) -> Snapshot:
    """Return the site as it is now."""
    now_us = time.time_ns() // 1000
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        rows = devices_of(reader, project_id, now_us=now_us)
        load = load_of(rows, master_devices(reader, project_id))
        gateways = gateways_of(reader, project_id, now_us=now_us)
        _, mark = open_mark(reader, project_id)
    message = Message(
        now_us // 1000,
        {
            row.id: DeviceNow(
                row.state, _ms(row.newest_us), None if row.value is None else f"{row.value:f}"
            )
            for row in rows
        },
        dict(count_states(rows)),
        {row.id: _gateway(row) for row in gateways},
        LoadNow(None if load.value is None else f"{load.value:f}", _ms(load.read_at_us), load.late),
        mark,
    )
    return Snapshot(message, frozenset(row.id for row in rows if row.premise_id is not None))


def encode(message: Message, hidden: frozenset[str]) -> bytes:
    """Return a message as one server-sent event, without the values of hidden devices."""
    if hidden:
        devices = {
            name: msgspec.structs.replace(device, value=None) if name in hidden else device
            for name, device in message.devices.items()
        }
        message = msgspec.structs.replace(message, devices=devices)
    return b"data: " + msgspec.json.encode(message) + b"\n\n"


@dataclass(eq=False)
class _Watcher:
    sees_homes: bool
    queue: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_WAITING)
    )

    def put(self, event: bytes) -> bool:
        """Hand over an event; False for a reader so slow that it must begin anew."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True


class Broadcaster:
    """Looks at each watched site every second and a half, however many watch it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watchers: dict[str, set[_Watcher]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, Snapshot] = {}

    async def watch(self, project_id: str, *, sees_homes: bool) -> AsyncIterator[bytes]:
        """Give server-sent events: everything first, then what changes."""
        watcher = _Watcher(sees_homes)
        watchers = self._watchers.setdefault(project_id, set())
        yield b"retry: 3000\n\n"
        # before the first look, so that no change falls between it and the first broadcast
        watchers.add(watcher)
        try:
            snapshot = await asyncio.to_thread(look, self._engine, project_id)
            if project_id not in self._tasks:
                self._last[project_id] = snapshot
                self._tasks[project_id] = asyncio.create_task(
                    self._broadcast(project_id), name=f"live {project_id}"
                )
            yield encode(snapshot.message, frozenset() if sees_homes else snapshot.homes)
            while True:
                event = await self._next(watcher)
                if event is None:
                    return
                yield event
        finally:
            watchers.discard(watcher)

    @property
    def watched(self) -> int:
        """Return how many streams are open."""
        return sum(len(watchers) for watchers in self._watchers.values())

    async def close(self) -> None:
        """End every stream and every task."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                while not watcher.queue.empty():
                    watcher.queue.get_nowait()
                watcher.queue.put_nowait(None)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _next(self, watcher: _Watcher) -> bytes | None:
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                return await watcher.queue.get()
        except TimeoutError:
            # a comment, so that proxies and dead connections show themselves
            return b": still here\n\n"

    async def _broadcast(self, project_id: str) -> None:
        watchers = self._watchers[project_id]
        try:
            while watchers:
                await asyncio.sleep(EVERY_S)
                try:
                    snapshot = await asyncio.to_thread(look, self._engine, project_id)
                except DBAPIError as error:
                    _LOG.warning("live look failed", project=project_id, reason=str(error.orig))
                    continue
                message = snapshot.since(self._last.get(project_id))
                self._last[project_id] = snapshot
                events = {
                    True: encode(message, frozenset()),
                    False: encode(message, snapshot.homes),
                }
                for watcher in list(watchers):
                    if not watcher.put(events[watcher.sees_homes]):
                        watchers.discard(watcher)
                        watcher.queue.get_nowait()
                        watcher.queue.put_nowait(None)
        finally:
            self._tasks.pop(project_id, None)


def _gateway(row: GatewayRow) -> GatewayNow:
    seen, newest = _ms(row.last_seen_us), _ms(row.newest_us)
    return GatewayNow(row.state, seen, newest, row.backlog, row.waiting)


def _ms(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1000
