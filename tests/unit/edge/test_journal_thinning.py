"""Thinning keeps both sides of every boundary, and says exactly what is lost."""

from hypothesis import given
from hypothesis import strategies as st

from edge.journal_losses import id_ranges, ids_of, losses
from edge.journal_thinning import HOUR_S, QUARTER_S, thin
from protocols.delivery import batch
from protocols.delivery.envelope import batch_id
from protocols.delivery.records import Reading
from tests.fixtures.delivery import START_US, reading

HOUR_US = 3_600_000_000

rows = st.builds(
    lambda device, minute, quality, count: reading(
        0,
        f"e-{device}",
        read_at_us=START_US + minute * 60_000_000,
        quality=quality,
        count=count,
    ),
    st.integers(0, 2),
    st.integers(0, 300),
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(0, 1 << 40)),
)
runs = st.lists(st.lists(rows, max_size=20), max_size=6)


def packed(run: list[list[Reading]]) -> list[tuple[bytes, batch.Payload]]:
    return [
        (number.to_bytes(16, "big"), batch.decode(batch.encode(rows, bytes(32))))
        for number, rows in enumerate(run)
    ]


@given(runs)
def test_kept_and_lost_are_all_there_was(run: list[list[Reading]]) -> None:
    made = packed(run)
    thinned = thin(made, resolution_s=HOUR_S)
    assert set(thinned.kept) == {name for name, _ in made}
    for (name, _), rows in zip(made, run, strict=True):
        kept = thinned.kept[name]
        assert len(kept) + (thinned.lost.get(name) or 0) == len(rows)
        left = list(rows)
        for row in kept:
            left.remove(row)


@given(runs)
def test_the_edges_of_every_hour_and_quality_stay(run: list[list[Reading]]) -> None:
    thinned = thin(packed(run), resolution_s=HOUR_S)
    kept = [row for rows in thinned.kept.values() for row in rows]
    places = {(row.device, row.quality, row.read_at_us // HOUR_US) for rows in run for row in rows}
    for device, quality, hour in places:
        times = {
            row.read_at_us
            for rows in run
            for row in rows
            if (row.device, row.quality, row.read_at_us // HOUR_US) == (device, quality, hour)
        }
        held = {
            row.read_at_us
            for row in kept
            if (row.device, row.quality, row.read_at_us // HOUR_US) == (device, quality, hour)
        }
        assert {min(times), max(times)} == held


@given(runs)
def test_thinning_further_is_thinning_at_once(run: list[list[Reading]]) -> None:
    made = packed(run)
    at_once = thin(made, resolution_s=HOUR_S)
    first = thin(made, resolution_s=QUARTER_S)
    again = batch.decode(batch.encode([], bytes(32), replaces=first.kept))
    name = b"n" * 16
    then = thin([(name, again)], resolution_s=HOUR_S)
    # the batch in between is replaced too, and keeps nothing of its own
    assert then.kept[name] == []
    assert {key: sorted(map(repr, rows)) for key, rows in then.kept.items() if key != name} == {
        key: sorted(map(repr, rows)) for key, rows in at_once.kept.items()
    }


boots = st.sampled_from([b"boot-of-one-", b"boot-of-two-"])


@given(st.sets(st.builds(batch_id, boots, st.integers(0, (1 << 32) - 1))))
def test_ids_as_text_and_back(ids: set[bytes]) -> None:
    assert set(ids_of(id_ranges(sorted(ids)))) == ids


def test_many_losses_are_told_in_parts() -> None:
    lost: dict[bytes, int | None] = {
        batch_id(b"boot-of-one-", 2 * number): 3 for number in range(3000)
    }
    events = losses(1, lost, span_us=(1, 9), reason="full", at=(5, 6))
    assert len(events) > 1
    assert {name for event in events for name in ids_of(str(event.body["ids"]))} == set(lost)
    assert sum(int(event.body["count"] or 0) for event in events) == 9000
    assert (
        losses(1, {b"x" * 16: None}, span_us=(None, None), reason="x", at=(5, 6))[0].body["count"]
        is None
    )
