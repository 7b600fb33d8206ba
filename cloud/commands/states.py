"""How a command goes from its asking to its end, as data (pure)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cloud.errors import RefusedError


class State(StrEnum):
    """Where a command stands."""

    ASKED = "asked"
    WAITING = "waiting"  # for another person's confirmation
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NO_ANSWER = "no_answer"


class Step(StrEnum):
    """What moves it on."""

    NEEDS_ANOTHER = "needs another person"
    SEND = "send"
    REFUSE = "refuse"
    NOT_HANDED_OVER = "the broker was not reached"
    SILENCE = "silence"
    # what a gateway says has the words of protocols.commands.Outcome
    DONE = "done"
    FAILED = "failed"
    REFUSED_THERE = "refused"
    UNKNOWN = "unknown"


_RESULTS: Final[Mapping[Step, State]] = {
    Step.DONE: State.DONE,
    Step.FAILED: State.FAILED,
    Step.REFUSED_THERE: State.REFUSED,
    Step.UNKNOWN: State.UNKNOWN,
}
TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.ASKED, Step.NEEDS_ANOTHER): State.WAITING,
    (State.ASKED, Step.SEND): State.SENT,
    (State.ASKED, Step.REFUSE): State.REFUSED,
    (State.WAITING, Step.SEND): State.SENT,
    (State.WAITING, Step.REFUSE): State.REFUSED,
    (State.SENT, Step.NOT_HANDED_OVER): State.REFUSED,
    (State.SENT, Step.SILENCE): State.NO_ANSWER,
    # a gateway that was offline may tell late, and is believed then
    **{
        (state, step): to
        for state in (State.SENT, State.NO_ANSWER)
        for step, to in _RESULTS.items()
    },
}


def step(state: State, by: Step) -> State:
    """Return where a step leads; RefusedError where it cannot be taken."""
    found = TRANSITIONS.get((state, by))
    if found is None:
        message = f"a command that is {state} cannot take the step: {by}"
        raise RefusedError(message)
    return found
