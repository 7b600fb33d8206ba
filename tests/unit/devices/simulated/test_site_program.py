"""`hutong-site` as people start it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile, profiles_folder
from devices.simulated.clock import SimClock
from devices.simulated.fault_kinds import KINDS
from devices.simulated.memory import MemoryLink
from devices.simulated.site import build_site, load_site
from devices.virtual_clock import VirtualClock
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request, request_pdu, rtu_frame

CONFIG = profiles_folder().parent / "demo" / "qingsong-site.yaml"
PROGRAM = [sys.executable, "-c", "from devices.simulated.cli import main; main()"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, dict[str, object]]]]:
    process = subprocess.Popen(
        [*PROGRAM, "run", "--config", str(CONFIG), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HUTONG_SITE_TCP_PORT": "0"},
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()


async def test_it_serves_both_buses_on_its_clock_and_ends_at_once(tmp_path: Path) -> None:
    pty = tmp_path / "rtu"
    with running("--pty", str(pty), "--speed", "60") as (process, ready):
        assert ready["ready"] is True
        clock = SimClock(**ready["clock"])
        tcp, rtu = ready["endpoints"]["tcp-1"], ready["endpoints"]["rtu-1"]
        assert rtu == {"kind": "modbus-rtu", "port": str(pty)}
        link, line = ModbusTcpLink("127.0.0.1", tcp["port"]), ModbusRtuLink(str(pty))
        home = ModbusMeter(load_profile("eastron-sdm120"), 1, ["energy_import"])
        water = ModbusMeter(load_profile("xintai-water"), 1, ["total_positive"])
        before = clock.now_us()
        (energy,) = await home.read(link, clock)
        (volume,) = await water.read(line, clock)
        after = clock.now_us()
        # This process knows what the other one shows, from the site file and the clock alone.
        site = build_site(load_site(CONFIG))
        for sample, meter, bus in ((energy, home, "tcp-1"), (volume, water, "rtu-1")):
            counts = []
            for at_us in (before, after):
                moment = VirtualClock(at_us)
                (seen,) = meter.read_now(MemoryLink(site.on_bus(bus), moment).answer, moment)
                assert seen.count is not None
                counts.append(seen.count)
            assert sample.count is not None
            assert counts[0] <= sample.count <= counts[1]
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(5) == 0
        assert time.monotonic() - began < 1
        await link.close()
        await line.close()
    assert not pty.is_symlink()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "e-1-101=broken"], "allowed is TARGET=KIND[:AMOUNT]"),
        (["--fault", "nobody=silent"], "'nobody': allowed are"),
        (["--fault", "tcp-1=silent"], "allowed is a target that is a device on TCP"),
        (["--replay", "w-1-101=/none"], "cannot be read"),
        (["--config", "/none.yaml"], "/none.yaml: cannot be read"),
    ],
)
def test_wrong_options_end_with_2_and_a_line(options: list[str], says: str) -> None:
    shown = subprocess.run(
        [*PROGRAM, "run", "--config", str(CONFIG), *options],
        check=False,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 2
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def test_it_shows_the_faults_it_knows() -> None:
    shown = subprocess.run([*PROGRAM, "faults"], check=True, capture_output=True, text=True)
    lines = shown.stdout.splitlines()
    assert len(lines) == 1 + len(KINDS)
    (late,) = [line for line in lines if line.startswith("late[:MS]")]
    assert late.split(maxsplit=3)[1:3] == ["1500", "device"]
    assert "comes MS ms after its request" in late


async def test_faults_of_a_bus_reach_its_server(tmp_path: Path) -> None:
    options = ("--fault", "tcp-1=rtu-framing", "--fault", "rtu-1=zeros", "--fault", "tcp-1=zeros")
    with running("--pty", str(tmp_path / "rtu"), *options) as (_, ready):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(str(ready["endpoints"]["tcp-1"]["port"]))
        )
        writer.write(rtu_frame(99, request_pdu(Request(99, 4, 0x48, 2))))
        answer = await asyncio.wait_for(reader.readexactly(9), 2)
        assert answer == rtu_frame(99, bytes((4, 4, 0, 0, 0, 0)))
        writer.close()
        line = ModbusRtuLink(str(tmp_path / "rtu"))
        assert await line.transact(99, 3, 1, 2) == (0, 0)
        await line.close()
