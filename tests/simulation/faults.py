"""What goes wrong in one run: every rate is drawn from the seed, so that some runs are calm."""

from dataclasses import dataclass, replace
from random import Random

REAL_CLOUD_ONE_IN = 80
DAY_S = 86_400
# how often all machines of a world together look at their meters: what a world costs hangs on it
_POLLS = (4, 6, 9, 13)
_POLLS_OF_FULL = 32
_FAULTS = """
    drop repeat delay flip skew misdirect poison foreign cuts gateway_kills cloud_kills broker_wipes
    clones gateway_restores cloud_restores clock_jumps full_disks floods damages strikes undated
    signs old_gateways old_cloud"""


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
    # what came later is drawn beside the rest, so that a seed keeps its old faults
    limit_bytes: int | None = None
    word_bytes: int = 8
    rows: int = 4
    pace: int = 1
    strikes: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    undated: bool = False
    signs: bool = False
    damages: int = 0
    old_gateways: float = 0.0
    old_cloud: bool = False
    batch_cost_s: float = 0.0
    steady: bool = False


def draw(rng: Random, *, real_cloud: bool | None = None) -> Plan:
    """Return the plan of a seed; hell, rough or calm."""
    strength = rng.choice((0.0, 0.25, 0.5, 1.0, 1.0))

    def chance(most: float) -> float:
        return most * strength * rng.random() if rng.random() < 0.6 else 0.0

    def count(most: int, likely: float = 0.5) -> int:
        if not strength or rng.random() > likely:
            return 0
        return rng.randint(1, max(1, round(most * strength)))

    more = Random(rng.getstate()[1][1])
    grace_s = rng.choice((7 * DAY_S, 7 * DAY_S, 7 * DAY_S, 60))
    chosen = rng.randrange(REAL_CLOUD_ONE_IN) == 0
    gateways = rng.choice((1, 1, 1, 2, 2, 3))
    fault_s = rng.uniform(30, 90)
    plan = Plan(
        gateways=gateways,
        workers=rng.randint(1, 3),
        fault_s=fault_s,
        append_s=fault_s * gateways / rng.choice(_POLLS),
        latency_s=rng.choice((0.005, 0.05, 0.5)),
        drop=chance(0.4),
        repeat=chance(0.4),
        delay=chance(0.4),
        flip=chance(0.1),
        skew=chance(0.1),
        misdirect=chance(0.15),
        poison=chance(0.2),
        foreign=chance(0.2),
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
    return _with_more(plan, more, strength)


def calm(plan: Plan, **chosen: float) -> Plan:
    """Return a plan where nothing goes wrong, with what is chosen."""
    none = dict.fromkeys(_FAULTS.split(), 0)
    sound = replace(plan, **none, grace_s=7 * DAY_S, limit_bytes=None, word_bytes=8, rows=4, pace=1)
    # a link that loses nothing keeps the order too
    return replace(sound, takeover=False, outages=(), steady=True, **chosen)


def _with_more(plan: Plan, rng: Random, strength: float) -> Plan:
    if strength and rng.random() < 0.2:
        plan = replace(plan, old_gateways=rng.choice((0.5, 1.0)), old_cloud=rng.random() < 0.5)
    if rng.random() < 0.25:
        # what had no room for its signature is not looked at again
        plan = replace(plan, signs=True, full_disks=0)
    kind = rng.random()
    if kind < 0.1:
        return _full(plan, rng, strength)
    if kind < 0.3:
        return replace(plan, undated=True)
    if kind < 0.4 and strength:
        plan = replace(plan, clones=0, gateway_restores=0, cloud_restores=0, full_disks=0)
        return replace(plan, damages=rng.randint(1, 3))
    if kind < 0.47 and strength:
        # twins that hear each other's answers, and a cloud that forgets while those are late
        plan = replace(plan, drop=max(plan.drop, 0.25), delay=max(plan.delay, 0.2), takeover=False)
        every_s = plan.append_s * (plan.gateways + 2) / plan.gateways
        return replace(plan, clones=2, cloud_restores=max(1, plan.cloud_restores), append_s=every_s)
    return plan


def _full(plan: Plan, rng: Random, strength: float) -> Plan:
    # hours go by in minutes, and the link is down for most of them
    down_s = rng.uniform(0.1, 0.4) * plan.fault_s
    outages = ((down_s, rng.uniform(down_s, plan.fault_s)),)
    gateways = min(plan.gateways, rng.choice((1, 1, 2)))
    pages = rng.choice((170, 190, 220))
    return replace(
        plan,
        gateways=gateways,
        limit_bytes=2 * 128 * 1024 + pages * 1024,
        pace=rng.choice((60, 120)),
        strikes=rng.choice((0.0, 0.0, 0.002, 0.01)) * strength,
        outages=outages,
        append_s=plan.fault_s / _POLLS_OF_FULL,
        word_bytes=1200,
        rows=rng.choice((8, 16)),
        poison=plan.poison if rng.random() < 0.3 else 0.0,
        clones=0,
        gateway_restores=0,
        cloud_restores=0,
        floods=0,
        full_disks=rng.choice((0, 1, 3)),
        grace_s=7 * DAY_S,
        foreign=0.0,
        clock_jumps=0,
        undated=rng.random() < 0.3,
        signs=False,
    )
