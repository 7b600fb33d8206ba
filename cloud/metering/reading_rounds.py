"""Reading rounds 抄表: meter points to read on a date, by route, with what is still missing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.errors import RefusedError
from cloud.metering import manual_repository as manual
from cloud.metering import repository
from cloud.metering.manual_reads import Taken, store, take
from cloud.metering.manual_repository import ManualRead, Round, Stop
from cloud.metering.plausibility import Answer, Judgement
from cloud.metering.point_reads import Estimates, reads_of_points
from cloud.metering.registers import known_reads
from cloud.metering.service import midnight_us


@dataclass(frozen=True)
class RouteProgress:
    """How far one route of a round is, in the order in which it is walked."""

    route: str
    read: tuple[str, ...]
    estimated: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """How far a round is."""

    round: Round
    routes: tuple[RouteProgress, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Give how many meter points are read, estimated and missing."""
        return (
            sum(len(route.read) for route in self.routes),
            sum(len(route.estimated) for route in self.routes),
            sum(len(route.missing) for route in self.routes),
        )


def open_round(
    connection: Connection,
    project_id: str,
    name: str,
    routes: Mapping[str, Sequence[str]],
    *,
    read_on: date,
    by: str,
) -> int:
    """Open a round over routes (meter points in walking order); return its id. RefusedError."""
    wanted = [point for points in routes.values() for point in points]
    known = {point.id for point in repository.meter_points_of(connection, project_id)}
    wrong = sorted({point for point in wanted if point not in known or wanted.count(point) > 1})
    if wrong or not wanted:
        message = (
            f"round {name!r}: routes: {', '.join(wrong) or 'no meter point'}: allowed are meter"
            " points of this project, each once"
        )
        raise RefusedError(message)
    stops = [
        Stop(point, route, position)
        for route in sorted(routes)
        for position, point in enumerate(routes[route])
    ]
    now_us = time.time_ns() // 1000
    return manual.add_round(
        connection, project_id, name, stops, read_on=read_on, by=by, now_us=now_us
    )


def progress(connection: Connection, round_id: int) -> Progress:
    """Return how far a round is; NotFoundError."""
    found, stops = manual.round_of(connection, round_id)
    rules = {read.meter_point_id: read.rule for read in manual.reads_of_round(connection, round_id)}
    routes: dict[str, list[Stop]] = {}
    for stop in stops:
        routes.setdefault(stop.route, []).append(stop)
    return Progress(
        found,
        tuple(
            RouteProgress(
                route,
                tuple(s.meter_point_id for s in walk if rules.get(s.meter_point_id) == ""),
                tuple(s.meter_point_id for s in walk if rules.get(s.meter_point_id)),
                tuple(s.meter_point_id for s in walk if s.meter_point_id not in rules),
            )
            for route, walk in routes.items()
        ),
    )


def take_in_round(
    connection: Connection,
    round_id: int,
    read: ManualRead,
    *,
    confirmed: bool = False,
    nth: int | None = None,
    now_us: int | None = None,
) -> Taken:
    """Take a read of a round that is open; RefusedError for one that is closed or done there.

    `nth` is how many reads of the meter point the round ever had when the form was made: the
    same form sent again gives what it stored, and stores nothing.
    """
    found, stops = manual.round_of(connection, round_id)
    if nth is not None:
        ever = [
            held
            for held in manual.reads_ever_in(connection, round_id)
            if held.meter_point_id == read.meter_point_id
        ]
        if 0 <= nth < len(ever) and _is_again(read, ever[nth]):
            return Taken(ever[nth].id, ever[nth], Judgement(Answer.ACCEPT))
    _refuse_closed(found)
    if read.meter_point_id not in {stop.meter_point_id for stop in stops}:
        message = f"meter point {read.meter_point_id!r} is not in round {round_id}"
        raise RefusedError(message)
    if any(
        held.meter_point_id == read.meter_point_id
        for held in manual.reads_of_round(connection, round_id)
    ):
        message = f"round {round_id}: {read.meter_point_id} was read: withdraw that read first"
        raise RefusedError(message)
    return take(connection, replace(read, round_id=round_id), confirmed=confirmed, now_us=now_us)


def close_round(
    connection: Connection, round_id: int, *, by: str, estimate: bool, now_us: int | None = None
) -> Progress:
    """Close a round; with `estimate` what is missing is estimated from each meter's history.

    An estimate stands at the end of the round's day under its rule's name, and gives way to any
    later read that belies it. Meter points without a history stay missing.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    before = progress(connection, round_id)
    _refuse_closed(before.round)
    if estimate:
        for route in before.routes:
            for point in route.missing:
                _estimate(connection, before.round, point, by=by, now_us=now_us)
    manual.close_round(connection, round_id, by=by, now_us=now_us)
    return progress(connection, round_id)


def _estimate(
    connection: Connection, found: Round, meter_point_id: str, *, by: str, now_us: int
) -> None:
    zone = ZoneInfo(repository.time_zones_of(connection, [meter_point_id])[meter_point_id])
    at_us = midnight_us(found.read_on + timedelta(days=1), zone)
    reads = reads_of_points(connection, [meter_point_id])[meter_point_id]
    for mounted in reads.mounted:
        install = mounted.install
        if install.installed_at_us >= at_us or (
            install.removed_at_us is not None and install.removed_at_us <= at_us
        ):
            continue
        known = known_reads(install, reads.around(mounted, (at_us,)))
        left = [read for read in known if read.read_at_us < at_us][-1]
        guess = Estimates(reads, mounted, foretell=True).expected(left, at_us)
        if guess is None or any(read.read_at_us >= at_us for read in known):
            continue
        count = left.count + guess[0]
        count = count if install.capacity is None else count % install.capacity
        read = ManualRead(
            meter_point_id=meter_point_id,
            read_at_us=at_us,
            count=count,
            rule=guess[1],
            taken_by=by,
            note=f"round {found.id}",
            round_id=found.id,
            entered_us=now_us,
        )
        store(connection, read)


def _is_again(read: ManualRead, held: ManualRead) -> bool:
    return (read.count, read.taken_by, held.rule) == (held.count, held.taken_by, "")


def _refuse_closed(found: Round) -> None:
    if found.closed_us is not None:
        message = f"round {found.id} is closed"
        raise RefusedError(message)
