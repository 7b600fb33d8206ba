"""The stage: puts virtual time, seeded chance and simulated parts where the real ones are named."""

import contextlib
import gc
import secrets
import time
import types
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

import edge.clock
import edge.clock_watch
import edge.journal
import edge.journal_opening
import edge.journal_remains
import edge.journal_space
import edge.signing
import edge.uplink
from cloud.ingest import clock_repository, clocks, repository, service
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch, receiver, sender
from protocols.delivery.records import Event, Record
from protocols.errors import WireError
from tests.simulation import files, network, virtual_asyncio
from tests.simulation.disk import mounted
from tests.simulation.memory_repository import MemoryClocks, MemoryRepository

if TYPE_CHECKING:
    from tests.simulation.world import World

# a tick costs as much in a calm hour as in a bad minute
_TICK_S = 10.0
_LATER_VERSION = 99
_COLLECTED_AFTER = 16
_entered = count(1)
_HOUR_US = 3_600_000_000
# a step of the clock is looked for as often
_LOOK_S = 5.0
_MEMORY = MemoryRepository()
_CLOCKS = MemoryClocks()
world: "World"


class _Silent:
    """A logger that says nothing."""

    def info(self, *_: object, **__: object) -> None:
        """Say nothing."""

    warning = error = info


class _Older:
    """A module of batches as the version before had it: one that replaces others is nonsense."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(batch, name)

    def decode(self, payload: bytes) -> batch.Payload:
        """Return a payload of version 1; WireError for any other."""
        decoded = batch.decode(payload)
        if decoded.version != batch.VERSION:
            message = f"batch version {decoded.version}; known: {batch.VERSION}"
            raise WireError(message)
        return decoded


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Replace what the product's modules reach for; everything is as it was afterwards."""
    shim = virtual_asyncio.module(lambda: world.loop, _hop_s)
    changes: list[tuple[Any, str, Any]] = [
        (secrets, "token_bytes", lambda size=32: world.secrets.randbytes(size)),
        (secrets, "token_hex", lambda size=32: world.secrets.randbytes(size).hex()),
        (secrets, "randbits", _randbits),
        (edge.uplink, "asyncio", shim),
        (edge.uplink, "random", _Chance()),
        (edge.uplink, "time", types.SimpleNamespace(monotonic=_monotonic_s, time_ns=time.time_ns)),
        (edge.uplink, "publish_all", network.publish_all),
        (edge.uplink, "log", _Silent()),
        (edge.uplink, "TICK_S", _TICK_S),
        (edge.clock, "is_disciplined", bool),
        (edge.clock_watch, "asyncio", shim),
        (edge.clock_watch, "LOOK_S", _LOOK_S),
        (edge.clock_watch, "log", _Silent()),
        (edge.clock_watch, "AGAIN_US", edge.clock_watch.AGAIN_US),
        (edge.signing, "asyncio", shim),
        (edge.signing, "log", _Silent()),
        (edge.journal_opening, "log", _Silent()),
        (edge.journal_remains, "shutil", files.simulated_shutil()),
        (edge.journal_space, "os", files.simulated_os()),
        (edge.journal, "GRACE_S", edge.journal.GRACE_S),
        (batch, "encode_with_root", _poisoner(batch.encode_with_root)),
        (receiver, "CREDIT", receiver.CREDIT),
        (receiver, "WINDOW", receiver.WINDOW),
        (sender, "LEAST_WINDOW", sender.LEAST_WINDOW),
        (service, "repository", service.repository),
        (service, "telemetry", service.telemetry),
        (service, "batch", service.batch),
        (clocks, "repository", clocks.repository),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    with mounted(), _collecting_seldom():
        for owner, name, value in changes:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


def enter(entered: "World") -> None:
    """Let a world be the one that runs, with its own limits."""
    global world  # noqa: PLW0603 - one world runs at a time in a process
    world = entered
    if next(_entered) % _COLLECTED_AFTER == 0:
        gc.collect()
    receiver.CREDIT = entered.plan.credit
    receiver.WINDOW = sender.LEAST_WINDOW = entered.window
    real = entered.plan.real_cloud
    service.repository = repository if real else _MEMORY
    service.telemetry = telemetry if real else _MEMORY
    clocks.repository = clock_repository if real else _CLOCKS
    service.batch = _Older() if entered.plan.old_cloud else batch
    edge.journal.GRACE_S = entered.plan.grace_s
    # an hour of the loop, however fast its clocks go
    edge.clock_watch.AGAIN_US = _HOUR_US * entered.plan.pace
    tick(None)


def tick(every_s: float | None) -> None:
    """Let uplinks look for what is new so seldom; None for as often as ever."""
    edge.uplink.TICK_S = _TICK_S if every_s is None else every_s


@contextlib.contextmanager
def _collecting_seldom() -> Iterator[None]:
    # a world is one knot of references: looking for garbage while it lives finds none
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.unfreeze()


class _Chance:
    def random(self) -> float:
        return world.rng.random()

    def uniform(self, low: float, high: float) -> float:
        return world.rng.uniform(low, high)


def _hop_s() -> float:
    return world.hop_s()


def _randbits(bits: int) -> int:
    return world.secrets.getrandbits(bits)


def _monotonic_s() -> float:
    task = world.loop.current
    booted_s = 0.0 if task is None else task.node.clock.booted_s
    return world.loop.now_s - booted_s


def _poisoner(real: Any) -> Any:  # noqa: ANN401 - stands for batch.encode_with_root as it is
    def encode_with_root(
        records: Sequence[Record], seed: bytes, **kwargs: object
    ) -> tuple[bytes, bytes]:
        payload, root = real(records, seed, **kwargs)
        rng = world.rng
        if world.broker.calm or not world.plan.poison or rng.random() >= world.plan.poison:
            return payload, root
        if not records or not all(map(_is_numbered, records)):
            # what the gateway itself tells is looked for by its contents
            return payload, root
        spoilt = rng.choice((rng.randbytes(40), payload[: len(payload) // 2]))
        if rng.random() < 0.3:
            later = msgspec.msgpack.encode([_LATER_VERSION, seed, [], []])
            spoilt = zstandard.ZstdCompressor().compress(later)
        world.oracle.poisoned(spoilt, map(_number_of, records))
        world.trace("journal", "seals poison")
        return spoilt, root

    return encode_with_root


def _is_numbered(record: Record) -> bool:
    return not isinstance(record, Event) or "number" in record.body


def _number_of(record: Record) -> int:
    if isinstance(record, Event):
        number = record.body["number"]
        assert isinstance(number, int)
        return number
    return int.from_bytes(record.words[:8], "big")
