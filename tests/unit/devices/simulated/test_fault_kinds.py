"""Faults as they are typed: every kind, its amount, its place, its time."""

import pytest

from devices.profile import profiles_folder
from devices.simulated.fault_kinds import KINDS, fault_table
from devices.simulated.faults import FOREVER_US, Fault, parse_fault
from devices.simulated.site import build_site, load_site
from protocols.errors import ConfigError

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
TARGETS = {
    "device on TCP": "e-1-201",
    "device on a serial line": "w-1-102",
    "TCP bus": "tcp-1",
    "serial bus": "rtu-1",
}
AMOUNTS = {
    "span": "8",
    "span-silent": "8",
    "alone": "0x1",
    "word-order": "CDAB",
    "variant": "older-map",
    "ratio": "40",
    "setting": "2",
    "line": "19200E1",
}


def typed(kind: str) -> str:
    return f"{kind}:{AMOUNTS[kind]}" if kind in AMOUNTS else kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_asked_for_at_its_places_only(kind: str) -> None:
    # what a profile must have for these is tested with the words
    particular = kind in ("alone", "variant", "ratio", "setting")
    for place, target in TARGETS.items():
        fault = parse_fault(f"{target}={typed(kind)}", launch_us=7)
        assert (fault.target, fault.kind, fault.from_us, fault.until_us) == (
            target,
            kind,
            7,
            FOREVER_US,
        )
        if place not in KINDS[kind].places:
            with pytest.raises(ConfigError, match=f"{target}={kind}: allowed is a target that is"):
                build_site(SITE, faults=[fault])
        elif not particular:
            build_site(SITE, faults=[fault])


@pytest.mark.parametrize("kind", KINDS)
def test_an_amount_is_there_exactly_where_it_belongs(kind: str) -> None:
    amount = KINDS[kind].amount
    if amount is None:
        with pytest.raises(ConfigError, match=f"{kind} takes no amount"):
            parse_fault(f"a={kind}:1", launch_us=0)
        return
    if amount.default is None:
        with pytest.raises(ConfigError, match=f"allowed is {kind}:{amount.label}, "):
            parse_fault(f"a={kind}", launch_us=0)
    else:
        assert parse_fault(f"a={kind}", launch_us=0).number == amount.default
    empty, twice = f"a={kind}:", f"a={typed(kind)}:1:1"
    for wrong in (
        empty,
        f"a={kind}:-1",
        f"a={kind}:99999999",
        *([] if amount.most == 0 else [twice]),
    ):
        if kind == "variant" and wrong != empty:
            continue
        with pytest.raises(ConfigError, match=f"allowed is {kind}:{amount.label}, "):
            parse_fault(wrong, launch_us=0)


def test_an_amount_and_a_time() -> None:
    assert parse_fault("a=late:200@60,5", launch_us=1_000_000) == Fault(
        target="a", kind="late", number=200, from_us=61_000_000, until_us=66_000_000
    )
    assert parse_fault("a=alone:0x000B", launch_us=0).number == 11
    assert parse_fault("a=line:2400O2", launch_us=0).name == "2400O2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a=word-order:ABDC", "ORDER of ABCD, CDAB, BADC, DCBA"),
        ("a=line:9601N1", "a baud of 300"),
        ("a=line:9600M1", "N, E or O"),
        ("a=span:126", "a whole number 1..125"),
        ("a=late:soon", "whole milliseconds"),
        ("a=variant:x@5", "allowed is no @"),
        ("a=loud", "KIND of offline, silent, stuck, zero-once, step-back"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"--fault: '{text}'.*{says}"):
        parse_fault(text, launch_us=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("e-9=stuck", "'e-9': allowed are e-1-101.* or for a bus tcp-1, rtu-1"),
        ("e-1-101=variant:older-map", "e-1-101=variant:older-map: .*no variants"),
        ("e-1-201=variant:newer-map", "allowed for chint-dtsu666 are older-map"),
        ("e-1-101=alone:0x49", "no point begins at 0x0049: allowed are 0x0000"),
        ("e-1-101=ratio:40", "a profile that has a point ct"),
        ("w-1-101=setting:1", "a profile that has watched points"),
        ("e-1-201=ratio:40000", "allowed for ct_ratio are -32768..32767"),
        ("rtu-1=line:9600E1", "shows the same for its own line 9600N1"),
    ],
)
def test_a_fault_that_its_target_cannot_have(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_site(SITE, faults=[parse_fault(text, launch_us=0)])


def test_the_table_has_a_line_for_each() -> None:
    lines = fault_table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [kind.usage for kind in KINDS.values()]
    for line, kind in zip(lines[1:], KINDS.values(), strict=True):
        assert line.endswith(kind.happens)
