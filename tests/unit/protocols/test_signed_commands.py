"""A gateway acts on what its key signed for it, once and in time, and on nothing else."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocols.commands import (
    HEARD_FOR_US,
    LIFETIME_S,
    TRANSITIONS,
    Action,
    Command,
    Happening,
    Heard,
    Outcome,
    Reason,
    Refused,
    Stage,
    Standing,
    judge,
    move,
    pack,
    sign,
    signed_bytes,
    unpack,
)
from protocols.errors import WireError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NOW_US = 500_000_000
SERVER_US = 1_782_864_000_000_000
# the answer took 300 ms
HEARD = Heard(SERVER_US, NOW_US - 1_300_000, NOW_US - 1_000_000)
STANDING = Standing(
    "gw-1",
    KEY.public_key().public_bytes_raw(),
    ("before", "nonce"),
    1000,
    HEARD,
    {"door-1": frozenset({Action.OPEN_DOOR}), "": frozenset({Action.RELOAD_CONFIG})},
)
COMMAND = Command(
    id="0" * 32,
    gateway="gw-1",
    target="door-1",
    action=Action.OPEN_DOOR,
    nonce="nonce",
    counter=1001,
    expires_us=SERVER_US + 1_000_000 + 10_000_000,
    actor="li",
    pulse_ms=3000,
)


def judged(command: Command, standing: Standing = STANDING, *, now_us: int = NOW_US) -> object:
    return judge(pack(sign(KEY, command)), standing, now_us=now_us)


def changed(**values: object) -> Command:
    return msgspec.structs.replace(COMMAND, **values)


def test_takes_what_is_as_it_should_be() -> None:
    taken = judged(COMMAND)
    assert isinstance(taken, Command)
    assert msgspec.structs.replace(taken, signature=b"") == COMMAND
    for_itself = changed(target="", action=Action.RELOAD_CONFIG, nonce="before")
    assert isinstance(judged(for_itself), Command)


@pytest.mark.parametrize(
    ("command", "standing", "reason"),
    [
        (changed(gateway="gw-2"), STANDING, Reason.OTHER_GATEWAY),
        (COMMAND, replace(STANDING, key=None), Reason.UNSIGNED),
        (COMMAND, replace(STANDING, key=b"short"), Reason.UNSIGNED),
        (COMMAND, replace(STANDING, frozen=True), Reason.FROZEN),
        (changed(nonce="long ago"), STANDING, Reason.OTHER_SESSION),
        (changed(nonce=""), STANDING, Reason.OTHER_SESSION),
        (changed(counter=1000), STANDING, Reason.REPEATED),
        (COMMAND, replace(STANDING, heard=None), Reason.NO_TIME),
        (changed(target="door-2"), STANDING, Reason.NO_SUCH_TARGET),
        (changed(action=Action.PULSE), STANDING, Reason.NOT_ALLOWED),
        (changed(expires_us=COMMAND.expires_us + 300_001), STANDING, Reason.TOO_LONG),
    ],
)
def test_refuses(command: Command, standing: Standing, reason: Reason) -> None:
    assert judged(command, standing) == Refused(reason, COMMAND.id)


def test_is_late_by_the_latest_time_it_can_be() -> None:
    # 300 ms are lost where the stamp was made as the HELLO left
    in_time = SERVER_US + 1_300_000
    assert isinstance(judged(changed(expires_us=in_time)), Command)
    assert judged(changed(expires_us=in_time - 1)) == Refused(Reason.LATE, COMMAND.id)
    assert judged(COMMAND, now_us=NOW_US + 10_000_000) == Refused(Reason.LATE, COMMAND.id)


def test_what_is_fresh_does_not_live_too_long_however_slow_the_answer_was() -> None:
    # stamped as the HELLO came in, and heard 20 s later
    slow = replace(STANDING, heard=Heard(SERVER_US, NOW_US - 20_000_000, NOW_US))
    signed_us = SERVER_US + 20_000_000
    fresh = changed(expires_us=signed_us + LIFETIME_S[Action.OPEN_DOOR] * 1_000_000)
    assert isinstance(judged(fresh, slow), Command)
    longer = changed(expires_us=fresh.expires_us + 1)
    assert judged(longer, slow) == Refused(Reason.TOO_LONG, COMMAND.id)


def test_knows_no_time_after_a_silence_or_a_clock_that_went_back() -> None:
    for now_us in (HEARD.heard_us + HEARD_FOR_US + 1, HEARD.heard_us - 1):
        assert judged(COMMAND, now_us=now_us) == Refused(Reason.NO_TIME, COMMAND.id)


def test_takes_no_other_signature() -> None:
    forged = pack(sign(OTHER_KEY, COMMAND))
    assert judge(forged, STANDING, now_us=NOW_US) == Refused(Reason.UNSIGNED, COMMAND.id)
    assert judge(pack(COMMAND), STANDING, now_us=NOW_US) == Refused(Reason.UNSIGNED, COMMAND.id)


@pytest.mark.parametrize("name", [n for n in Command.__struct_fields__ if n != "signature"])
def test_every_field_is_signed(name: str) -> None:
    other: dict[str, object] = {
        "id": "1" * 32,
        "action": Action.PULSE,
        "counter": 1002,
        "expires_us": COMMAND.expires_us - 1,
        "pulse_ms": 1,
        "dry_run": True,
    }
    meddled = msgspec.structs.replace(sign(KEY, COMMAND), **{name: other.get(name, "x")})
    assert signed_bytes(meddled) != signed_bytes(COMMAND)
    assert isinstance(judge(pack(meddled), STANDING, now_us=NOW_US), Refused)


@given(st.data())
def test_no_byte_can_be_changed(data: st.DataObject) -> None:
    raw = bytearray(pack(sign(KEY, COMMAND)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    found = judge(bytes(raw), STANDING, now_us=NOW_US)
    # white space, an escape or unused bits of base64 say the same
    assert isinstance(found, Refused) or signed_bytes(found) == signed_bytes(COMMAND)


@given(st.binary(max_size=400))
def test_noise_is_refused(raw: bytes) -> None:
    assert judge(raw, STANDING, now_us=NOW_US) == Refused(Reason.NOT_READABLE)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text.replace("open_door", "open_safe"), "open_safe"),
        (lambda text: text.replace('"counter":1001', '"counter":-1'), "counter"),
        (lambda text: text.replace('"pulse_ms":3000', '"pulse_ms":10001'), "pulse_ms"),
    ],
)
def test_what_is_no_command_says_why(change: Callable[[str], str], what: str) -> None:
    with pytest.raises(WireError, match=what):
        unpack(change(pack(sign(KEY, COMMAND)).decode()).encode())


def test_a_crash_after_the_journal_is_told_and_never_repeated() -> None:
    stage = Stage.RECEIVED
    for happening in (Happening.JUDGED_GOOD, Happening.WRITTEN, Happening.RESTARTED):
        last = move(stage, happening)
        stage = last.to
    assert last.outcome is Outcome.UNKNOWN
    assert move(stage, Happening.SEALED).to is Stage.REPORTED
    for happening in Happening:
        with pytest.raises(WireError, match="cannot be"):
            move(Stage.REPORTED, happening)


def test_only_what_is_on_disk_is_done() -> None:
    done = {stage for (stage, _), moved in TRANSITIONS.items() if moved.outcome is Outcome.DONE}
    assert done == {Stage.JOURNALED}
    assert set(LIFETIME_S) == set(Action)
    assert LIFETIME_S[Action.OPEN_DOOR] == 10
