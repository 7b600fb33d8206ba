"""The cloud's real tables and SQL, on SQLite in memory."""

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    literal_column,
    select,
)
from sqlalchemy.pool import StaticPool

from cloud import tables as _all_tables  # noqa: F401 - each module's tables join the metadata
from cloud.database import metadata
from cloud.ingest import tables as ingest
from cloud.ingest.clock_tables import clock_fixes, undated_batches
from cloud.ingest.dating import Fix
from cloud.ingest.repository import Refused, Replacement
from cloud.sites.tables import channels, devices, gateways, projects
from cloud.telemetry import chunk
from cloud.telemetry.tables import chunks
from protocols.delivery.envelope import Envelope
from protocols.delivery.receiver import LaneState
from tests.simulation.memory_store import BlockedError, RowKey, StoredBatch, Tables

_GROWING: Final = ("batches", "envelopes", "quarantine", "outbox", "replaced_batches")
_PROJECT = {"id": "p-1", "name": "青松", "name_en": "P", "time_zone": "Asia/Shanghai"}
_DEVICE = {"name": "", "name_en": "", "medium": "", "profile": "", "period_s": 60}


class SqliteStore:
    """One connection whose transactions take turns, as `BEGIN IMMEDIATE` makes them."""

    def __init__(self, names: Iterable[str], owners: Mapping[str, str]) -> None:
        self._connection = _connection()
        self._connection.rollback()
        self._names = tuple(names)
        _blank().backup(_raw(self._connection))
        self._owners = dict(owners)
        with self._connection.begin():
            self._connection.execute(projects.insert(), [_PROJECT])
            self._connection.execute(
                gateways.insert(),
                [{"id": name, "project_id": "p-1", "name": name} for name in self._names],
            )
            self._connection.execute(
                devices.insert(),
                [
                    {"id": device, "project_id": "p-1", "gateway_id": owner, **_DEVICE}
                    for device, owner in owners.items()
                ],
            )
        self._view = Tables(frozenset(self._names), dict(self._owners))
        self._read_rows = dict.fromkeys(_GROWING, 0)
        self._dirty = True
        self._committed = self._copy()
        self.view()

    def begin(self) -> Connection:
        """Open a transaction; BlockedError while another is open."""
        if self._connection.in_transaction():
            raise BlockedError
        if self._dirty:
            self.view()
            self._committed = self._copy()
        self._connection.begin()
        self._dirty = True
        return self._connection

    def image(self) -> sqlite3.Connection:
        """Return a backup: what is committed, whatever is open."""
        return self._committed if self._connection.in_transaction() else self._copy()

    def put_back(self, image: sqlite3.Connection) -> None:
        """Be an older copy from now on."""
        self._connection.rollback()
        image.backup(_raw(self._connection))
        self._connection.rollback()
        self._view = Tables(frozenset(self._names), dict(self._owners))
        self._read_rows = dict.fromkeys(_GROWING, 0)
        self._dirty = True

    def view(self) -> Tables:
        """Return what is committed, but for the history."""
        if self._dirty and not self._connection.in_transaction():
            self._read()
            self._dirty = False
        return self._view

    def history(self) -> Tables:
        """Return what is committed, with the history."""
        found = self.view()
        found.readings = dict(self._readings())
        self._connection.rollback()
        return found

    def _copy(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        _raw(self._connection).backup(copy)
        self._connection.rollback()
        return copy

    def _read(self) -> None:
        # rows that are only ever added are read once
        found = self._view
        run = self._connection.execute
        for row in self._new_rows(ingest.batches):
            found.batches[row.batch_id] = StoredBatch(
                row.gateway_id, row.lane, row.payload_hash, row.payload
            )
        for row in self._new_rows(ingest.envelopes):
            epoch = int.from_bytes(row.epoch, "big")
            places = found.places.setdefault((row.gateway_id, row.lane, epoch), {})
            places[row.seq] = Envelope(
                1,
                row.gateway_id,
                row.lane,
                epoch,
                row.seq,
                row.batch_id,
                row.prev_hash,
                row.root,
                row.hash,
                b"",
            )
        for row in self._new_rows(ingest.quarantine):
            found.quarantine.append(
                Refused(row.gateway_id, row.lane, row.batch_id, row.reason, row.body)
            )
        found.outbox += [row.batch_id for row in self._new_rows(ingest.outbox)]
        for row in run(_all_of(ingest.lanes)):
            epoch = int.from_bytes(row.epoch, "big")
            found.lanes[row.gateway_id, row.lane, epoch] = LaneState(
                epoch, row.through, row.hash_through, row.fenced
            )
        for row in run(_all_of(ingest.generations)):
            found.generations[row.gateway_id] = row.generation
        for row in run(_all_of(clock_fixes)):
            boot = (row.gateway_id, bytes(row.boot_id))
            found.fixes[boot, row.monotonic_us] = Fix(
                row.monotonic_us, row.wall_us, row.error_us, row.source
            )
        found.undated = {
            (bytes(row.batch_id), (row.gateway_id, bytes(row.boot_id))): row.readings
            for row in run(_all_of(undated_batches))
        }
        for row in self._new_rows(ingest.replaced_batches):
            found.replaced[row.gateway_id, bytes(row.replaced_id)] = Replacement(
                row.gateway_id, bytes(row.replaced_id), bytes(row.batch_id), row.stored
            )
        self._connection.rollback()

    def _new_rows(self, table: Table) -> Sequence[Any]:
        after = {"after": self._read_rows[table.name]}
        rows = self._connection.execute(_later_of(table), after).all()
        if rows:
            self._read_rows[table.name] = rows[-1].place
        return rows

    def _readings(self) -> Iterable[tuple[RowKey, bytes]]:
        query = select(channels, chunks.c.data).join(chunks, chunks.c.channel_id == channels.c.id)
        for channel in self._connection.execute(query):
            names = (channel.gateway_id, channel.device_id, channel.point)
            for row in chunk.decode(channel.data):
                yield RowKey(*names, row.read_at_us, row.count, row.quality), row.batch_id


@cache
def _all_of(table: Table) -> Select[Any]:
    # to build a query costs more than to run it
    return select(table)


@cache
def _later_of(table: Table) -> Select[Any]:
    place = literal_column("rowid").label("place")
    return select(place, table).where(place > bindparam("after")).order_by(place)


def _engine() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    metadata.create_all(engine)
    return engine


def _connection() -> Connection:
    # what was opened before a fork is of no use to the child
    return _connection_of(os.getpid())


@cache
def _connection_of(process: int) -> Connection:
    del process
    return _engine().connect()


def _blank() -> sqlite3.Connection:
    return _blank_of(os.getpid())


@cache
def _blank_of(process: int) -> sqlite3.Connection:
    del process
    image = sqlite3.connect(":memory:")
    _raw(_connection()).backup(image)
    _connection().rollback()
    return image


def _raw(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
