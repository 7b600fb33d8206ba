"""What goes wrong in one run: every rate is drawn from the seed, so that some runs are calm."""

from dataclasses import dataclass
from random import Random

REAL_CLOUD_ONE_IN = 40
DAY_S = 86_400


@dataclass(frozen=True)
class Plan:
    """Chances are per message or step, counts per run, times in virtual seconds."""

    gateways: int
    workers: int
    fault_s: float
    append_s: float
    latency_s: float
    drop: float
    repeat: float
    delay: float
    flip: float
    skew: float
    misdirect: float
    poison: float
    foreign: float
    hop: float
    cuts: int
    half_open: float
    gateway_kills: int
    cloud_kills: int
    broker_wipes: int
    clones: int
    gateway_restores: int
    cloud_restores: int
    clock_jumps: int
    full_disks: int
    floods: int
    credit: int
    grace_s: int
    takeover: bool
    real_cloud: bool


def draw(rng: Random, *, real_cloud: bool | None = None) -> Plan:
    """Return the plan of a seed; hell, rough or calm."""
    strength = rng.choice((0.0, 0.25, 0.5, 1.0, 1.0))

    def chance(most: float) -> float:
        return most * strength * rng.random() if rng.random() < 0.6 else 0.0

    def count(most: int, likely: float = 0.5) -> int:
        if not strength or rng.random() > likely:
            return 0
        return rng.randint(1, max(1, round(most * strength)))

    grace_s = rng.choice((7 * DAY_S, 7 * DAY_S, 7 * DAY_S, 60))
    chosen = rng.randrange(REAL_CLOUD_ONE_IN) == 0
    return Plan(
        gateways=rng.choice((1, 1, 1, 2, 2, 3)),
        workers=rng.randint(1, 3),
        fault_s=rng.uniform(40, 140),
        append_s=rng.choice((4.0, 8.0, 16.0)),
        latency_s=rng.choice((0.005, 0.05, 0.5)),
        drop=chance(0.3),
        repeat=chance(0.3),
        delay=chance(0.3),
        flip=chance(0.05),
        skew=chance(0.05),
        misdirect=chance(0.1),
        poison=chance(0.1),
        foreign=chance(0.1),
        hop=rng.choice((0.0, 0.1, 0.5)),
        cuts=count(6),
        half_open=rng.random(),
        gateway_kills=count(6),
        cloud_kills=count(5),
        broker_wipes=count(2),
        clones=count(1, 0.25),
        gateway_restores=count(2, 0.3),
        cloud_restores=count(2, 0.4),
        clock_jumps=count(3, 0.3),
        full_disks=count(2, 0.25),
        floods=count(1, 0.15),
        credit=rng.choice((1, 2, 4, 16, 128)),
        grace_s=grace_s,
        takeover=rng.random() < 0.2,
        real_cloud=chosen if real_cloud is None else real_cloud,
    )
