"""The scan as a program, on real servers: TCP, RTU over TCP and a pty with a speed of its own."""

import asyncio
import json
import os
import pty
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devices.profile import profile_ids
from devices.simulated.clock import SimClock
from devices.simulated.faults import Fault
from devices.simulated.meter import SimulatedMeter
from devices.simulated.rtu_server import RtuServer
from devices.simulated.tcp_server import TcpServer
from edge.config import RtuBus, TcpBus, load
from edge.recognition import Edition, editions_of
from protocols.errors import WireError
from protocols.modbus.frames import open_rtu, rtu_frame
from protocols.modbus.wire import Wire
from tests.fixtures.scanned_meters import SameWords, ScannedMeter

PROGRAM = Path(sys.executable).with_name("hutong-edge")
EDITIONS = {str(one): one for one in editions_of(profile_ids())}
SDM, DTSU = EDITIONS["eastron-sdm120"], EDITIONS["chint-dtsu666"]
FEW = "--profiles=eastron-sdm120,eastron-sdm230,chint-dtsu666"
READS = {1, 2, 3, 4, 43}
LIMIT_S = 40


@dataclass
class Ran:
    """A scan that has ended."""

    code: int
    out: str
    err: str

    @property
    def units(self) -> dict[int, Any]:
        """What it printed as JSON, by unit id."""
        return {one["unit_id"]: one for one in map(json.loads, self.out.splitlines())}


async def start(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        PROGRAM,
        "scan",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )


async def scan(*words: str) -> Ran:
    process = await start(*words)
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def tcp(meters: dict[int, SimulatedMeter]) -> AsyncIterator[str]:
    server = TcpServer(meters, SimClock(), host="127.0.0.1", port=0)
    await server.start()
    try:
        yield str(server.port)
    finally:
        await server.close()


def meters() -> dict[int, ScannedMeter]:
    return {
        1: ScannedMeter(SDM),
        3: ScannedMeter(DTSU),
        4: ScannedMeter(Edition("x", None, EDITIONS["tuf-2000m"].meter)),
        5: SameWords(SDM),
    }


async def test_a_tcp_endpoint(tmp_path: Path) -> None:
    served, out = meters(), tmp_path / "gateway.yaml"
    async with tcp({**served}) as port:
        words = ("--host", "127.0.0.1", "--tcp-port", port, "--units", "1-6", FEW)
        ran = await scan(*words, "--json", "--out", str(out), "--gateway", "gw-7")
        again = await scan(*words, "--out", str(out))
    assert ran.code == 0, ran.err
    assert {unit_id: unit["profile"] for unit_id, unit in ran.units.items()} == {
        1: "eastron-sdm120",
        3: "chint-dtsu666",
        4: None,
        5: None,
    }
    first = ran.units[1]
    assert [one["profile"] for one in first["candidates"]] == ["eastron-sdm120", "eastron-sdm230"]
    assert first["words"]["4:0x0000"] == "4366 6666"
    assert ran.units[5]["warnings"] == [
        "answers only zeros: a gateway may answer for a meter not there"
    ]
    assert "2 recognised of 4 found, 6 unit ids asked on 1 lines; written to" in ran.err
    config = load(out)
    assert config.gateway == "gw-7"
    assert [(d.id, d.unit_id) for d in config.devices] == [
        ("eastron-sdm120-1", 1),
        ("chint-dtsu666-3", 3),
    ]
    assert isinstance(config.buses[0], TcpBus)
    # a second scan does not even begin, and leaves the file as it is
    assert (again.code, again.out) == (2, "")
    assert again.err == f"--out: {out}: exists already, allowed is a new file\n"
    for meter in served.values():
        assert meter.functions
        assert meter.functions <= READS


async def test_every_shipped_profile_is_tried_and_a_table_shown() -> None:
    async with tcp({2: ScannedMeter(EDITIONS["peacefair-pzem-016"])}) as port:
        ran = await scan("--host", "127.0.0.1", "--tcp-port", port, "--units", "1-2")
    assert ran.code == 0, ran.err
    assert "peacefair-pzem-016" in ran.out
    assert "voltage 230.4 V is in 80..300; 3 of 3 checks fit" in ran.out
    assert ran.out.splitlines()[-1] == "1 recognised of 1 found, 2 unit ids asked on 1 lines"


async def test_nothing_there_and_nothing_recognised(tmp_path: Path) -> None:
    out = tmp_path / "gateway.yaml"
    async with tcp({1: SameWords(SDM)}) as port:
        words = ("--host", "127.0.0.1", "--tcp-port", port, FEW, "--out", str(out))
        zeros = await scan(*words, "--units", "1-2")
    nobody = await scan(*words, "--units", "1-2")
    assert (zeros.code, nobody.code) == (1, 1)
    assert "0 recognised of 1 found" in zeros.out
    assert f"127.0.0.1:{port}: no connection" in nobody.err
    assert not out.exists()


async def test_one_meter_that_answers_for_all() -> None:
    async with tcp(dict.fromkeys((1, 2, 3), ScannedMeter(SDM))) as port:
        ran = await scan("--host", "127.0.0.1", "--tcp-port", port, "--units", "1-3", FEW)
    assert "a gateway answers for meters that are not there" in ran.err
    assert "shows the same as unit 1" in ran.out


class Mute(ScannedMeter):
    """A meter that a serial line hears nothing of unless the line runs at its speed."""

    def __init__(self, edition: Edition, path: Path, speed: int) -> None:
        super().__init__(edition)
        self.path = path
        self.speed = speed

    def reply(self, unit_id: int, pdu: bytes, at_us: int) -> bytes | None:
        """As the meter, None at another speed."""
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            speed = termios.tcgetattr(fd)[4]
        finally:
            os.close(fd)
        return super().reply(unit_id, pdu, at_us) if speed == self.speed else None


async def test_a_serial_line_at_another_setting_than_the_first(tmp_path: Path) -> None:
    path, out = tmp_path / "tty", tmp_path / "gateway.yaml"
    meter = Mute(SDM, path, termios.B19200)
    server = RtuServer({2: meter}, SimClock(), path=path, wire=Wire(baud=19200, turnaround_s=0.005))
    await server.start()
    try:
        ran = await scan(
            *("--port", str(path), "--bauds", "9600,19200,115200", "--parities", "N"),
            *("--stop-bits", "1", "--units", "1-3", "--timeout-ms", "80", "--out", str(out)),
            *("--json", FEW),
        )
    finally:
        await server.close()
    assert ran.code == 0, ran.err
    assert ran.units[2]["profile"] == "eastron-sdm120"
    assert ran.units[2]["bus"] == "rtu-19200-8N1"
    # 115200 comes later and was not tried any more
    assert "1 recognised of 1 found, 6 unit ids asked on 2 lines" in ran.err
    (bus,) = load(out).buses
    assert isinstance(bus, RtuBus)
    assert (bus.baud, bus.parity, bus.stop_bits, bus.port) == (19200, "N", 1, str(path))
    assert meter.functions <= READS


@asynccontextmanager
async def collided(meter: ScannedMeter, unit_id: int) -> AsyncIterator[str]:
    """Give a pty on which two meters of one unit id answer at once, to that id alone."""
    server, client = pty.openpty()
    tty.setraw(client)

    def answer() -> None:
        asked, pdu = open_rtu(os.read(server, 256))
        reply = meter.reply(asked, pdu, 0)
        if asked == unit_id and reply is not None:
            frame = bytearray(rtu_frame(asked, reply))
            frame[2] ^= 0x41
            os.write(server, frame + b"\0\0\0")

    asyncio.get_running_loop().add_reader(server, answer)
    try:
        yield os.ttyname(client)
    finally:
        asyncio.get_running_loop().remove_reader(server)
        os.close(server)
        os.close(client)


async def test_a_duplicate_unit_id_on_a_serial_line() -> None:
    async with collided(ScannedMeter(SDM), 2) as port:
        ran = await scan(
            *("--port", port, "--bauds", "115200", "--parities", "N", "--stop-bits", "1"),
            *("--units", "1-3", "--timeout-ms", "80", "--json", FEW),
        )
    assert ran.code == 1
    assert list(ran.units) == [2]
    assert ran.units[2]["profile"] is None
    (warning,) = ran.units[2]["warnings"]
    assert warning.startswith("possible duplicate unit id 2: 3 answers to one read")


@asynccontextmanager
async def rtu_over_tcp(meter: ScannedMeter, unit_id: int) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.read(256):
            try:
                asked, pdu = open_rtu(frame)
            except WireError:
                continue
            reply = meter.reply(asked, pdu, 0) if asked == unit_id else None
            if reply is not None:
                writer.write(rtu_frame(asked, reply))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield str(server.sockets[0].getsockname()[1])


async def test_rtu_frames_over_tcp(tmp_path: Path) -> None:
    out = tmp_path / "gateway.yaml"
    meter = ScannedMeter(SDM)
    async with rtu_over_tcp(meter, 2) as port:
        ran = await scan(
            *("--host", "127.0.0.1", "--tcp-port", port, "--units", "1-3"),
            *("--timeout-ms", "120", "--out", str(out), FEW),
        )
    assert ran.code == 0, ran.err
    assert "answers RTU frames over TCP, not Modbus TCP" in ran.err
    assert "eastron-sdm120" in ran.out
    (bus,) = load(out).buses
    assert isinstance(bus, TcpBus)
    assert bus.framing == "rtu"
    assert meter.functions <= READS


async def test_stopped_by_hand_it_keeps_what_it_has(tmp_path: Path) -> None:
    out = tmp_path / "gateway.yaml"
    # it is still waited for when the hand comes
    silent = Fault(target="2", kind="silent", from_us=0)
    second = ScannedMeter(SDM, faults=[silent])
    async with tcp({1: ScannedMeter(SDM), 2: second, 3: ScannedMeter(SDM, more=5)}) as port:
        process = await start(
            *("--host", "127.0.0.1", "--tcp-port", port, "--units", "1-247"),
            *("--out", str(out), "--json"),
        )
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_S):
            told = await process.stderr.readuntil(b"\n")
            process.send_signal(signal.SIGINT)
            rest, err = await process.communicate()
    ran = Ran(process.returncode or 0, rest.decode(), err.decode())
    assert told.startswith(b"tcp-1 unit 1: eastron-sdm120: voltage 230.4 V")
    assert ran.code == 0
    assert ran.units[1]["profile"] == "eastron-sdm120"
    assert "stopped: 1 recognised" in ran.err
    assert load(out).devices[0].unit_id == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--host, --port: allowed is exactly one of them"),
        (("--host", "h", "--port", "p"), "--host, --port: allowed is exactly one of them"),
        (("--host", "h", "--bauds", "9600"), "--bauds, --parities, --stop-bits: belong to --port"),
        (("--port", "p", "--units", "0"), "--units: '0': allowed here are 1..247"),
        (("--port", "p", "--profiles", "x"), "--profiles: 'x': allowed are abb-b23, "),
        (("--port", "p", "--gateway", "a b"), "--gateway: 'a b': allowed are"),
        (("--port", "p", "--out", "/no/such/x"), "--out: /no/such/x: allowed is a file in a"),
    ],
)
async def test_options_that_are_wrong(words: tuple[str, ...], says: str) -> None:
    ran = await scan(*words)
    assert ran.code == 2
    assert ran.err.startswith(says)
    assert len(ran.err.splitlines()) == 1


async def test_no_serial_line(tmp_path: Path) -> None:
    file = tmp_path / "tty"
    file.write_text("", encoding="utf-8")
    ran = await scan("--port", str(file), "--units", "1")
    assert ran.code == 1
    assert f"{file}: no serial line to scan" in ran.err
