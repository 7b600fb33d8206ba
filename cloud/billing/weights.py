"""Weights of a pool 公摊: what a premise counts for by area, usage, household, head or formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from cloud.billing.formulas import Formula, FormulaError, Type, Value, parse
from cloud.money import divide_half_away

# what a formula may ask for of a premise
FACTS: Final[Mapping[str, Type]] = {
    "area_m2": Type.NUMBER,
    "heads": Type.NUMBER,
    "households": Type.NUMBER,
    "floor": Type.NUMBER,
    "usage": Type.NUMBER,
    "kind": Type.TEXT,
    "building": Type.TEXT,
    "entrance": Type.TEXT,
    "state": Type.TEXT,
}
# the one fact that each other way to weigh asks for
ASKED: Final[Mapping[str, str]] = {
    "area": "area_m2",
    "usage": "usage",
    "household": "households",
    "head": "heads",
}
FORMULA: Final = "formula"
DECIMALS: Final = 8
_MOST: Final = 10**11


class WeightError(ValueError):
    """A premise that cannot be weighed; the message names it and the fact."""


@dataclass(frozen=True)
class Member:
    """A premise as pools see it on the last day of a month; None is what nobody has on file.

    `usage` is its own quantity of the pool's medium in that month; `is_held` says whether an
    account answers for it.
    """

    premise_id: str
    building_id: str
    kind: str
    area_m2: Decimal
    heads: int
    households: int
    entrance: str | None = None
    floor: int | None = None
    state: str = "occupied"
    usage: Decimal | None = None
    is_held: bool = True

    def fact(self, name: str) -> str | None:
        """Return a fact as text, a number as it is on file; None where nobody has it."""
        held = {
            "area_m2": self.area_m2,
            "heads": self.heads,
            "households": self.households,
            "floor": self.floor,
            "usage": self.usage,
            "kind": self.kind,
            "building": self.building_id,
            "entrance": self.entrance,
            "state": self.state,
        }[name]
        return f"{held:f}" if isinstance(held, Decimal) else None if held is None else str(held)


@dataclass(frozen=True)
class Weight:
    """What a premise counts for, and the facts that say so, as text."""

    value: Decimal
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Weigher:
    """One way to weigh premises: `by` is a key of ASKED, or `formula` with a formula."""

    by: str
    formula: Formula | None = None

    @classmethod
    def of(cls, by: str, formula: str = "") -> "Weigher":
        """Return the way that is named; FormulaError for a formula that cannot be read."""
        return cls(by, parse(formula, FACTS) if by == FORMULA else None)

    @property
    def asks(self) -> list[str]:
        """Give the facts that it asks for."""
        return [ASKED[self.by]] if self.formula is None else sorted(self.formula.names)

    def weight(self, member: Member) -> Weight:
        """Weigh a premise; WeightError where a fact is not on file or the weight is none."""
        facts: dict[str, str] = {}
        for name in self.asks:
            fact = member.fact(name)
            if fact is None:
                message = f"premise {member.premise_id}: {name} is not on file"
                raise WeightError(message)
            facts[name] = fact
        if self.formula is None:
            return Weight(Decimal(facts[ASKED[self.by]]), facts)
        values: dict[str, Value] = {
            name: Fraction(fact) if FACTS[name] is Type.NUMBER else fact
            for name, fact in facts.items()
        }
        try:
            exact = self.formula.number(values)
        except FormulaError as error:
            message = f"premise {member.premise_id}: {error}"
            raise WeightError(message) from error
        if not 0 <= exact < _MOST:
            message = (
                f"premise {member.premise_id}: {self.formula.text} gives {float(exact):.12g};"
                f" allowed is a weight from 0 to below {_MOST}"
            )
            raise WeightError(message)
        steps = divide_half_away(exact.numerator * 10**DECIMALS, exact.denominator)
        return Weight(_short(Decimal(steps).scaleb(-DECIMALS)), facts)


def uom_of(by: str, medium_uom: str) -> str:
    """Return the uom of weights; those of a formula have none."""
    uoms = {"area": "m2", "household": "户", "head": "人", "usage": medium_uom}
    return uoms.get(by, "")


def _short(value: Decimal) -> Decimal:
    # 98.00000000 is 98, and 100 never 1E+2
    short = value.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
