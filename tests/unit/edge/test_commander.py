"""A command is on disk before it is done, done once, and told, whatever comes in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from edge.actuator import ActError, LiveConfig, Order
from edge.cli import app
from edge.command_book import RESULT, TAKEN, CommandBook
from edge.commander import TOLD_AT_ONCE, Commander
from edge.config import GatewayConfig, load
from edge.journal import Journal
from edge.uplink import Uplink
from protocols.commands import LIFETIME_S, Action, Command, Outcome, Reason, pack, sign
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS
from protocols.delivery.records import Event
from protocols.delivery.signature import key_text
from protocols.errors import ConfigError, LinkError
from protocols.io.mqtt import Broker
from tests.fixtures.delivery import START_US

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NO_BROKER = Broker.parse("mqtt://127.0.0.1:1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.monotonic = 1_000_000_000

    def now_us(self) -> int:
        """Return wall time."""
        return START_US + self.monotonic

    def monotonic_us(self) -> int:
        """Return monotonic time."""
        return self.monotonic


class Hands:
    """Acts by doing what a test says."""

    def __init__(self, journal: Journal) -> None:
        self.orders: list[Order] = []
        self.does: Callable[[], str] = lambda: "reads 1"
        self.hold = asyncio.Event()
        self.hold.set()
        self._journal = journal

    async def act(self, order: Order) -> str:
        """Remember an order; it must be on disk by now."""
        told = [each.body["id"] for each in events(self._journal) if each.kind == TAKEN]
        assert order.command.id in told
        self.orders.append(order)
        await self.hold.wait()
        return self.does()


def events(journal: Journal) -> list[Event]:
    """Return what was sealed in lane 0."""
    found: list[Event] = []
    status = journal.status(LANE_EVENTS)
    for seq in range(status.first, status.next):
        packed = journal.envelope(LANE_EVENTS, seq)
        assert packed is not None
        rows = batch.records(batch.decode(envelope.unpack(packed).payload))
        found += [row for row in rows if isinstance(row, Event)]
    return found


def results(journal: Journal) -> list[tuple[Any, Any, Any]]:
    return [
        (each.body["id"], each.body["outcome"], each.body["reason"])
        for each in events(journal)
        if each.kind == RESULT
    ]


class Bench:
    """A commander with its journal, hands and clock."""

    def __init__(self, folder: Path, clock: Clock, key: str) -> None:
        self.clock = clock
        self.journal = Journal(folder / "gw-1.journal", "gw-1")
        self.hands = Hands(self.journal)
        self.uplink = Uplink(self.journal, NO_BROKER, "hutong 1")
        self.live = LiveConfig(config(key), None)
        self.book = CommandBook(self.journal, clock)
        self.commander = Commander(self.book, self.hands, self.uplink, live=self.live, clock=clock)
        greetings = self.uplink.greetings
        self.nonce = greetings.greet(clock.monotonic)
        greetings.answered(self.nonce, clock.now_us(), clock.monotonic)

    def command(self, number: int = 1, **changed: object) -> Command:
        """Return a command as the cloud would sign it now."""
        made = Command(
            id=f"{number:032x}",
            gateway="gw-1",
            target="m-1",
            action=Action.READ_NOW,
            nonce=self.nonce,
            counter=1000 + number,
            expires_us=self.clock.now_us() + LIFETIME_S[Action.READ_NOW] * 1_000_000,
            actor="li",
        )
        return sign(KEY, msgspec.structs.replace(made, **changed))

    def send(self, *commands: Command) -> None:
        """Let commands come in."""
        for command in commands:
            self.commander.receive(pack(command))


def config(key: str = "") -> GatewayConfig:
    device = {"id": "m-1", "bus": "b", "unit_id": 1, "profile": "eastron-sdm120"}
    bus = {"id": "b", "kind": "modbus-tcp", "host": "127.0.0.1"}
    whole = {"gateway": "gw-1", "command_key": key, "buses": [bus], "devices": [device]}
    return GatewayConfig.model_validate_json(msgspec.json.encode(whole))


PUBLIC = key_text(KEY.public_key().public_bytes_raw())


@asynccontextmanager
async def running(
    folder: Path, clock: Clock | None = None, key: str = PUBLIC
) -> AsyncIterator[Bench]:
    bench = Bench(folder, clock or Clock(), key)
    task = asyncio.create_task(bench.commander.run())
    try:
        yield bench
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.journal.close()


async def until(bench: Bench, count: int) -> list[tuple[Any, Any, Any]]:
    await eventually(lambda: len(results(bench.journal)) >= count)
    return results(bench.journal)


async def eventually(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline_s, "it never came"
        await asyncio.sleep(0.005)


async def test_done_once_and_told(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        one = bench.command()
        # delivered twice, as QoS 1 may; then by somebody who kept it
        bench.send(one, one, bench.command(2), one)
        assert await until(bench, 2) == [
            (one.id, "done", "reads 1"),
            (f"{2:032x}", "done", "reads 1"),
        ]
        bench.send(one)
        bench.send(bench.command(3, counter=1002))
        assert (await until(bench, 3))[2] == (f"{3:032x}", "refused", Reason.REPEATED.value)
        assert len(bench.hands.orders) == 2
        assert bench.commander.refused[Reason.REPEATED] == 4


async def test_what_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    def fails() -> str:
        message = "unit 1 did not answer"
        raise LinkError(message)

    def breaks() -> str:
        return str(1 // 0)

    async with running(tmp_path) as bench:
        for number, does in enumerate((fails, breaks), 1):
            bench.hands.does = does
            bench.send(bench.command(number))
            await until(bench, number)
        assert [outcome for _, outcome, _ in results(bench.journal)] == ["failed", "failed"]
        assert results(bench.journal)[1][2].startswith("ZeroDivisionError")


async def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.send(bench.command(dry_run=True))
        assert (await until(bench, 1))[0][1:] == ("done", "dry run: nothing was done")
        assert bench.hands.orders == []


async def test_what_was_open_is_unknown_once_and_never_repeated(tmp_path: Path) -> None:
    clock = Clock()
    async with running(tmp_path, clock) as bench:
        bench.hands.hold.clear()
        one = bench.command()
        bench.send(one)
        await eventually(lambda: bool(bench.hands.orders))
    for _ in range(2):
        async with running(tmp_path, clock) as again:
            await until(again, 1)
            # replayed, and signed again for this session with its old counter
            again.send(one, again.command(1))
            again.send(again.command(7, counter=5000, target="m-2"))
            await eventually(lambda seen=again: seen.commander.refused[Reason.NO_SUCH_TARGET] >= 1)
            assert again.hands.orders == []
            told = [each for each in results(again.journal) if each[0] == one.id]
            assert told == [(one.id, "unknown", "the gateway restarted meanwhile")]


async def test_without_a_key_nothing_is_taken_and_a_flood_is_told_seldom(tmp_path: Path) -> None:
    async with running(tmp_path, key="") as bench:
        for _ in range(3):
            bench.send(*(bench.command(number) for number in range(1, 21)))
            await eventually(bench.commander._waiting.empty)
        found = await until(bench, TOLD_AT_ONCE)
        assert {reason for _, _, reason in found} == {Reason.UNSIGNED.value}
        assert len(found) == TOLD_AT_ONCE
        bench.clock.monotonic += 60_000_000
        bench.send(bench.command(30))
        assert len(await until(bench, TOLD_AT_ONCE + 1)) == TOLD_AT_ONCE + 1


async def test_frozen_until_an_operator_thaws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    file = tmp_path / "gateway.yaml"
    text = config(PUBLIC).model_dump_json(include={"gateway", "command_key", "buses", "devices"})
    file.write_text(text, encoding="utf-8")
    clock = Clock()
    async with running(tmp_path, clock) as bench:
        bench.commander.freeze()
    async with running(tmp_path, clock) as bench:
        bench.send(bench.command(1))
        assert (await until(bench, 1))[0][2] == Reason.FROZEN.value
        call = CliRunner().invoke
        shown = await asyncio.to_thread(call, app, ["commands", "status", "--config", str(file)])
        assert "a clone is suspected" in shown.output
        for said in ("thawed; it was frozen because", "commands are not frozen"):
            thawed = await asyncio.to_thread(call, app, ["commands", "thaw", "--config", str(file)])
            assert said in thawed.output
        bench.send(bench.command(2))
        assert (await until(bench, 2))[1][1] == "done"


def test_a_fence_freezes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Clock(), PUBLIC)
    assert bench.uplink.fenced is not None
    bench.uplink.fenced()
    assert "clone" in bench.book.frozen()
    bench.journal.close()


def test_the_book_remembers(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Clock(), PUBLIC)
    bench.book.take(bench.command(4))
    again = CommandBook(bench.journal, bench.clock)
    assert (again.page.counter, [each.id for each in again.page.open]) == (1004, [f"{4:032x}"])
    again.close(f"{4:032x}", "m-1", Outcome.UNKNOWN, "why")
    assert CommandBook(bench.journal, bench.clock).page.open == ()
    assert CommandBook(bench.journal, bench.clock).page.ids == (f"{4:032x}",)
    bench.journal.close()


def test_a_file_is_read_again_only_if_it_is_right(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    live = LiveConfig(config(), file)
    file.write_text("gateway: gw-1\n", encoding="utf-8")
    with pytest.raises(ActError, match="buses"):
        live.reload()
    assert live.config == config()
    file.write_text(config(PUBLIC).model_dump_json(exclude_defaults=True), encoding="utf-8")
    assert live.reload() == "allow and command_key are in force"
    assert live.config.command_key == PUBLIC
    text = config(PUBLIC).model_dump_json(exclude_defaults=True).replace("sdm120", "sdm230")
    file.write_text(text, encoding="utf-8")
    assert "at the next start: device m-1" in live.reload()
    assert live.config.devices[0].profile == "eastron-sdm120"
    file.write_text(text.replace("gw-1", "gw-2"), encoding="utf-8")
    with pytest.raises(ActError, match="allowed is gw-1"):
        live.reload()


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ('"unit_id":1', '"unit_id":1,"allow":["open_valve"]', "names no controls"),
        ('"command_key":"' + PUBLIC, '"command_key":"short', "44 characters"),
        ('"unit_id":1', '"unit_id":1,"allow":["open_safe"]', "allow"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, before: str, after: str, what: str) -> None:
    file = tmp_path / "gateway.yaml"
    text = config(PUBLIC).model_dump_json(exclude_defaults=True)
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigError, match=what):
        load(file)
