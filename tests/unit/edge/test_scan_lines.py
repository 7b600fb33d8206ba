"""Line settings and unit ids as the options of a scan give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.scan_lines import LIKELY, settings_to_try, unit_ids
from protocols.errors import ConfigError


def shown(bauds: str = "", parities: str = "", stop_bits: str = "") -> list[str]:
    return [str(line) for line in settings_to_try(bauds, parities, stop_bits)]


def test_without_options_the_likely_ones() -> None:
    assert shown()[:4] == ["9600-8N1", "9600-8E1", "9600-8N2", "2400-8N1"]
    assert len(shown()) == len(set(shown())) == len(LIKELY)


def test_options_narrow_and_widen() -> None:
    assert shown("1200,9600") == [
        "9600-8N1",
        "9600-8E1",
        "9600-8N2",
        "1200-8N1",
        "1200-8N2",
        "1200-8E1",
    ]
    assert shown("2400", "e,o", "2") == ["2400-8E2", "2400-8O2"]
    assert shown(parities="E")[:2] == ["9600-8E1", "19200-8E1"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("9601", "", ""), "--bauds: '9601': allowed are 300, 600, .*115200"),
        (("fast", "", ""), "--bauds: 'fast'"),
        (("", "M", ""), "--parities: 'M': allowed are N, E, O"),
        (("", "", "3"), "--stop-bits: '3': allowed are 1, 2"),
    ],
)
def test_what_is_not_allowed(options: tuple[str, str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings_to_try(*options)


@given(st.lists(st.integers(1, 247), min_size=1, unique=True))
def test_unit_ids_keep_their_order(ids: list[int]) -> None:
    assert unit_ids(",".join(map(str, ids)), least=1, most=247) == ids


def test_ranges_of_unit_ids() -> None:
    assert unit_ids("7, 1-3,2", least=1, most=247) == [7, 1, 2, 3]


@pytest.mark.parametrize("text", ["", "0", "248", "3-1", "a", "1-", "-3", "1-2-3", "1-300"])
def test_unit_ids_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--units: .*allowed"):
        unit_ids(text, least=1, most=247)
