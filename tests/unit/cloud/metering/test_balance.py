"""Balance of meter trees over any number of levels, and its coverage."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.balance import BalanceError, Node, balance_of, balance_tree
from cloud.metering.registers import Consumption


def use(quantity: str | Decimal, *, estimated: bool = False) -> Consumption:
    return Consumption(Decimal(quantity), estimated, ())


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30), st.randoms())
def test_what_goes_in_is_used_or_lost_at_some_level(quantities: list[int], random: Random) -> None:
    nodes, used = [], {}
    for number, quantity in enumerate(quantities):
        parent = None if number == 0 else f"n{random.randrange(number):02}"
        nodes.append(Node(f"n{number:02}", parent, random.choice(["sub", "public", "master"])))
        used[f"n{number:02}"] = use(Decimal(quantity).scaleb(-2))
    random.shuffle(nodes)
    rows = balance_tree(nodes, used)
    branching = {row.meter_point_id for row in rows}
    ends = [node for node in nodes if node.id not in branching]
    in_all = sum(used[node.id].quantity for node in ends) + sum(row.loss for row in rows)
    assert in_all == used["n00"].quantity
    assert {node.parent_id for node in nodes} - {None} == branching
    for row in rows:
        assert row.master == row.subs + row.public + row.loss
        assert row == balance_of(row.meter_point_id, nodes, used)


def test_a_master_behind_a_master_is_no_loss() -> None:
    nodes = [Node("m", None, "master"), Node("s", "m", "master"), Node("l", "m", "public")]
    nodes += [Node("h", "s", "sub")]
    used = {"m": use("10"), "s": use("7"), "l": use("2"), "h": use("6.5", estimated=True)}
    top, below = balance_tree(nodes, used)
    assert (top.subs, top.public, top.loss, top.level) == (7, 2, 1, 0)
    assert (below.loss, below.level, below.estimated) == (Decimal("0.5"), 1, ("h",))
    assert below.covered == (1, 2)


def test_missing_meters_are_named() -> None:
    nodes = [Node("m", None, "master"), Node("a", "m", "sub"), Node("b", "m", "sub")]
    row = balance_of("m", nodes, {"m": use("5"), "a": use("2")})
    assert (row.missing, row.is_complete, row.covered) == (("b",), False, (2, 3))


def test_a_circle_is_refused() -> None:
    nodes = [Node("a", "b", "sub"), Node("b", "a", "sub"), Node("c", None, "sub")]
    with pytest.raises(BalanceError, match="hangs behind itself"):
        balance_tree(nodes, {})
