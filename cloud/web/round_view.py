"""A reading round 抄表 as somebody walks it: what is next, what is left, what was read."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from cloud.errors import NotFoundError
from cloud.metering import manual_repository as manual
from cloud.metering.manual_repository import ManualRead, Round
from cloud.metering.round_queries import Place, as_counted, places_of
from cloud.web.uploads import FilledForm


@dataclass(frozen=True)
class Stop:
    """A meter point of a round, its place on the walk, and its read if it has one."""

    number: int
    route: str
    place: Place
    read: ManualRead | None
    before: int

    @property
    def exponent(self) -> int:
        """Give the exponent of the meter that stands there, 0 for none."""
        return self.place.meter.exponent if self.place.meter else 0


@dataclass(frozen=True)
class Walk:
    """A round with its stops in walking order; before counts what each stop ever got."""

    round: Round
    stops: tuple[Stop, ...]

    @property
    def left(self) -> list[Stop]:
        """Give the stops without a read."""
        return [stop for stop in self.stops if stop.read is None]

    @property
    def done(self) -> list[Stop]:
        """Give the stops that were read or estimated, the newest read first."""
        found = [stop for stop in self.stops if stop.read is not None]
        return sorted(found, key=lambda stop: -(stop.read.id if stop.read else 0))

    def stop(self, meter_point_id: str) -> Stop | None:
        """Return a stop, None where the round does not list the meter point."""
        return next((stop for stop in self.stops if stop.place.id == meter_point_id), None)

    def next_after(self, meter_point_id: str) -> Stop | None:
        """Return the first stop without a read that follows one, or of all."""
        here = self.stop(meter_point_id)
        number = here.number if here else 0
        left = self.left
        return next((stop for stop in left if stop.number > number), left[0] if left else None)


@dataclass(frozen=True)
class Typed:
    """What somebody typed for a stop; asked is the register that they were asked about."""

    register: str = ""
    read_at: str = ""
    note: str = ""
    photo: str = ""
    asked: str = ""

    @classmethod
    def of(cls, form: FilledForm, *, photo: str) -> "Typed":
        """Return what a form says."""
        return cls(
            form.text("register")[:40],
            form.text("read_at")[:40],
            form.text("note")[:500],
            photo,
            form.text("asked")[:40],
        )


@dataclass(frozen=True)
class Said:
    """What came back: asked for more certainty, or refused, with the reasons."""

    is_question: bool
    reasons: list[str] = field(default_factory=list)


def round_of(connection: Connection, project_id: str, round_id: int) -> Round:
    """Return a project's round; NotFoundError for another's."""
    found, _ = manual.round_of(connection, round_id)
    if found.project_id != project_id:
        message = f"round {round_id} is unknown"
        raise NotFoundError(message)
    return found


def walk_of(connection: Connection, project_id: str, round_id: int) -> Walk:
    """Return a project's round with all its stops; NotFoundError for another's."""
    found = round_of(connection, project_id, round_id)
    _, listed = manual.round_of(connection, round_id)
    ordered = sorted(listed, key=lambda stop: (as_counted(stop.route), stop.position))
    places = {
        place.id: place
        for place in places_of(connection, project_id, [stop.meter_point_id for stop in ordered])
    }
    ever: dict[str, int] = {}
    reads: dict[str, ManualRead] = {}
    for read in manual.reads_ever_in(connection, round_id):
        ever[read.meter_point_id] = ever.get(read.meter_point_id, 0) + 1
        if read.withdrawn_us is None:
            reads[read.meter_point_id] = read
    stops = tuple(
        Stop(
            number,
            stop.route,
            places[stop.meter_point_id],
            reads.get(stop.meter_point_id),
            ever.get(stop.meter_point_id, 0),
        )
        for number, stop in enumerate(ordered, 1)
    )
    return Walk(found, stops)
