"""What a line's counts give away, told once an hour."""

from edge.line_trouble import TOLD_AGAIN_US, LineTrouble, Trouble
from protocols.io.line_counts import LineCounts

DEVICES = {1: "e-1", 2: "e-2"}


def test_another_master_is_told_once_an_hour() -> None:
    counts = LineCounts(foreign=2)
    trouble = LineTrouble(counts, DEVICES)
    assert trouble.news(0) == []
    counts.foreign = 3
    assert trouble.news(1) == [Trouble("foreign_master", "", 3)]
    counts.foreign = 40
    assert trouble.news(2) == []
    counts.foreign = 60
    assert trouble.news(TOLD_AGAIN_US + 1) == [Trouble("foreign_master", "", 20)]


def test_spoiled_answers_of_one_address_are_a_second_meter() -> None:
    trouble = LineTrouble(LineCounts(spoiled_by_unit={1: 5, 2: 1}), DEVICES)
    assert trouble.news(0) == [Trouble("possible_duplicate", "e-1", 5)]
    assert trouble.news(1) == []


def test_spoiled_answers_of_all_are_a_bad_cable() -> None:
    assert LineTrouble(LineCounts(spoiled_by_unit={1: 9, 2: 9}), DEVICES).news(0) == []


def test_a_network_has_no_such_counts() -> None:
    assert LineTrouble(None, DEVICES).news(0) == []
