"""The pages of commands: who sees them, who confirms, and every code in words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine, update

from cloud.commands import cutting_off, repository, service
from cloud.commands.service import Commands, Wanted
from cloud.commands.states import State
from cloud.sites.tables import gateways
from cloud.web import command_words
from protocols.commands import Action, Reason
from tests.fixtures.commanded_site import CLERK, Published

LogIn = Callable[[str], Client]
NOW_US = 1_795_000_000_000_000
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def commands(app: FastAPI, engine: Engine, tmp_path: Path) -> Commands:
    """Give a command service whose gateway has just said HELLO."""
    app.state.commands = Commands(
        engine, tmp_path / "command.key", Published(), now_us=lambda: NOW_US
    )
    with engine.begin() as connection:
        hello = {"hello_nonce": "n", "hello_us": NOW_US}
        connection.execute(update(gateways).where(gateways.c.id == "g").values(**hello))
    made: Commands = app.state.commands
    return made


@pytest.mark.usefixtures("commands")
def test_a_device_is_read_from_its_page(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert "/devices/d0/read-now" in clerk.get("/devices/d0").text
    answer = clerk.post("/devices/d0/read-now", headers=OWN)
    assert answer.status_code == 303
    shown = clerk.get(answer.headers["location"]).text
    assert "立即抄表" in shown
    assert "已发送" in shown
    assert "立即抄表" in clerk.get("/commands").text


@pytest.mark.usefixtures("commands")
def test_who_may_not_sees_no_button_and_is_refused(log_in: LogIn) -> None:
    guard = log_in("guard")
    assert "read-now" not in guard.get("/devices/d0").text
    assert guard.post("/devices/d0/read-now", headers=OWN).status_code == 403
    assert log_in("resident").get("/commands").status_code == 403
    assert log_in("clerk").post("/devices/d0/read-now").status_code == 403, "another site's form"


def test_refusals_are_told_in_words(log_in: LogIn, commands: Commands) -> None:
    with pytest.raises(service.CommandRefusedError) as caught:
        commands.ask(CLERK, Wanted(Action.SWITCH_OFF, "欠费", "k", device="d0"))
    shown = log_in("manager").get(f"/commands/{caught.value.command_id}").text
    assert "已驳回" in shown
    for code in caught.value.codes:
        assert code not in shown


@pytest.mark.usefixtures("commands")
def test_only_another_manager_finds_the_buttons(
    log_in: LogIn, engine: Engine, commands: Commands
) -> None:
    # put there as if all conditions had held
    held = commands.ask(CLERK, Wanted(Action.READ_NOW, "x", "k", device="d0"))
    with engine.begin() as connection:
        repository.change(connection, held.id, State.WAITING, by="service", said="", at_us=NOW_US)
    path = f"/commands/{held.id}"
    assert "confirmation" not in log_in("clerk").get(path).text
    manager = log_in("manager")
    assert f"{path}/confirmation" in manager.get(path).text
    assert "待他人复核" in manager.get("/commands").text
    form = {"grant": "false", "note": "他今天付款"}
    assert manager.post(f"{path}/confirmation", data=form, headers=OWN).status_code == 303
    shown = manager.get(path).text
    assert "复核未通过" in shown
    assert "他今天付款" in shown
    again = manager.post(f"{path}/confirmation", data={"grant": "true"}, headers=OWN)
    assert again.headers["location"].endswith("refused=1")


def test_every_code_has_words() -> None:
    assert set(command_words.ACTIONS) == set(Action)
    assert set(command_words.STATES) == {*State, "taken"}
    for code in (*cutting_off.Reason, *service.OTHER_REASONS, *Reason):
        assert command_words.reasons_of(code)[0][1], code
    assert command_words.reasons_of("night day_off") == [
        (command_words.reasons_of("night")[0][0], True),
        (command_words.reasons_of("day_off")[0][0], True),
    ]
    assert command_words.reasons_of("unit 1 did not answer") == [("unit 1 did not answer", False)]
