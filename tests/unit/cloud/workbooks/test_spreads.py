"""Nested masters: what hangs behind several of them is sold once."""

from cloud.metering.repository import MeterPoint
from cloud.workbooks.record_queries import Behind, behind_each


def point(name: str, parent: str | None, premise: str | None = None) -> MeterPoint:
    role = "master" if premise is None else "sub"
    return MeterPoint(name, "p", "b", premise, parent, name, "electricity", "kWh", role, "resold")


POINTS = [
    point("top", None),
    point("nested", "top"),
    point("deep", "nested"),
    point("a", "top", "1-101"),
    point("b", "nested", "1-102"),
    point("c", "deep", "1-103"),
    # the same home hangs behind both
    point("d", "nested", "1-101"),
    point("other", None),
    point("e", "other", "2-101"),
]


def test_only_the_top_counts_what_a_nested_master_without_an_invoice_feeds() -> None:
    assert behind_each(POINTS, {"top"}) == {
        "top": Behind(frozenset({"1-101", "1-102", "1-103"}), frozenset({"top", "nested", "deep"}))
    }


def test_a_nested_master_with_an_invoice_counts_its_own_and_the_top_the_rest() -> None:
    assert behind_each(POINTS, {"top", "nested"}) == {
        "top": Behind(frozenset({"1-101"}), frozenset({"top"})),
        "nested": Behind(frozenset({"1-102", "1-103"}), frozenset({"nested", "deep"})),
    }


def test_what_hangs_behind_nothing_bought_is_nobodys() -> None:
    assert behind_each(POINTS, {"other"}) == {
        "other": Behind(frozenset({"2-101"}), frozenset({"other"}))
    }
    circle = [point("x", "y"), point("y", "x"), point("z", "x", "1")]
    assert behind_each(circle, {"other"}) == {"other": Behind(frozenset(), frozenset({"other"}))}
