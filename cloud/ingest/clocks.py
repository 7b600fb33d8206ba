"""Readings without a believable time wait until their boot's time is known."""

from collections.abc import Sequence

from sqlalchemy import Connection

from cloud.ingest import clock_repository as repository
from cloud.ingest.dating import boot_of, dated, fix_of, is_undated
from cloud.ingest.limits import good_rows
from protocols.delivery import batch
from protocols.delivery.records import Event, Reading

# gateway, batch id, readings
Arrived = tuple[str, bytes, Sequence[Reading]]


def settle(
    connection: Connection,
    arrived: Sequence[Arrived],
    told: Sequence[tuple[str, bytes, Sequence[Event]]],
) -> list[Arrived]:
    """Return what can be stored now, every reading with a time that can be believed.

    `told` are the events of new batches (gateway, batch id, events). What has no time yet is held;
    what earlier batches held and can be dated now comes too.
    """
    fixed: set[bytes] = set()
    for gateway, name, events in told:
        fixes = [fix for event in events if (fix := fix_of(event)) is not None]
        if fixes:
            repository.add_fixes(connection, gateway, {boot_of(name): fixes})
            fixed.add(boot_of(name))
    undated = {boot_of(name) for _, name, rows in arrived if any(map(is_undated, rows))}
    if not fixed and not undated:
        return list(arrived)
    known = repository.fixes_of(connection, fixed | undated)
    settled: list[Arrived] = []
    for gateway, name, rows in arrived:
        fixes = known.get(boot_of(name), [])
        waiting = [row for row in rows if is_undated(row)]
        if waiting and not fixes:
            repository.hold(connection, gateway, [name])
        sure = [row for row in rows if not is_undated(row)]
        settled.append((gateway, name, sure + [dated(row, fixes) for row in waiting if fixes]))
    for gateway, name, payload in repository.release(connection, fixed):
        series = batch.decode(payload).series
        rows = [row for columns in series for row in good_rows(columns) if is_undated(row)]
        settled.append((gateway, name, [dated(row, known[boot_of(name)]) for row in rows]))
    return settled
