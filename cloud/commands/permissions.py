"""Who may ask for what, and what needs another person (pure)."""

from collections.abc import Mapping
from typing import Final

from protocols.commands import Action

_TECHNICIANS: Final = frozenset({"manager", "maintenance", "integrator"})
_VALVES: Final = frozenset({"manager", "maintenance", "clerk"})
MAY_ASK: Final[Mapping[Action, frozenset[str]]] = {
    Action.OPEN_DOOR: frozenset({"manager", "guard"}),
    Action.PULSE: _TECHNICIANS,
    Action.OPEN_VALVE: _VALVES,
    Action.CLOSE_VALVE: _VALVES,
    Action.SWITCH_ON: _VALVES,
    Action.SWITCH_OFF: _VALVES,
    Action.READ_NOW: _TECHNICIANS | {"clerk"},
    Action.TAKE_SNAPSHOT: frozenset({"manager", "guard"}),
    Action.RELOAD_CONFIG: frozenset({"manager", "integrator"}),
}
MAY_CONFIRM: Final = frozenset({"manager"})
MAY_LOOK: Final = frozenset().union(*MAY_ASK.values())
# who may write down what cutting off is judged by
MAY_SET_TERMS: Final = frozenset({"manager"})
MAY_NOTICE: Final = frozenset({"manager", "clerk"})
# what takes something away from somebody
CUTS_OFF: Final = frozenset({Action.CLOSE_VALVE, Action.SWITCH_OFF})
# of the gateway and of none of its devices
OF_GATEWAY: Final = frozenset({Action.RELOAD_CONFIG})


def needs_another(action: Action, *, feeds: bool) -> bool:
    """Say whether another person must confirm; `feeds` a device that somebody is supplied by."""
    return cuts_off(action, feeds=feeds)


def cuts_off(action: Action, *, feeds: bool) -> bool:
    """Say whether an action may leave somebody without supply: so may a pulse at their meter."""
    return action in CUTS_OFF or (feeds and action is Action.PULSE)
