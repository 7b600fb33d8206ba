"""The site file: buses, meters, and what each meter feeds."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from devices.data_point import DecimalText
from devices.simulated.load import MICRO, Era
from devices.simulated.shapes import LoadShape
from devices.yaml_file import Strict
from protocols.modbus.wire import Wire

# A real meter thinks about this long before it answers.
TURNAROUND_S = 0.01

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class SiteTcpBus(Strict):
    """A Modbus TCP gateway with all its meters behind one port; port 0 takes any free one."""

    id: Identifier
    kind: Literal["modbus-tcp"]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)


class SiteRtuBus(Strict):
    """A serial line: a pty that `path` points to, as slow as its baud rate."""

    id: Identifier
    kind: Literal["modbus-rtu"]
    path: str = Field(min_length=1)
    baud: int = Field(default=9600, ge=300, le=921_600)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1

    @property
    def wire(self) -> Wire:
        """The line as a wire, with the time that meters think."""
        return Wire(
            baud=self.baud, parity=self.parity, stop_bits=self.stop_bits, turnaround_s=TURNAROUND_S
        )


SiteBus = Annotated[SiteTcpBus | SiteRtuBus, Field(discriminator="kind")]


class Leak(Strict):
    """Water that runs day and night, in m3/h, from the start of a local day or always."""

    m3_per_h: DecimalText
    from_on: dt.date | None = None


class MeterEntry(Strict):
    """One meter: what it feeds (`load`), or as a master the sum of all meters `under` it."""

    id: Identifier
    bus: Identifier
    unit_id: int = Field(ge=1, le=247)
    profile: Identifier
    load: LoadShape | Literal["sum"]
    under: Identifier | None = None
    size: DecimalText = Decimal(1)
    ct: int = Field(default=1, ge=1)
    loss: DecimalText | None = None
    leak: Leak | None = None


class SiteFile(Strict):
    """A whole simulated site; its registers start at `epoch_on`, local midnight."""

    site: Identifier
    name: str
    time_zone: str
    epoch_on: dt.date
    seed: int
    buses: tuple[SiteBus, ...] = Field(min_length=1)
    meters: tuple[MeterEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        buses = {bus.id for bus in self.buses}
        masters = {meter.id for meter in self.meters if meter.load == "sum"}
        seen: set[object] = set()
        for meter in self.meters:
            for key in (meter.id, (meter.bus, meter.unit_id)):
                if key in seen:
                    message = f"meters: {meter.id}: {key} is given twice"
                    raise ValueError(message)
                seen.add(key)
            if meter.bus not in buses:
                message = f"meters: {meter.id}: bus: {meter.bus!r}: allowed are {sorted(buses)}"
                raise ValueError(message)
            if meter.under is not None and (meter.under not in masters or meter.id in masters):
                message = (
                    f"meters: {meter.id}: under: {meter.under!r}: allowed are {sorted(masters)}"
                )
                raise ValueError(message)
            if (meter.loss is not None) != (meter.id in masters):
                message = (
                    f"meters: {meter.id}: loss: belongs to a meter with load: sum, and only there"
                )
                raise ValueError(message)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            message = f"time_zone: {self.time_zone!r}: allowed are IANA names"
            raise ValueError(message) from error
        return self

    @property
    def era(self) -> Era:
        """When the registers start; the zone's offset of that day is kept (no summer time)."""
        midnight = dt.datetime.combine(self.epoch_on, dt.time(), ZoneInfo(self.time_zone))
        offset = midnight.utcoffset() or dt.timedelta()
        return Era(
            start_us=int(midnight.timestamp()) * MICRO, utc_offset_s=int(offset.total_seconds())
        )
