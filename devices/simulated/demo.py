"""`hutong-site demo`: the simulated estate, a gateway, a broker and the cloud, in one terminal."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from devices.profile import profiles_folder
from protocols.errors import HutongError

READY_S = 30.0
DELIVERED_S = 300.0
STOP_S = 2.5
ROLE_NAMES = {
    "manager": "项目经理 manager",
    "maintenance": "工程维修 maintenance",
    "clerk": "收费 clerk",
    "guard": "秩序维护员 guard",
    "resident": "业主 resident",
    "integrator": "集成商 integrator",
}

# they end when they have done their work
_ONCE = ("backfill", "import", "command-key")


class DemoError(HutongError):
    """A part of the demo did not come up; its log says more."""


class Demo:
    """The parts of the demo as processes of their own, and what they say of their progress."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder` keeps everything between two starts; `port` serves the pages."""
        self.folder = folder.absolute()
        self.url = f"http://127.0.0.1:{port}"
        self.console = Console()
        self._configs = profiles_folder().parent
        self._site_file = self._configs / "demo" / "qingsong-site.yaml"
        self._project_file = self._configs / "demo" / "qingsong-project.yaml"
        self._gateway_file = self.folder / "gateway.yaml"
        self._tcp_port, self._mqtt_port = _free_ports(2)
        self._zone = ZoneInfo("Asia/Shanghai")
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._environment = os.environ | {
            "HUTONG_DATA_DIR": str(self.folder),
            "HUTONG_PORT": str(port),
            "HUTONG_MQTT_PORT": str(self._mqtt_port),
            "HUTONG_ALLOW_UNVERIFIED_TARIFFS": "true",
            "HUTONG_LOG_FORMAT": "json",
            # gateway and cloud share this machine's clock
            "HUTONG_TRUST_CLOCK": "true",
            "HUTONG_TRUST_FIRST_KEY": "true",
            "PYTHONUNBUFFERED": "1",
        }

    async def run(self) -> None:
        """Start everything, show how it comes up, and serve until SIGINT or SIGTERM."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_gateway_file()
        starting = asyncio.create_task(self._start(), name="demo-start")
        stopping = asyncio.create_task(stop.wait(), name="demo-stop")
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._welcome(time.monotonic() - began)
                await self._watch(stopping)
        finally:
            starting.cancel()
            stopping.cancel()
            await self._end()

    async def _start(self) -> None:
        with Progress(
            TextColumn("{task.description:<36}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=self.console,
        ) as progress:
            site = progress.add_task("仿真小区 simulated estate", total=1)
            past = progress.add_task("网关补读历史 gateway reads the past", total=1)
            cloud = progress.add_task("云端与消息代理 cloud and broker", total=1)
            sent = progress.add_task("网关补传 gateway catches up", total=1)
            bills = progress.add_task("上月账单 last month's bills", total=1)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._start_site(progress, site))
                    tasks.create_task(self._read_past(progress, past))
                    tasks.create_task(self._start_cloud(progress, cloud))
            except ExceptionGroup as group:
                raise group.exceptions[0] from group
            online_at = datetime.now(self._zone)
            await self._spawn("edge", "hutong-edge", "run", "--config", str(self._gateway_file))
            await self._follow(progress, sent, bills, online_at=online_at)

    async def _start_site(self, progress: Progress, task: TaskID) -> None:
        child = await self._spawn(
            "site",
            "hutong-site",
            "run",
            "--config",
            str(self._site_file),
            "--tcp-port",
            str(self._tcp_port),
            "--pty",
            str(self.folder / "rtu-1"),
            piped=True,
        )
        await self._first_line(child)
        progress.update(task, completed=1)

    async def _read_past(self, progress: Progress, task: TaskID) -> None:
        since = self._cutover()
        child = await self._spawn(
            "backfill",
            "hutong-edge",
            "backfill",
            "--config",
            str(self._gateway_file),
            "--site",
            str(self._site_file),
            "--since",
            f"{since:%Y-%m-%d}",
            piped=True,
        )
        if child.stdout is not None:
            async for line in child.stdout:
                progress.update(task, completed=json.loads(line)["done"])
        if await child.wait() != 0:
            self._fail("backfill")
        del self._children["backfill"]

    async def _start_cloud(self, progress: Progress, task: TaskID) -> None:
        access = self.folder / "access.json"
        if access.exists():
            told = {**json.loads(access.read_text()), "url": self.url}
        else:
            told = {"url": self.url, "users": await self._import()}
        part = access.with_suffix(".part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        part.write_text(json.dumps(told, indent=2) + "\n")
        # whole or not at all: these passwords are told once
        part.replace(access)
        progress.update(task, completed=0.4)
        await self._trust_commands()
        await self._spawn("cloud", "hutong-cloud", "serve")
        deadline = time.monotonic() + READY_S
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as client:
            while time.monotonic() < deadline:
                self._check_alive()
                try:
                    if (await client.get("/readyz")).status_code == httpx.codes.OK:
                        progress.update(task, completed=1)
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        self._fail("cloud")

    async def _trust_commands(self) -> None:
        # the gateway acts on nothing that another key signed
        child = await self._spawn("command-key", "hutong-cloud", "command-key", piped=True)
        key = (await self._first_line(child)).decode().strip()
        await child.wait()
        del self._children["command-key"]
        self._write_gateway_file(command_key=key)

    async def _import(self) -> list[dict[str, str]]:
        child = await self._spawn(
            "import",
            "hutong-cloud",
            "import",
            str(self._project_file),
            "--cutover",
            f"{self._cutover():%Y-%m}",
            # logins that nobody could write down, because the first start was cut short
            "--renew-passwords",
            "--json",
            piped=True,
        )
        line = await self._first_line(child)
        await child.wait()
        del self._children["import"]
        users: list[dict[str, str]] = json.loads(line)["users"]
        return users

    async def _follow(
        self, progress: Progress, sent: TaskID, bills: TaskID, *, online_at: datetime
    ) -> None:
        begin = datetime.combine(self._cutover(), datetime.min.time(), self._zone)
        deadline = time.monotonic() + DELIVERED_S
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            manager = next(user for user in self._users() if user["role"] == "manager")
            answer = await client.post("/api/v1/tokens", json=manager)
            answer.raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            period = f"{begin:%Y-%m}"
            while time.monotonic() < deadline:
                self._check_alive()
                channels = (await client.get("/api/v1/channels?limit=1")).json()["items"]
                if channels and channels[0]["read_at"]:
                    newest = datetime.fromisoformat(channels[0]["read_at"])
                    part = (newest - begin) / (datetime.now(self._zone) - begin)
                    # live is what was read after the gateway went online
                    progress.update(sent, completed=1 if newest >= online_at else min(part, 0.99))
                found = (await client.get(f"/api/v1/bills?period={period}&limit=1")).json()
                if found["items"] and progress.tasks[sent].finished:
                    progress.update(bills, completed=1)
                    return
                await asyncio.sleep(0.3)
        self._fail("edge")

    async def _spawn(
        self, name: str, program: str, *arguments: str, piped: bool = False
    ) -> asyncio.subprocess.Process:
        environment = dict(self._environment)
        if name in ("edge", "backfill"):
            environment.setdefault("HUTONG_MQTT_URL", f"mqtt://127.0.0.1:{self._mqtt_port}")
        with (self.folder / f"{name}.log").open("ab") as log:
            # a session of its own: Ctrl-C reaches us alone, and we end the parts in order
            self._children[name] = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).parent / program),
                *arguments,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else log,
                stderr=log,
                start_new_session=True,
            )
        return self._children[name]

    async def _first_line(self, child: asyncio.subprocess.Process) -> bytes:
        line = await child.stdout.readline() if child.stdout else b""
        if not line:
            self._check_alive()
            name = next(name for name, other in self._children.items() if other is child)
            self._fail(name)
        return line

    async def _watch(self, stopping: asyncio.Task[bool]) -> None:
        while not stopping.done():
            self._check_alive()
            await asyncio.wait({stopping}, timeout=0.5)

    async def _end(self) -> None:
        # the gateway first: it seals what it read; the cloud last: it still takes it
        for name in (*_ONCE, "edge", "site", "cloud"):
            child = self._children.get(name)
            if child is None or child.returncode is not None:
                continue
            child.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(child.wait() for child in self._children.values()))
        except TimeoutError:
            for child in self._children.values():
                if child.returncode is None:
                    child.kill()

    def _check_alive(self) -> None:
        for name, child in self._children.items():
            if child.returncode is not None and name not in _ONCE:
                self._fail(name)

    def _fail(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        message = "\n".join([f"{name} did not come up or ended; {log} ends with:", *last])
        raise DemoError(message)

    def _users(self) -> list[dict[str, str]]:
        users: list[dict[str, str]] = json.loads((self.folder / "access.json").read_text())["users"]
        return users

    def _cutover(self) -> datetime:
        held = self.folder / "cutover"
        if not held.exists():
            first = datetime.now(self._zone).replace(day=1)
            held.write_text(f"{(first - timedelta(days=1)).replace(day=1):%Y-%m-%d}\n")
        return datetime.strptime(held.read_text().strip(), "%Y-%m-%d").replace(tzinfo=self._zone)

    def _write_gateway_file(self, **more: str) -> None:
        source = self._configs / "gateways" / "qingsong.yaml"
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
        for bus in content["buses"]:
            if bus["kind"] == "modbus-tcp":
                bus["port"] = self._tcp_port
            else:
                bus["port"] = str(self.folder / "rtu-1")
        text = yaml.safe_dump(content | more, allow_unicode=True, sort_keys=False)
        part = self._gateway_file.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        # the past may be read by the one that is there
        part.replace(self._gateway_file)

    def _welcome(self, took_s: float) -> None:
        self.console.print(f"\n青松花园 is live after {took_s:.1f} s: [bold]{self.url}[/bold]\n")
        for user in self._users():
            name = ROLE_NAMES.get(user["role"], user["role"])
            self.console.print(f"  {name:<24} {user['username']:<12} {user['password']}")
        self.console.print("\nCtrl-C ends it; nothing is lost. make demo RESET=1 starts afresh.")


def reset(folder: Path) -> None:
    """Forget what a demo kept; refuses a folder that is none of a demo."""
    if folder.exists():
        if not (folder / "gateway.yaml").exists():
            message = f"{folder}: holds no demo, so it is left as it is"
            raise DemoError(message)
        shutil.rmtree(folder)


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()
