"""The journal killed in each of its transactions: what it said it has, it has or declares lost."""

import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from signal import SIGKILL
from typing import Final

import pytest

from edge.journal import Journal
from edge.journal_schema import PAGE_BYTES
from protocols.delivery import batch
from tests.faults.journal_driver import CHANNELS, GATEWAY, LARGE
from tests.faults.journal_oracle import Held, Oracle, check_words, look
from tests.faults.warm_programs import WarmPrograms, WarmRun
from tests.faults.warm_start import Job

pytestmark = pytest.mark.slow

SEED = 20261122
# each place; 50 were run once: HUTONG_JOURNAL_KILLS=50
KILLS = int(os.environ.get("HUTONG_JOURNAL_KILLS", "5"))
MINUTES: Final = 3000
FEW: Final = 40
DIES_S: Final = 60.0
# killed so often, a journal begins anew
LIFE: Final = 10
PLACES: Final = {
    "alone": (
        "journal.append",
        "journal.before_commit",
        "journal.committed",
        "journal.group",
        "journal.thinning",
        "journal.thinned",
        "journal.new_epoch",
        "journal.rewind",
    ),
    "answered": (
        "journal.release",
        "journal.grace",
        "journal.thinned",
        "journal.refused",
        "journal.losses",
    ),
}
ONCE: Final = ("journal.founded", "journal.reserve")
SALVAGE: Final = (
    "journal.salvage_batches",
    "journal.salvage",
    "journal.salvage_ready",
    "journal.salvage_log",
    "journal.salvage_aside",
)
MIGRATION: Final = ("journal.migration", "journal.migrated")


class Driver:
    """Starts the driver on one journal, killed at a place or until it is done."""

    def __init__(self, programs: WarmPrograms, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{GATEWAY}.journal"
        self.said = folder / "said"
        self._parent = programs.parent("tests.faults.journal_driver")
        self._log = folder / "log"

    def run(self, plan: str, failpoint: str = "", minutes: int = MINUTES) -> None:
        """Run a plan; it must be killed where a failpoint is given, and end well without."""
        assert self.dies(plan, failpoint, minutes) is bool(failpoint), f"{failpoint}: not reached"

    def dies(self, plan: str, failpoint: str, minutes: int = MINUTES) -> bool:
        """Run a plan; say whether it was killed. It may only be killed or end well."""
        arguments = ["driver", str(self.path), str(self.said), plan, str(minutes)]
        job = Job(arguments, os.environ | {"HUTONG_FAILPOINT": failpoint}, str(self._log))
        code = WarmRun(self._parent, job).wait(DIES_S)
        assert code in (0, -SIGKILL), f"{failpoint}: {code}: {self._log.read_text()[-2000:]}"
        return code != 0


@pytest.fixture(scope="module")
def programs() -> Iterator[WarmPrograms]:
    """Give programs that are imported already."""
    made = WarmPrograms()
    yield made
    made.close()


@pytest.mark.parametrize("plan", PLACES)
def test_killed_in_each_transaction(plan: str, programs: WarmPrograms, tmp_path: Path) -> None:
    draw = random.Random(f"{SEED} {plan}")
    killed: Counter[str] = Counter()
    began = time.monotonic()
    places = [place for place in PLACES[plan] for _ in range(KILLS)]
    draw.shuffle(places)
    while places:
        folder = tmp_path / str(len(places))
        driver = Driver(programs, folder)
        oracle = Oracle(driver.path, driver.said, exact=plan == "alone")
        # a journal that nobody empties comes to its end: it thins no more
        lived = 0
        while places and lived < LIFE:
            place = places[-1]
            if not driver.dies(plan, f"{place}:{draw.randrange(1, 4)}"):
                assert lived, f"{place}: not reached"
                break
            oracle.judge()
            killed[places.pop()] += 1
            lived += 1
        driver.run(plan, minutes=FEW)
        oracle.judge()
        check_words(driver.path)
        shutil.rmtree(folder)
    _tell(killed, began)


def test_killed_while_it_is_made(programs: WarmPrograms, tmp_path: Path) -> None:
    killed: Counter[str] = Counter()
    began = time.monotonic()
    for place in ONCE:
        for number in range(KILLS):
            driver = Driver(programs, tmp_path / f"{place}-{number}")
            oracle = Oracle(driver.path, driver.said, exact=True)
            driver.run("large", place, FEW)
            killed[place] += 1
            driver.run("large", minutes=FEW)
            assert sum(oracle.judge().readings.values()) >= FEW * CHANNELS
            reserve = driver.path.with_name(f"{driver.path.name}-reserve")
            assert reserve.stat().st_size >= LARGE.max_bytes // 16
    _tell(killed, began)


def test_killed_while_it_is_salvaged(programs: WarmPrograms, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    whole = Driver(programs, tmp_path / "whole")
    # what the last commits held stands in the write-ahead log alone
    whole.run("large", minutes=FEW)
    whole.run("large", f"journal.committed:{FEW // 2}")
    before = look(whole.path)
    assert whole.path.with_name(f"{whole.path.name}-wal").stat().st_size > PAGE_BYTES
    killed: Counter[str] = Counter()
    began = time.monotonic()
    for place in SALVAGE:
        for number in range(KILLS):
            folder = tmp_path / f"{place}-{number}"
            shutil.copytree(whole.path.parent, folder)
            driver = Driver(programs, folder)
            lost = _damage(driver.path, before, draw)
            driver.run("large", place, 0)
            killed[place] += 1
            if number % 2:
                # and again where it goes on
                with closing(Journal(driver.path, GATEWAY)):
                    pass
            driver.run("large", minutes=1)
            after = look(driver.path)
            missing = before.batches.keys() - after.batches.keys()
            assert missing <= after.named, "batches are gone, and nothing was said of them"
            assert len(missing) <= lost
            kept = {name: after.batches[name] for name in before.batches.keys() - missing}
            assert kept == {name: before.batches[name] for name in kept}
            gone = sum(before.readings.values()) - sum(
                count for name, count in after.readings.items() if name in before.readings
            )
            of_missing = (batch.records(batch.decode(before.batches[name])) for name in missing)
            assert gone <= sum(map(len, of_missing)) + after.declared - before.declared
            shutil.rmtree(folder)
    _tell(killed, began)


def test_killed_while_it_is_migrated(programs: WarmPrograms, tmp_path: Path) -> None:
    killed: Counter[str] = Counter()
    began = time.monotonic()
    driver = Driver(programs, tmp_path / "old")
    oracle = Oracle(driver.path, driver.said, exact=True)
    driver.run("large", "journal.committed:9", FEW)
    versions: Counter[int] = Counter()
    for place in MIGRATION:
        for number in range(KILLS):
            # down to version 1 and up again: both ways pass the place
            driver.run("migrate", f"{place}:{1 + number % 2}", 0)
            killed[place] += 1
            versions[oracle.judge().version] += 1
    driver.run("large", minutes=FEW)
    oracle.judge()
    assert versions.keys() == {1, 2}
    _tell(killed, began)


def _damage(path: Path, held: Held, draw: random.Random) -> int:
    """Spoil the first page or a batch; return how many batches that may cost at most."""
    data = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        data[: PAGE_BYTES // 2] = bytes(PAGE_BYTES // 2)
        most = 0
    else:
        at = -1
        # some are in the write-ahead log alone
        while at < 0:
            at = data.find(draw.choice(list(held.batches.values()))[600:700])
        data[at] ^= 1
        most = 1
    path.write_bytes(bytes(data))
    return most


def _tell(killed: Counter[str], began: float) -> None:
    took_s = time.monotonic() - began
    sys.stdout.write(f"{sum(killed.values())} kills in {took_s:.0f} s: {dict(killed)}\n")
