"""Every signature that reaches the cloud is of its gateway, over a chain that was really sealed."""

import base64
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocols.delivery.envelope import LANES
from tests.simulation.ledger import Key, Violation
from tests.simulation.memory_store import Tables
from tests.simulation.wire_format import Told, signed_bytes

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.oracle import Oracle


def judge(oracle: "Oracle", tables: Tables, nodes: "list[GatewayNode]") -> None:
    """Check each SIG of the stored batches, and that the end of each lane is signed."""
    keys = {
        node.gateway: node.key.public_key().public_bytes_raw()
        for node in nodes
        if node.key is not None
    }
    signed: dict[Key, int] = {}
    copied = len(nodes) > len(keys) or any(node.restored for node in nodes)
    for name, batch in tables.batches.items():
        for told in oracle.batches[name].told:
            if told.kind == "sig":
                public = keys[batch.gateway]
                key, seq = _check(tables, batch.gateway, told, public, copied=copied)
                signed[key] = max(seq, signed.get(key, 0))
    for node in nodes:
        for lane in LANES:
            _check_end(oracle, tables, node, lane, signed)


def _check(
    tables: Tables, gateway: str, told: Told, public: bytes, *, copied: bool
) -> tuple[Key, int]:
    body = told.body
    key = (gateway, body["lane"], int(body["epoch"], 16))
    try:
        signature = base64.b64decode(body["signature"])
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed_bytes(gateway, body))
    except (InvalidSignature, ValueError) as error:
        raise Violation("SIG", f"{key} {body['seq']}: no signature of this gateway") from error
    if copied:
        # a copy may have signed what the other one's place is taken by
        return key, body["seq"]
    held = tables.places.get(key, {}).get(body["seq"])
    lane = tables.lanes.get(key)
    if held is not None and held.hash.hex() != body["hash"] and not (lane and lane.fenced):
        raise Violation("SIG", f"{key} {body['seq']}: another hash than the cloud holds")
    return key, body["seq"]


def _check_end(
    oracle: "Oracle", tables: Tables, node: "GatewayNode", lane: int, signed: dict[Key, int]
) -> None:
    # after a clean stop nothing but signatures is newer than the last one
    status = node.journal.status(lane)
    key = (node.gateway, lane, status.epoch)
    places = tables.places.get(key, {})
    for seq in range(signed.get(key, 0) + 1, status.next):
        seen = oracle.batches[places[seq].batch_id]
        if seen.rows is None or seen.rows or any(told.kind != "sig" for told in seen.told):
            raise Violation("SIG", f"{key} ends at {status.next - 1}: {seq} is not signed")
