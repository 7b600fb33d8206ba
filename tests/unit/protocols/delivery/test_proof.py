"""A proof holds as it was made, and whatever is changed in it is named."""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from protocols.delivery import batch, proof, verify_proof
from protocols.delivery.proof import Proof, Step
from protocols.delivery.records import Event, Reading, Record
from protocols.delivery.verify_proof import DiffersError, UnreadableError
from tests.fixtures.delivery import START_US, reading
from tests.fixtures.signed_chains import SEED, proof_of

HOMES = ("e-1", "neighbour-a", "neighbour-b", "neighbour-c", "neighbour-d")
BATCHES = [
    [reading(number, home) for home in HOMES for number in range(first, first + 2)]
    for first in (0, 2, 4)
]
PROOF = proof_of(BATCHES, "e-1", point="energy_import", read_at_us=START_US, first_seq=7)

_NAMES = st.text(min_size=1, max_size=40)
_READINGS = st.builds(
    Reading,
    device=st.sampled_from([f"home-{number}" for number in range(9)]),
    point=st.sampled_from(["energy_import", '电压\n\x7f"\\']),
    uom=st.sampled_from(["kWh", "m³", ""]),
    exponent=st.integers(-6, 3),
    count=st.none() | st.integers(-(1 << 61), 1 << 61),
    quality=st.integers(0, 5),
    read_at_us=st.integers(0, 1 << 60),
    monotonic_us=st.integers(0, 1 << 60),
    words=st.binary(max_size=8),
)
_EVENTS = st.builds(
    Event,
    device=st.sampled_from(["", "home-1"]),
    kind=_NAMES,
    at_us=st.integers(0, 1 << 60),
    monotonic_us=st.integers(0, 1 << 60),
    body=st.dictionaries(_NAMES, st.none() | st.integers(-99, 99) | _NAMES, max_size=3),
)
_RECORDS = st.lists(_READINGS | _EVENTS, min_size=1, max_size=25)


def differs(changed: Proof) -> str:
    with pytest.raises(DiffersError) as caught:
        verify_proof.verify(proof.to_json(changed))
    return str(caught.value)


def flipped(text: str, bit: int) -> str:
    raw = bytearray(bytes.fromhex(text))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return raw.hex()


@given(_RECORDS)
def test_every_device_of_every_batch_can_be_proven(records: list[Record]) -> None:
    decoded = batch.decode(batch.encode(records, SEED))
    for device in {record.device for record in records}:
        made = proof_of([records], device)
        told = verify_proof.verify(proof.to_json(made), made.public_key)
        assert told.startswith(f"{len(proof.rows_of(decoded, device))} records")
        assert made.chain[0].root == batch.merkle_root(decoded).hex()


def test_a_proof_tells_what_was_read_and_who_signed() -> None:
    told = verify_proof.verify(proof.to_json(PROOF), PROOF.public_key)
    assert "e-1/energy_import = 10.00 kWh (quality 0) read at 2026-07-01T00:00:00+00:00" in told
    assert "seq 7; signed at seq 9" in told


def test_nothing_of_the_neighbours_is_in_a_proof() -> None:
    text = proof.to_json(PROOF).decode()
    assert "e-1" in text
    for other in HOMES[1:]:
        assert other not in text
        assert batch.salt_of(other, SEED).hex() not in text
    assert SEED.hex() not in text
    assert base64.b64encode(SEED).decode() not in text
    # as many records as the home itself has
    assert text.count("energy_import") == 2 + 1


@given(st.integers(0, 1), st.integers(0, 8), st.data())
def test_a_changed_row_is_named(row: int, field: int, data: st.DataObject) -> None:
    leaf = json.loads(PROOF.leaf)
    held = leaf["records"][row][field]
    leaf["records"][row][field] = data.draw(
        st.integers(0, 1 << 60).filter(lambda it: it != held)
        if isinstance(held, int)
        else st.text(max_size=9).filter(lambda it: it != held)
    )
    text = json.dumps(leaf, separators=(",", ":"), ensure_ascii=False)
    try:
        told = differs(replace(PROOF, leaf=text, reading=None))
    except UnicodeEncodeError:
        return  # half a character is not text at all
    assert told.startswith("chain[0].root: ")


@given(st.integers(0, len(PROOF.path) - 1), st.integers(0, 255))
def test_a_changed_sibling_is_named(place: int, bit: int) -> None:
    path = list(PROOF.path)
    path[place] = replace(path[place], hash=flipped(path[place].hash, bit))
    assert differs(replace(PROOF, path=tuple(path))).startswith("chain[0].root: ")


def test_a_sibling_on_the_other_side_or_one_too_many_is_named() -> None:
    for place, step in enumerate(PROOF.path):
        path = list(PROOF.path)
        path[place] = replace(step, side="left" if step.side == "right" else "right")
        assert differs(replace(PROOF, path=tuple(path))).startswith("chain[0].root: ")
    more = (*PROOF.path, Step("left", "00" * 32))
    assert differs(replace(PROOF, path=more)).startswith("chain[0].root: ")


@given(st.integers(0, 255))
def test_another_salt_is_named(bit: int) -> None:
    changed = replace(PROOF, salt=flipped(PROOF.salt, bit))
    assert differs(changed).startswith("chain[0].root: ")


@given(
    st.integers(0, 2),
    st.sampled_from(["seq", "batch_id", "prev_hash", "root", "payload_hash", "hash"]),
    st.integers(0, 255),
)
def test_a_changed_link_is_named(place: int, field: str, bit: int) -> None:
    links = list(PROOF.chain)
    before = getattr(links[place], field)
    changed = before ^ (1 << bit % 60) if field == "seq" else flipped(before, bit)
    links[place] = replace(links[place], **{field: changed})
    assert differs(replace(PROOF, chain=tuple(links))).startswith(f"chain[{place}].")


def test_a_forged_batch_before_the_signed_one_is_named() -> None:
    # whole in itself: rows, root and hash are made anew, but what was signed follows another batch
    forged = [[reading(9, home) for home in HOMES], *BATCHES[1:]]
    changed = proof_of(forged, "e-1", first_seq=7)
    changed = replace(
        changed,
        chain=(changed.chain[0], *PROOF.chain[1:]),
        signed=PROOF.signed,
        signature=PROOF.signature,
    )
    assert differs(changed).startswith("chain[1].prev_hash: ")


def test_a_missing_link_is_named() -> None:
    told = differs(replace(PROOF, chain=(PROOF.chain[0], PROOF.chain[2])))
    assert told == "chain[1].seq: says 9, the link before says 8"
    assert differs(replace(PROOF, chain=PROOF.chain[:2])).startswith("signed.seq: ")
    with pytest.raises(UnreadableError, match="chain"):
        verify_proof.verify(proof.to_json(replace(PROOF, chain=())))


@given(st.integers(0, 511))
def test_a_flipped_bit_of_the_signature_is_named(bit: int) -> None:
    raw = flipped(base64.b64decode(PROOF.signature).hex(), bit)
    changed = base64.b64encode(bytes.fromhex(raw)).decode()
    assert differs(replace(PROOF, signature=changed)).startswith("signature: ")


@given(st.integers(0, 255))
def test_a_flipped_bit_of_the_key_is_named(bit: int) -> None:
    raw = flipped(base64.b64decode(PROOF.public_key).hex(), bit)
    changed = base64.b64encode(bytes.fromhex(raw)).decode()
    assert differs(replace(PROOF, public_key=changed)).startswith("signature: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("gateway", "gw-2"), ("lane", 0), ("epoch", "0" * 16), ("seq", 8), ("hash", "0" * 64)],
)
def test_other_signed_fields_are_named(field: str, value: str | int) -> None:
    changed = replace(PROOF, signed=replace(PROOF.signed, **{field: value}))
    assert differs(changed).startswith(f"signed.{field}: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("index", 1), ("index", 2), ("count", 1001), ("quality", 1), ("uom", "Wh"), ("exponent", 0)],
)
def test_a_reading_that_the_leaf_does_not_have_is_named(field: str, value: str | int) -> None:
    assert PROOF.reading is not None
    changed = replace(PROOF, reading=replace(PROOF.reading, **{field: value}))
    assert differs(changed).startswith("reading.")


def test_a_number_in_another_form_is_another_number() -> None:
    raw = proof.to_json(PROOF).replace(b'"count": 1000,', b'"count": 1000.0,', 1)
    with pytest.raises(DiffersError, match=r"reading\.count"):
        verify_proof.verify(raw)


@pytest.mark.parametrize(("field", "place"), [("signature", -3), ("public_key", -2)])
def test_base64_has_one_form(field: str, place: int) -> None:
    # the last character before the padding has bits that no byte takes up
    text = getattr(PROOF, field)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = letters[letters.index(text[place]) ^ 1]
    changed = text[:place] + other + text[place:][1:]
    assert base64.b64decode(changed) == base64.b64decode(text)
    with pytest.raises(UnreadableError, match=field):
        verify_proof.verify(proof.to_json(replace(PROOF, **{field: changed})))


def test_another_home_or_gateway_is_named() -> None:
    assert differs(replace(PROOF, device="e-2")).startswith("device: ")
    assert differs(replace(PROOF, gateway="gw-2")).startswith("chain[0].hash: ")
    assert differs(replace(PROOF, epoch="0" * 15 + "1")).startswith("chain[0].hash: ")
    assert differs(replace(PROOF, format="hutong-proof-2")).startswith("format: ")


def test_the_key_that_is_expected_is_compared() -> None:
    with pytest.raises(DiffersError, match="public_key"):
        verify_proof.verify(proof.to_json(PROOF), base64.b64encode(bytes(32)).decode())


def test_no_byte_of_a_proof_can_change_unseen() -> None:
    raw, chance = proof.to_json(PROOF), random.Random(20)
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= chance.randint(1, 255)
        with pytest.raises((DiffersError, UnreadableError)):
            verify_proof.verify(bytes(changed))


@pytest.mark.parametrize("raw", [b"", b"[]\n", b"{}\n", b"[" * 100_000, b"\xff", b"1" * 9_999])
def test_what_is_no_json_of_a_proof_is_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        verify_proof.verify(raw)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\n",
        lambda raw: raw.replace(b"\n ", b"\n  ", 1),
        lambda raw: raw.replace(b'"lane": 1,', b'"lane": true,', 1),
        lambda raw: raw.replace(b'"lane": 1,', b'"lane": 1.0,', 1),
        lambda raw: raw.replace(b'"lane": 1,', b'"lane": -1,', 1),
        lambda raw: raw.replace(b'"salt"', b'"salz"', 1),
        lambda raw: raw.replace(b'"side": "left"', b'"side": "over"').replace(
            b'"side": "right"', b'"side": "over"'
        ),
    ],
)
def test_what_is_no_proof_is_unreadable(spoil: Callable[[bytes], bytes]) -> None:
    raw = proof.to_json(PROOF)
    assert spoil(raw) != raw
    with pytest.raises(UnreadableError):
        verify_proof.verify(spoil(raw))


@given(
    st.lists(
        st.integers(0, (1 << 64) - 1) | st.text(max_size=300) | st.binary(max_size=300), max_size=9
    )
)
def test_the_tiny_writer_writes_messagepack(values: list[int | str | bytes]) -> None:
    assert verify_proof._pack(*values) == msgpack.encode(values)


def test_the_program_tells_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(proof.to_json(PROOF))
    assert verify_proof.main([str(file), "--key", PROOF.public_key]) == 0
    assert capsys.readouterr().out.startswith("proof holds: e-1/energy_import")
    assert verify_proof.main([str(file)]) == 0
    assert "compare it" in capsys.readouterr().out
    file.write_bytes(proof.to_json(replace(PROOF, device="e-2")))
    assert verify_proof.main([str(file)]) == 1
    assert capsys.readouterr().out.startswith("proof does not hold: device")
    file.write_bytes(b"nonsense")
    assert verify_proof.main([str(file)]) == 2
    assert verify_proof.main([str(tmp_path / "absent")]) == 2
