"""The whole chain as processes of its own: site, broker, cloud and gateway, each killable."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import httpx
import yaml

from devices.profile import profiles_folder
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.system_parts import free_port

CONFIGS = profiles_folder().parent
SITE_FILE = CONFIGS / "demo" / "qingsong-site.yaml"
PROJECT_FILE = CONFIGS / "demo" / "qingsong-project.yaml"
GATEWAY = "gw-qingsong-1"
ZONE = ZoneInfo("Asia/Shanghai")
START_S = 30.0
STOP_S = 10.0

Part = Literal["site", "cloud", "ingest", "edge", "backfill"]
T = TypeVar("T")


@dataclass(frozen=True)
class Installation:
    """How a chain is set up: which devices are polled how often, and what its cloud keeps."""

    database_url: str = ""
    devices: frozenset[str] = frozenset()
    period_s: int = 2
    timeout_ms: int = 1000
    silent_period_s: int | None = None
    faults: tuple[str, ...] = ()
    commit_s: float = 0.5
    max_mib: int | None = None


class Process(Protocol):
    """A started program, of `subprocess.Popen` what a chain uses."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; TimeoutExpired if it runs on."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal if it runs."""

    def kill(self) -> None:
        """End it as a power cut would."""


# command, whole environment, where the output is added
Launch = Callable[[Sequence[str], dict[str, str], Path], Process]


def launch_program(command: Sequence[str], environment: dict[str, str], log: Path) -> Process:
    """Start a program as a process of its own; its output is added to `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )


@dataclass
class _Running:
    process: Process
    log: Path


@dataclass
class Chain:
    """One installation in its folder; every part can be started, killed and started again."""

    folder: Path
    installation: Installation = field(default_factory=Installation)
    launch: Launch = launch_program

    def __post_init__(self) -> None:
        """Write the files of this installation; nothing runs yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(self.folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.gateway_file = self.folder / "gateway.yaml"
        self.project_file = self.folder / "project.yaml"
        self.journal_file = self.folder / f"{GATEWAY}.journal"
        self.users: dict[str, dict[str, str]] = {}
        self.extra: dict[Part, dict[str, str]] = {}
        self._tcp_port = free_port()
        self._running: dict[Part, _Running] = {}
        self._write_gateway_file()
        self._write_project_file()

    @property
    def database_url(self) -> str:
        """Return where this chain's cloud keeps what it has."""
        return self.installation.database_url or f"sqlite:///{self.folder / 'hutong.db'}"

    def start_site(self) -> None:
        """Start the simulated meters and wait until they listen."""
        faults = [word for fault in self.installation.faults for word in ("--fault", fault)]
        ports = ["--tcp-port", str(self._tcp_port), "--pty", str(self.folder / "rtu-1")]
        self._spawn("site", "hutong-site", "run", "--config", str(SITE_FILE), *ports, *faults)
        wait_for(lambda: b'"ready": true' in self._log("site").read_bytes(), START_S, "the site")

    def import_project(self, cutover_on: datetime) -> None:
        """Bring the project into the cloud's database and remember its logins."""
        month = f"{cutover_on:%Y-%m}"
        line = self._call(
            "hutong-cloud", "import", str(self.project_file), "--cutover", month, "--json"
        )
        self.users = {user["role"]: user for user in json.loads(line)["users"]}

    def command_key(self) -> str:
        """Return the public key that the cloud's commands are signed by."""
        return self._call("hutong-cloud", "command-key").strip()

    def backfill(
        self, since_on: datetime, *, kill_at: float | None = None, period_s: int = 900
    ) -> None:
        """Read the past into the journal; `kill_at` (0 to 1) kills the program there."""
        options = ["--config", str(self.gateway_file), "--site", str(SITE_FILE)]
        since = ["--since", f"{since_on:%Y-%m-%d}", "--period-s", str(period_s)]
        self._spawn("backfill", "hutong-edge", "backfill", *options, *since)
        running = self._running["backfill"]
        if kill_at is not None:
            wait_for(lambda: _done(running.log) >= kill_at, START_S, "the backfill")
            assert running.process.poll() is None, "it was over before it was killed"
            self.kill("backfill")
            return
        assert running.process.wait(60) == 0, running.log.read_text()

    def start_cloud(self, *, wait: bool = True) -> None:
        """Start the cloud, and wait until it reaches database and broker."""
        self._spawn("cloud", "hutong-cloud", "serve")
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the cloud reaches database and broker."""
        wait_for(self._is_ready, START_S, "the cloud", alive=self._check("cloud"))

    def start_edge(self) -> None:
        """Start the gateway."""
        self._spawn("edge", "hutong-edge", "run", "--config", str(self.gateway_file))

    def start_ingest(self) -> None:
        """Start one ingest worker, beside or instead of the cloud's own."""
        self._spawn("ingest", "hutong-cloud", "ingest")

    def is_alive(self, part: Part) -> bool:
        """Say whether a part runs; one that was killed from inside is forgotten."""
        running = self._running.get(part)
        if running is None or running.process.poll() is None:
            return running is not None
        del self._running[part]
        assert running.process.returncode == -signal.SIGKILL, running.log.read_text()[-2000:]
        return False

    def read(self, *options: str) -> list[dict[str, str]]:
        """Poll once by `hutong-edge read --json`."""
        lines = self._call("hutong-edge", "read", "--config", str(self.gateway_file), *options)
        return [json.loads(line) for line in lines.splitlines()]

    def kill(self, part: Part) -> None:
        """End a part as a power cut would."""
        running = self._running.pop(part)
        running.process.kill()
        running.process.wait(STOP_S)

    def stop(self, part: Part) -> None:
        """End a part as its service manager would; it must end cleanly."""
        running = self._running.pop(part)
        running.process.send_signal(signal.SIGTERM)
        code = running.process.wait(STOP_S)
        assert code in (0, -signal.SIGTERM), f"{part} ended with {code}: {running.log.read_text()}"

    def close(self) -> None:
        """End whatever still runs."""
        for part in list(self._running):
            self.kill(part)
        self.broker.kill()

    @contextlib.contextmanager
    def client(self, role: str = "manager") -> Iterator[httpx.Client]:
        """Give a client of the HTTP API, logged in."""
        with httpx.Client(base_url=self.url, timeout=20) as client:
            answer = client.post("/api/v1/tokens", json=self.users[role])
            answer.raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client

    @contextlib.contextmanager
    def journal(self) -> Iterator[sqlite3.Connection]:
        """Look into the gateway's journal file, without writing."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.journal_file}?mode=ro", uri=True, timeout=10)
        ) as connection:
            yield connection

    def acknowledged(self) -> int:
        """Return how many batches the cloud has said it holds; 0 before the journal has tables."""
        if not self.journal_file.exists():
            return 0
        with self.journal() as journal:
            # the gateway makes the file first and its tables after it
            if not journal.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lanes'").fetchone():
                return 0
            return int(journal.execute("SELECT total(acked) FROM lanes").fetchone()[0])

    def backlog(self) -> int:
        """Return how many sealed batches and open records the cloud has not acknowledged."""
        with self.journal() as journal:
            waiting = journal.execute("SELECT sum(next - 1 - acked) FROM lanes").fetchone()[0]
            return int(waiting) + int(journal.execute("SELECT count(*) FROM tail").fetchone()[0])

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _check(self, part: Part) -> Callable[[], None]:
        def check() -> None:
            running = self._running[part]
            assert running.process.poll() is None, f"{part} ended: {running.log.read_text()}"

        return check

    def _environment(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("HUTONG_")},
            "HUTONG_DATA_DIR": str(self.folder),
            "HUTONG_DATABASE_URL": self.database_url.replace("+psycopg", ""),
            "HUTONG_MQTT_URL": self.broker.url,
            "HUTONG_PORT": self.url.rsplit(":", 1)[1],
            "HUTONG_ALLOW_UNVERIFIED_TARIFFS": "true",
            "HUTONG_LOG_FORMAT": "json",
            "HUTONG_TRUST_CLOCK": "true",
            "PYTHONUNBUFFERED": "1",
        }

    def _log(self, part: Part) -> Path:
        return self.folder / f"{part}.log"

    def _spawn(self, part: Part, name: str, *arguments: str) -> None:
        if (old := self._running.pop(part, None)) is not None:
            assert old.process.poll() is not None, f"{part} runs already"
        environment = self._environment() | self.extra.get(part, {})
        process = self.launch([program(name), *arguments], environment, self._log(part))
        self._running[part] = _Running(process, self._log(part))

    def _call(self, name: str, *arguments: str) -> str:
        done = subprocess.run(
            [program(name), *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _write_gateway_file(self) -> None:
        content = yaml.safe_load((CONFIGS / "gateways" / "qingsong.yaml").read_text("utf-8"))
        content["poll"] = {
            "period_s": self.installation.period_s,
            "commit_s": self.installation.commit_s,
        }
        if self.installation.max_mib is not None:
            content["journal"] = {"max_mib": self.installation.max_mib}
        for bus in content["buses"]:
            serial = bus["kind"] == "modbus-rtu"
            bus["port"] = str(self.folder / "rtu-1") if serial else self._tcp_port
            bus["timeout_ms"] = self.installation.timeout_ms
        if wanted := self.installation.devices:
            content["devices"] = [item for item in content["devices"] if item["id"] in wanted]
        self.gateway_file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")

    def _write_project_file(self) -> None:
        content = yaml.safe_load(PROJECT_FILE.read_text("utf-8"))
        if self.installation.silent_period_s is not None:
            for meter in content["meters"]:
                meter["period_s"] = self.installation.silent_period_s
        self.project_file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")


def program(name: str) -> str:
    """Return the path of one of our programs beside this Python."""
    return str(Path(sys.executable).parent / name)


def wait_for(
    ready: Callable[[], T],
    deadline_s: float,
    what: str,
    *,
    alive: Callable[[], None] = lambda: None,
    every_s: float = 0.1,
) -> T:
    """Return the first true answer of `ready`; AssertionError after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not (found := ready()):
        alive()
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s} s"
        time.sleep(every_s)
    return found


def last_month() -> datetime:
    """Return the first midnight of the month before this one, in the project's time zone."""
    first = datetime.now(ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - timedelta(days=1)).replace(day=1)


def _done(log: Path) -> float:
    # the last line may still be on its way
    lines = log.read_text().rpartition("\n")[0].splitlines()
    return float(json.loads(lines[-1])["done"]) if lines else 0.0
