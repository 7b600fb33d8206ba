"""All SQL of pools 公摊 before they are shared: their rules, who may take part, earlier sheets."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from cloud.billing.bill_tables import pool_statements
from cloud.billing.carrying import Correction, Counted, Posted
from cloud.billing.participants import Exemption, Pool
from cloud.billing.tables import pools
from cloud.billing.weights import Member
from cloud.sites.tables import premise_states, premises

# corrections of what is older stay with the company
MOST_SHEETS: Final = 24


def pools_of(connection: Connection, project_id: str) -> list[Pool]:
    """Return the pools of a project, by id."""
    query = select(pools).where(pools.c.project_id == project_id).order_by(pools.c.id)
    return [
        Pool(
            row.id,
            row.building_id,
            row.name,
            row.name_en,
            row.kind,
            row.master_id,
            row.resolution,
            None if row.cap_percent is None else Decimal(row.cap_percent),
            level=row.level,
            entrance=row.entrance,
            by=row.weight,
            formula=row.formula,
            fallback=row.fallback,
            kinds=tuple(row.kinds.split()),
            exemptions=tuple(Exemption(**each) for each in json.loads(row.exemptions)),
            meters=tuple(row.meters.split()),
        )
        for row in connection.execute(query)
    ]


def members_of(
    connection: Connection, project_id: str, *, on: date, held: frozenset[str]
) -> list[Member]:
    """Return the premises of a project as they stand on a day, by id; `held` ones have accounts."""
    states: dict[str, str] = {}
    query = (
        select(premise_states)
        .join(premises, premises.c.id == premise_states.c.premise_id)
        .where(premises.c.project_id == project_id, premise_states.c.from_on <= on)
        .order_by(premise_states.c.from_on)
    )
    for row in connection.execute(query):
        states[row.premise_id] = row.state
    rows = connection.execute(
        select(premises).where(premises.c.project_id == project_id).order_by(premises.c.id)
    )
    return [
        Member(
            row.id,
            row.building_id,
            row.kind,
            Decimal(row.area_m2),
            row.people,
            row.households,
            entrance=row.entrance,
            floor=row.floor,
            state=states.get(row.id, "occupied"),
            is_held=row.id in held,
        )
        for row in rows
    ]


def posted_of(
    connection: Connection, pool_ids: Sequence[str], *, before: str
) -> dict[str, list[Posted]]:
    """Return the last sheets of pools that were posted for months before one, the oldest first."""
    query = (
        select(pool_statements)
        .where(pool_statements.c.pool_id.in_(pool_ids), pool_statements.c.period < before)
        .order_by(pool_statements.c.period)
    )
    found: dict[str, list[Posted]] = {}
    for row in connection.execute(query):
        posted = Posted(
            row.period,
            row.kind,
            counted_of(row.meters),
            tuple(msgspec.json.decode(row.corrections, type=list[Correction])),
            Decimal(row.carried_out),
        )
        found.setdefault(row.pool_id, []).append(posted)
    return {name: sheets[-MOST_SHEETS:] for name, sheets in found.items()}


def counted_of(text: str) -> tuple[Counted, ...]:
    """Return the meter points of a sheet as they were counted, from what it keeps."""
    return tuple(msgspec.json.decode(text, type=list[Counted]))


def facts_of(text: str) -> Mapping[str, str]:
    """Return where a share's weight is from, from what it keeps."""
    return msgspec.json.decode(text, type=dict[str, str])
