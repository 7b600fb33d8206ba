"""Both ends against a network that drops, repeats and reorders, with restarts and old copies."""

import copy
import hashlib
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocols.delivery import envelope, messages, receiver, sender
from protocols.delivery.envelope import GENESIS, Envelope
from protocols.delivery.receiver import Fate, Known, LaneState

LANE = 1


@dataclass
class Disk:
    """What a gateway has written: batches by age, their places in the epoch, the watermark."""

    epoch: int
    kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    chain: list[Envelope] = field(default_factory=list)
    acked: int = 0
    generation: int = 0

    def seal(self, identity: bytes, payload: bytes) -> None:
        self.kept.append((identity, payload))
        self._chain(identity, payload)

    def new_epoch(self, epoch: int) -> None:
        self.epoch, self.chain, self.acked = epoch, [], 0
        for identity, payload in self.kept:
            self._chain(identity, payload)

    def _chain(self, identity: bytes, payload: bytes) -> None:
        self.chain.append(
            envelope.seal(
                payload,
                gateway="gw-1",
                lane=LANE,
                epoch=self.epoch,
                seq=len(self.chain) + 1,
                batch_id=identity,
                prev_hash=self.chain[-1].hash if self.chain else GENESIS,
                root=bytes(32),
            )
        )


@dataclass
class Base:
    """What the cloud has committed."""

    lanes: dict[int, LaneState] = field(default_factory=dict)
    places: dict[tuple[int, int], bytes] = field(default_factory=dict)
    batches: dict[bytes, bytes] = field(default_factory=dict)
    stores: Counter[bytes] = field(default_factory=Counter)
    generation: int = 1


class Delivery(RuleBasedStateMachine):
    """One gateway, one cloud, and everything that may go wrong between them."""

    @initialize()
    def begin(self) -> None:
        self.number = 0
        self.now_s = 0.0
        self.sealed: dict[bytes, bytes] = {}
        self.disk = Disk(self._draw())
        self.base = Base()
        self.up: list[Envelope | messages.LaneReport] = []
        self.down: list[messages.Answer] = []
        self.old_disk: Disk | None = None
        self.old_base: Base | None = None
        self.cloud_restored = False
        self._restart()

    @rule(count=st.integers(1, 4))
    def seal(self, count: int) -> None:
        for _ in range(count):
            identity = envelope.batch_id(self.boot_id, self._draw())
            self.sealed[identity] = b"payload " + identity
            self.disk.seal(identity, self.sealed[identity])
        self._step(sender.Sealed(len(self.disk.chain) + 1))

    @rule(wait_s=st.sampled_from([0.0, 3.0, 30.0, 90.0]))
    def tick(self, wait_s: float) -> None:
        self.now_s += wait_s
        self._step(sender.Tick())

    @rule()
    def say_hello(self) -> None:
        self._hello()

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def bring_up(self, data: st.DataObject) -> None:
        self._receive(self.up.pop(data.draw(st.integers(0, len(self.up) - 1))))

    @precondition(lambda self: self.down)
    @rule(data=st.data())
    def bring_down(self, data: st.DataObject) -> None:
        self._answer(self.down.pop(data.draw(st.integers(0, len(self.down) - 1))))

    @precondition(lambda self: self.up or self.down)
    @rule(data=st.data(), repeat=st.booleans())
    def drop_or_repeat(self, data: st.DataObject, *, repeat: bool) -> None:
        bag: list[object] = data.draw(st.sampled_from([bag for bag in (self.up, self.down) if bag]))
        index = data.draw(st.integers(0, len(bag) - 1))
        if repeat:
            bag.append(bag[index])
        else:
            del bag[index]

    @rule()
    def bring_everything(self) -> None:
        self._hello()
        for _ in range(3):
            for item in self.up[:]:
                self.up.remove(item)
                self._receive(item)
            for answer in self.down[:]:
                self.down.remove(answer)
                self._answer(answer)

    @rule()
    def restart_gateway(self) -> None:
        self._restart()

    @rule()
    def copy_gateway(self) -> None:
        self.old_disk = copy.deepcopy(self.disk)

    @precondition(lambda self: self.old_disk is not None)
    @rule()
    def restore_gateway(self) -> None:
        # what only the newer disk held is gone; what the cloud holds of it must stay
        assert self.old_disk is not None
        held = {identity for identity, _ in self.old_disk.kept} | set(self.base.batches)
        lost = set(self.sealed) - held
        self.old_base = None  # no copy is older than both ends
        for identity in lost:
            del self.sealed[identity]
        self.disk = copy.deepcopy(self.old_disk)
        self._restart()

    @rule()
    def copy_cloud(self) -> None:
        self.old_base = copy.deepcopy(self.base)

    @precondition(lambda self: self.old_base is not None)
    @rule()
    def restore_cloud(self) -> None:
        assert self.old_base is not None
        self.base = copy.deepcopy(self.old_base)
        self.cloud_restored = True
        self.old_disk = None
        gone = set(self.sealed) - set(self.base.batches) - {one for one, _ in self.disk.kept}
        for identity in gone:
            del self.sealed[identity]

    @invariant()
    def stored_once_and_unchanged(self) -> None:
        if not hasattr(self, "base"):
            return
        assert set(self.base.stores.values()) <= {1}
        for identity, payload in self.base.batches.items():
            assert payload == b"payload " + identity

    @invariant()
    def released_only_what_is_stored(self) -> None:
        if not hasattr(self, "base"):
            return
        # a restored cloud knows less until it has answered a HELLO
        if not self.cloud_restored:
            for item in self.disk.chain[: self.disk.acked]:
                assert item.batch_id in self.base.batches

    def teardown(self) -> None:
        if not hasattr(self, "base"):
            return
        self.up.clear()
        self.down.clear()
        self._restart()
        for _ in range(200):
            self.now_s += 61
            self._hello()
            while self.up or self.down:
                if self.up:
                    self._receive(self.up.pop(0))
                if self.down:
                    self._answer(self.down.pop(0))
            self._step(sender.Tick())
            if not self.up and self.state.acked == self.state.next - 1:
                break
        assert self.state.acked == self.state.next - 1, "stuck"
        assert set(self.base.batches) == set(self.sealed)
        assert set(self.base.stores.values()) <= {1}

    def _draw(self) -> int:
        self.number += 1
        return self.number

    def _restart(self) -> None:
        self.boot_id = self._draw().to_bytes(12, "big")
        self._reload(generation=0)

    def _reload(self, *, generation: int) -> None:
        disk = self.disk
        self.state = sender.SenderState(
            LANE,
            disk.epoch,
            1,
            len(disk.chain) + 1,
            disk.acked,
            max(generation, disk.generation),
        )
        self._step(sender.Connected())

    def _hello(self) -> None:
        state = self.state
        self.up.append(
            messages.LaneReport(
                LANE, state.epoch, state.first, state.next, state.acked, state.generation
            )
        )

    def _step(self, event: sender.SenderEvent) -> None:
        self.state, effects = sender.step(self.state, event, self.now_s)
        for effect in effects:
            match effect:
                case sender.Send(seq=seq):
                    self.up.append(self.disk.chain[seq - 1])
                case sender.Release() | sender.Rewind():
                    self.disk.acked = effect.through
                    self.disk.generation = effect.generation
                case sender.NewEpoch():
                    self.disk.new_epoch(self._draw())
                    self._reload(generation=self.state.generation)
                    return

    def _answer(self, answer: messages.Answer) -> None:
        if isinstance(answer, messages.Fence):
            self._step(sender.Fenced(answer.epoch))
            return
        assert isinstance(answer, messages.Ack)
        held = 0 < answer.through <= len(self.disk.chain)
        self._step(
            sender.Acknowledged(
                answer.epoch,
                answer.through,
                tuple(answer.have),
                bytes.fromhex(answer.hash_through),
                self.disk.chain[answer.through - 1].hash if held else None,
                answer.generation,
                answer.credit,
            )
        )

    def _receive(self, item: Envelope | messages.LaneReport) -> None:
        state = self.base.lanes.get(item.epoch, LaneState(item.epoch))
        if isinstance(item, messages.LaneReport):
            self.base.generation = receiver.needed_generation(
                self.base.generation, state.through, item
            )
        else:
            state = self._take(state, item)
        self.base.lanes[item.epoch] = state
        if state.fenced:
            self.down.append(messages.Fence(LANE, item.epoch, ""))
            return
        self.down.append(
            messages.Ack(
                LANE,
                item.epoch,
                state.through,
                receiver.have(state),
                state.hash_through.hex(),
                self.base.generation,
                3,
                0,
            )
        )

    def _take(self, state: LaneState, item: Envelope) -> LaneState:
        digest = hashlib.sha256(item.payload).digest()
        held = self.base.batches.get(item.batch_id)
        known = Known(
            None if held is None else hashlib.sha256(held).digest(),
            self.base.places.get((item.epoch, item.seq)),
        )
        verdict = receiver.judge(state, item, digest, known)
        if verdict.fate in (Fate.STORE, Fate.KNOWN):
            self.base.places[item.epoch, item.seq] = item.hash
        if verdict.fate is Fate.STORE:
            self.base.batches[item.batch_id] = item.payload
            self.base.stores[item.batch_id] += 1
            self.sealed.setdefault(item.batch_id, item.payload)
        return verdict.state


Delivery.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestDelivery = Delivery.TestCase
