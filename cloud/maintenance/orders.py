"""Work orders 工单: their states, and who may move them from which to which (pure)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.errors import RefusedError


class State(StrEnum):
    """Where a work order stands: 受理, 派单, 接单, 处理, 完成, 关单."""

    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    TAKEN = "taken"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CLOSED = "closed"


@dataclass(frozen=True)
class Move:
    """One way on: who may go it, and what must be said."""

    before: State
    after: State
    roles: frozenset[str]
    needs_assignee: bool = False
    needs_note: bool = False


@dataclass(frozen=True)
class Subject:
    """What opens a work order: its kind, the source that opens it once, and what it is about."""

    kind: str
    source: str
    title: str
    title_en: str
    note: str = ""
    meter_point_id: str | None = None
    pool_id: str | None = None


@dataclass(frozen=True)
class Order:
    """A work order as it stands; `assignee` is the user name of who has it, or empty."""

    id: int
    kind: str
    title: str
    title_en: str
    meter_point_id: str | None
    pool_id: str | None
    state: State
    assignee: str
    note: str
    opened_by: str
    opened_us: int
    meter_name: str = ""
    pool_name: str = ""
    pool_name_en: str = ""


@dataclass(frozen=True)
class Step:
    """A move that was made."""

    number: int
    before: State
    after: State
    assignee: str
    note: str
    moved_by: str
    moved_us: int


_MANAGER: Final = frozenset({"manager"})
_REPAIR: Final = frozenset({"manager", "maintenance"})

MOVES: Final = (
    Move(State.ACCEPTED, State.DISPATCHED, _MANAGER, needs_assignee=True),
    Move(State.ACCEPTED, State.CLOSED, _MANAGER, needs_note=True),
    Move(State.DISPATCHED, State.TAKEN, _REPAIR),
    Move(State.DISPATCHED, State.ACCEPTED, _REPAIR, needs_note=True),
    Move(State.TAKEN, State.IN_PROGRESS, _REPAIR),
    Move(State.TAKEN, State.ACCEPTED, _REPAIR, needs_note=True),
    Move(State.IN_PROGRESS, State.DONE, _REPAIR, needs_note=True),
    Move(State.DONE, State.CLOSED, _MANAGER),
    Move(State.DONE, State.IN_PROGRESS, _MANAGER, needs_note=True),
)


def moves_of(state: State, role: str) -> tuple[Move, ...]:
    """Return the moves that a role may make from a state, the usual one first."""
    return tuple(move for move in MOVES if move.before == state and role in move.roles)


def checked(order: Order, after: str, *, role: str, assignee: str, note: str) -> Move:
    """Return the move of an order to a state; RefusedError says what is allowed."""
    allowed = moves_of(order.state, role)
    move = next((move for move in allowed if move.after == after), None)
    where = f"work order {order.id}"
    if move is None:
        names = ", ".join(move.after for move in allowed) or "none"
        message = f"{where}: state {after!r} after {order.state} by a {role}: allowed are {names}"
        raise RefusedError(message)
    if move.needs_assignee and not assignee:
        message = f"{where}: assignee: allowed is the user name of who is to do it"
        raise RefusedError(message)
    if move.needs_note and not note:
        message = f"{where}: note: allowed is a text that says what was found or done"
        raise RefusedError(message)
    return move


def assignee_after(order: Order, move: Move, *, by: str, assignee: str) -> str:
    """Return who has an order after a move: the named one, who takes it, nobody, or as before."""
    if move.after is State.DISPATCHED:
        return assignee
    if move.after is State.TAKEN:
        return by
    return "" if move.after is State.ACCEPTED else order.assignee
