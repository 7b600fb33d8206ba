"""Commands in every state, for looking at their pages."""

from sqlalchemy import Connection, select, update

from cloud.commands import repository
from cloud.commands.repository import Asked
from cloud.commands.states import State
from cloud.sites.tables import gateways
from protocols.commands import Action

MINUTE_US = 60_000_000
_ASKED: list[tuple[Action, str, str, State, str]] = [
    (Action.READ_NOW, "e-1-101", "住户要求核对读数", State.DONE, "2 readings"),
    (Action.READ_NOW, "e-2-503", "表计离线, 到场前再试", State.FAILED, "e-2-503 did not answer"),
    (
        Action.SWITCH_OFF,
        "e-1-202",
        "欠费停电",
        State.REFUSED,
        "no_terms not_prepaid before_day_off",
    ),
    (Action.RELOAD_CONFIG, "", "新增水表", State.NO_ANSWER, ""),
    (Action.OPEN_VALVE, "e-1-301", "复水", State.UNKNOWN, "the gateway restarted meanwhile"),
    (Action.READ_NOW, "e-1-302", "", State.REFUSED, "not_connected"),
    (Action.SWITCH_OFF, "e-s-02", "预付费余额不足, 已两次通知", State.WAITING, ""),
]


class Nowhere:
    """A publisher whose commands reach nobody."""

    def publish(self, gateway: str, payload: bytes, lifetime_s: int) -> None:
        """Take a command."""


def ask(connection: Connection, project: str, now_us: int) -> None:
    """Put commands on file."""
    gateway = connection.scalars(
        select(gateways.c.id).where(gateways.c.project_id == project)
    ).first()
    assert gateway is not None
    hello = {"hello_nonce": "n", "hello_us": now_us}
    connection.execute(update(gateways).where(gateways.c.id == gateway).values(**hello))
    for number, (action, target, why, state, said) in enumerate(_ASKED):
        at_us = now_us - (len(_ASKED) - number) * 17 * MINUTE_US
        asked = Asked(
            id=f"{number:032x}",
            project_id=project,
            gateway_id=gateway,
            target=target,
            action=action,
            pulse_ms=0,
            dry_run=False,
            asked_by="clerk",
            why=why,
            asked_us=at_us,
            confirmed_by=None,
            state=State.ASKED,
            counter=None,
            nonce=None,
            expires_us=None,
            said="",
            changed_us=at_us,
        )
        repository.add(connection, asked)
        by = gateway if state not in (State.REFUSED, State.WAITING) else "service"
        if by == gateway:
            sent_us = at_us + 20_000
            repository.change(connection, asked.id, State.SENT, by="clerk", said="", at_us=sent_us)
        at_us += 1_500_000
        repository.change(connection, asked.id, state, by=by, said=said, at_us=at_us)
