"""What meters contributed to a bill, each register read with its words and its proof."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, select

from cloud.billing import verify_bill
from cloud.billing.register_maps import map_of
from cloud.errors import NotFoundError
from cloud.ingest.tables import envelopes
from cloud.metering.registers import BoundaryRead, Install
from cloud.metering.tables import installs, meter_points
from cloud.proofs import proving
from cloud.proofs.proving import Wanted
from cloud.sites.tables import devices
from cloud.telemetry import repository as telemetry
from cloud.telemetry.chunk import Row as Stored
from protocols.delivery.records import Quality, Reading, words_to_hex

Json = dict[str, object]
SIDES: Final = ("start", "end")
_WRITTEN: Final = {
    "install": "the fitter wrote it down when the meter was installed",
    "removal": "the fitter wrote it down when the meter was removed",
    "manual": "somebody read the meter by eye",
    "edit": "somebody replaced what the gateway had delivered",
}


Hours = Mapping[str, Sequence[tuple[Install, Sequence[BoundaryRead]]]]
_NO_HOURS: Final[Hours] = MappingProxyType({})


def parts_of(
    connection: Connection, stored: Sequence[Json], *, hours: Hours = _NO_HOURS
) -> list[Json]:
    """Return parts as a bundle has them, from what was kept at billing.

    `hours` are the registers of meter points at every hour, from their first instant to their
    last. RefusedError where what is stored is not what its gateway signed.
    """
    made: list[Json] = []
    for part in stored:
        found = hours.get(str(part["meter_point"]), ())
        inner = next((inner for each in found if (inner := _inner(part, *each)) is not None), None)
        made.append(_part(connection, part, inner))
    return made


def mapped(value: object) -> Json:
    """Return a stored value that must be an object; NotFoundError."""
    if not isinstance(value, dict):
        message = "stored evidence is damaged: an object is missing"
        raise NotFoundError(message)
    return value


def listed(value: object) -> list[Json]:
    """Return a stored value that must be a list; NotFoundError."""
    if not isinstance(value, list):
        message = "stored evidence is damaged: a list is missing"
        raise NotFoundError(message)
    return value


def _inner(
    stored: Json, install: Install, edges: Sequence[BoundaryRead]
) -> Sequence[BoundaryRead] | None:
    # what was kept at billing must be what the reads still say
    ends = [(mapped(stored[side])["boundary_us"], mapped(stored[side])["count"]) for side in SIDES]
    same = [(edge.boundary_us, edge.count) for edge in (edges[0], edges[-1])] == ends
    return edges[1:-1] if same and install.meter_id == stored["meter_id"] else None


def _part(connection: Connection, stored: Json, hours: Sequence[BoundaryRead] | None) -> Json:
    edges = {side: mapped(stored[side]) for side in SIDES}
    install = _install(connection, stored, int(str(edges["start"]["boundary_us"])))
    uom = connection.scalar(
        select(meter_points.c.uom).where(meter_points.c.id == stored["meter_point"])
    )
    exponent = int(str(stored["exponent"]))
    proofs: dict[bytes, Json] = {}
    made = {side: _edge(connection, edges[side], proofs) for side in SIDES}
    inner = None if hours is None else [_edge(connection, _kept(edge), proofs) for edge in hours]
    every = [made["start"], *(inner or ()), made["end"]]
    reads = [read for edge in every for read in listed(edge["reads"])]
    words = [
        (bytes.fromhex(str(read["words"])), int(str(read["count"])))
        for read in reads
        if read["words"]
    ]
    profile = None
    if install is not None and install.device_id is not None:
        query = select(devices.c.profile).where(devices.c.id == install.device_id)
        profile = connection.scalar(query)
    decoding = None
    if words and profile is not None and install is not None:
        decoding = map_of(profile, install.point or "", exponent=exponent, reads=words)
    return {
        "meter_point": stored["meter_point"],
        "meter": stored["meter_id"],
        "device": (install.device_id if install else None) or "",
        "point": (install.point if install else None) or "",
        "uom": uom or "",
        "exponent": exponent,
        # it matters only where the register turned over
        "capacity": install.capacity if install is not None and _fell(every) else None,
        "multiplier": stored["multiplier"],
        "decoding": decoding,
        "counts": stored["counts"],
        "quantity": stored["quantity"],
        "true_up": stored.get("true_up"),
        "hours": inner,
        **made,
    }


def _kept(edge: BoundaryRead) -> Json:
    return {
        "boundary_us": edge.boundary_us,
        "count": edge.count,
        "estimated": edge.estimated,
        "rule": edge.rule,
        "reads": [
            {"read_at_us": read.read_at_us, "count": read.count, "source": read.source}
            for read in edge.reads
        ],
    }


def _edge(connection: Connection, stored: Json, proofs: dict[bytes, Json]) -> Json:
    return {
        "at_us": stored["boundary_us"],
        "count": stored["count"],
        "estimated": stored["estimated"],
        "rule": stored.get("rule", ""),
        "reads": [_read(connection, read, proofs) for read in listed(stored["reads"])],
    }


def _read(connection: Connection, stored: Json, proofs: dict[bytes, Json]) -> Json:
    source = str(stored["source"])
    kept: Json = {key: stored[key] for key in ("read_at_us", "count", "source")}
    place: Json = {"words": "", "gateway": "", "lane": 0, "epoch": "", "seq": 0, "batch_id": ""}
    channel, _, batch = source.partition(":")
    if not batch:
        why = _WRITTEN.get(source.partition("-")[0], "a person wrote it down")
        return kept | place | {"lacks": f"words, gateway, proof: {why}", "proof": None}
    kept["source"] = "gateway"
    name = bytes.fromhex(batch)
    row = Stored(int(str(stored["read_at_us"])), int(str(stored["count"])), Quality.GOOD, name)
    place |= _envelope(connection, name) | {"batch_id": batch}
    try:
        reading = telemetry.raw_reading(connection, int(channel), row)
        place["words"] = words_to_hex(reading.words)
        proof = _proof(connection, name, reading, proofs)
    except NotFoundError as error:
        return kept | place | {"lacks": f"proof: {error}", "proof": None}
    link = mapped(listed(proof["chain"])[0])
    place |= {key: proof[key] for key in ("gateway", "lane", "epoch")} | {"seq": link["seq"]}
    return kept | place | {"lacks": "", "proof": proof}


def _proof(
    connection: Connection, batch_id: bytes, reading: Reading, proofs: dict[bytes, Json]
) -> Json:
    # a device's leaf of a batch is proven once; which of its readings is meant differs
    if batch_id not in proofs:
        raw = proving.prove(connection, Wanted(batch_id, reading.device))
        proofs[batch_id] = mapped(json.loads(raw))
    found = proofs[batch_id]
    rows = json.loads(str(found["leaf"]))["records"]
    index = rows.index(json.loads(msgspec.json.encode(reading)))
    claim = {key: rows[index][place] for key, place in verify_bill.CLAIM.items()}
    return found | {"reading": claim | {"index": index}}


def _envelope(connection: Connection, batch_id: bytes) -> Json:
    place = connection.execute(
        select(envelopes)
        .where(envelopes.c.batch_id == batch_id)
        .order_by(envelopes.c.received_us.desc())
    ).first()
    if place is None:
        return {}
    return {
        "gateway": place.gateway_id,
        "lane": place.lane,
        "epoch": place.epoch.hex(),
        "seq": place.seq,
    }


def _install(connection: Connection, stored: Json, start_us: int) -> Row[tuple[object, ...]] | None:
    # one meter has several where its register was set or its transformers were changed
    query = (
        select(installs)
        .where(
            installs.c.meter_point_id == stored["meter_point"],
            installs.c.meter_id == stored["meter_id"],
        )
        .order_by((installs.c.installed_at_us > start_us), installs.c.installed_at_us.desc())
    )
    return connection.execute(query).first()


def _fell(edges: Sequence[Json]) -> bool:
    shown = [int(str(edge["count"])) for edge in edges]
    for edge in edges:
        counts = [int(str(read["count"])) for read in listed(edge["reads"])]
        counts.insert(1, int(str(edge["count"])))
        if counts != sorted(counts):
            return True
    return shown != sorted(shown)
