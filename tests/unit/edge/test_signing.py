"""The gateway's key outlives restarts, and what is new is signed within a minute."""

import asyncio
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from devices.virtual_clock import VirtualClock
from edge.cli import app
from edge.journal import Journal, JournalFullError
from edge.signing import Signer, key_path
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from protocols.delivery.signature import (
    Signature,
    from_body,
    is_signed_by,
    key_text,
    public_bytes,
)
from protocols.io.key_file import KeyFileError, open_key
from tests.fixtures.delivery import START_US, OpenJournal, fill, reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_bytes(KEY)
GATEWAY_FILE = Path(__file__).parents[3] / "docker" / "gateway.yaml"


def events(journal: Journal) -> list[Event]:
    status = journal.status(LANE_EVENTS)
    packed = [journal.envelope(LANE_EVENTS, seq) for seq in range(status.first, status.next)]
    return [
        event
        for body in packed
        if body is not None
        for event in batch.decode(envelope.unpack(body).payload).events
    ]


def signed(journal: Journal, lane: int | None = None) -> list[Signature]:
    found = [from_body(event.body) for event in events(journal) if event.kind == "sig"]
    return [item for item in found if lane in (None, item.lane)]


def signer_of(journal: Journal, key: Ed25519PrivateKey = KEY) -> tuple[Signer, VirtualClock]:
    clock = VirtualClock(START_US)
    return Signer(journal, key, clock=clock, sealed=lambda: None), clock


def tell(journal: Journal, kind: str = "gateway_started") -> None:
    journal.append(LANE_EVENTS, [Event("", kind, START_US, 0)], seal_at_us=START_US)


async def test_what_is_held_is_signed_at_the_start(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 3)
    signer, _ = signer_of(journal)
    await signer.sign()
    (readings,) = signed(journal, LANE_READINGS)
    assert (readings.seq, readings.hash) == (3, journal.hash_at(LANE_READINGS, 3))
    # the event of the new key came first, and is signed too
    (told,) = signed(journal, LANE_EVENTS)
    assert (told.seq, told.hash) == (1, journal.hash_at(LANE_EVENTS, 1))
    for item in (readings, told):
        assert item.epoch == journal.status(item.lane).epoch
        assert is_signed_by(PUBLIC, "gw-1", item)


async def test_signatures_alone_call_for_no_other(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 1)
    signer, _ = signer_of(journal)
    await signer.sign()
    before = len(events(journal))
    for number in range(1, 4):
        await signer.sign()
        assert len(events(journal)) == before
        fill(journal, 1, first=number)
        await signer.sign()
        before += 1
        assert len(events(journal)) == before
    assert [item.seq for item in signed(journal, LANE_READINGS)] == [1, 2, 3, 4]
    tell(journal, "link_lost")
    last = journal.status(LANE_EVENTS).next - 1
    await signer.sign()
    assert signed(journal)[-1].hash == journal.hash_at(LANE_EVENTS, last)


async def test_a_new_epoch_is_signed_anew(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 2)
    signer, _ = signer_of(journal)
    await signer.sign()
    for lane in (LANE_READINGS, LANE_EVENTS):
        journal.new_epoch(lane)
    await signer.sign()
    old, new = signed(journal, LANE_READINGS)
    assert old.epoch != new.epoch
    assert new.hash == journal.hash_at(LANE_READINGS, 2)
    assert len(signed(journal, LANE_EVENTS)) == 2


async def test_what_is_new_is_signed_at_least_each_minute(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    signer, clock = signer_of(journal)
    sealed_us: dict[int, int] = {}
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        # one batch a second passes while the signer sleeps
        for _ in range(round(delay_s)):
            clock.at_us += 1_000_000
            journal.append(LANE_READINGS, [reading(len(sealed_us))], seal_at_us=clock.at_us)
            sealed_us[len(sealed_us) + 1] = clock.at_us
        await real_sleep(0)

    monkeypatch.setattr("edge.signing.asyncio.sleep", sleep)
    running = asyncio.create_task(signer.run())
    async with asyncio.timeout(20):
        while clock.at_us < START_US + 600 * 1_000_000:
            await real_sleep(0)
    running.cancel()
    await asyncio.wait({running})
    made = [
        (event.at_us, from_body(event.body).seq)
        for event in events(journal)
        if event.kind == "sig" and event.body["lane"] == LANE_READINGS
    ]
    assert len(made) >= 10
    for seq in range(1, made[-1][1] + 1):
        first_us = min(at_us for at_us, through in made if through >= seq)
        assert first_us - sealed_us[seq] <= 60_000_000
    assert made[-1][1] > len(sealed_us) - 60


async def test_a_cancelled_signature_is_on_disk_before_the_journal_closes(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    fill(journal, 1)
    signer, _ = signer_of(journal)
    begun, go_on = threading.Event(), threading.Event()
    status = journal.status

    def slow(lane: int) -> object:
        begun.set()
        assert go_on.wait(10)
        return status(lane)

    monkeypatch.setattr(journal, "status", slow)
    task = asyncio.create_task(signer.sign())
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(signed(journal)) == 2


async def test_a_key_is_told_once_and_a_new_one_again(open_journal: OpenJournal) -> None:
    journal = open_journal()
    for key in (KEY, KEY, Ed25519PrivateKey.from_private_bytes(bytes(32))):
        signer, _ = signer_of(journal, key)
        await signer.sign()
    told = [event for event in events(journal) if event.kind == "key_made"]
    assert len(told) == 2
    assert told[0].body["public_key"] == key_text(PUBLIC)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = key_path(tmp_path / "data", "gw-1")
    made = public_bytes(open_key(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_bytes(open_key(path)) == made
    assert [item.name for item in path.parent.iterdir()] == ["gw-1.key"]
    path.unlink()
    assert public_bytes(open_key(path)) != made


def foreign_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [lambda: b"", lambda: b"no key", foreign_key])
def test_a_file_that_is_no_key_is_refused_by_name(
    tmp_path: Path, content: Callable[[], bytes]
) -> None:
    path = tmp_path / "gw-1.key"
    path.write_bytes(content())
    with pytest.raises(KeyFileError, match=r"gw-1\.key: is no .*put it back"):
        open_key(path)
    assert path.read_bytes() == content() or content is foreign_key


def test_the_key_is_shown_in_44_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    shown = [
        CliRunner().invoke(app, ["key", "show", "--config", str(GATEWAY_FILE)]) for _ in range(2)
    ]
    assert [done.exit_code for done in shown] == [0, 0]
    assert shown[0].output == shown[1].output
    (file,) = tmp_path.glob("*.key")
    assert shown[0].output == key_text(public_bytes(open_key(file))) + "\n"
    assert len(shown[0].output) == 44 + 1


async def test_what_had_no_room_for_its_signature_is_signed_later(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    signer, _ = signer_of(journal)
    await signer.sign()
    tell(journal, "link_lost")
    told = journal.status(LANE_EVENTS).next - 1

    def refuse(*_: object, **__: object) -> None:
        message = "no room"
        raise JournalFullError(message)

    with monkeypatch.context() as full:
        full.setattr(journal, "append", refuse)
        await signer.sign()
    await signer.sign()
    assert signed(journal)[-1].seq >= told
