"""Balance of meter trees: at each branch master = subs + public + loss, with its coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from cloud.metering.registers import sum_of

PUBLIC: Final = "public"


class BalanceError(ValueError):
    """Meter points that are no tree; the message names the one at fault."""


class Measured(Protocol):
    """What is known of a meter point's span, in its uom."""

    @property
    def quantity(self) -> Decimal:
        """Give what went through it."""

    @property
    def estimated(self) -> bool:
        """Say whether a boundary of it is estimated."""


@dataclass(frozen=True, slots=True)
class Node:
    """A meter point in the tree; what hangs behind a public one is public."""

    id: str
    parent_id: str | None
    role: str


@dataclass(frozen=True, slots=True)
class Balance:
    """What went through a branching meter point, in its uom; level 0 hangs behind nothing.

    Sums are over those right behind it that are known; `missing` names the others.
    """

    meter_point_id: str
    level: int
    master: Decimal
    subs: Decimal
    public: Decimal
    behind: tuple[str, ...]
    estimated: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def loss(self) -> Decimal:
        """Return what no other meter saw; below zero where the master shows less than its subs.

        While something is missing it holds that, too: see `is_complete`.
        """
        return sum_of([self.master, -self.subs, -self.public])

    @property
    def is_complete(self) -> bool:
        """Say whether every meter of it is known."""
        return not self.missing

    @property
    def covered(self) -> tuple[int, int]:
        """Give how many of its meters are known by reads alone, and how many there are."""
        every = 1 + len(self.behind)
        return every - len(self.estimated) - len(self.missing), every


def balance_of(meter_point_id: str, nodes: Sequence[Node], used: Mapping[str, Measured]) -> Balance:
    """Return the balance right behind one meter point, whether anything hangs there or not."""
    children = sorted(
        (node for node in nodes if node.parent_id == meter_point_id), key=lambda node: node.id
    )
    return _balance(meter_point_id, children, used, level=_level(meter_point_id, nodes))


def balance_tree(nodes: Sequence[Node], used: Mapping[str, Measured]) -> list[Balance]:
    """Return the balance of each branching meter point, every branch right after its own.

    The tops are ordered by id. With nothing missing, what went through a top is what the ends of
    its tree used and what was lost at all its levels. BalanceError for a circle.
    """
    children: dict[str | None, list[Node]] = {}
    known = {node.id for node in nodes}
    for node in sorted(nodes, key=lambda node: node.id):
        parent = node.parent_id if node.parent_id in known else None
        children.setdefault(parent, []).append(node)
    rows: list[Balance] = []
    reached = 0
    waiting = [(node, 0) for node in reversed(children.get(None, []))]
    while waiting:
        node, level = waiting.pop()
        reached += 1
        behind = children.get(node.id, [])
        if behind:
            rows.append(_balance(node.id, behind, used, level=level))
        waiting.extend((child, level + 1) for child in reversed(behind))
    if reached < len(nodes):
        for node in nodes:
            _level(node.id, nodes)
    return rows


def _balance(
    meter_point_id: str,
    children: Sequence[Node],
    used: Mapping[str, Measured],
    *,
    level: int,
) -> Balance:
    every = (meter_point_id, *(child.id for child in children))
    master = used.get(meter_point_id)
    return Balance(
        meter_point_id,
        level,
        Decimal(0) if master is None else master.quantity,
        sum_of([used[c.id].quantity for c in children if c.role != PUBLIC and c.id in used]),
        sum_of([used[c.id].quantity for c in children if c.role == PUBLIC and c.id in used]),
        tuple(child.id for child in children),
        tuple(name for name in every if name in used and used[name].estimated),
        tuple(name for name in every if name not in used),
    )


def _level(meter_point_id: str, nodes: Sequence[Node]) -> int:
    parents = {node.id: node.parent_id for node in nodes}
    path = [meter_point_id]
    while (parent := parents.get(path[-1])) is not None and parent in parents:
        if parent in path:
            message = f"meter point {parent}: parent: it hangs behind itself: {' < '.join(path)}"
            raise BalanceError(message)
        path.append(parent)
    return len(path) - 1
