"""Signatures as they are delivered, judged when they can be; and batches checked at random."""

import secrets

from sqlalchemy import Connection

from cloud.alerts import repository as alerts
from cloud.alerts.repository import Cause, Detail
from cloud.errors import NotFoundError, RefusedError
from cloud.proofs import repository
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import Envelope
from protocols.delivery.records import Event
from protocols.delivery.signature import (
    KEY_MADE,
    SIG,
    from_body,
    is_signed_by,
    key_bytes,
)
from protocols.errors import WireError

JUDGED_AT_ONCE = 256
SAMPLE = 8


def hear(
    connection: Connection, gateway: str, batch_id: bytes, event: Event, *, trust_first_key: bool
) -> None:
    """Take what a gateway says of its key and its chains; all other events pass."""
    if event.kind == SIG:
        try:
            item = from_body(event.body)
        except WireError as error:
            text = str(error)[:200]
            _raise_bad_signature(
                connection, gateway, {"reason": "format", "text": text}, event.at_us
            )
            return
        repository.store_signature(connection, gateway, item, batch_id)
    elif event.kind == KEY_MADE and trust_first_key and not repository.keys(connection, gateway):
        try:
            key = key_bytes(str(event.body.get("public_key")))
        except WireError:
            return  # nobody trusts it, and its signatures will tell
        repository.add_key(connection, gateway, key, 0)


def judge(connection: Connection, now_us: int) -> int:
    """Judge signatures whose gateway has a key and whose envelope is held; return how many."""
    waiting = repository.waiting(connection, JUDGED_AT_ONCE)
    keys = {
        gateway: repository.keys(connection, gateway)
        for gateway in sorted({item.gateway_id for item in waiting})
    }
    for item in waiting:
        signed = item.signature
        maker = next(
            (
                key.key
                for key in keys[item.gateway_id]
                if key.vouches_at(item.received_us)
                and is_signed_by(key.key, item.gateway_id, signed)
            ),
            None,
        )
        # a good signature over another chain than ours is worse than none
        fits = signed.hash == item.envelope_hash
        repository.note_verdict(connection, item, maker if fits else None)
        if maker is None or not fits:
            reason = "key" if maker is None else "hash"
            detail: Detail = {"reason": reason, "lane": signed.lane, "seq": signed.seq}
            _raise_bad_signature(connection, item.gateway_id, detail, now_us)
    return len(waiting)


def trust_key(connection: Connection, gateway: str, key: str, *, from_us: int | None) -> None:
    """Let a public key (base64) vouch for a gateway; RefusedError if it is none or was revoked.

    Without `from_us` it vouches for all that was ever received. What no key had made is judged
    again.
    """
    if repository.project_of(connection, gateway) is None:
        message = f"gateway {gateway!r} is unknown"
        raise NotFoundError(message)
    try:
        raw = key_bytes(key)
    except WireError as error:
        raise RefusedError(str(error)) from error
    held = {item.key: item for item in repository.keys(connection, gateway)}
    if raw in held and held[raw].revoked_us is not None:
        message = f"public key {key!r} of {gateway!r} was revoked; allowed is another one"
        raise RefusedError(message)
    repository.add_key(connection, gateway, raw, from_us or 0)
    repository.judge_again(connection, gateway)


def revoke_key(connection: Connection, gateway: str, key: str, now_us: int) -> None:
    """Let a public key vouch for nothing more from now on; NotFoundError if it doesn't anyway."""
    try:
        done = repository.revoke_key(connection, gateway, key_bytes(key), now_us)
    except WireError as error:
        raise RefusedError(str(error)) from error
    if not done:
        message = f"public key {key!r} is no valid key of {gateway!r}"
        raise NotFoundError(message)


def sample(connection: Connection, now_us: int, size: int = SAMPLE) -> int:
    """Check random batches that were not checked; return how many, at most `size`.

    Chain hash and Merkle root are made anew from the stored bytes; a mismatch raises `bad_root`.
    """
    lanes = repository.lane_lengths(connection)
    total = sum(through for *_, through in lanes)
    checked: list[tuple[bytes, bool]] = []
    for _ in range(size if total else 0):
        place = secrets.randbelow(total)
        for gateway, lane, epoch, through in lanes:
            if place < through:
                found = repository.unchecked(connection, gateway, lane, epoch, place + 1)
                if found is not None and found[0].batch_id not in dict(checked):
                    fault = fault_of(*found)
                    checked.append((found[0].batch_id, fault == ""))
                    if fault:
                        _raise_bad_root(connection, found[0], fault, now_us)
                break
            place -= through
    repository.note_checked(connection, checked, now_us)
    return len(checked)


def fault_of(place: Envelope, payload: bytes) -> str:
    """Return what of a stored batch is not as it was sealed: "payload", "root", or nothing."""
    again = envelope.seal(
        payload,
        gateway=place.gateway,
        lane=place.lane,
        epoch=place.epoch,
        seq=place.seq,
        batch_id=place.batch_id,
        prev_hash=place.prev_hash,
        root=place.root,
    )
    if again.hash != place.hash:
        return "payload"
    try:
        root = batch.merkle_root(batch.decode(payload))
    except WireError:
        return ""  # came as nonsense, hash and all, and lies in quarantine
    return "" if root == place.root else "root"


def _raise_bad_signature(connection: Connection, gateway: str, detail: Detail, at_us: int) -> None:
    project = repository.project_of(connection, gateway)
    if project is not None:
        key = f"bad_signature:{gateway}"
        cause = Cause(project, "bad_signature", "critical", key, gateway)
        alerts.raise_alert(connection, cause, detail, at_us)


def _raise_bad_root(connection: Connection, place: Envelope, fault: str, at_us: int) -> None:
    project = repository.project_of(connection, place.gateway)
    if project is not None:
        name = place.batch_id.hex()
        cause = Cause(project, "bad_root", "critical", f"bad_root:{name}", place.gateway)
        alerts.raise_alert(connection, cause, {"batch": name, "reason": fault}, at_us)
