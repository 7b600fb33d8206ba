"""`hutong-site demo`: comes up, ends at once, goes on where it was, and forgets when told."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.chain_processes import last_month, program, wait_for
from tests.fixtures.system_parts import free_port

pytestmark = pytest.mark.slow

UP_S = 120.0
ENDS_S = 3.0
ARRIVES_S = 20.0


@dataclass(frozen=True)
class _Demo:
    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    log: Path

    def wait_live(self) -> None:
        wait_for(lambda: b" is live after " in self.log.read_bytes(), UP_S, "the demo", alive=self)

    def __call__(self) -> None:
        assert self.process.poll() is None, self.log.read_text()

    def access(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "access.json").read_text())
        return content

    def logins(self) -> dict[str, Any] | None:
        """Return what it has written of its logins, None as long as that is not whole."""
        try:
            held = self.access()
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        # another demo's may still be there
        return held if held["url"] == self.url else None

    def interrupt(self) -> None:
        """Press Ctrl-C: every process ends, at once and cleanly."""
        family = _descendants(self.process.pid)
        assert family
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(ENDS_S + 5)
        took_s = time.monotonic() - began
        assert code == 0, self.log.read_text()
        assert took_s < ENDS_S
        assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with _running(folder) as demo:
        demo.wait_live()
        assert len(_descendants(demo.process.pid)) >= 3
        for path in ("/healthz", "/readyz", "/metrics", "/"):
            assert httpx.get(f"{demo.url}{path}", follow_redirects=True).status_code == 200, path
        held = demo.access()
        assert held["url"] == demo.url
        assert stat.S_IMODE((folder / "access.json").stat().st_mode) == 0o600
        for user in held["users"]:
            assert _token(demo.url, user), user["role"]
        bills, readings = _look(demo)
        assert bills
        demo.interrupt()
    with _running(folder) as demo:
        demo.wait_live()
        assert demo.access() == {**held, "url": demo.url}
        # the gateway reads every meter as soon as it is back
        wait_for(lambda: _look(demo)[1] > readings, ARRIVES_S, "more readings", alive=demo)
        assert _look(demo)[0] == bills
        demo.interrupt()


def test_demo_forgets_only_what_a_demo_kept(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with _running(folder) as demo:
        held = wait_for(demo.logins, UP_S, "the logins", alive=demo)
        assert held is not None
        demo.interrupt()  # while it still comes up
    left_behind = folder / "left-behind"
    left_behind.touch()
    with _running(folder, "--reset") as demo:
        wait_for(lambda: not left_behind.exists(), UP_S, "the forgetting", alive=demo)
        again = wait_for(demo.logins, UP_S, "the logins", alive=demo)
        assert again is not None
        assert {user["role"] for user in again["users"]} == {user["role"] for user in held["users"]}
        assert not {user["password"] for user in again["users"]} & {
            user["password"] for user in held["users"]
        }
        demo.interrupt()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").touch()
    with _running(mine, "--reset") as demo:
        assert demo.process.wait(30) == 1
        assert "holds no demo" in demo.log.read_text()
    assert (mine / "letter").exists()


@contextlib.contextmanager
def _running(folder: Path, *options: str) -> Iterator[_Demo]:
    port = free_port()
    log = folder.parent / f"demo-{port}.log"
    arguments = ["demo", "--port", str(port), "--folder", str(folder), *options]
    environment = {key: value for key, value in os.environ.items() if key[:7] != "HUTONG_"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program("hutong-site"), *arguments],
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    family: set[int] = set()
    try:
        yield _Demo(process, folder, f"http://127.0.0.1:{port}", log)
    finally:
        if process.poll() is None:
            family = _descendants(process.pid)
            process.kill()
            process.wait()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> set[int]:
    """Return the ids of all processes that a process started, and those that they started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # a process may end while we look
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # the name in brackets may hold anything; the parent is the second field after it
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


def _token(url: str, user: dict[str, str]) -> str:
    answer = httpx.post(f"{url}/api/v1/tokens", json=user, timeout=20)
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


def _look(demo: _Demo) -> tuple[list[dict[str, Any]], int]:
    """Return last month's bills, and how many readings of the last days one channel has."""
    manager = next(user for user in demo.access()["users"] if user["role"] == "manager")
    headers = {"Authorization": f"Bearer {_token(demo.url, manager)}"}
    now = datetime.now(UTC)
    days = {"from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    with httpx.Client(base_url=demo.url, headers=headers, timeout=20) as client:
        period = {"period": f"{last_month():%Y-%m}", "limit": "500"}
        bills: list[dict[str, Any]] = client.get("/api/v1/bills", params=period).json()["items"]
        channel = client.get("/api/v1/channels?limit=1").json()["items"][0]["id"]
        answer = client.get(f"/api/v1/channels/{channel}/readings", params=days).json()
        return bills, len(answer["readings"])
