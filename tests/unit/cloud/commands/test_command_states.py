"""A command goes from its asking to one end, and what has ended stays so."""

import pytest

from cloud.commands import permissions
from cloud.commands.states import TRANSITIONS, State, Step, step
from cloud.errors import RefusedError
from protocols.commands import Action, Outcome

ENDS = {State.DONE, State.FAILED, State.REFUSED, State.UNKNOWN}


def test_every_outcome_of_a_gateway_ends_a_command_that_was_sent() -> None:
    for outcome in Outcome:
        assert step(State.SENT, Step(outcome.value)) in ENDS
        # told late, it is believed over silence
        assert step(State.NO_ANSWER, Step(outcome.value)) in ENDS


def test_what_has_ended_stays_so() -> None:
    for state in ENDS:
        for each in Step:
            with pytest.raises(RefusedError, match="cannot take the step"):
                step(state, each)


def test_nothing_is_sent_twice_nor_after_silence() -> None:
    assert {state for (state, by) in TRANSITIONS if by is Step.SEND} == {State.ASKED, State.WAITING}
    assert State.SENT not in {TRANSITIONS[key] for key in TRANSITIONS if key[0] is State.NO_ANSWER}


def test_every_action_has_somebody_who_may_ask_and_none_is_a_resident() -> None:
    assert set(permissions.MAY_ASK) == set(Action)
    assert all(roles and "resident" not in roles for roles in permissions.MAY_ASK.values())


def test_what_may_cut_off_needs_another_person() -> None:
    for action in (Action.CLOSE_VALVE, Action.SWITCH_OFF):
        assert permissions.needs_another(action, feeds=False)
        assert permissions.needs_another(action, feeds=True)
    # a pulse at a meter may trip its breaker
    assert permissions.needs_another(Action.PULSE, feeds=True)
    for action in (Action.OPEN_DOOR, Action.OPEN_VALVE, Action.SWITCH_ON, Action.READ_NOW):
        assert not permissions.needs_another(action, feeds=True)
