"""A gateway killed at every stage of a command: acted at most once, and told where it may be."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.commands.states import State
from protocols.commands import Action
from tests.faults.warm_programs import WarmPrograms
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.commanded_gateway import GATEWAY, CommandedGateway

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

ROOT = Path(__file__).parents[2]
EACH = int(os.environ.get("HUTONG_COMMAND_KILLS", "5"))
# what is known of a command after a kill there, and how often its coil was set by then
STAGES: dict[str, tuple[State, int]] = {
    "command.received": (State.NO_ANSWER, 0),
    "command.valid": (State.NO_ANSWER, 0),
    "command.journaled": (State.UNKNOWN, 0),
    "command.writing": (State.UNKNOWN, 0),
    "command.acted": (State.UNKNOWN, 1),
    "command.reported": (State.DONE, 1),
}


@pytest.fixture
def gateway(
    sqlite_engine: Engine,
    tmp_path: Path,
    mortal_mosquitto: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[CommandedGateway]:
    """Give a gateway with a relay; it does not run yet."""
    # where the programs run there is the relay's profile
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    programs = WarmPrograms()
    made = CommandedGateway(sqlite_engine, tmp_path, mortal_mosquitto.url, programs)
    try:
        yield made
    finally:
        made.close()
        programs.close()


def test_killed_at_every_stage(gateway: CommandedGateway) -> None:
    asked: list[tuple[str, str]] = []
    for _ in range(EACH):
        for stage, (_, rises) in STAGES.items():
            gateway.start(f"{stage}:1")
            before = gateway.rises
            made = gateway.ask(Action.PULSE, pulse_ms=10)
            gateway.wait_dead()
            assert gateway.rises - before == rises, stage
            asked.append((made.id, stage))
    gateway.start()
    acted = gateway.rises
    for identity, stage in asked:
        if STAGES[stage][0] is not State.NO_ANSWER:
            gateway.told(identity, [STAGES[stage][0]])
    # somebody kept them all: none is done again
    for payload in list(gateway.publisher.payloads):
        gateway.publisher.inner.publish(GATEWAY, payload, 60)
    last = gateway.ask(Action.PULSE, pulse_ms=10)
    assert gateway.told(last.id, [State.DONE]).said == "held for 10 ms, reads 0"
    assert gateway.rises == acted + 1
    gateway.give_up(3600)
    for identity, stage in asked:
        state = gateway.held(identity).state
        # a replay of what was never written down is refused there, which is an answer too
        assert state is STAGES[stage][0] or (
            STAGES[stage][0] is State.NO_ANSWER and state is State.REFUSED
        ), stage


def test_reads_writes_and_what_sticks(gateway: CommandedGateway) -> None:
    gateway.start()
    read = gateway.ask(Action.READ_NOW)
    assert gateway.told(read.id, [State.DONE]).said == "1 readings"
    valve = gateway.ask(Action.OPEN_VALVE)
    assert gateway.told(valve.id, [State.DONE]).said == "reads 3"
    assert gateway.meter.relay is not None
    gateway.meter.relay.sticks = True
    stuck = gateway.ask(Action.PULSE, pulse_ms=10)
    # nothing moved, and so it has already come back: only a valve can tell
    gateway.told(stuck.id, [State.DONE, State.FAILED])
    refused = gateway.ask(Action.SWITCH_ON)
    assert gateway.told(refused.id, [State.REFUSED]).said == "this device may not be asked for it"
