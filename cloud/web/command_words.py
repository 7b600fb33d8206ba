"""Words of commands: what may be done, where a command stands, why one is refused."""

from typing import Final

from cloud.commands.cutting_off import Reason
from cloud.web.i18n import N_
from protocols.commands import Action
from protocols.commands import Reason as GatewayReason

ACTIONS: Final = {
    Action.OPEN_DOOR: N_("Open the door"),
    Action.PULSE: N_("Pulse the relay"),
    Action.OPEN_VALVE: N_("Open the valve"),
    Action.CLOSE_VALVE: N_("Close the valve"),
    Action.SWITCH_ON: N_("Switch on"),
    Action.SWITCH_OFF: N_("Switch off"),
    Action.READ_NOW: N_("Read now"),
    Action.TAKE_SNAPSHOT: N_("Take a picture"),
    Action.RELOAD_CONFIG: N_("Read its configuration again"),
}

# with the mark that each is shown by
STATES: Final = {
    "asked": ("stale", N_("Asked for")),
    "waiting": ("warning", N_("Waits for another person")),
    "sent": ("stale", N_("Sent")),
    "taken": ("stale", N_("Taken by the gateway")),
    "done": ("normal", N_("Executed")),
    "failed": ("critical", N_("Failed")),
    "refused": ("offline", N_("Refused")),
    "unknown": ("critical", N_("Unknown: look there")),
    "no_answer": ("warning", N_("No answer")),
}

_CLOUD: Final[dict[str, str]] = {
    "not_connected": N_("The gateway is not connected"),
    "clone_suspected": N_("A clone of the gateway is suspected: end that alert first"),
    "not_handed_over": N_("The broker was not reached"),
    "never_sent": N_("It was never sent"),
    "nobody_confirmed": N_("Nobody confirmed it within an hour"),
    "turned_down": N_("It was turned down"),
}

_CUTTING_OFF: Final[dict[str, str]] = {
    Reason.NO_METER_POINT: N_("What this device feeds is not on file"),
    Reason.SEVERAL_METER_POINTS: N_("The device is at several meter points"),
    Reason.NO_UTILITY: N_("Only electricity and water may be cut off, never heating"),
    Reason.NO_HOME: N_("Only a home's own meter, never a public, lift, fire or master meter"),
    Reason.FEEDS_OTHERS: N_("Other meters hang behind this one"),
    Reason.NO_ACCOUNT: N_("Nobody has an account for what it feeds"),
    Reason.SEVERAL_ACCOUNTS: N_("Several accounts share what it feeds"),
    Reason.NO_TERMS: N_("The project has no terms of cutting off this service"),
    Reason.NO_LICENCE: N_("The terms name no licence of the supplier and no contract clause"),
    Reason.NOT_PREPAID: N_("The account has not agreed to prepay this service"),
    Reason.NOT_IN_DEBT: N_("Its balance of this service alone is within the grace amount"),
    Reason.NO_NOTICE: N_("No notice of this cause is recorded"),
    Reason.NOTICE_TOO_YOUNG: N_("The notice is not old enough"),
    Reason.NOTICE_TOO_OLD: N_("The notice is 30 days old or older"),
    Reason.NIGHT: N_("Never from 20:00 to 08:00"),
    Reason.OUTSIDE_HOURS: N_("Outside the hours of the terms"),
    Reason.NO_CALENDAR: N_("The terms have no list of holidays for this year"),
    Reason.DAY_OFF: N_("Never on a weekend or a holiday"),
    Reason.BEFORE_DAY_OFF: N_("Never on the day before a weekend or a holiday"),
    Reason.NOBODY_ASKED: N_("Nobody is named who asks for it"),
    Reason.NOT_CONFIRMED: N_("Another person must confirm it"),
    Reason.CONFIRMED_BY_ASKER: N_("Who asked may not confirm"),
}

_GATEWAY: Final[dict[str, str]] = {
    GatewayReason.NOT_READABLE: N_("The gateway cannot read it"),
    GatewayReason.OTHER_GATEWAY: N_("It is for another gateway"),
    GatewayReason.UNSIGNED: N_("The gateway does not trust our key: is command_key in its file?"),
    GatewayReason.FROZEN: N_("The gateway takes no command until it is thawed there"),
    GatewayReason.OTHER_SESSION: N_("The gateway was connected anew meanwhile; ask again"),
    GatewayReason.REPEATED: N_("The gateway has taken a later one already"),
    GatewayReason.NO_TIME: N_("The gateway does not know our time yet; ask again in a minute"),
    GatewayReason.LATE: N_("It came too late"),
    GatewayReason.TOO_LONG: N_("It lives longer than it may: whose clock is wrong?"),
    GatewayReason.NO_SUCH_TARGET: N_("The gateway has no such device"),
    GatewayReason.NOT_ALLOWED: N_("The gateway's file does not allow it for this device"),
    "the gateway restarted meanwhile": N_("The gateway restarted meanwhile"),
    "dry run: nothing was done": N_("Dry run: nothing was done"),
}
_ALL: Final[dict[str, str]] = {**_CLOUD, **_CUTTING_OFF, **_GATEWAY}


def reasons_of(said: str) -> list[tuple[str, bool]]:
    """Return what was said as messages of the catalogue, True, or as it was written, False."""
    if said in _ALL:
        return [(_ALL[said], True)]
    codes = said.split()
    if codes and all(code in _ALL for code in codes):
        return [(_ALL[code], True) for code in codes]
    return [(said, False)] if said else []
