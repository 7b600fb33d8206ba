"""All SQL of gateways' clocks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_

from cloud.database import insert_new
from cloud.ingest.clock_tables import clock_fixes, undated_batches
from cloud.ingest.dating import Fix
from cloud.ingest.tables import batches, quarantine, replaced_batches

# a gateway and one of its boots: nobody dates the readings of another's
Boot = tuple[str, bytes]

_SLICE = 500


@dataclass(frozen=True)
class Held:
    """A stored batch with readings of some boots that wait for a date.

    `kept` are the batches that it replaces and whose readings are stored by it.
    """

    gateway_id: str
    batch_id: bytes
    payload: bytes
    boots: frozenset[bytes]
    kept: frozenset[bytes] = frozenset()
    is_quarantined: bool = False


def add_fixes(connection: Connection, fixes: Mapping[Boot, Sequence[Fix]]) -> None:
    """Remember what gateways' boots know of their time."""
    rows = [
        {
            "gateway_id": gateway,
            "boot_id": boot,
            "monotonic_us": fix.monotonic_us,
            "wall_us": fix.wall_us,
            "error_us": fix.error_us,
            "source": fix.source,
        }
        for (gateway, boot), known in fixes.items()
        for fix in known
    ]
    insert_new(connection, clock_fixes, rows)


def fixes_of(connection: Connection, boots: Iterable[Boot]) -> dict[Boot, list[Fix]]:
    """Return what is known of some boots' time, each in order."""
    found: dict[Boot, list[Fix]] = {}
    wanted = sorted(set(boots))
    for start in range(0, len(wanted), _SLICE):
        place = tuple_(clock_fixes.c.gateway_id, clock_fixes.c.boot_id)
        query = select(clock_fixes).where(place.in_(wanted[start : start + _SLICE]))
        for row in connection.execute(query.order_by(clock_fixes.c.monotonic_us)):
            fix = Fix(row.monotonic_us, row.wall_us, row.error_us, row.source)
            found.setdefault((row.gateway_id, bytes(row.boot_id)), []).append(fix)
    return found


def hold(connection: Connection, waiting: Mapping[tuple[bytes, Boot], int]) -> None:
    """Note how many readings of a boot wait for a date, by (the batch that holds them, boot)."""
    rows = [
        {"batch_id": name, "boot_id": boot, "gateway_id": gateway, "readings": count}
        for (name, (gateway, boot)), count in waiting.items()
    ]
    insert_new(connection, undated_batches, rows)


def release(connection: Connection, boots: Iterable[Boot]) -> list[Held]:
    """Take what waits for the time of some boots out, by the batch that holds it."""
    mine = tuple_(undated_batches.c.gateway_id, undated_batches.c.boot_id).in_(sorted(set(boots)))
    query = select(
        undated_batches.c.gateway_id,
        undated_batches.c.boot_id,
        batches.c.batch_id,
        batches.c.payload,
    ).join(batches, batches.c.batch_id == undated_batches.c.batch_id)
    payloads: dict[bytes, tuple[str, bytes]] = {}
    boots_of: dict[bytes, set[bytes]] = {}
    for row in connection.execute(query.where(mine).order_by(batches.c.batch_id)):
        name = bytes(row.batch_id)
        payloads[name] = (row.gateway_id, bytes(row.payload))
        boots_of.setdefault(name, set()).add(bytes(row.boot_id))
    connection.execute(delete(undated_batches).where(mine))
    kept = _kept_by(connection, list(payloads))
    quarantined = _quarantined_among(connection, list(payloads))
    return [
        Held(
            gateway,
            name,
            payload,
            frozenset(boots_of[name]),
            frozenset(kept.get(name, ())),
            name in quarantined,
        )
        for name, (gateway, payload) in payloads.items()
    ]


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many batches of each gateway wait for a date."""
    return _count(connection, func.count(undated_batches.c.batch_id.distinct()))


def waiting_readings(connection: Connection) -> dict[str, int]:
    """Return how many readings of each gateway wait for a date."""
    return _count(connection, func.sum(undated_batches.c.readings))


def _count(connection: Connection, what: ColumnElement[int]) -> dict[str, int]:
    query = select(undated_batches.c.gateway_id, what).group_by(undated_batches.c.gateway_id)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def _kept_by(connection: Connection, names: Sequence[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for start in range(0, len(names), _SLICE):
        query = select(replaced_batches.c.batch_id, replaced_batches.c.replaced_id).where(
            replaced_batches.c.batch_id.in_(names[start : start + _SLICE]),
            replaced_batches.c.stored,
        )
        for row in connection.execute(query):
            found.setdefault(bytes(row.batch_id), set()).add(bytes(row.replaced_id))
    return found


def _quarantined_among(connection: Connection, names: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for start in range(0, len(names), _SLICE):
        query = select(quarantine.c.batch_id).where(
            quarantine.c.batch_id.in_(names[start : start + _SLICE])
        )
        found |= set(map(bytes, connection.scalars(query)))
    return found
