"""An hour of a channel: merged the same in any order, and never twice."""

from hypothesis import given
from hypothesis import strategies as st

from cloud.telemetry import chunk
from cloud.telemetry.chunk import HOUR_US, Row
from protocols.delivery.records import MAX_COUNT, Quality
from tests.fixtures.delivery import START_US

# few instants and counts, so that rows meet
ROWS = st.lists(
    st.builds(
        Row,
        read_at_us=st.integers(START_US, START_US + 3),
        count=st.none() | st.integers(-2, 2) | st.sampled_from([MAX_COUNT, -MAX_COUNT]),
        quality=st.sampled_from([0, 1, 3]),
        batch_id=st.sampled_from([b"a" * 16, b"b" * 16]),
    ),
    max_size=12,
)


@given(ROWS)
def test_rows_come_back(rows: list[Row]) -> None:
    merged = chunk.merge([], rows)
    assert chunk.decode(chunk.encode(merged).data) == merged


@given(ROWS, st.data())
def test_the_order_of_arrival_does_not_matter(rows: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    at_once = chunk.encode(chunk.merge([], rows))
    in_parts = chunk.merge(chunk.merge([], shuffled[:cut]), shuffled[cut:])
    assert chunk.encode(in_parts) == at_once


@given(ROWS)
def test_what_is_there_is_not_doubled(rows: list[Row]) -> None:
    once = chunk.merge([], rows)
    assert chunk.merge(once, rows) == once
    assert len({(row.read_at_us, row.count, row.quality) for row in once}) == len(once)
    assert {(row.read_at_us, row.count, row.quality) for row in rows} == {
        (row.read_at_us, row.count, row.quality) for row in once
    }


@given(ROWS)
def test_the_summary_is_of_the_good_rows(rows: list[Row]) -> None:
    merged = chunk.merge([], rows)
    made = chunk.encode(merged)
    good = [row.count for row in merged if row.count is not None and row.quality == Quality.GOOD]
    assert made.rows == len(merged)
    if good:
        expected = (good[0], good[-1], min(good), max(good), sum(good))
    else:
        expected = (None, None, None, None, None)
    assert (made.first, made.last, made.min, made.max, made.total) == expected


def test_an_hour_is_counted_from_the_epoch() -> None:
    assert chunk.hour_of(START_US) * HOUR_US == START_US
    assert chunk.hour_of(START_US - 1) == chunk.hour_of(START_US) - 1


@given(st.lists(ROWS, max_size=4))
def test_columns_say_what_the_rows_say(chunks: list[list[Row]]) -> None:
    merged = [chunk.merge([], rows) for rows in chunks]
    columns = chunk.decode_columns(chunk.encode(rows).data for rows in merged)
    missing = set(columns.missing)
    rows = [
        Row(at_us, None if index in missing else count, quality, batch_id)
        for index, (at_us, count, quality, batch_id) in enumerate(
            zip(
                columns.read_at_us,
                columns.counts,
                columns.qualities,
                columns.batch_ids,
                strict=True,
            )
        )
    ]
    assert rows == [row for rows in merged for row in rows]
