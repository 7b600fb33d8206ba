"""When each fault of a plan strikes: kills at any step, clones, old copies, wipes, full disks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.disk import Image
from tests.simulation.files import PAGE_BYTES

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.world import World

_YEAR_US = 365 * 86_400 * 1_000_000
_JUMPS_US = (-31 * _YEAR_US, -_YEAR_US, -3_600_000_000, -5_000_000, 5_000_000, _YEAR_US)
_OLDEST_S = 60.0
_ROOTS = 13
_DATA = 0.8


def arrange(world: "World") -> None:
    """Put every fault of the plan into the queue."""
    plan, rng = world.plan, world.rng

    def strike(times: int, fault: Callable[[], None]) -> None:
        for _ in range(times):
            world.loop.later(rng.uniform(0, plan.fault_s), fault)

    strike(plan.cuts, lambda: _cut(world))
    strike(plan.gateway_kills, lambda: _kill(world))
    strike(plan.cloud_kills, lambda: world.cloud.kill(rng.uniform(0.1, 15)))
    strike(plan.broker_wipes, world.broker.wipe)
    strike(plan.clones, lambda: _clone(world))
    strike(plan.clock_jumps, lambda: _jump(world))
    strike(plan.full_disks, lambda: _fill_disk(world))
    strike(plan.floods, lambda: _pick(world).flood(rng.randint(12, 48)))
    strike(plan.gateway_restores, lambda: _restore_gateway(world))
    strike(plan.cloud_restores, lambda: _restore_cloud(world))
    strike(plan.damages, lambda: _damage(world))
    for from_s, to_s in plan.outages:
        world.loop.later(from_s, world.broker.shut_out)
        world.loop.later(to_s, world.broker.let_in)


def _pick(world: "World") -> "GatewayNode":
    return world.rng.choice(world.nodes)


def _cut(world: "World") -> None:
    if not world.broker.sessions:
        return
    session = world.rng.choice(world.broker.sessions)
    if world.rng.random() < world.plan.half_open:
        session.hang()
    else:
        session.cut("the link is cut")


def _kill(world: "World") -> None:
    node, rng = _pick(world), world.rng
    how = rng.randrange(3)
    if how == 0:
        node.die("killed between two steps")
    elif how == 1:
        # before or after any write or commit that comes
        node.disk.bomb = rng.randint(1, 14)
    else:
        node.send_bomb = rng.randint(1, 5)


def _clone(world: "World") -> None:
    original = _pick(world)
    twin = world.add_node(f"{original.name}-{len(world.nodes)}", original.gateway)
    image = original.disk.image()
    world.oracle.copied |= image.unsealed | image.doubtful
    twin.disk.put_back(image)
    world.trace(twin.name, "is a clone of", original.name)
    twin.boot()


def _jump(world: "World") -> None:
    node = _pick(world)
    node.clock.jumped_us += world.rng.choice(_JUMPS_US)
    world.trace(node.name, "has its clock moved by", node.clock.jumped_us)


def _fill_disk(world: "World") -> None:
    node = _pick(world)
    if world.rng.random() < 0.5:
        node.disk.fill_up()
        world.trace(node.name, "has a full disk")
    else:
        node.disk.broken = world.rng.choice(
            ("disk I/O error", "attempt to write a readonly database")
        )
        world.trace(node.name, "has a disk that fails:", node.disk.broken)

    def mend() -> None:
        node.disk.make_room()
        node.disk.broken = None

    world.loop.later(world.rng.uniform(1, 30), mend)


def _damage(world: "World") -> None:
    # a page or two of the file at rest: noise, or a single bit
    node, rng = _pick(world), world.rng
    node.die("its disk is damaged", again_s=2.0)
    if not (pages := node.disk.pages()):
        return
    places: dict[int, int] = {}
    for _ in range(rng.randint(1, 2)):
        # the first pages have the tables' roots: without them nothing more can be read
        page = rng.randrange(min(_ROOTS, pages - 1) if rng.random() < _DATA else 0, pages)
        start = page * PAGE_BYTES + rng.randrange(PAGE_BYTES)
        length = rng.choice((1, 16, PAGE_BYTES))
        for at in range(start, min(start + length, pages * PAGE_BYTES)):
            places[at] = rng.randint(1, 255)
    # a third of them die again in the salvage
    node.boot_bomb = rng.choice((0, 0, rng.randint(1, 60)))
    world.trace(node.name, f"has {len(places)} damaged bytes from {min(places)}")
    node.disk.damage(iter(places.items()))


def _restore_gateway(world: "World") -> None:
    # a backup, a card found in a drawer, or a disk that lied about its last fsyncs
    node = _pick(world)
    image = node.disk.image()
    world.oracle.copied |= image.unsealed | image.doubtful
    world.loop.later(_age_s(world), lambda: _put_back(world, node, image))


def _put_back(world: "World", node: "GatewayNode", image: Image) -> None:
    if not world.broker.calm:
        node.restore(image)


def _age_s(world: "World") -> float:
    # what is put back after the faults is put back never
    return world.rng.uniform(0, min(_OLDEST_S, world.plan.fault_s - world.loop.now_s))


def _restore_cloud(world: "World") -> None:
    # never older than what gateways promise to keep after an acknowledgement
    image = world.cloud.store.image()
    age_s = min(_age_s(world), world.plan.grace_s / 3)

    def put_back() -> None:
        if not world.broker.calm:
            world.cloud.restore(image)

    world.loop.later(age_s, put_back)
