"""A batch in JSON says what the sealed one says, and can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import batch
from protocols.delivery.batch_json import from_json, to_json
from protocols.delivery.records import Event, Reading
from protocols.errors import WireError

SEED = bytes(range(32))
READINGS = st.builds(
    Reading,
    st.sampled_from(["e-1", "e-2"]),
    st.just("energy_import"),
    st.just("kWh"),
    st.just(-2),
    st.none() | st.integers(-(10**9), 10**9),
    st.integers(0, 5),
    st.integers(0, 2 * 10**15),
    st.integers(0, 10**15),
    st.binary(min_size=4, max_size=4),
)
EVENTS = st.builds(
    Event, st.just("e-1"), st.just("device_silent"), st.integers(0, 10**15), st.integers(0, 10**9)
)


@given(st.lists(READINGS | EVENTS, max_size=20))
def test_the_same_records_come_back(records: list[Reading | Event]) -> None:
    sealed = batch.encode(records, SEED)
    assert batch.records(from_json(to_json(sealed))) == batch.records(batch.decode(sealed))


@given(
    st.lists(READINGS | EVENTS, max_size=8),
    st.dictionaries(
        st.binary(min_size=16, max_size=16), st.lists(READINGS, max_size=5), max_size=4
    ),
)
def test_what_a_batch_replaces_comes_back_too(
    records: list[Reading | Event], replaces: dict[bytes, list[Reading]]
) -> None:
    sealed = batch.encode(records, SEED, replaces=replaces)
    assert from_json(to_json(sealed)) == batch.decode(sealed)


def test_it_names_what_it_replaces_and_its_clock() -> None:
    row = Reading("e-1", "energy_import", "kWh", -2, 123456, 5, 1_782_864_000_000_000, 1, b"\0\1")
    text = to_json(batch.encode([], SEED, replaces={b"\xab" * 16: [row]})).decode()
    assert f'"batch_id": "{"ab" * 16}"' in text
    assert '"1234.56"' in text
    assert '"clock_quality": "uncertain"' in text


def test_it_can_be_read() -> None:
    row = Reading("e-1", "energy_import", "kWh", -2, 123456, 0, 1_782_864_000_000_000, 1, b"\0\1")
    text = to_json(batch.encode([row], SEED)).decode()
    assert '"1234.56"' in text
    assert '"2026-07-01T00:00:00+00:00"' in text


NO_ID = (
    b'{"version": 2, "clock_quality": "none", "seed": "", "series": [], "events": [],'
    b' "replaces": [{"batch_id": "xy", "series": []}]}'
)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"version": "1"}', NO_ID])
def test_nonsense_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        from_json(text)
