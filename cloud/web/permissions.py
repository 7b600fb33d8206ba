"""Who may open which page, and who may see how much is used at this moment."""

from dataclasses import dataclass
from typing import Final

from cloud.auth import ROLES, STAFF, Person
from cloud.commands.permissions import MAY_LOOK
from cloud.web.i18n import N_

BILLING: Final = frozenset({"clerk", "manager"})
ACKNOWLEDGE: Final = frozenset({"manager", "maintenance", "guard", "integrator"})
QUARANTINE: Final = frozenset({"manager", "integrator"})
# a load curve shows who is at home
LOAD: Final = frozenset({"manager", "maintenance", "integrator"})
DAILY: Final = LOAD | {"clerk"}
# who walks from meter to meter; the office opens, closes and imports
READS: Final = BILLING | {"maintenance"}
ORDERS: Final = frozenset({"manager", "maintenance"})
SHEETS: Final = BILLING | {"resident"}


@dataclass(frozen=True)
class NavEntry:
    """One place in the navigation."""

    path: str
    word: str
    roles: frozenset[str]


NAVIGATION: Final = (
    NavEntry("/", N_("Overview"), ROLES - {"resident"}),
    NavEntry("/", N_("My home"), frozenset({"resident"})),
    NavEntry("/devices", N_("Devices"), STAFF),
    NavEntry("/alerts", N_("Alerts"), STAFF),
    NavEntry("/work-orders", N_("Work orders"), ORDERS),
    NavEntry("/commands", N_("Commands"), MAY_LOOK),
    NavEntry("/reading-rounds", N_("Meter reading"), READS),
    NavEntry("/cashier", N_("Cashier"), BILLING),
    NavEntry("/bills", N_("Bills"), SHEETS),
    NavEntry("/bill-sheets", N_("Public sheets"), SHEETS),
    NavEntry("/quarantine", N_("Quarantine"), QUARANTINE),
)


def navigation_of(role: str) -> list[NavEntry]:
    """Return the places that a role may open."""
    return [entry for entry in NAVIGATION if role in entry.roles]


def sees_values(person: Person, premise_id: str | None) -> bool:
    """Say whether this person may see the present values of a meter of that premise."""
    if premise_id is None:
        return person.is_staff
    return person.role in LOAD or (person.role == "resident" and person.premise_id == premise_id)
