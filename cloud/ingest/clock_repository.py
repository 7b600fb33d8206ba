"""All SQL of gateways' clocks."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, func, select

from cloud.database import insert_new
from cloud.ingest.clock_tables import clock_fixes, undated_batches
from cloud.ingest.dating import Fix, boot_of
from cloud.ingest.tables import batches


def add_fixes(connection: Connection, gateway: str, fixes: Mapping[bytes, Sequence[Fix]]) -> None:
    """Remember what gateways' boots know of their time."""
    rows = [
        {
            "boot_id": boot,
            "monotonic_us": fix.monotonic_us,
            "gateway_id": gateway,
            "wall_us": fix.wall_us,
            "error_us": fix.error_us,
            "source": fix.source,
        }
        for boot, known in fixes.items()
        for fix in known
    ]
    if rows:
        insert_new(connection, clock_fixes, rows)


def fixes_of(connection: Connection, boots: set[bytes]) -> dict[bytes, list[Fix]]:
    """Return what is known of some boots' time, each in order."""
    found: dict[bytes, list[Fix]] = {}
    query = select(clock_fixes).where(clock_fixes.c.boot_id.in_(boots))
    for row in connection.execute(query.order_by(clock_fixes.c.monotonic_us)):
        fix = Fix(row.monotonic_us, row.wall_us, row.error_us, row.source)
        found.setdefault(bytes(row.boot_id), []).append(fix)
    return found


def hold(connection: Connection, gateway: str, names: Sequence[bytes]) -> None:
    """Note batches whose readings wait for a date."""
    rows = [{"batch_id": name, "gateway_id": gateway, "boot_id": boot_of(name)} for name in names]
    if rows:
        insert_new(connection, undated_batches, rows)


def release(connection: Connection, boots: set[bytes]) -> list[tuple[str, bytes, bytes]]:
    """Take the waiting batches of some boots out: (gateway, batch id, payload)."""
    mine = undated_batches.c.boot_id.in_(boots)
    query = select(undated_batches.c.gateway_id, batches.c.batch_id, batches.c.payload).join(
        batches, batches.c.batch_id == undated_batches.c.batch_id
    )
    found = [
        (row[0], bytes(row[1]), bytes(row[2])) for row in connection.execute(query.where(mine))
    ]
    connection.execute(delete(undated_batches).where(mine))
    return found


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many batches of each gateway wait for a date."""
    query = select(undated_batches.c.gateway_id, func.count()).group_by(
        undated_batches.c.gateway_id
    )
    return {row[0]: row[1] for row in connection.execute(query)}
