"""What is charged over months is what was measured, however it was measured at first."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.carrying import (
    Brought,
    Correction,
    Counted,
    Posted,
    brought,
    measured_of,
    settle,
    stretches,
)

NO_CAP = Decimal(10) ** 9
QUANTITY = st.decimals(-500, 500, places=2)
ROLES = {"m": "master", "p1": "public", "p2": "public", "s": "sub"}


def test_below_zero_is_carried_and_above_the_cap_is_the_companys() -> None:
    carried = settle(Decimal("-3.5"), Decimal(10))
    assert (carried.charged, carried.above_cap, carried.carried_out) == (0, 0, Decimal("-3.5"))
    capped = settle(Decimal("12.5"), Decimal(10))
    assert (capped.charged, capped.above_cap, capped.carried_out) == (10, Decimal("2.5"), 0)
    whole = settle(Decimal(10), Decimal(10))
    assert (whole.charged, whole.above_cap, whole.carried_out) == (10, 0, 0)


@given(QUANTITY, st.decimals(0, 500, places=2))
def test_nothing_is_lost_and_nothing_below_zero_is_charged(due: Decimal, most: Decimal) -> None:
    done = settle(due, most)
    assert done.charged + done.above_cap + done.carried_out == due
    assert 0 <= done.charged <= most
    assert done.above_cap >= 0 >= done.carried_out
    assert not (done.carried_out and (done.charged or done.above_cap))


def test_only_shared_public_meters_are_public_use() -> None:
    meters = [
        (Counted("m", "master", "100"), Decimal(100)),
        (Counted("p1", "public", "7"), Decimal(7)),
        (Counted("p2", "public", "20", is_shared=False), Decimal(20)),
        (Counted("s", "sub", "70"), Decimal(70)),
    ]
    assert measured_of("public", meters) == 7
    assert measured_of("loss", meters) == 3


# what each meter showed of a month when the month after it was posted, and all months since
LIVES = st.lists(
    st.fixed_dictionaries({name: st.lists(QUANTITY, min_size=8, max_size=8) for name in ROLES}),
    min_size=1,
    max_size=7,
)


@given(LIVES, st.sampled_from(["public", "loss"]))
def test_charged_over_months_is_what_the_registers_say_in_the_end(
    life: list[dict[str, list[Decimal]]], kind: str
) -> None:
    posted: list[Posted] = []
    charged, before = Decimal(0), Brought()
    for month, meters in enumerate(life):
        # every month of before may have been corrected again since
        now = {
            (sheet.period, name): life[place][name][month]
            for place, sheet in enumerate(posted)
            for name in ROLES
        }
        before = brought(posted, now)
        counted = tuple(
            Counted(name, role, f"{meters[name][month]:f}") for name, role in ROLES.items()
        )
        measured = measured_of(kind, [(each, Decimal(each.quantity)) for each in counted])
        done = settle(measured + before.carried_in + before.corrected, NO_CAP)
        charged += done.charged
        sheet = Posted(f"{month:02}", kind, counted, before.corrections, done.carried_out)
        posted.append(sheet)
        told = sum(
            (
                measured_of(kind, [(each, life[place][each.meter_point_id][month])])
                for place, held in enumerate(posted)
                for each in held.counted
            ),
            Decimal(0),
        )
        assert charged + done.carried_out == told
        assert done.carried_out <= 0


def test_stretches_are_months_in_a_row_that_counted_alike() -> None:
    def sheet(period: str, role: str, quantity: str, *more: Correction) -> Posted:
        return Posted(period, "public", (Counted("p", role, quantity),), more, Decimal(0))

    found = stretches(
        [
            sheet("2025-11", "public", "1.5"),
            sheet("2025-12", "public", "2"),
            sheet("2026-01", "public", "4", Correction("2025-12", "p", "-0.5")),
            sheet("2026-02", "sub", "8"),
            sheet("2026-03", "public", "16"),
            sheet("2026-05", "public", "32"),
        ]
    )
    assert [(each.periods, each.quantity) for each in found] == [
        (("2025-11", "2025-12", "2026-01"), Decimal(7)),
        (("2026-03",), Decimal(16)),
        (("2026-05",), Decimal(32)),
    ]


def test_what_the_registers_do_not_say_stays_as_it_was_counted() -> None:
    sheet = Posted("01", "public", (Counted("p", "public", "5"),), (), Decimal(-2))
    assert brought([sheet], {}) == Brought(Decimal(-2))
    found = brought([sheet], {("01", "p"): Decimal("5.5")})
    assert (found.carried_in, found.corrected) == (Decimal(-2), Decimal("0.5"))
    assert [(each.period, each.quantity) for each in found.corrections] == [("01", "0.5")]
