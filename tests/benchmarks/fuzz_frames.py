"""Seeded fuzz of every frame judge: no bytes crash one, and none accepts a wrong checksum."""

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from edge.frame_command import JUDGES
from protocols import cjt188, dlt645, mbus
from protocols.modbus.frames import Request, reply_pdu, request_pdu, rtu_frame, tcp_frame
from protocols.modbus.identification import (
    Identification,
    Identify,
    identification_pdu,
    identify_pdu,
)
from protocols.verdict import KINDS, Kind, Verdict

BEFORE = re.compile(r"; (\d+) bytes before")
AFTER = re.compile(r"; (\d+) bytes after")
WOKEN = re.compile(r"; behind (\d+) wake-up")


def main() -> None:
    """Run `--count` inputs from `--seed` and print what became of them; exit 1 on a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begin = time.monotonic()
    tally = fuzz(options.count, options.seed)
    print(f"seed {options.seed} inputs {options.count} in {time.monotonic() - begin:.0f} s")  # noqa: T201 - a program's answer
    for (protocol, verdict), count in sorted(tally.items()):
        print(f"{protocol:<11} {verdict:<10} {count}")  # noqa: T201 - a program's answer
    print("crashed 0 wrong 0")  # noqa: T201 - fuzz raises on the first of either


def fuzz(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Verdicts by protocol; AssertionError naming the seed's input if one is wrong."""
    rng = random.Random(seed)
    tally: Counter[tuple[str, str]] = Counter()
    names = sorted(JUDGES)
    for number in range(count):
        protocol = names[number % len(names)]
        request, frame = FRAMES[protocol](rng)
        buffer = spoil(rng, frame)
        kind: Kind | None = rng.choice((None, *KINDS))
        asked = rng.choice((None, request)) if kind != "request" else None
        verdict = JUDGES[protocol](buffer, kind=kind, request=asked)
        right = verdict.verdict == "reject" or checksum_is_right(protocol, buffer, verdict)
        assert right, (seed, number, protocol, buffer.hex(" "), verdict)
        assert verdict.reason, (seed, number)
        tally[protocol, verdict.verdict] += 1
    return tally


def spoil(rng: random.Random, frame: bytes) -> bytes:
    """The frame as lines, people and other masters leave it, or plain noise."""
    buffer = bytearray(frame)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        what = rng.randrange(7)
        place = rng.randrange(len(buffer) + 1)
        if what == 0 and buffer:
            buffer[place % len(buffer)] ^= 1 << rng.randrange(8)
        elif what == 1:
            del buffer[place : place + rng.randrange(1, 5)]
        elif what == 2:
            buffer[place:place] = rng.randbytes(rng.randrange(1, 5))
        elif what == 3:
            buffer[:0] = rng.randbytes(rng.randrange(1, 9))
        elif what == 4:
            buffer += rng.randbytes(rng.randrange(1, 9))
        elif what == 5:
            buffer += frame
        else:
            return rng.randbytes(rng.randrange(0, 80))
    return bytes(buffer)


def checksum_is_right(protocol: str, buffer: bytes, verdict: Verdict) -> bool:
    """Whether the bytes that the verdict did not skip end as the protocol wants, counted anew."""
    start = sum(int(hit[1]) for rule in (BEFORE, WOKEN) if (hit := rule.search(verdict.reason)))
    after = AFTER.search(verdict.reason)
    frame = buffer[start : len(buffer) - (int(after[1]) if after else 0)]
    if protocol == "modbus-rtu":
        return crc_bit_by_bit(frame[:-2]) == frame[-2] | frame[-1] << 8
    if protocol == "modbus-tcp":
        return frame[2:4] == b"\0\0" and frame[4] << 8 | frame[5] == len(frame) - 6
    if protocol == "mbus" and frame == mbus.ACK:
        return True
    first = (1 if frame[0] == mbus.SHORT else 4) if protocol == "mbus" else 0
    return frame[-1] == 0x16 and sum(frame[first:-2]) % 256 == frame[-2]


def crc_bit_by_bit(data: bytes) -> int:
    """Modbus CRC-16 as the specification's flow chart has it, apart from the table in use."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def modbus_pdus(rng: random.Random) -> tuple[int, bytes, bytes]:
    """Unit id, request and reply PDU of any function."""
    unit_id = rng.randrange(1, 248)
    function = rng.choice((1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43))
    if function == 43:
        objects = tuple((key, rng.randbytes(rng.randrange(12))) for key in range(3))
        asked, told = Identify(unit_id), Identification(1, 1, objects)
        return unit_id, identify_pdu(asked), identification_pdu(told)
    count = 1 if function in (5, 6, 22) else rng.randrange(1, 30)
    top = 2 if function in (1, 2, 5, 15) else 65536
    sent = {1: 0, 2: 0, 3: 0, 4: 0, 22: 2}.get(function, count)
    values = tuple(rng.randrange(top) for _ in range(sent))
    request = Request(unit_id, function, rng.randrange(60000), count, values, rng.randrange(60000))
    read = tuple(rng.randrange(top) for _ in range(count))
    reply = reply_pdu(request, read)
    if rng.randrange(8) == 0:
        reply = bytes((function | 0x80, rng.randrange(1, 12)))
    return unit_id, request_pdu(request), reply


def rtu(rng: random.Random) -> tuple[bytes, bytes]:
    """A request and a frame to judge, either it or its reply."""
    unit_id, request, reply = modbus_pdus(rng)
    asked = rtu_frame(unit_id, request)
    return asked, rng.choice((asked, rtu_frame(unit_id, reply)))


def tcp(rng: random.Random) -> tuple[bytes, bytes]:
    """A request and a frame to judge, either it or its reply."""
    unit_id, request, reply = modbus_pdus(rng)
    number = rng.randrange(65536)
    asked = tcp_frame(number, unit_id, request)
    return asked, rng.choice((asked, tcp_frame(number, unit_id, reply)))


def dlt(rng: random.Random) -> tuple[bytes, bytes]:
    """A read of a known identifier and its reply."""
    address = f"{rng.randrange(10**12):012d}"
    di, size = rng.choice((("00010000", 4), ("02010100", 2), ("02030000", 3), ("9010", 4)))
    asked = dlt645.read_frame(address, di)
    data = asked.data + bytes.fromhex(f"{rng.randrange(10 ** (2 * size)):0{2 * size}d}")
    told = dlt645.Frame(address, asked.control | 0x80, data)
    wakeup = rng.randrange(5)
    return dlt645.encode(asked), dlt645.encode(rng.choice((asked, told)), wakeup=wakeup)


def cjt(rng: random.Random) -> tuple[bytes, bytes]:
    """A read of a water meter and its reply."""
    address = f"{rng.randrange(10**14):014d}"
    asked = cjt188.read_frame(0x10, address, low_first=rng.random() < 0.5)
    total = bytes.fromhex(f"{rng.randrange(10**8):08d}") + b"\x2c"
    body = total + b"\xff" * 5 + rng.randbytes(9)
    told = cjt188.Frame(0x10, address, 0x81, asked.data + body)
    return cjt188.encode(asked), cjt188.encode(rng.choice((asked, told)), wakeup=rng.randrange(5))


def bus(rng: random.Random) -> tuple[bytes, bytes]:
    """A request for data and an answer with a total, sometimes with records of pure noise."""
    address = rng.randrange(1, 251)
    asked = mbus.Frame(0x5B, address)
    records = b"\x0c\x13" + bytes.fromhex(f"{rng.randrange(10**8):08d}")
    if rng.random() < 0.5:
        records += rng.randbytes(rng.randrange(20))
    head = rng.randbytes(8) + bytes((1, 0, 0, 0))
    told = mbus.Frame(0x08, address, 0x72, head + records)
    return mbus.encode(asked), mbus.encode(rng.choice((asked, told)))


FRAMES: dict[str, Callable[[random.Random], tuple[bytes, bytes]]] = {
    "modbus-rtu": rtu,
    "modbus-tcp": tcp,
    "dlt645": dlt,
    "cjt188": cjt,
    "mbus": bus,
}

if __name__ == "__main__":
    main()
