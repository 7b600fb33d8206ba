"""The project file: a whole site as one checked document, for import."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from cloud.billing.formulas import MOST_CHARACTERS
from cloud.billing.participants import BEARERS
from cloud.billing.weights import FORMULA, Weigher
from cloud.documents import StrictModel

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Number = Annotated[str, StringConstraints(pattern=r"^\d{1,12}(\.\d{1,8})?$")]
Entrance = Annotated[str, StringConstraints(min_length=1, max_length=40)]
By = Literal["area", "usage", "household", "head"]
Count = Annotated[int, Field(ge=0)]


class _Part(StrictModel):
    # numbers and dates come as the text that stands in the file
    model_config = ConfigDict(strict=False)


class Project(_Part):
    """The site itself; its time zone shapes billing days."""

    id: Id
    name: Label
    name_en: Label
    time_zone: Label


class GatewayEntry(_Part):
    """A gateway that may deliver for this project."""

    id: Id
    name: Label


class BuildingEntry(_Part):
    """A building, in the order in which pages show it."""

    id: Id
    name: Label
    name_en: Label


class StateEntry(_Part):
    """What a premise stands as from a day on; before the first it is occupied."""

    from_on: date
    state: Literal["occupied", "vacant", "unsold"]


class PremiseEntry(_Part):
    """A premise 房屋 and who answers for its bills; entrance 单元 and floor where known."""

    id: Id
    building: Id
    entrance: Entrance | None = None
    floor: Annotated[int, Field(ge=-9, le=200)] | None = None
    name: Label
    kind: Literal["home", "shop", "public"]
    area_m2: Number
    people: Count = 0
    households: Count = 1
    holder: Label
    phone: str = ""
    states: list[StateEntry] = []


class MeterEntry(_Part):
    """A meter point 计量点, the meter that hangs there now, and its opening register.

    gateway, device, profile and point belong together: a meter that people read has none of them.
    """

    id: Id
    name: Label
    name_en: Label
    building: Id
    premise: Id | None = None
    parent: Id | None = None
    service: Literal["electricity", "water"]
    role: Literal["sub", "public", "master"]
    supply: Literal["collected", "resold", "public"]
    gateway: Id | None = None
    device: Id | None = None
    profile: Label | None = None
    point: Label | None = None
    exponent: Annotated[int, Field(ge=-6, le=3)]
    multiplier: Number = "1"
    capacity: Count | None = None
    max_per_hour: Count | None = None
    meter_no: Label
    installed_on: date
    start_count: Count
    period_s: Annotated[int, Field(ge=1)] = 60
    tariff: Id | None = None
    used_before: Number = "0"

    @model_validator(mode="after")
    def _is_read_somehow(self) -> Self:
        named = {name: getattr(self, name) for name in ("gateway", "device", "profile", "point")}
        missing = [name for name, value in named.items() if value is None]
        if missing and len(missing) < len(named):
            msg = f"{', '.join(missing)} missing: allowed are all of {', '.join(named)}, or none"
            raise ValueError(msg)
        return self


class ChargeEntry(_Part):
    """A charge that recurs 周期性收费 for a premise: property fee, parking, garbage."""

    premise: Id
    item: Id
    tariff: Id
    cycle: Literal["month", "quarter", "half-year", "year"] = "month"
    in_advance: bool = False
    from_on: date
    to_on: date | None = None
    area_m2: Number | None = None
    floor: int | None = None
    vehicles: Count | None = None


class ExemptionEntry(_Part):
    """Who bears nothing of a pool, and who bears their part in their place."""

    who: Literal["ground_floor", "vacant", "unsold"]
    borne_by: Literal["company", "others"] | None = None

    @property
    def bearer(self) -> str:
        """Say who bears their part; of the unsold it is the company where nobody said so."""
        return self.borne_by or BEARERS[self.who]


class PoolEntry(_Part):
    """A pool 公摊: off until a resolution and a cap are on file.

    `meters` are the public meters that it shares: all right behind the master where none is named.
    """

    id: Id
    level: Literal["project", "building", "entrance"] = "building"
    building: Id | None = None
    entrance: Entrance | None = None
    name: Label
    name_en: Label
    kind: Literal["public", "loss"]
    master: Id
    meters: list[Id] = []
    by: By | Literal["formula"] = "area"
    formula: Annotated[str, Field(max_length=MOST_CHARACTERS)] = ""
    fallback: By | None = None
    kinds: Annotated[list[Literal["home", "shop"]], Field(min_length=1)] = ["home"]
    exemptions: list[ExemptionEntry] = []
    resolution: str | None = None
    resolution_on: date | None = None
    cap_percent: Number | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.building is None) != (self.level == "project"):
            msg = f"building: {self.building!r}: needed but where level is project, then none"
            raise ValueError(msg)
        if (self.entrance is None) == (self.level == "entrance"):
            msg = f"entrance: {self.entrance!r}: needed where level is entrance, else none"
            raise ValueError(msg)
        if bool(self.formula) != (self.by == FORMULA):
            msg = f"formula: {self.formula!r}: needed where by is formula, else none"
            raise ValueError(msg)
        if self.meters and self.kind != "public":
            msg = f"meters: {', '.join(self.meters)}: allowed where kind is public"
            raise ValueError(msg)
        Weigher.of(self.by, self.formula)
        return self


class InvoiceEntry(_Part):
    """A supplier's invoice for a master meter, in yuan; it prices what hangs behind it."""

    master: Id
    number: Label
    quantity: Number
    amount: Number


class RuleEntry(_Part):
    """An alert rule; thresholds are in the point's uom."""

    id: Id
    kind: Literal["threshold", "night_flow"]
    severity: Literal["warning", "critical"]
    name: Label
    name_en: Label
    point: Label
    devices: list[Id] = []
    raise_at: Number
    clear_at: Number
    duration_s: Count = 0


class UserEntry(_Part):
    """Somebody who may log in; the password is drawn at import and printed once."""

    username: Id
    name: Label
    role: Literal["manager", "maintenance", "clerk", "guard", "resident", "integrator"]
    premise: Id | None = None


class ProjectFile(_Part):
    """A whole project file."""

    project: Project
    gateways: Annotated[list[GatewayEntry], Field(min_length=1)]
    buildings: Annotated[list[BuildingEntry], Field(min_length=1)]
    premises: list[PremiseEntry]
    meters: list[MeterEntry]
    charges: list[ChargeEntry] = []
    pools: list[PoolEntry] = []
    invoices: list[InvoiceEntry] = []
    rules: list[RuleEntry] = []
    users: list[UserEntry] = []

    def dangling(self) -> list[str]:
        """Return one line for each reference to something that is not in the file."""
        gateways = {item.id for item in self.gateways}
        buildings = {item.id for item in self.buildings}
        premises = {item.id for item in self.premises}
        meters = {item.id for item in self.meters}
        wanted: list[tuple[str, str | None, set[str]]] = []
        for index, premise in enumerate(self.premises):
            wanted.append((f"premises.{index}.building", premise.building, buildings))
        for index, meter in enumerate(self.meters):
            wanted += [
                (f"meters.{index}.building", meter.building, buildings),
                (f"meters.{index}.premise", meter.premise, premises),
                (f"meters.{index}.parent", meter.parent, meters),
                (f"meters.{index}.gateway", meter.gateway, gateways),
            ]
        for index, charge in enumerate(self.charges):
            wanted.append((f"charges.{index}.premise", charge.premise, premises))
        for index, pool in enumerate(self.pools):
            wanted.append((f"pools.{index}.master", pool.master, meters))
            wanted.append((f"pools.{index}.building", pool.building, buildings))
            wanted += [(f"pools.{index}.meters", name, meters) for name in pool.meters]
        for index, invoice in enumerate(self.invoices):
            wanted.append((f"invoices.{index}.master", invoice.master, meters))
        for index, user in enumerate(self.users):
            wanted.append((f"users.{index}.premise", user.premise, premises))
        return [
            f"{key}: {found!r} is not in this file; allowed: {', '.join(sorted(allowed)[:20])}"
            for key, found, allowed in wanted
            if found is not None and found not in allowed
        ]
