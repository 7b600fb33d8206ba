"""Commands through their service and through the API: who may, what is refused, what becomes."""

import stat
from collections.abc import Callable

import pytest
from httpx import Client

from cloud.alerts import repository as alerts
from cloud.commands import repository, service
from cloud.commands.states import State
from cloud.errors import ForbiddenError, NotFoundError, RefusedError
from protocols import commands as wire
from protocols.commands import Action, Heard, Standing
from protocols.delivery.records import Event
from protocols.io.key_file import open_key
from tests.fixtures.commanded_site import (
    CLERK,
    MANAGER,
    NONCE,
    NOON,
    CommandedSite,
    body,
    person,
    refused,
    us,
)
from tests.fixtures.estate import GATEWAY


@pytest.fixture
def site(commanded: CommandedSite) -> CommandedSite:
    """Give a home that may be cut off by all the rules."""
    return commanded


def trail(site: CommandedSite, identity: str) -> list[str]:
    with site.engine.connect() as connection:
        return [step.state for step in repository.trail(connection, identity)]


def answer(site: CommandedSite, identity: str, outcome: str, *, gateway: str = GATEWAY) -> None:
    body = {"id": identity, "outcome": outcome, "reason": "reads 1"}
    with site.engine.begin() as connection:
        service.hear(connection, gateway, Event("", service.RESULT, 1, 1, body), site.now_us)


def test_a_read_is_signed_at_once_for_the_newest_hello(site: CommandedSite) -> None:
    asked = site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
    assert asked.state is State.SENT
    (sent,) = site.broker.sent
    assert (sent.nonce, sent.counter, sent.actor) == (NONCE, site.now_us, "clerk")
    assert stat.S_IMODE(site.key_file.stat().st_mode) == 0o600
    # its gateway takes it
    key = open_key(site.key_file).public_key().public_bytes_raw()
    targets = {"e-1": frozenset({Action.READ_NOW})}
    heard = Heard(site.now_us, 0, 1000)
    standing = Standing(GATEWAY, key, (NONCE,), 0, heard, targets)
    assert wire.judge(wire.pack(sent), standing, now_us=2000) == sent
    answer(site, asked.id, "done", gateway="another")
    assert trail(site, asked.id) == ["asked", "sent"]
    answer(site, asked.id, "done")
    answer(site, asked.id, "refused")
    assert trail(site, asked.id) == ["asked", "sent", "done", "taken"]
    with site.engine.connect() as connection:
        assert repository.command_of(connection, "p", asked.id).state is State.DONE


def test_counters_grow_also_where_the_clock_goes_back(site: CommandedSite) -> None:
    for step_us in (0, 0, -5_000_000, 1_000_000):
        site.now_us += step_us
        site.greet()
        site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
    first = us(NOON)
    assert site.counters() == [first, first + 1, first + 2, first + 3]


def test_the_same_key_asks_once(site: CommandedSite) -> None:
    wanted = site.wanted(Action.READ_NOW)
    first, second = site.commands.ask(CLERK, wanted), site.commands.ask(CLERK, wanted)
    assert first == second
    assert len(site.broker.sent) == 1
    other = service.Wanted(Action.READ_NOW, "x", wanted.key, device="w-1")
    with pytest.raises(RefusedError, match="it asked for read_now of 'e-1' before"):
        site.commands.ask(CLERK, other)


def test_who_is_not_there_is_sent_nothing(site: CommandedSite) -> None:
    site.greet(before_s=91)
    assert refused(site, lambda: site.commands.ask(CLERK, site.wanted(Action.READ_NOW))) == {
        "not_connected"
    }
    site.greet(before_s=90)
    site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
    site.broker.is_down = True
    assert refused(site, lambda: site.commands.ask(CLERK, site.wanted(Action.READ_NOW))) == {
        "not_handed_over"
    }


def test_a_suspected_clone_is_sent_nothing(site: CommandedSite) -> None:
    with site.engine.begin() as connection:
        alerts.raise_clone(connection, GATEWAY, {"lane": 1}, site.now_us)
    ask = lambda: site.commands.ask(CLERK, site.wanted(Action.READ_NOW))  # noqa: E731 - twice
    assert refused(site, ask) == {"clone_suspected"}
    with site.engine.begin() as connection:
        alerts.clear_alert(connection, alerts.clone_cause(GATEWAY), site.now_us)
    assert ask().state is State.SENT


@pytest.mark.parametrize(
    ("action", "role"),
    [
        (Action.OPEN_DOOR, "clerk"),
        (Action.SWITCH_OFF, "guard"),
        (Action.CLOSE_VALVE, "integrator"),
        (Action.READ_NOW, "guard"),
        (Action.READ_NOW, "resident"),
    ],
)
def test_a_role_may_not(site: CommandedSite, action: Action, role: str) -> None:
    with pytest.raises(ForbiddenError, match="allowed"):
        site.commands.ask(person("x", role), site.wanted(action))


def test_other_projects_and_wrong_targets_are_not_there(site: CommandedSite) -> None:
    with pytest.raises(NotFoundError):
        site.commands.ask(MANAGER, site.wanted(Action.READ_NOW, "nothing"))
    with pytest.raises(RefusedError, match="allowed is a gateway"):
        site.commands.ask(MANAGER, site.wanted(Action.RELOAD_CONFIG))
    with pytest.raises(RefusedError, match="allowed is a device"):
        site.commands.ask(MANAGER, site.wanted(Action.READ_NOW, ""))


def test_silence_and_waiting_end(site: CommandedSite) -> None:
    sent = site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
    waits = site.commands.ask(CLERK, site.wanted())
    assert waits.state is State.WAITING
    for later_us, states in (
        (119_000_000, (State.SENT, State.WAITING)),
        (121_000_000, (State.NO_ANSWER, State.WAITING)),
        (3_601_000_000, (State.NO_ANSWER, State.REFUSED)),
    ):
        with site.engine.begin() as connection:
            service.give_up(connection, us(NOON) + later_us)
            found = [repository.command_of(connection, "p", each.id) for each in (sent, waits)]
        assert tuple(each.state for each in found) == states
    answer(site, sent.id, "unknown")
    assert trail(site, sent.id)[-2:] == ["no_answer", "unknown"]


def test_asks_confirms_and_tells_through_the_api(
    site: CommandedSite, client: Callable[[str], Client]
) -> None:
    clerk, manager = client("clerk"), client("manager")
    asked = clerk.post("/api/v1/commands", json=body(site))
    assert (asked.status_code, asked.json()["state"]) == (201, "waiting")
    path = f"/api/v1/commands/{asked.json()['id']}"
    assert clerk.post(f"{path}/confirmation", json={"grant": True}).status_code == 403
    done = manager.post(f"{path}/confirmation", json={"grant": True})
    assert (done.status_code, done.json()["state"]) == (201, "sent")
    told = clerk.get(path).json()
    assert [step["state"] for step in told["trail"]] == ["asked", "waiting", "sent"]
    assert [item["id"] for item in clerk.get("/api/v1/commands?state=sent").json()] == [told["id"]]
    assert clerk.post("/api/v1/commands", json=body(site, "open_door")).status_code == 403
    assert clerk.post("/api/v1/commands", json=body(site, "fly")).status_code == 422
    assert clerk.get("/api/v1/commands/nothing").status_code == 404


def test_a_key_that_is_no_key_is_told(site: CommandedSite) -> None:
    site.key_file.write_text("nonsense", encoding="utf-8")
    with pytest.raises(Exception, match=r"command\.key: is no private key"):
        site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
