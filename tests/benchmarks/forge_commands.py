"""Forged, meddled, replayed, reordered, late and misdirected commands: none is acted upon.

`python -m tests.benchmarks.forge_commands --count 1000000` prints one line; exit 1 if one was.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.commands import (
    LIFETIME_S,
    Action,
    Command,
    Heard,
    Refused,
    Standing,
    judge,
    pack,
    sign,
    signed_bytes,
)

KEY: Final = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
THIEF: Final = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
SERVER_US: Final = 1_782_864_000_000_000
NOW_US: Final = 900_000_000
PREPARED: Final = 256
HEARD: Final = Heard(SERVER_US, NOW_US - 400_000, NOW_US)
STANDING: Final = Standing(
    "gw-1",
    KEY.public_key().public_bytes_raw(),
    ("nonce-1", "nonce-2", "nonce-3"),
    1000,
    HEARD,
    {"door-1": frozenset({Action.OPEN_DOOR, Action.PULSE})},
)


@dataclass(frozen=True)
class Attack:
    """What comes in, what the gateway knows then, and at which instant."""

    raw: bytes
    standing: Standing
    now_us: int


@dataclass(frozen=True)
class Forged:
    """What came of it: attacks by kind, refusals by reason, and how many were acted upon."""

    kinds: Counter[str]
    reasons: Counter[str]
    acted: int


def forge(count: int, seed: int = 1) -> Forged:
    """Judge that many attacks."""
    rng = random.Random(seed)
    good = [_command(rng, number) for number in range(PREPARED)]
    signed = [sign(KEY, command) for command in good]
    packed = [pack(command) for command in signed]
    stolen = [pack(sign(THIEF, command)) for command in good]
    for raw in packed:
        # each of them would be taken, so that it is the attack that is refused
        assert not isinstance(judge(raw, STANDING, now_us=NOW_US), Refused)
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    acted = 0
    for _ in range(count):
        kind = rng.choice(_KINDS)
        place = rng.randrange(PREPARED)
        attack = _ATTACKS[kind](rng, signed[place], packed[place], stolen[place])
        kinds[kind] += 1
        found = judge(attack.raw, attack.standing, now_us=attack.now_us)
        if isinstance(found, Refused):
            reasons[found.reason] += 1
        elif kind in _MAY_BE_THE_SAME and signed_bytes(found) == signed_bytes(signed[place]):
            # white space, an unused bit of base64, or noise that ends it as it was cut: it says
            # the very same, and counts once
            reasons["the same command"] += 1
        else:
            acted += 1
    return Forged(kinds, reasons, acted)


def _command(rng: random.Random, number: int) -> Command:
    action = rng.choice((Action.OPEN_DOOR, Action.PULSE))
    return Command(
        id=f"{rng.getrandbits(128):032x}",
        gateway="gw-1",
        target="door-1",
        action=action,
        nonce=rng.choice(STANDING.nonces),
        counter=1001 + number,
        expires_us=SERVER_US + LIFETIME_S[action] * 1_000_000,
        actor="li",
        pulse_ms=rng.randrange(0, 3000),
    )


def _stolen(_rng: random.Random, _made: Command, _raw: bytes, stolen: bytes) -> Attack:
    return Attack(stolen, STANDING, NOW_US)


def _unsigned(rng: random.Random, made: Command, _raw: bytes, _stolen: bytes) -> Attack:
    signature = rng.randbytes(rng.choice((0, 63, 64, 64, 64, 65)))
    return Attack(pack(msgspec.structs.replace(made, signature=signature)), STANDING, NOW_US)


def _meddled(rng: random.Random, _made: Command, raw: bytes, _stolen: bytes) -> Attack:
    spoilt = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        spoilt[rng.randrange(len(spoilt))] ^= rng.randint(1, 255)
    return Attack(bytes(spoilt), STANDING, NOW_US)


def _rewritten(rng: random.Random, made: Command, _raw: bytes, _stolen: bytes) -> Attack:
    changes: tuple[dict[str, object], ...] = (
        {"action": Action.PULSE if made.action is Action.OPEN_DOOR else Action.OPEN_DOOR},
        {"counter": made.counter + rng.randint(1, 10**6)},
        {"expires_us": made.expires_us + rng.randint(1, 10**9)},
        {"nonce": rng.choice([n for n in STANDING.nonces if n != made.nonce])},
        {"pulse_ms": made.pulse_ms + 1},
        {"actor": "wang"},
        {"dry_run": True},
    )
    meddled = msgspec.structs.replace(made, **rng.choice(changes))
    return Attack(pack(meddled), STANDING, NOW_US)


def _replayed(rng: random.Random, made: Command, raw: bytes, _stolen: bytes) -> Attack:
    # it was taken before, and others after it
    taken = replace(STANDING, counter=made.counter + rng.randint(0, 5))
    return Attack(raw, taken, NOW_US + rng.randint(0, 10**6))


def _reordered(rng: random.Random, made: Command, raw: bytes, _stolen: bytes) -> Attack:
    later = replace(STANDING, counter=made.counter + rng.randint(1, 1000))
    return Attack(raw, later, NOW_US)


def _late(rng: random.Random, made: Command, raw: bytes, _stolen: bytes) -> Attack:
    # by the latest that the cloud's time can be
    lives_us = LIFETIME_S[made.action] * 1_000_000 - (NOW_US - HEARD.asked_us)
    return Attack(raw, STANDING, NOW_US + lives_us + rng.randint(1, 10**9))


def _elsewhere(rng: random.Random, _made: Command, raw: bytes, _stolen: bytes) -> Attack:
    other = f"gw-{rng.randint(2, 99)}"
    return Attack(raw, replace(STANDING, gateway=other), NOW_US)


def _after_a_restart(rng: random.Random, _made: Command, raw: bytes, _stolen: bytes) -> Attack:
    # even where the journal was lost and with it the counter
    fresh = replace(STANDING, nonces=(rng.randbytes(16).hex(),), counter=0)
    return Attack(raw, fresh, NOW_US)


def _noise(rng: random.Random, _made: Command, raw: bytes, _stolen: bytes) -> Attack:
    cut = raw[: rng.randrange(len(raw))] + rng.randbytes(rng.randint(0, 20))
    return Attack(cut, STANDING, NOW_US)


_Make = Callable[[random.Random, Command, bytes, bytes], Attack]
_ATTACKS: Final[dict[str, _Make]] = {
    "signed by another key": _stolen,
    "unsigned": _unsigned,
    "meddled": _meddled,
    "rewritten": _rewritten,
    "replayed": _replayed,
    "reordered": _reordered,
    "late": _late,
    "for another gateway": _elsewhere,
    "after a restart": _after_a_restart,
    "noise": _noise,
}
_KINDS: Final = tuple(_ATTACKS)
_MAY_BE_THE_SAME: Final = frozenset({"meddled", "noise"})


def main() -> int:
    """Forge as many as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began_s = time.monotonic()
    done = forge(options.count, options.seed)
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{json.dumps({'by_kind': done.kinds, 'refused': done.reasons})}\n")
    sys.stdout.write(f"commands {options.count} acted {done.acted} seconds {took_s:.1f}\n")
    return int(done.acted > 0)


if __name__ == "__main__":
    sys.exit(main())
