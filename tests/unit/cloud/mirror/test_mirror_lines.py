"""Line protocol: read back by a parser of the specification, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.mirror.lines import (
    LAST_US,
    MOST_BYTES,
    MOST_LINES,
    Sample,
    Series,
    encode,
    posts,
    quantity,
)
from protocols.delivery.records import MAX_COUNT, Quality

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
AWKWARD = st.text(st.sampled_from('a ,=\\"\n\r\t%室'), min_size=1, max_size=8)
SERIES = st.builds(
    Series, *[NAMES | AWKWARD] * 4, st.sampled_from(["kWh", "m3", "", "%", "a b", "℃"])
)
SAMPLES = st.builds(
    Sample,
    SERIES,
    st.integers(-18, 18),
    st.integers(-MAX_COUNT, MAX_COUNT),
    st.sampled_from([int(quality) for quality in Quality]),
    st.integers(1, LAST_US),
)


def split(text: str, mark: str) -> list[str]:
    """Split at each mark that no backslash stands before, as the specification says."""
    parts, part, position = [], "", 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in (",", "=", " "):
            part += text[position : position + 2]
            position += 2
        elif text[position] == mark:
            parts.append(part)
            part, position = "", position + 1
        else:
            part += text[position]
            position += 1
    return [*parts, part]


def plain(text: str) -> str:
    for mark in ",= ":
        text = text.replace(f"\\{mark}", mark)
    for code in (*range(32), 127, ord("\\"), ord("%")):
        if code != ord("%"):
            text = text.replace(f"%{code:02X}", chr(code))
    return text.replace("%25", "%")


def parsed(line: bytes) -> tuple[str, dict[str, str], Decimal, int]:
    head, fields, at_ns = split(line.decode(), " ")
    measurement, *tags = split(head, ",")
    key, value = split(fields, "=")
    assert key == "value"
    pairs = [split(tag, "=") for tag in tags]
    assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
    return measurement, dict(pairs), Decimal(value), int(at_ns)


@given(SAMPLES)
def test_a_line_says_what_the_sample_is(sample: Sample) -> None:
    (line,) = encode([sample])
    assert not {b"\n", b"\r"} & {line[index : index + 1] for index in range(len(line))}
    measurement, tags, value, at_ns = parsed(line)
    assert measurement == quantity(sample.series.uom)
    wanted = {key: text for key, text in sample.series._asdict().items() if text}
    wanted["quality"] = Quality(sample.quality).name.lower()
    assert tags.keys() == wanted.keys()
    assert {key: plain(text) for key, text in tags.items()} == wanted
    assert value == Decimal(sample.count).scaleb(sample.exponent)
    assert at_ns == sample.read_at_us * 1000 < 1 << 63


@given(st.lists(SAMPLES, min_size=2, max_size=2, unique_by=lambda item: item.series[:4]))
def test_different_series_have_different_lines(samples: list[Sample]) -> None:
    one, other = (line.rsplit(b" value=", 1)[0] for line in encode(samples))
    assert one != other


@pytest.mark.parametrize(("one", "other"), [("a\n", "a%0A"), ("a\\", "a%5C"), ("%", "%25")])
def test_a_name_that_looks_encoded_is_told_from_one_that_is(one: str, other: str) -> None:
    samples = [
        Sample(Series("p", "g", name, "energy_import", "kWh"), 0, 1, 0, 1) for name in (one, other)
    ]
    first, second = encode(samples)
    assert first != second
    assert plain(parsed(first)[1]["device"]) == one
    assert plain(parsed(second)[1]["device"]) == other


@pytest.mark.parametrize(
    ("count", "exponent", "text"),
    [(12345, -2, "123.45"), (-5, -3, "-0.005"), (7, 0, "7"), (7, 3, "7000"), (0, 2, "0")],
)
def test_values_are_plain_decimals(count: int, exponent: int, text: str) -> None:
    series = Series("p", "g", "d", "energy_import", "kWh")
    (line,) = encode([Sample(series, exponent, count, 0, 1_782_864_000_000_000)])
    head = "energy,device=d,gateway=g,point=energy_import,project=p,quality=good,uom=kWh"
    assert line.decode() == f"{head} value={text} 1782864000000000000"


def test_what_nanoseconds_cannot_hold_is_left_out() -> None:
    series = Series("p", "g", "d", "x", "")
    times = (LAST_US, LAST_US + 1, 0)
    assert len(encode([Sample(series, 0, 1, 0, at_us) for at_us in times])) == 1


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_posts_are_bounded_and_lose_nothing(lengths: list[int]) -> None:
    lines = [b"x" * (length * 100) for length in lengths]
    bodies = list(posts(lines))
    assert [line for body in bodies for line in body.split(b"\n")] == lines
    assert all(len(body) <= MOST_BYTES and body.count(b"\n") < MOST_LINES for body in bodies)


def test_a_post_has_so_many_lines() -> None:
    bodies = list(posts([b"x"] * (2 * MOST_LINES + 1)))
    assert [body.count(b"\n") + 1 for body in bodies] == [MOST_LINES, MOST_LINES, 1]
