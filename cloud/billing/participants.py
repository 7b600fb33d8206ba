"""Who takes part in a pool 公摊: its level, kinds of premises, and who is exempt (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from cloud.billing.weights import Member, WeightError

LEVELS: Final = ("project", "building", "entrance")
# who may be exempt, and who bears their part where the pool does not say
BEARERS: Final = {"ground_floor": "others", "vacant": "others", "unsold": "company"}
# nobody's account: it is no neighbour's to pay
UNHELD: Final = "unheld"
COMPANY: Final = "company"
_GROUND: Final = 1

Bearer = Literal["company", "others"]


@dataclass(frozen=True)
class Exemption:
    """A named exemption: `who` is a key of BEARERS, `borne_by` says who bears their part."""

    who: str
    borne_by: str


@dataclass(frozen=True)
class Pool:
    """Something shared 公摊; it is off while the resolution or the cap is missing.

    `meters` are the public meters that it shares, none means all right behind the master.
    """

    id: str
    building_id: str
    name: str
    name_en: str
    kind: str
    master_id: str
    resolution: str | None
    cap_percent: Decimal | None
    level: str = "building"
    entrance: str | None = None
    by: str = "area"
    formula: str = ""
    fallback: str = ""
    kinds: tuple[str, ...] = ("home",)
    exemptions: tuple[Exemption, ...] = ()
    meters: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Say whether a resolution and a cap are on file."""
        return self.resolution is not None and self.cap_percent is not None


@dataclass(frozen=True)
class Part:
    """How a premise takes part: `exempt` is why it bears nothing itself, empty where it does."""

    member: Member
    exempt: str = ""
    borne_by: str = ""

    @property
    def counts(self) -> bool:
        """Say whether its weight counts in the sum: its own, or borne by the company."""
        return not self.exempt or self.borne_by == COMPANY


def parts_of(pool: Pool, members: Sequence[Member]) -> list[Part]:
    """Return how premises take part in a pool, by id; WeightError where a fact lacks."""
    found = [each for each in members if each.kind in pool.kinds and _is_within(pool, each)]
    return [_part(pool, each) for each in sorted(found, key=lambda each: each.premise_id)]


def _is_within(pool: Pool, member: Member) -> bool:
    if pool.level == "project":
        return True
    if member.building_id != pool.building_id:
        return False
    return pool.level == "building" or _known(member, "entrance") == pool.entrance


def _part(pool: Pool, member: Member) -> Part:
    for exemption in pool.exemptions:
        if _is_exempt(exemption.who, member):
            return Part(member, exemption.who, exemption.borne_by)
    return Part(member) if member.is_held else Part(member, UNHELD, COMPANY)


def _is_exempt(who: str, member: Member) -> bool:
    if who == "ground_floor":
        return int(_known(member, "floor")) == _GROUND
    return member.state == who


def _known(member: Member, name: str) -> str:
    fact = member.fact(name)
    if fact is None:
        message = f"premise {member.premise_id}: {name} is not on file"
        raise WeightError(message)
    return fact
