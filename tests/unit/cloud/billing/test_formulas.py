"""Formulas of weights: what they give, and that nothing else can be said in them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.formulas import MOST_CHARACTERS, FormulaError, Type, Value, parse

TYPES = {
    "area": Type.NUMBER,
    "head": Type.NUMBER,
    "floor": Type.NUMBER,
    "kind": Type.TEXT,
    "vacant": Type.CONDITION,
}
FACTS: dict[str, Value] = {
    "area": Fraction("98.76"),
    "head": Fraction(3),
    "floor": Fraction(-1),
    "kind": "home",
    "vacant": False,
}
# text and value made together: a formula is worked out here as it is drawn
Drawn = tuple[str, Value]

NUMBERS: st.SearchStrategy[Drawn] = st.one_of(
    st.decimals(0, 10**6, places=3).map(lambda n: (format(n, "f"), Fraction(n))),
    st.sampled_from(["area", "head", "floor"]).map(lambda name: (name, FACTS[name])),
)
CONDITIONS: st.SearchStrategy[Drawn] = st.sampled_from(
    [("vacant", False), ("kind == 'home'", True), ("kind != 'home'", False), ("floor < 0", True)]
)


def _sums(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    def combine(parts: tuple[Drawn, str, Drawn]) -> Drawn:
        (left, a), sign, (right, b) = parts
        assert isinstance(a, Fraction)
        assert isinstance(b, Fraction)
        if sign == "/" and not b:
            sign = "*"
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[sign]
        return f"({left} {sign} {right})", value

    def choose(parts: tuple[Drawn, Drawn, Drawn]) -> Drawn:
        (condition, is_so), (then, a), (other, b) = parts
        return f"if({condition}, {then}, {other})", a if is_so else b

    def most(parts: list[Drawn]) -> Drawn:
        values = [value for _, value in parts if isinstance(value, Fraction)]
        return f"max({', '.join(text for text, _ in parts)})", max(values)

    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(combine),
        st.tuples(CONDITIONS, inner, inner).map(choose),
        st.lists(inner, min_size=1, max_size=3).map(most),
        inner.map(lambda drawn: (f"-{drawn[0]}", -Fraction(drawn[1]))),  # type: ignore[arg-type]  # a number
    )


@given(st.recursive(NUMBERS, _sums, max_leaves=12))
def test_it_gives_what_the_arithmetic_gives(drawn: Drawn) -> None:
    text, value = drawn
    if len(text) <= MOST_CHARACTERS:
        assert parse(text, TYPES).number(FACTS) == value


def test_products_go_before_sums_and_signs_bind_to_the_left() -> None:
    assert parse("1 + 2 * 3 - 4 - 5", TYPES).number({}) == -2
    assert parse("8 / 4 / 2", TYPES).number({}) == 1
    assert parse("if(not vacant and floor < 1 or vacant, 1, 0)", TYPES).number(FACTS) == 1


def test_it_says_which_facts_it_asks_for() -> None:
    assert parse("if(floor <= 1, 0, area)", TYPES).names == {"floor", "area"}


def test_only_the_side_that_is_needed_is_worked_out() -> None:
    formula = parse("if(head == 0, 0, area / head)", TYPES)
    assert formula.number({"head": Fraction(0)}) == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "'the end' stands where a value is needed"),
        ("area +", "'the end' stands where a value is needed"),
        ("area head", "'head' is not expected"),
        ("areas", "areas is unknown; allowed are area, floor, head, kind, vacant"),
        ("area and vacant", "needs a condition, not a number"),
        ("area < kind", "number < text cannot be compared"),
        ("if(kind < 'a', 1, 2)", "texts are compared by == and !="),
        ("if(vacant, 1, 'a')", "if gives a number or a text"),
        ("if(vacant, 1)", "if needs a condition, a value and another"),
        ("kind", "it gives a text; allowed is a number"),
        ("vacant", "it gives a condition; allowed is a number"),
        ("min()", "stands where a value is needed"),
        ("(area", "'the end' stands where ')' is needed"),
        ("area ** 2", "'*' stands where a value is needed"),
        ("area.real", "'.real' cannot be read"),
        ("__import__", "'__import__' cannot be read"),
        ("(" * 100 + "1" + ")" * 100, "nested more than 40 deep"),
        ("-" * 100 + "1", "nested more than 40 deep"),
        ("1 + " * 400 + "1", "allowed are up to 1000"),
    ],
)
def test_what_cannot_be_read_names_the_place(text: str, fault: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text, TYPES)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "facts", "fault"),
    [
        ("area / (head - 3)", FACTS, "a division by zero"),
        ("area + head", {"area": Fraction(1)}, "head is not on file"),
        ("area", {"area": "98"}, "'98' is no number"),
        ("area", {"area": True}, "True is no number"),
    ],
)
def test_an_error_is_an_error_and_never_zero(
    text: str, facts: dict[str, Value], fault: str
) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text, TYPES).number(facts)
    assert fault in str(caught.value)


@given(st.text(alphabet="area()+-*/<>=!,'. 0123456789ifnotdmxkv", max_size=60))
def test_no_text_does_anything_but_give_a_number_or_an_error(text: str) -> None:
    try:
        value = parse(text, TYPES).number(FACTS)
    except FormulaError:
        return
    assert isinstance(value, Fraction)
