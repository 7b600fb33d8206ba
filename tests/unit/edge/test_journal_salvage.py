"""A damaged journal: the gateway starts, no batch differs, and what is missing is told."""

import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.journal import Journal, JournalError
from edge.journal_losses import ids_of
from edge.journal_schema import PAGE_BYTES
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import GENESIS, LANE_EVENTS, LANE_READINGS, LANES
from protocols.delivery.records import Event, Record
from tests.fixtures.delivery import START_US, OpenJournal, fill, reading

Sealed = dict[bytes, bytes]


def sealed(journal: Journal) -> Sealed:
    """Return every batch by its id, having followed each chain from its beginning."""
    found: Sealed = {}
    for lane in LANES:
        before = GENESIS
        status = journal.status(lane)
        for seq in range(status.first, status.next):
            body = journal.envelope(lane, seq)
            assert body is not None, f"lane {lane}: {seq} is missing"
            item = envelope.unpack(body)
            if seq > status.first or status.first == 1:
                assert item.prev_hash == before
            before = item.hash
            found[item.batch_id] = item.payload
    return found


def events(journal: Journal) -> list[Event]:
    return [
        record
        for payload in sealed(journal).values()
        for record in batch.decode(payload).events
        if record.kind in ("journal_damaged", "loss")
    ]


def fill_big(journal: Journal, draw: random.Random) -> Sealed:
    """Fill a journal with batches of many sizes, both lanes, acknowledged ones and a tail."""
    number = 0
    for turn in range(40):
        rows: list[Record] = []
        for _ in range(draw.choice((1, 3, 40, 400))):
            rows.append(reading(number, f"e-{draw.randrange(9)}", count=draw.randrange(1 << 40)))
            number += 1
        journal.append(LANE_READINGS, rows, seal_at_us=START_US + turn)
        if turn % 7 == 0:
            told = Event("e-1", "door", START_US + turn, turn, {"who": f"{turn}"})
            journal.append(LANE_EVENTS, [told], seal_at_us=START_US + turn)
    journal.release(LANE_READINGS, 10, 3, START_US)
    for _ in range(5):
        journal.append(LANE_READINGS, [reading(number), reading(number + 1)])
        number += 2
    return sealed(journal)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Sealed, str]:
    """Give one journal as it is after a clean stop, and one as a kill leaves it."""
    folder = tmp_path_factory.mktemp("whole")
    clean, killed = folder / "clean", folder / "killed"
    clean.mkdir()
    killed.mkdir()
    with closing(Journal(clean / "gw-1.journal", "gw-1")) as journal:
        held = fill_big(journal, random.Random(5))
        for file in clean.iterdir():
            shutil.copy(file, killed)
        install_id = journal.install_id
    return clean, killed, held, install_id


def damage(folder: Path, draw: random.Random) -> str:
    """Flip bits of, or cut off, one of the files; return what was done."""
    files = sorted(file for file in folder.iterdir() if not file.name.endswith("-shm"))
    file = draw.choice(files)
    data = bytearray(file.read_bytes())
    kind = draw.choice(("flip", "flips", "block", "cut"))
    if kind == "cut":
        del data[draw.randrange(len(data)) :]
        what = f"cut to {len(data)}"
    elif kind == "block":
        at = draw.randrange(len(data))
        size = min(512, len(data) - at)
        data[at : at + size] = draw.randbytes(size)
        what = f"block at {at}"
    else:
        places = [draw.randrange(len(data)) for _ in range(1 if kind == "flip" else 12)]
        for at in places:
            data[at] ^= 1 << draw.randrange(8)
        what = f"flipped {places}"
    file.write_bytes(bytes(data))
    return f"{file.name}: {what}"


@pytest.mark.parametrize("seed", [*range(120), 1443])
def test_whatever_is_damaged_it_starts_and_tells(
    seed: int, originals: tuple[Path, Path, Sealed, str], tmp_path: Path
) -> None:
    clean, killed, held, install_id = originals
    draw = random.Random(seed)
    folder = tmp_path / "damaged"
    shutil.copytree(draw.choice((clean, killed)), folder)
    what = damage(folder, draw)
    with closing(Journal(folder / "gw-1.journal", "gw-1")) as journal:
        after = sealed(journal)
        told = events(journal)
        assert {name for name in after if name in held and after[name] != held[name]} == set(), what
        missing = held.keys() - after.keys()
        declared = {name for it in told for name in ids_of(str(it.body.get("ids", "")))}
        assert declared <= held.keys(), what
        # a log that is cut short is what a kill leaves: no file can tell that there was more
        if missing - declared and not what.startswith("gw-1.journal-wal: cut"):
            assert any(it.kind == "journal_damaged" for it in told), what
        # it goes on as any journal does
        journal.append(LANE_READINGS, [reading(9999)], seal_at_us=START_US)
        assert len(journal.install_id) == len(install_id)
    with closing(Journal(folder / "gw-1.journal", "gw-1")) as again:
        assert sealed(again).keys() >= after.keys()


@pytest.mark.parametrize("table", ["marks", "batches", "envelopes"])
def test_a_damaged_index_is_seen_at_the_start(table: str, open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 8)
    held = sealed(journal)
    install_id = journal.install_id
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    (root,) = journal._db.execute(query, (f"sqlite_autoindex_{table}_1",)).fetchone()
    journal.close()
    data = bytearray(journal.path.read_bytes())
    page = (root - 1) * PAGE_BYTES
    # the first key of the page, as long as before: the table has no such row
    cell = page + int.from_bytes(data[page + 8 : page + 10], "big")
    data[cell + 4] ^= 1
    journal.path.write_bytes(bytes(data))
    again = open_journal()
    assert again.install_id == install_id
    assert sealed(again).keys() >= held.keys()
    assert any(event.kind == "journal_damaged" for event in events(again))


def test_batches_of_which_nothing_can_be_read_are_counted(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 30)
    journal.release(LANE_READINGS, 4, 1, START_US)
    query = "SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ('batches', 'envelopes')"
    roots = [root for (root,) in journal._db.execute(query)]
    journal.close()
    data = bytearray(journal.path.read_bytes())
    for root in roots:
        data[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = bytes(PAGE_BYTES)
    journal.path.write_bytes(bytes(data))
    told = events(open_journal())
    assert [event.kind for event in told] == ["journal_damaged", "loss"]
    # the cloud has the others
    assert told[0].body["unnamed_batches"] == 26


def test_a_batch_with_two_names_is_lost_without_one(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 3)
    held = sealed(journal)
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    roots = {
        name: journal._db.execute(query, (name,)).fetchone()[0]
        for name in ("sqlite_autoindex_batches_1", "envelopes", "sqlite_autoindex_envelopes_1")
    }
    journal.close()
    data = bytearray(journal.path.read_bytes())
    index = (roots.pop("sqlite_autoindex_batches_1") - 1) * PAGE_BYTES
    victim = min(held)
    at = data.index(victim, index, index + PAGE_BYTES)
    data[at + 14] ^= 1
    for root in roots.values():
        data[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = bytes(PAGE_BYTES)
    journal.path.write_bytes(bytes(data))
    again = open_journal()
    assert held.keys() - sealed(again).keys() == {victim}
    damaged, loss = events(again)
    assert (damaged.body["lost_batches"], damaged.body["unnamed_batches"]) == (0, 1)
    assert loss.body["ids"] == ""


def test_one_flipped_payload_costs_one_batch(open_journal: OpenJournal) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(1))
    install_id, generation = journal.install_id, journal.status(LANE_READINGS).generation
    tail = journal.status(LANE_READINGS).tail_records
    victim = max(held, key=lambda name: len(held[name]))
    journal.close()
    data = bytearray(journal.path.read_bytes())
    at = data.find(held[victim][-40:])
    assert at > 0
    data[at + 20] ^= 1
    journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        kept = sealed(after)
        assert {name: kept[name] for name in held if name != victim} == {
            name: payload for name, payload in held.items() if name != victim
        }
        assert victim not in kept
        damaged, loss = events(after)
        assert (damaged.kind, damaged.body["batches"]) == ("journal_damaged", len(held) - 1)
        assert ids_of(str(loss.body["ids"])) == [victim]
        assert after.status(LANE_READINGS).tail_records == tail
        assert after.status(LANE_READINGS).generation == generation
        assert after.install_id == install_id
    aside = list(journal.path.parent.glob("gw-1.journal.damaged-*"))
    assert bytes(data) in [file.read_bytes() for file in aside]


def test_a_first_page_full_of_zeros_costs_nothing_sealed(open_journal: OpenJournal) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(2))
    journal.close()
    data = bytearray(journal.path.read_bytes())
    data[:1024] = bytes(1024)
    journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        kept = sealed(after)
        assert {name: kept.get(name) for name in held} == held


@pytest.mark.parametrize("word", [b"acked_at_us", b"CREATE TABLE batches", b"payload BLOB"])
def test_one_flipped_bit_in_the_schema_costs_nothing_sealed(
    word: bytes, open_journal: OpenJournal
) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(5))
    journal.close()
    data = bytearray(journal.path.read_bytes())
    data[data.index(word) + 1] ^= 1
    journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        kept = sealed(after)
        assert {name: kept.get(name) for name in held} == held
        assert "journal_damaged" in [event.kind for event in events(after)]
        fill(after, 1)


def test_a_lost_table_of_lanes_costs_nothing_sealed(open_journal: OpenJournal) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(4))
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'lanes'"
        (page,) = db.execute(query).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(journal.path.read_bytes())
    data[(page - 1) * size : page * size] = bytes(size)
    journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        kept = sealed(after)
        assert {name: kept.get(name) for name in held} == held


def test_a_tail_whose_numbers_changed_is_not_believed(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)])
    journal.append(LANE_READINGS, [reading(2), reading(3)])
    (body,) = journal._db.execute("SELECT body FROM tail WHERE id = 2").fetchone()
    changed = body.replace((1002).to_bytes(2, "big"), (1003).to_bytes(2, "big"))
    assert changed != body
    journal._db.execute("UPDATE tail SET body = ? WHERE id = 2", (changed,))
    journal.close()
    with closing(Journal(journal.path, "gw-1")) as after:
        assert after.status(LANE_READINGS).tail_records == 1
        assert [
            (it.body["lane"], it.body["count"]) for it in events(after) if it.kind == "loss"
        ] == [(LANE_READINGS, 2)]


@pytest.mark.parametrize("left", ["salvage", "salvaged"])
def test_salvage_that_was_cut_off_begins_anew(left: str, open_journal: OpenJournal) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(3))
    journal.close()
    ready = journal.path.with_name(f"gw-1.journal.{left}")
    if left == "salvaged":
        # the damaged one was set aside already
        journal.path.rename(ready)
    else:
        ready.write_bytes(b"half of it")
        data = bytearray(journal.path.read_bytes())
        data[0] ^= 1
        journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        assert sealed(after).items() >= held.items()
    assert not ready.exists()


def test_a_file_that_was_never_a_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    path.write_bytes(b"this was a journal once " * 500)
    with closing(Journal(path, "gw-1")) as journal:
        (told,) = events(journal)
        assert told.body["batches"] == 0
    assert len(list(tmp_path.glob("gw-1.journal.damaged-*"))) == 1


def test_damage_found_while_running_ends_the_program(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    journal._db.execute("UPDATE batches SET payload = cast(payload || x'00' AS BLOB)")
    with pytest.raises(JournalError, match="not what was sealed"):
        journal.envelope(LANE_READINGS, 1)


def test_a_broken_log_is_told_of(open_journal: OpenJournal, tmp_path: Path) -> None:
    journal = open_journal()
    for number in range(6):
        journal.append(LANE_READINGS, [reading(number)], seal_at_us=START_US)
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in tmp_path.glob("gw-1.journal*"):
        shutil.copy(file, folder)
    log = folder / "gw-1.journal-wal"
    data = bytearray(log.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    log.write_bytes(bytes(data))
    with closing(Journal(folder / "gw-1.journal", "gw-1")) as after:
        assert after.status(LANE_READINGS).next < journal.status(LANE_READINGS).next
        (told,) = events(after)
        assert "log breaks off" in str(told.body["faults"])


def test_a_clean_kill_tells_nothing(open_journal: OpenJournal, tmp_path: Path) -> None:
    journal = open_journal()
    fill_big(journal, random.Random(4))
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in tmp_path.glob("gw-1.journal*"):
        shutil.copy(file, folder)
    with closing(Journal(folder / "gw-1.journal", "gw-1")) as after:
        assert events(after) == []
        assert sealed(after) == sealed(journal)


@pytest.mark.parametrize(("place", "flip"), [(0, 1), (2, 1), (3, 0x80)])
def test_a_value_of_another_kind_costs_its_batch_alone(
    place: int, flip: int, open_journal: OpenJournal
) -> None:
    journal = open_journal()
    held = fill_big(journal, random.Random(6))
    journal.close()
    data = bytearray(journal.path.read_bytes())
    # a row's header tells of an id of 16 bytes, a number, a root of 32 and a payload: odd ones
    # mean a text, small ones a number
    header = re.search(rb"\x2c[\x01\x02\x08\x09]\x4c[\x81-\x84]", data)
    assert header is not None
    data[header.start() + place] ^= flip
    journal.path.write_bytes(bytes(data))
    with closing(Journal(journal.path, "gw-1")) as after:
        kept = sealed(after)
        assert sum(kept.get(name) != payload for name, payload in held.items()) <= 1
        assert [event.kind for event in events(after)].count("journal_damaged") == 1
        fill(after, 1)
