"""Readings without a believable time wait until their boot's time is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from cloud.ingest import clock_repository as repository
from cloud.ingest.clock_repository import Boot, Held
from cloud.ingest.dating import Fix, boot_of, dated, fix_of, is_undated
from cloud.ingest.limits import good_rows, lost_reason
from cloud.ingest.repository import Refused
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Event, Reading

# gateway, batch id, readings
Arrived = tuple[str, bytes, Sequence[Reading]]
# the gateway of each device that is on file
Owners = Callable[[Connection, Iterable[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """Readings that `batch_id` holds and that were read for `origin`, itself or one it replaces."""

    gateway: str
    batch_id: bytes
    origin: bytes
    rows: Sequence[Reading]

    @property
    def boot(self) -> Boot:
        """Return whose clock these readings have."""
        return self.gateway, boot_of(self.origin)


def settle(
    connection: Connection,
    arrived: Sequence[Part],
    told: Iterable[tuple[str, bytes, Sequence[Event]]],
    *,
    owners: Owners,
) -> tuple[list[Arrived], list[Refused]]:
    """Return what can be stored now, every reading with a time that can be believed.

    `told` are the events of new batches (gateway, batch id, events). What has no time yet is held;
    what earlier batches held and can be dated now comes too, but for what became another gateway's
    since: that is refused, and the second of the two.
    """
    fixes: dict[Boot, list[Fix]] = {}
    for gateway, name, events in told:
        if found := [fix for event in events if (fix := fix_of(event)) is not None]:
            fixes.setdefault((gateway, boot_of(name)), []).extend(found)
    undated = {part.boot for part in arrived if any(map(is_undated, part.rows))}
    if not fixes and not undated:
        return [(part.gateway, part.batch_id, part.rows) for part in arrived], []
    repository.add_fixes(connection, fixes)
    known = repository.fixes_of(connection, undated)
    settled: list[Arrived] = []
    held: dict[tuple[bytes, Boot], int] = {}
    for part in arrived:
        rows, waiting = _date(part.rows, known.get(part.boot, ()))
        settled.append((part.gateway, part.batch_id, rows))
        if waiting:
            place = (part.batch_id, part.boot)
            held[place] = held.get(place, 0) + waiting
    repository.hold(connection, held)
    released, refused = _release(connection, fixes, owners) if fixes else ([], [])
    return settled + released, refused


def _release(
    connection: Connection, boots: Iterable[Boot], owners: Owners
) -> tuple[list[Arrived], list[Refused]]:
    held = repository.release(connection, boots)
    if not held:
        return [], []
    known = repository.fixes_of(
        connection, {(item.gateway_id, boot) for item in held for boot in item.boots}
    )
    rows_of = {item.batch_id: _held_rows(item, known) for item in held}
    found = owners(connection, {row.device for rows in rows_of.values() for row in rows})
    settled: list[Arrived] = []
    refused: list[Refused] = []
    for item in held:
        gateway, name, rows = item.gateway_id, item.batch_id, rows_of[item.batch_id]
        mine = [row for row in rows if found.get(row.device, gateway) == gateway]
        settled.append((gateway, name, mine))
        # what was another's when it came lies in quarantine since then
        if len(mine) < len(rows) and not item.is_quarantined:
            reason = lost_reason(len(rows) - len(mine))
            refused.append(Refused(gateway, LANE_READINGS, name, reason, item.payload))
    return settled, refused


def _held_rows(item: Held, known: Mapping[Boot, Sequence[Fix]]) -> list[Reading]:
    payload = batch.decode(item.payload)
    groups = [(item.batch_id, payload.series)]
    groups += [(one.batch_id, one.series) for one in payload.replaces if one.batch_id in item.kept]
    return [
        dated(row, known[item.gateway_id, boot_of(origin)])
        for origin, series in groups
        if boot_of(origin) in item.boots
        for columns in series
        for row in good_rows(columns)
        if is_undated(row)
    ]


def _date(rows: Sequence[Reading], fixes: Sequence[Fix]) -> tuple[Sequence[Reading], int]:
    # in the order of the batch; and how many must wait
    if fixes:
        return [dated(row, fixes) if is_undated(row) else row for row in rows], 0
    sure = [row for row in rows if not is_undated(row)]
    return sure, len(rows) - len(sure)
