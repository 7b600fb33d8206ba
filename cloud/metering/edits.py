"""What people added to a meter point's reads: their own, and versions of the raw ones 编辑."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import Connection

from cloud.errors import RefusedError
from cloud.metering import manual_repository as manual
from cloud.metering import raw_reads, repository
from cloud.metering import verdict_repository as verdicts
from cloud.metering.installs import RegisterRead
from cloud.metering.manual_repository import ManualRead
from cloud.metering.raw_reads import week_of
from cloud.metering.verdict_repository import Edit

Action = Literal["accept", "reject", "replace", "raw"]


@dataclass(frozen=True)
class Overlay:
    """What people added to a meter point's raw reads: their own, and the versions in force."""

    manual: tuple[ManualRead, ...]
    edits: tuple[Edit, ...]

    def reads(self, start_us: int, end_us: int) -> list[RegisterRead]:
        """Return the reads they added in [start, end)."""
        found = [
            RegisterRead(read.read_at_us, read.count, bool(read.rule), read.source)
            for read in self.manual
            if start_us <= read.read_at_us < end_us
        ]
        found += [
            RegisterRead(edit.read_at_us, edit.count, source=f"edit-{edit.id}")
            for edit in self.edits
            if edit.count is not None and start_us <= edit.read_at_us < end_us
        ]
        return found

    def weeks(self) -> set[int]:
        """Return the weeks in which they did anything."""
        taken = {week_of(read.read_at_us) for read in self.manual}
        return taken | {week_of(edit.read_at_us) for edit in self.edits}


def overlays_of(connection: Connection, meter_point_ids: Sequence[str]) -> dict[str, Overlay]:
    """Return what people added to each meter point's reads."""
    taken: dict[str, list[ManualRead]] = {name: [] for name in meter_point_ids}
    for read in manual.manual_reads_of(connection, meter_point_ids):
        taken[read.meter_point_id].append(read)
    found: dict[str, Overlay] = {}
    for name, versions in verdicts.edits_of(connection, meter_point_ids).items():
        newest = {(edit.read_at_us, edit.source): edit for edit in versions}
        in_force = tuple(edit for edit in newest.values() if edit.action != "raw")
        found[name] = Overlay(tuple(taken[name]), in_force)
    return found


def edit_read(
    connection: Connection,
    meter_point_id: str,
    *,
    read_at_us: int,
    source: str,
    action: Action,
    count: int | None = None,
    by: str,
    why: str,
) -> Edit:
    """Make a new version of a read; the raw one and those before stay. RefusedError if it cannot.

    accept keeps what rules set aside, reject the reverse, replace gives another count, raw goes
    back to version 0. source names the read, as verdicts and bills do.
    """
    if action not in get_args(Action) or (count is None) == (action == "replace"):
        allowed = "accept, reject, raw without a count, or replace with one"
        message = f"edit of {source}: action {action!r} with count {count}: allowed are {allowed}"
        raise RefusedError(message)
    for key, text in (("by", by), ("why", why)):
        if not text.strip():
            message = f"edit of {source}: {key}: '': allowed is a text that says it"
            raise RefusedError(message)
    repository.lock_meter_points(connection, [meter_point_id])
    if source not in _sources_at(connection, meter_point_id, read_at_us):
        message = (
            f"edit: source: {source!r}: no read of {meter_point_id} at {read_at_us} us has it;"
            f" allowed are {', '.join(_sources_at(connection, meter_point_id, read_at_us))}"
        )
        raise RefusedError(message)
    held = [
        edit
        for edit in verdicts.edits_of(connection, [meter_point_id])[meter_point_id]
        if (edit.read_at_us, edit.source) == (read_at_us, source)
    ]
    version = 1 + len(held)
    now_us = time.time_ns() // 1000
    edit = Edit(0, read_at_us, source, version, action, count, by, why, now_us)
    made = verdicts.add_edit(connection, meter_point_id, edit)
    forget_from(connection, meter_point_id, read_at_us)
    return Edit(made, read_at_us, source, version, action, count, by, why, now_us)


def forget_from(connection: Connection, meter_point_id: str, at_us: int) -> None:
    """Let the reads from an instant on be screened again, with those that look ahead to them."""
    verdicts.forget_from(connection, meter_point_id, week_of(at_us) - 1)


def _sources_at(connection: Connection, meter_point_id: str, read_at_us: int) -> list[str]:
    found = [
        read.source
        for mounted in repository.mounted_at(connection, [meter_point_id])[meter_point_id]
        for read in raw_reads.reads_between(connection, mounted, read_at_us, read_at_us + 1)
    ]
    found += [
        read.source
        for read in manual.manual_reads_of(connection, [meter_point_id])
        if read.read_at_us == read_at_us
    ]
    return found
