"""Faults of what a meter says: its words and its refusals, without a wire."""

import math
from collections.abc import Callable
from decimal import Decimal

import pytest

from devices.modbus_meter import ModbusMeter
from devices.profile import Profile, load_profile, profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.memory import MemoryLink
from devices.simulated.meter import SimulatedMeter
from devices.simulated.site import build_site, load_site
from devices.virtual_clock import VirtualClock
from protocols.errors import DeviceError, LinkError
from protocols.modbus.frames import Request, exception_pdu, request_pdu
from protocols.modbus.registers import decode

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
NOW_US = SITE.era.start_us + 40 * 86_400_000_000
PLAIN = build_site(SITE)
SDM, CHINT, ACREL, WATER = "e-1-101", "e-1-201", "m-1", "w-1-101"
ENERGY = {SDM: (4, 0x48, 2), CHINT: (3, 0x101E, 2), ACREL: (3, 0x0A, 2), WATER: (3, 0x01, 2)}


def faulty(device: str, *kinds: str) -> SimulatedMeter:
    asked = [parse_fault(f"{device}={kind}", launch_us=SITE.era.start_us) for kind in kinds]
    return build_site(SITE, faults=asked).meters[device]


def plain(device: str, function: int, address: int, count: int) -> tuple[int, ...]:
    return PLAIN.meters[device].words(function, address, count, NOW_US)


def energy(device: str, meter: SimulatedMeter, at_us: int = NOW_US) -> int:
    """Steps on the billing register."""
    profile = meter.profile
    (point,) = [name for name, point in profile.points.items() if point.billing]
    words = meter.words(*ENERGY[device], at_us)
    value = decode(words, profile.points[point].type, profile.order(point))
    scaled = Decimal(value) * profile.points[point].scale / profile.points[point].resolution
    return round(scaled)


def refusal(read: Callable[[], object]) -> int:
    with pytest.raises(DeviceError) as caught:
        read()
    return caught.value.code


@pytest.mark.parametrize("device", ENERGY)
def test_step_back_is_one_poll(device: str) -> None:
    right = energy(device, PLAIN.meters[device])
    for steps in (1, 3):
        meter = faulty(device, f"step-back:{steps}")
        assert [energy(device, meter) for _ in range(3)] == [right - steps, right, right]
    meter = faulty(device, "step-back")
    assert energy(device, meter) == right - 1
    assert faulty(ACREL, "step-back").words(3, 0x61, 3, NOW_US) == plain(ACREL, 3, 0x61, 3)


def test_not_available_is_the_sentinel_or_nan_or_all_bits_one() -> None:
    acrel = faulty(ACREL, "not-available")
    assert acrel.words(3, 0x0A, 2, NOW_US) == (0xFFFF, 0xFFFF)
    assert acrel.words(3, 0x0164, 2, NOW_US) == (0x7FFF, 0xFFFF)
    assert acrel.words(3, 0x8E, 1, NOW_US) == (0xFFFF,)
    water = faulty(WATER, "not-available")
    assert water.words(3, 1, 2, NOW_US) == (0x0000, 0xC07F)
    assert math.isnan(decode(water.words(3, 1, 2, NOW_US), "float32", "DCBA"))
    poll = ModbusMeter(load_profile("acrel-adl400"), 41, ["energy_import", "active_power"])
    samples = poll.read_now(MemoryLink({41: acrel}, VirtualClock(NOW_US)).answer, VirtualClock(0))
    assert {sample.quality for sample in samples} == {"missing"}


def test_zeros_of_a_device() -> None:
    meter = faulty(SDM, "zeros")
    assert meter.words(4, 0x48, 2, NOW_US) == (0, 0)
    assert meter.words(3, 0x7001, 125, NOW_US) == (0,) * 125
    assert refusal(lambda: meter.words(6, 0, 1, NOW_US)) == 1
    later = faulty(SDM, "zeros@60")
    assert later.words(4, 0x48, 2, SITE.era.start_us) != (0, 0)


@pytest.mark.parametrize(("bus", "unit_id"), [("tcp-1", 0), ("tcp-1", 99), ("rtu-1", 247)])
async def test_zeros_of_a_bus_come_from_the_absent(bus: str, unit_id: int) -> None:
    text = f"{bus}=zeros@60,60"
    site = build_site(SITE, faults=[parse_fault(text, launch_us=SITE.era.start_us)])
    clock = VirtualClock(SITE.era.start_us + 60_000_000)
    link = MemoryLink(site.on_bus(bus), clock)
    assert await link.transact(unit_id, 4, 0x48, 2) == (0, 0)
    function, address, count = ENERGY[SDM if bus == "tcp-1" else WATER]
    right = PLAIN.on_bus(bus)[1].words(function, address, count, clock.at_us)
    assert await link.transact(1, function, address, count) == right != (0, 0)
    for at_s in (0, 120):
        quiet = MemoryLink(site.on_bus(bus), VirtualClock(SITE.era.start_us + at_s * 1_000_000))
        with pytest.raises(DeviceError, match="is offline"):
            await quiet.transact(unit_id, 4, 0x48, 2)


def test_odd_reads() -> None:
    refuses = faulty(ACREL, "odd-refused")
    for address, count in ((0x61, 2), (0x62, 1), (0x61, 1)):
        assert plain(ACREL, 3, address, count)
        code = refusal(lambda a=address, c=count: refuses.words(3, a, c, NOW_US))
        assert code == 2
    assert refuses.words(3, 0x62, 2, NOW_US) == plain(ACREL, 3, 0x62, 2)
    shifts = faulty(ACREL, "odd-shifted")
    assert shifts.words(3, 0x61, 2, NOW_US) == plain(ACREL, 3, 0x62, 2)
    assert shifts.words(3, 0x62, 1, NOW_US) == plain(ACREL, 3, 0x63, 1)
    assert shifts.words(3, 0x62, 2, NOW_US) == plain(ACREL, 3, 0x62, 2)
    # this family refuses odd reads, unless the fault says otherwise
    sdm = faulty(SDM, "odd-shifted")
    low_of_import, high_of_export = sdm.words(4, 0x48, 4, NOW_US)[1], 0
    assert sdm.words(4, 0x48, 3, NOW_US)[:2] == (low_of_import, high_of_export)


def test_no_holes() -> None:
    assert plain(SDM, 4, 0x44, 4)[:2] == (0, 0)
    meter = faulty(SDM, "no-holes")
    assert refusal(lambda: meter.words(4, 0x44, 4, NOW_US)) == 2
    assert meter.words(4, 0x46, 4, NOW_US) == plain(SDM, 4, 0x46, 4)


def test_short_spans() -> None:
    refuses, mute = faulty(SDM, "span:4"), faulty(SDM, "span-silent:4")
    for meter in (refuses, mute):
        assert meter.words(4, 0x46, 4, NOW_US) == plain(SDM, 4, 0x46, 4)
    assert refusal(lambda: refuses.words(4, 0x46, 6, NOW_US)) == 3
    with pytest.raises(LinkError, match="silent to 6 registers"):
        mute.words(4, 0x46, 6, NOW_US)
    assert refusal(lambda: faulty(SDM, "span:100").words(4, 0, 62, NOW_US)) == 3


def test_alone_by_fault() -> None:
    meter = faulty(WATER, "alone:0x0003")
    assert meter.words(3, 3, 2, NOW_US) == plain(WATER, 3, 3, 2)
    assert meter.words(3, 5, 2, NOW_US) == plain(WATER, 3, 5, 2)
    for address, count in ((1, 4), (3, 1), (3, 4), (2, 3)):
        assert plain(WATER, 3, address, count)
        assert refusal(lambda a=address, c=count: meter.words(3, a, c, NOW_US)) == 2


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_word_order_of_the_points_that_follow_the_profile(order: str) -> None:
    meter = faulty(WATER, f"word-order:{order}")
    right = decode(plain(WATER, 3, 1, 2), "float32", "DCBA")
    words = meter.words(3, 1, 2, NOW_US)
    assert decode(words, "float32", order) == right
    assert (words == plain(WATER, 3, 1, 2)) == (order == "DCBA")
    # its own order is ABCD, whatever the others do
    assert meter.words(3, 7, 1, NOW_US) == (0x00AA,)


def test_a_variant_lies_elsewhere() -> None:
    meter = faulty(CHINT, "variant:older-map")
    assert meter.words(3, 0x401E, 2, NOW_US) == plain(CHINT, 3, 0x101E, 2)
    assert refusal(lambda: meter.words(3, 0x101E, 2, NOW_US)) == 2


def test_another_ratio() -> None:
    assert plain(CHINT, 3, 6, 2) == (1, 10)
    meter = faulty(CHINT, "ratio:40@60")
    assert meter.words(3, 6, 2, NOW_US) == (40, 40)
    assert meter.words(3, 6, 2, SITE.era.start_us) == (1, 10)
    assert meter.words(3, 0x101E, 2, NOW_US) == plain(CHINT, 3, 0x101E, 2)


def test_another_setting() -> None:
    profile = load_profile("xintai-water")
    watched = profile.points["valve_status"].model_copy(update={"watched": True})
    points = {**profile.points, "valve_status": watched}
    profile = profile.model_copy(update={"points": points})
    fault = parse_fault("x=setting:3", launch_us=0)
    meter = SimulatedMeter("x", profile, dict.fromkeys(points, lambda _: 1), faults=[fault])
    assert meter.words(3, 0x1C, 1, NOW_US) == (3,)
    assert meter.words(3, 7, 1, NOW_US) == (1,)


@pytest.mark.parametrize("device", ENERGY)
def test_two_reads_of_still_data_differ(device: str) -> None:
    meter, right = faulty(device, "differing"), energy(device, PLAIN.meters[device])
    shown = [energy(device, meter) for _ in range(6)]
    assert shown[0::2] == [right] * 3
    assert all(0 < abs(steps - right) < 8 for steps in shown[1::2])
    again = faulty(device, "differing")
    assert [energy(device, again) for _ in range(6)] == shown


@pytest.mark.parametrize("device", [SDM, ACREL])
def test_garbage_is_every_third_poll(device: str) -> None:
    meter, right = faulty(device, "garbage"), energy(device, PLAIN.meters[device])
    shown = [energy(device, meter) for _ in range(9)]
    assert [steps == right for steps in shown] == [True, True, False] * 3
    absurd = [steps / 100 for steps in shown[2::3]]
    assert len(set(absurd)) == 3
    # a uint32 of hundredths ends before 3.6e8 kWh does
    assert all(0.99e5 <= value <= 3.61e8 for value in absurd)
    assert [energy(device, faulty(device, "garbage")) for _ in range(2)] == [right] * 2


def test_garbage_stops_at_what_the_type_holds() -> None:
    meter = faulty(ACREL, "garbage")
    shown = [meter.words(3, 0x61, 1, NOW_US) for _ in range(3)]
    assert shown[:2] == [plain(ACREL, 3, 0x61, 1)] * 2
    assert shown[2] == (0xFFFF,)


def test_a_write_clears_the_energy() -> None:
    meter = faulty(CHINT, "writable")
    assert energy(CHINT, meter) > 0
    writes = (
        Request(4, 5, 0, 1, (1,)),
        Request(4, 6, 2, 1, (1,)),
        Request(4, 15, 0, 3, (1, 0, 1)),
        Request(4, 16, 2, 2, (1, 2)),
    )
    for done, request in enumerate(writes, start=1):
        pdu = request_pdu(request)
        echo = pdu[:5]
        assert meter.reply(4, pdu, NOW_US) == echo
        assert meter.writes == done
    assert energy(CHINT, meter, NOW_US + 86_400_000_000) == 0
    assert meter.words(3, 0x2044, 2, NOW_US) == plain(CHINT, 3, 0x2044, 2)


def test_without_the_fault_nothing_can_be_written() -> None:
    pdu = request_pdu(Request(4, 6, 2, 1, (1,)))
    for meter in (PLAIN.meters[CHINT], faulty(CHINT, "stuck"), faulty(CHINT, "writable@9e9")):
        assert meter.reply(4, pdu, NOW_US) == exception_pdu(6, 1)
        assert meter.writes == 0
        assert energy(CHINT, meter) > 0
    assert faulty(CHINT, "silent").reply(4, b"\x2b\x0e\x01\x00", NOW_US) is None
    assert faulty(CHINT, "writable", "silent").reply(4, pdu, NOW_US) is None


def test_faults_of_one_meter_add_up() -> None:
    meter = faulty(ACREL, "step-back:2", "word-order:CDAB")
    high, low = plain(ACREL, 3, 0x0A, 2)
    assert meter.words(3, 0x0A, 2, NOW_US) == (low - 2, high)
    assert meter.words(3, 0x0A, 2, NOW_US) == (low, high)


def em340(**over: int) -> tuple[Profile, SimulatedMeter]:
    profile = load_profile("carlo-gavazzi-em340")
    counts = {name: over.get(name, place) for place, name in enumerate(profile.points)}
    sources = {name: (lambda _, shown=count: shown) for name, count in counts.items()}
    return profile, SimulatedMeter("em", profile, sources)


def test_what_the_profile_says_of_reading_alone_holds() -> None:
    profile, meter = em340(identification=341, voltage_l1=2301)
    assert meter.words(4, 0x0B, 1, 0) == (341,)
    for address, count in ((0x0B, 3), (0x0B, 2), (0x00, 18)):
        code = refusal(lambda a=address, c=count: meter.words(4, a, c, 0))
        assert code == 2
    assert meter.words(4, 0, 2, 0) == (2301, 0)
    # another point over the same registers makes a longer block possible, with that point's words
    beside = profile.points["voltage_l1"].model_copy(update={"address": 0x0A})
    points = {**profile.points, "voltage_l31": beside}
    both = profile.model_copy(update={"points": points})
    counts = dict.fromkeys(points, 9) | {"identification": 341, "voltage_l31": 0x7_0005}
    sources = {name: (lambda _, shown=count: shown) for name, count in counts.items()}
    longer = SimulatedMeter("em", both, sources)
    assert longer.words(4, 0x0A, 4, 0) == (5, 7, 9, 0)
    assert longer.words(4, 0x0B, 1, 0) == (341,)
    assert longer.words(4, 0x0B, 3, 0) == (7, 9, 0)


def test_forbidden_registers_are_refused() -> None:
    profile = load_profile("chint-dtsu666")
    loose = profile.model_copy(update={"rules": profile.rules.model_copy(update={"holes": "any"})})
    meter = SimulatedMeter("x", loose, dict.fromkeys(profile.points, lambda _: 1))
    assert len(meter.words(3, 0x2012, 14, 0)) == 14
    assert refusal(lambda: meter.words(3, 0x2012, 17, 0)) == 2
    assert refusal(lambda: meter.words(3, 0x2029, 2, 0)) == 2
    assert len(meter.words(3, 0x202A, 2, 0)) == 2
