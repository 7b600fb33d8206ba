"""DL/T 645, CJ/T 188 and M-Bus frames: round trips, pieces, noise around and spoiled bytes."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import cjt188, dlt645, mbus
from protocols.bcd import bcd_text
from protocols.errors import WireError
from protocols.mbus_records import parse_records
from protocols.verdict import Verdict, parse_hex
from tests.benchmarks.fuzz_frames import bus, cjt, dlt, fuzz

seeds = st.integers(0, 2**32)
PROTOCOLS = [(dlt645, dlt), (cjt188, cjt), (mbus, bus)]
# Bytes that begin no frame of these protocols.
noise = st.binary(max_size=4).map(lambda data: data.translate(None, b"\x68\x10\xfe\xe5\x16"))


@given(st.integers(0, 10**12 - 1), st.integers(0, 255), st.binary(max_size=200))
def test_dlt645_goes_round(address: int, control: int, data: bytes) -> None:
    frame = dlt645.Frame(f"{address:012d}", control, data)
    found = dlt645.find_frame(dlt645.encode(frame, wakeup=4))
    assert found is not None
    assert found[0] == frame


@given(st.integers(0x10, 0x49), st.integers(0, 10**14 - 1), st.binary(max_size=255))
def test_cjt188_goes_round(meter_type: int, address: int, data: bytes) -> None:
    frame = cjt188.Frame(meter_type, f"{address:014d}", 0x81, data)
    found = cjt188.find_frame(cjt188.encode(frame, wakeup=2))
    assert found is not None
    assert found[0] == frame


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=249))
def test_mbus_goes_round(control: int, address: int, data: bytes) -> None:
    for frame in (mbus.Frame(control, address), mbus.Frame(control, address, 0x72, data)):
        found = mbus.find_frame(mbus.encode(frame))
        assert found is not None
        assert found[0] == frame


@pytest.mark.parametrize(("protocol", "make"), PROTOCOLS)
@given(seed=seeds, before=noise, after=noise)
def test_a_request_is_found_among_noise_and_not_in_pieces(
    protocol: object,
    make: Callable[[random.Random], tuple[bytes, bytes]],
    seed: int,
    before: bytes,
    after: bytes,
) -> None:
    module = dlt645 if protocol is dlt645 else cjt188 if protocol is cjt188 else mbus
    asked, _ = make(random.Random(seed))
    assert [module.find_frame(asked[:n]) for n in range(len(asked))] == [None] * len(asked)
    told = module.judge(before + asked + after)
    assert told.verdict == "accept"
    assert (f"{len(before)} bytes before" in told.reason) == bool(before)
    assert (f"{len(after)} bytes after" in told.reason) == bool(after)


@pytest.mark.parametrize(("protocol", "make"), PROTOCOLS)
@given(seed=seeds)
def test_a_spoiled_byte_is_refused(
    protocol: object, make: Callable[[random.Random], tuple[bytes, bytes]], seed: int
) -> None:
    judge: Callable[[bytes], Verdict] = (
        dlt645 if protocol is dlt645 else cjt188 if protocol is cjt188 else mbus
    ).judge
    rng = random.Random(seed)
    asked = bytearray(make(rng)[0])
    asked[rng.randrange(len(asked))] ^= 1 << rng.randrange(8)
    assert judge(bytes(asked)).verdict == "reject"


@given(st.binary(max_size=60))
def test_records_never_crash(data: bytes) -> None:
    try:
        records, _ = parse_records(data)
    except WireError:
        return
    assert all(record.value is None or float(record.value) < 1e60 for record in records)


def test_a_seeded_fuzz_finds_nothing() -> None:
    tally = fuzz(5000, 7)
    assert sum(tally.values()) == 5000
    assert {verdict for _, verdict in tally} == {"accept", "exception", "reject"}


def test_digits() -> None:
    assert bcd_text(bytes.fromhex("34120000"), 2) == "12.34"
    assert bcd_text(bytes.fromhex("ffff"), 1) is None
    assert bcd_text(bytes.fromhex("0080"), 1, signed=True) in ("0.0", "-0.0")
    with pytest.raises(WireError, match="no decimal digits"):
        bcd_text(bytes.fromhex("0a"), 0)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("01 03 00", "010300"),
        ("0x01,0X03\n0xff", "0103ff"),
        ("01H 03h FEH", "0103fe"),
        ("[0x1, 0x3]", "0103"),
        ("\\x01\\x03", "0103"),
        ("FE:fe-68", "fefe68"),
        ("", ""),
    ],
)
def test_hex_as_people_paste_it(text: str, data: str) -> None:
    assert parse_hex(text).hex() == data


@pytest.mark.parametrize("text", ["0g", "zz", "123", "01 0h3", "0x", "é1"])
def test_what_is_no_hex_is_named(text: str) -> None:
    with pytest.raises(WireError, match="hex: '"):
        parse_hex(text)
