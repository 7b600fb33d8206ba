"""A pool shared among an estate: exact to the fen and indifferent to order, by every weight."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.carrying import Brought
from cloud.billing.cycles import Days
from cloud.billing.drafts import Closing, Held, Sheet, Use
from cloud.billing.participants import Exemption, Pool
from cloud.billing.pools import Estate, share_pools
from cloud.billing.tariff_book import TariffBook
from cloud.billing.weights import Member
from cloud.metering.repository import MeterPoint
from cloud.tariffs.usage import SupplierInvoice

BOOK = TariffBook.built_in(allow_unverified=True)
DAYS = Days(date(2026, 10, 1), date(2026, 11, 1))
POOL = Pool("lift", "b1", "电梯", "Lift", "public", "m", "决议", Decimal(100))


def point(name: str, role: str, parent: str | None = None) -> MeterPoint:
    return MeterPoint(name, "p", "b1", None, parent, name, "electricity", "kWh", role, "public")


def use(name: str, quantity: Decimal) -> Use:
    parts = json.dumps([{"meter_point": name, "quantity": f"{quantity:f}", "true_up": "99"}])
    closing = Closing(name, 0, 1, "0", is_open=False, rules="")
    # what a bill had to true up is no part of a pool's month
    return Use(f"{quantity + 99:f}", estimated=False, parts=parts, closing=closing)


def estate(
    members: Sequence[Member], *, public: Decimal = Decimal("42.17"), **changed: object
) -> Estate:
    uses = {"m": use("m", Decimal(1000)), "light": use("light", public)}
    made = Estate(
        "2026-10",
        DAYS,
        [point("m", "master"), point("light", "public", "m")],
        uses,
        {"m": SupplierInvoice(amount=Decimal("519.07"), quantity=Decimal(1000))},
        [],
        frozenset(),
        members,
        {
            (each.premise_id, "electricity"): each.usage
            for each in members
            if each.usage is not None
        },
    )
    return replace(made, **changed)  # type: ignore[arg-type]  # fields by name


def shared(pool: Pool, of: Estate) -> Sheet:
    (sheet,), held = share_pools(BOOK, [pool], of)
    assert held == []
    return sheet


def why(pool: Pool, of: Estate) -> str:
    sheets, (held,) = share_pools(BOOK, [pool], of)
    assert sheets == []
    assert isinstance(held, Held)
    assert held.subject == f"pool/{pool.id}"
    return held.reason


def home(name: str, **changed: object) -> Member:
    made = Member(name, "b1", "home", Decimal("98.76"), 3, 1, floor=2, usage=Decimal(100))
    return replace(made, **changed)  # type: ignore[arg-type]  # fields by name


MEMBERS = st.lists(
    st.builds(
        Member,
        st.text(alphabet="ab12-", min_size=1, max_size=4),
        st.sampled_from(["b1", "b2"]),
        st.sampled_from(["home", "shop"]),
        st.decimals(0, 300, places=2),
        st.integers(0, 6),
        st.integers(0, 2),
        entrance=st.sampled_from(["1", "2"]),
        floor=st.integers(1, 4),
        state=st.sampled_from(["occupied", "vacant", "unsold"]),
        usage=st.decimals(0, 500, places=3),
        is_held=st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda member: member.premise_id,
)
RULES = st.lists(
    st.builds(
        Exemption,
        st.sampled_from(["ground_floor", "vacant", "unsold"]),
        st.sampled_from(["company", "others"]),
    ),
    max_size=3,
).map(tuple)
POOLS = st.builds(
    replace,
    st.just(POOL),
    level=st.sampled_from(["project", "building", "entrance"]),
    entrance=st.just("1"),
    by=st.sampled_from(["area", "usage", "household", "head", "formula"]),
    formula=st.sampled_from(["area_m2 / 7 * if(floor == 1, 0.5, 1)", "max(heads, 1) * usage"]),
    fallback=st.sampled_from(["", "area", "household", "head"]),
    kinds=st.sampled_from([("home",), ("home", "shop")]),
    exemptions=RULES,
    cap_percent=st.decimals(0, 30, places=1),
)
CARRIED = st.builds(
    Brought,
    carried_in=st.decimals(-100, 0, places=2),
    corrected=st.decimals(-50, 50, places=2),
)


@given(POOLS, MEMBERS, st.decimals(0, 400, places=2), CARRIED, st.randoms())
def test_every_pool_adds_up_to_the_fen_whatever_the_order(
    pool: Pool, members: list[Member], public: Decimal, carried: Brought, random: Random
) -> None:
    brought = {pool.id: carried}
    sheets, held = share_pools(BOOK, [pool], estate(members, public=public, brought=brought))
    shuffled = random.sample(members, len(members))
    again = share_pools(BOOK, [pool], estate(shuffled, public=public, brought=brought))
    assert again == (sheets, held)
    if held:
        return
    (sheet,) = sheets
    due = public + carried.carried_in + carried.corrected
    charged, above, out = (
        Decimal(text) for text in (sheet.charged, sheet.above_cap, sheet.carried_out)
    )
    assert charged + above + out == due
    assert sheet.total_fen == int(Fraction(charged) * Fraction("51.907") + Fraction(1, 2))
    borne = sum(each.amount_fen for each in sheet.exempt)
    assert sum(share.amount_fen for share in sheet.shares) + borne == sheet.total_fen
    assert borne == sheet.company_fen
    every = [*sheet.shares, *sheet.exempt]
    names = [each.premise_id for each in every]
    assert len(set(names)) == len(names)
    whole = sum((Fraction(each.weight) for each in every), Fraction(0))
    assert whole == Fraction(sheet.weight_total)
    for each in every:
        assert each.amount_fen >= 0
        assert abs(each.amount_fen - sheet.total_fen * Fraction(each.weight) / whole) < 1
    for free in (each for each in sheet.exempt if each.borne_by == "others"):
        assert (free.weight, free.amount_fen) == ("0", 0)


def test_the_company_bears_the_unsold_and_the_others_the_vacant() -> None:
    rules = (Exemption("unsold", "company"), Exemption("vacant", "others"))
    members = [home("a"), home("b", state="unsold"), home("c", state="vacant"), home("d")]
    sheet = shared(replace(POOL, by="household", exemptions=rules), estate(members))
    assert sheet.total_fen == 2189
    assert [(share.premise_id, share.amount_fen) for share in sheet.shares] == [
        ("a", 730),
        ("d", 729),
    ]
    assert [(each.premise_id, each.reason, each.amount_fen) for each in sheet.exempt] == [
        ("b", "unsold", 730),
        ("c", "vacant", 0),
    ]


def test_weights_that_are_all_zero_use_the_named_fallback_or_hold() -> None:
    members = [home("a", heads=0), home("b", heads=0)]
    pool = replace(POOL, by="head")
    assert "every weight is 0 and no fallback is named" in why(pool, estate(members))
    sheet = shared(replace(pool, fallback="area"), estate(members))
    assert (sheet.by, sheet.fallback, sheet.weighed_by) == ("head", "area", "area")
    assert [share.weight for share in sheet.shares] == ["98.76", "98.76"]


def test_a_fact_that_lacks_holds_the_pool_by_name() -> None:
    members = [home("a"), home("b", floor=None)]
    pool = replace(POOL, by="formula", formula="floor")
    assert why(pool, estate(members)) == "pool lift: premise b: floor is not on file"
    assert "premise b: usage is not on file" in why(
        replace(POOL, by="usage"), estate([home("a"), home("b", usage=None)])
    )


def test_nobody_left_is_an_error() -> None:
    rules = (Exemption("ground_floor", "others"),)
    reason = why(replace(POOL, exemptions=rules), estate([home("a", floor=1)]))
    assert "no premise to share" in reason


def test_what_is_below_zero_is_carried_and_the_next_month_takes_it_up() -> None:
    members = [home("a")]
    brought = {"lift": Brought(Decimal(-50))}
    sheet = shared(POOL, estate(members, brought=brought))
    assert (sheet.charged, sheet.carried_in, sheet.carried_out) == ("0", "-50", "-7.83")
    assert sheet.total_fen == 0
    brought = {"lift": Brought(Decimal("-7.83"), corrected=Decimal("1.5"))}
    sheet = shared(POOL, estate(members, brought=brought))
    assert (sheet.charged, sheet.carried_out) == ("35.84", "0")


@pytest.mark.parametrize("meters", [("m",), ("light", "x")])
def test_a_pool_shares_public_meters_behind_its_master_only(meters: tuple[str, ...]) -> None:
    reason = why(replace(POOL, meters=meters), estate([home("a")]))
    assert "allowed are the public meters right behind m: light" in reason
