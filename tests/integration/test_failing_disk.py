"""A disk under a running gateway that becomes read-only or fails: it ends, and later goes on."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.journal_schema import decode_tail
from protocols.delivery import batch
from protocols.delivery.records import Event, Record
from tests.e2e.chain_processes import GATEWAY, Chain, Installation, wait_for
from tests.faults.small_disks import MIB, fill_up, tmpfs

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

ENDS_S = 30.0
SOME = 60


@dataclass
class Disk:
    """An ext4 file system on a loop device, whose medium is a small tmpfs of its own."""

    folder: Path
    medium: Path
    image: Path

    def mount(self, options: str = "rw") -> None:
        """Mount it, after the check that a boot would make."""
        call("e2fsck", "-p", str(self.image), allowed=(0, 1))
        call("mount", "-o", f"loop,errors=remount-ro,{options}", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Take it away, and with it all that was never written to the medium."""
        call("umount", str(self.folder))

    def break_off(self) -> None:
        """Let the kernel find it damaged: it is read-only from now on, open files too."""
        (device,) = _devices(self.image)
        trigger = Path("/sys/fs/ext4") / device.name / "trigger_fs_error"
        trigger.write_text("1", encoding="ascii")

    def fail(self) -> None:
        """Let the medium refuse every new block: writes to it are I/O errors."""
        fill_up(self.medium / "other")

    def mend(self) -> None:
        """Let the medium take blocks again."""
        (self.medium / "other").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount an ext4 disk that can be made to fail."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with tmpfs(tmp_path / "medium", 24) as medium:
        made = Disk(folder, medium, medium / "image")
        with made.image.open("wb") as file:
            file.truncate(64 * MIB)
        call("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(made.image))
        try:
            made.mount()
        except AssertionError as refused:
            pytest.skip(f"no loop device can be mounted here: {refused}")
        yield made
        subprocess.run(["umount", "-l", str(folder)], check=False, timeout=20)


@pytest.fixture
def gateway(disk: Disk, tmp_path: Path) -> Iterator[Chain]:
    """Give a gateway that polls real servers and keeps its journal on that disk; no broker."""
    chain = Chain(tmp_path / "chain", Installation(period_s=1, commit_s=0.2, max_mib=4))
    chain.journal_file = disk.folder / f"{GATEWAY}.journal"
    chain.extra["edge"] = {"HUTONG_DATA_DIR": str(disk.folder)}
    try:
        chain.start_site()
        chain.start_edge()
        wait_for(chain.journal_file.exists, ENDS_S, "the journal")
        wait_for(lambda: len(held(chain)) > SOME, ENDS_S, "the first readings")
        yield chain
    finally:
        chain.close()


def test_a_disk_that_becomes_read_only(disk: Disk, gateway: Chain) -> None:
    before = held(gateway)
    disk.break_off()
    told = ended(gateway)
    assert "SQLITE_READONLY" in told or "SQLITE_IOERR" in told or "SQLITE_CANTOPEN" in told
    # started anew on such a disk it says so at once
    gateway.start_edge()
    told = ended(gateway)
    assert told.startswith(f"{gateway.journal_file}: ")
    assert "SQLITE_" in told
    disk.unmount()
    disk.mount()
    goes_on(gateway, before)


def test_a_disk_that_fails(disk: Disk, gateway: Chain) -> None:
    before = held(gateway)
    disk.fail()
    assert "SQLITE_" in ended(gateway)
    disk.mend()
    # nothing that was only in memory comes back
    disk.unmount()
    disk.mount()
    goes_on(gateway, before)


def held(chain: Chain) -> list[Record]:
    """Return every record that was committed to the journal; none before it has tables."""
    records: list[Record] = []
    with chain.journal() as journal:
        if not journal.execute("SELECT 1 FROM sqlite_schema WHERE name = 'thinned'").fetchone():
            return []
        for (body,) in journal.execute("SELECT body FROM tail"):
            records += decode_tail(body)
        for (payload,) in journal.execute("SELECT payload FROM batches"):
            records += batch.records(batch.decode(payload))
    return records


def ended(chain: Chain) -> str:
    """Wait until the gateway gave up; return the one line that it ended with."""
    running = chain._running.pop("edge")
    assert running.process.wait(ENDS_S) == 1, running.log.read_text("utf-8")
    said = running.log.read_text("utf-8")
    assert "Traceback" not in said, said
    return said.splitlines()[-1]


def goes_on(chain: Chain, before: list[Record]) -> None:
    """Start the gateway again: all that it held is there, or is declared lost, and it reads on."""
    chain.start_edge()
    wait_for(lambda: len(held(chain)) > len(before), ENDS_S, "further readings")
    after = held(chain)
    # a clock that disagrees or a restart adds events, and takes none away
    lost = [item for item in after if isinstance(item, Event) and item.kind == "loss"]
    assert not lost
    assert all(item in after for item in before)


def call(*command: str, allowed: tuple[int, ...] = (0,)) -> None:
    """Run a program of the system; AssertionError if it fails."""
    done = subprocess.run(
        command,
        env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in allowed, f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}"


def _devices(image: Path) -> list[Path]:
    found = []
    for device in Path("/sys/block").glob("loop*"):
        backing = device / "loop" / "backing_file"
        if backing.exists() and backing.read_text("utf-8").strip() == str(image):
            found.append(device)
    return found
