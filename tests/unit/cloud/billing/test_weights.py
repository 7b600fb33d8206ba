"""What premises count for in a pool, and who takes part."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.formulas import FormulaError
from cloud.billing.participants import Exemption, Pool, parts_of
from cloud.billing.verify_bill.formulas import weight_of as weighed_anew
from cloud.billing.weights import Member, Weigher, WeightError, uom_of

HOME = Member(
    "1-101",
    "b1",
    "home",
    Decimal("98.760"),
    3,
    1,
    entrance="1单元",
    floor=4,
    usage=Decimal("120.5"),
)
POOL = Pool("lift", "b1", "电梯", "Lift", "public", "mp-m", "决议", Decimal(20))


@pytest.mark.parametrize(
    ("by", "weight", "facts"),
    [
        ("area", "98.760", {"area_m2": "98.760"}),
        ("usage", "120.5", {"usage": "120.5"}),
        ("household", "1", {"households": "1"}),
        ("head", "3", {"heads": "3"}),
    ],
)
def test_each_way_to_weigh_asks_for_one_fact(by: str, weight: str, facts: dict[str, str]) -> None:
    found = Weigher.of(by).weight(HOME)
    assert (f"{found.value:f}", found.facts) == (weight, facts)


def test_a_formula_weighs_by_the_facts_it_asks_for_to_eight_decimals() -> None:
    found = Weigher.of("formula", "area_m2 * floor / 7").weight(HOME)
    assert found.value == Decimal("56.43428571")
    assert found.facts == {"area_m2": "98.760", "floor": "4"}
    assert f"{Weigher.of('formula', '100').weight(HOME).value}" == "100"
    text = "if(kind == 'home' and state != 'vacant' and entrance == '1单元', heads, 0)"
    assert Weigher.of("formula", text).weight(HOME).value == 3


@pytest.mark.parametrize(
    ("formula", "member", "fault"),
    [
        ("floor", replace(HOME, floor=None), "premise 1-101: floor is not on file"),
        ("usage", replace(HOME, usage=None), "premise 1-101: usage is not on file"),
        ("1 / (heads - 3)", HOME, "premise 1-101: 1 / (heads - 3): a division by zero"),
        ("2 - heads", HOME, "premise 1-101: 2 - heads gives -1; allowed is a weight from 0"),
        ("area_m2 * 10000000000", HOME, "allowed is a weight from 0 to below 100000000000"),
    ],
)
def test_what_cannot_be_weighed_names_the_premise_and_the_fact(
    formula: str, member: Member, fault: str
) -> None:
    with pytest.raises(WeightError) as caught:
        Weigher.of("formula", formula).weight(member)
    assert fault in str(caught.value)


def test_a_formula_of_an_unknown_fact_is_refused() -> None:
    with pytest.raises(FormulaError, match="income is unknown; allowed are area_m2"):
        Weigher.of("formula", "income")


def test_weights_have_the_uom_of_what_they_count() -> None:
    assert [uom_of(by, "m3") for by in ("area", "usage", "household", "head", "formula")] == [
        *("m2", "m3", "户", "人", ""),
    ]


_NUMBERS = st.one_of(
    st.decimals(0, 10**4, places=3).map(lambda number: format(number, "f")),
    st.sampled_from(["area_m2", "heads", "floor", "usage"]),
)
_CONDITIONS = st.sampled_from(
    ["kind == 'home'", "not state == 'vacant'", "floor <= 3 or heads > 2 and area_m2 < 90"]
)
FORMULAS = st.recursive(
    _NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(inner, inner).map("max({0[0]}, {0[1]})".format),
        st.tuples(_CONDITIONS, inner, inner).map("if({0[0]}, {0[1]}, {0[2]})".format),
    ),
    max_leaves=8,
)
MEMBERS = st.builds(
    replace,
    st.just(HOME),
    area_m2=st.decimals(0, 1000, places=2),
    heads=st.integers(0, 9),
    floor=st.integers(-2, 40),
    state=st.sampled_from(["occupied", "vacant", "unsold"]),
    usage=st.decimals(0, 1000, places=3),
)


@given(FORMULAS, MEMBERS)
def test_the_verifier_weighs_as_the_biller_does(text: str, member: Member) -> None:
    # the verifier shares no code with the biller: two readings of one grammar
    try:
        weight = Weigher.of("formula", text).weight(member)
    except (WeightError, FormulaError):
        return
    assert weighed_anew(text, dict(weight.facts), "formula") == Fraction(weight.value)


def test_levels_say_who_takes_part() -> None:
    members = [
        HOME,
        replace(HOME, premise_id="1-102", entrance="2单元"),
        replace(HOME, premise_id="2-101", building_id="b2"),
        replace(HOME, premise_id="s-01", kind="shop"),
    ]

    def names(**changed: object) -> list[str]:
        parts = parts_of(replace(POOL, **changed), members)  # type: ignore[arg-type]  # fields
        return [part.member.premise_id for part in parts]

    assert names() == ["1-101", "1-102"]
    assert names(level="project") == ["1-101", "1-102", "2-101"]
    assert names(level="entrance", entrance="2单元") == ["1-102"]
    assert names(kinds=("home", "shop")) == ["1-101", "1-102", "s-01"]
    members.append(replace(HOME, premise_id="1-103", entrance=None))
    with pytest.raises(WeightError, match="premise 1-103: entrance is not on file"):
        names(level="entrance", entrance="2单元")


def test_exemptions_name_why_and_who_bears_the_part() -> None:
    rules = (
        Exemption("ground_floor", "others"),
        Exemption("vacant", "others"),
        Exemption("unsold", "company"),
    )
    members = [
        HOME,
        replace(HOME, premise_id="a", floor=1),
        replace(HOME, premise_id="b", state="vacant"),
        replace(HOME, premise_id="c", state="unsold", is_held=False),
        replace(HOME, premise_id="d", is_held=False),
    ]
    parts = {
        part.member.premise_id: part for part in parts_of(replace(POOL, exemptions=rules), members)
    }
    assert {name: (part.exempt, part.borne_by, part.counts) for name, part in parts.items()} == {
        "1-101": ("", "", True),
        "a": ("ground_floor", "others", False),
        "b": ("vacant", "others", False),
        "c": ("unsold", "company", True),
        # whose premise nobody holds is no neighbour's to pay
        "d": ("unheld", "company", True),
    }
    members.append(replace(HOME, premise_id="e", floor=None))
    with pytest.raises(WeightError, match="premise e: floor is not on file"):
        parts_of(replace(POOL, exemptions=rules), members)
