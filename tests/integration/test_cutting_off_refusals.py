"""Cutting off through the service and through the API: every condition refuses by itself."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from httpx import Client
from sqlalchemy import delete, update

from cloud.commands import service, terms
from cloud.commands.cutting_off import Reason
from cloud.commands.states import State
from cloud.commands.tables import command_steps, cut_off_notices, prepaid_services
from cloud.errors import ForbiddenError, RefusedError
from cloud.metering.tables import account_meters, installs, meter_points
from protocols.commands import Action
from tests.fixtures.commanded_site import (
    CLERK,
    HOME,
    MANAGER,
    NOON,
    OTHER,
    TERMS,
    ZONE,
    CommandedSite,
    body,
    refused,
)


@pytest.fixture
def site(commanded: CommandedSite) -> CommandedSite:
    """Give a home that may be cut off by all the rules."""
    return commanded


def test_cutting_off_needs_another_person_who_is_told_all(site: CommandedSite) -> None:
    asked = site.commands.ask(CLERK, site.wanted())
    assert (asked.state, site.broker.sent) == (State.WAITING, [])
    with pytest.raises(ForbiddenError):
        site.commands.confirm(CLERK, asked.id, grant=True)
    done = site.commands.confirm(MANAGER, asked.id, grant=True)
    assert (done.state, done.confirmed_by) == (State.SENT, "manager")
    assert [command.action for command in site.broker.sent] == [Action.SWITCH_OFF]
    with pytest.raises(RefusedError, match="is sent"):
        site.commands.confirm(OTHER, asked.id, grant=True)


def test_who_asked_does_not_confirm_and_another_may_turn_it_down(site: CommandedSite) -> None:
    asked = site.commands.ask(MANAGER, site.wanted())
    with pytest.raises(RefusedError, match="who asked may not confirm"):
        site.commands.confirm(MANAGER, asked.id, grant=True)
    turned = site.commands.confirm(OTHER, asked.id, grant=False, note="他今天付款")
    assert (turned.state, turned.said) == (State.REFUSED, "turned_down")
    assert site.broker.sent == []


def test_it_is_judged_again_when_it_is_confirmed(site: CommandedSite) -> None:
    asked = site.commands.ask(CLERK, site.wanted())
    site.pay(5_00)
    assert refused(site, lambda: site.commands.confirm(MANAGER, asked.id, grant=True)) == {
        Reason.NOT_IN_DEBT
    }


def test_a_trail_and_notices_never_change(site: CommandedSite) -> None:
    site.commands.ask(CLERK, site.wanted(Action.READ_NOW))
    for table in (command_steps, cut_off_notices):
        with pytest.raises(Exception, match="never changes"), site.engine.begin() as connection:
            connection.execute(delete(table))


def change(site: CommandedSite, *statements: object) -> None:
    with site.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # any statement


def point(**values: object) -> object:
    return update(meter_points).where(meter_points.c.id == "mp-e-1").values(**values)


def set_terms(site: CommandedSite, **changed: object) -> None:
    made = terms.Terms(**{**vars(TERMS), **changed})
    with site.engine.begin() as connection:
        terms.set_terms(connection, site.teller(date(2026, 11, 2)), "electricity", made)


def withdraw(site: CommandedSite) -> None:
    with site.engine.begin() as connection:
        terms.withdraw_terms(connection, site.teller(date(2026, 11, 2)), "electricity")


def share(site: CommandedSite) -> None:
    rows = [
        {"account_id": name, "meter_point_id": "mp-e-1", "from_us": 0, "weight": "1"}
        for name in (HOME, "1-102")
    ]
    change(site, account_meters.insert().values(rows))


def fee_only(site: CommandedSite) -> None:
    """Pay the electricity, and owe any amount of property fee."""
    with site.engine.begin() as connection:
        site.charge(connection, "property-fee", 9_000_00, "2026-09")
        service_owed = terms.balance_fen(connection, "p", HOME, "electricity")
        assert service_owed == -30_01, "a property fee is no part of it"
    with site.engine.begin() as connection:
        from cloud.ledger import service as books  # noqa: PLC0415

        today = site.teller(date(2026, 11, 20))
        books.pay(
            connection,
            today,
            HOME,
            amount_fen=30_01,
            channel="cash",
            key="e",
            items=["electricity"],
        )


def noticed_long_ago(site: CommandedSite) -> None:
    # the same notice, 30 days after it
    site.move_to(datetime(2026, 12, 16, 12, tzinfo=ZONE))


CASES: dict[Reason, Callable[[CommandedSite], None]] = {
    Reason.NO_METER_POINT: lambda s: change(
        s, update(installs).where(installs.c.device_id == "e-1").values(removed_at_us=1)
    ),
    Reason.SEVERAL_METER_POINTS: lambda s: change(
        s, update(installs).where(installs.c.device_id == "w-1").values(device_id="e-1")
    ),
    Reason.NO_UTILITY: lambda s: change(s, point(service="heat")),
    Reason.NO_HOME: lambda s: change(s, point(role="public", supply="public")),
    Reason.FEEDS_OTHERS: lambda s: change(
        s, update(meter_points).where(meter_points.c.id == "mp-w-1").values(parent_id="mp-e-1")
    ),
    Reason.NO_ACCOUNT: lambda s: change(s, point(premise_id=None)),
    Reason.SEVERAL_ACCOUNTS: share,
    Reason.NO_TERMS: withdraw,
    Reason.NOT_PREPAID: lambda s: change(s, delete(prepaid_services)),
    Reason.NOT_IN_DEBT: fee_only,
    Reason.NO_NOTICE: lambda s: change(s, point(service="water")),
    Reason.NOTICE_TOO_YOUNG: lambda s: set_terms(s, notice_days=9),
    Reason.NOTICE_TOO_OLD: noticed_long_ago,
    Reason.NIGHT: lambda s: s.move_to(NOON.replace(hour=20)),
    Reason.OUTSIDE_HOURS: lambda s: s.move_to(NOON.replace(hour=17)),
    Reason.NO_CALENDAR: lambda s: set_terms(s, holidays={2025: frozenset()}),
    Reason.DAY_OFF: lambda s: set_terms(s, holidays={2026: frozenset({NOON.date()})}),
    Reason.BEFORE_DAY_OFF: lambda s: s.move_to(NOON + timedelta(days=3)),
}
# a licence is required with the terms; persons are tried above
ELSEWHERE = {
    Reason.NO_LICENCE,
    Reason.NOBODY_ASKED,
    Reason.NOT_CONFIRMED,
    Reason.CONFIRMED_BY_ASKER,
}


def test_every_reason_has_a_case() -> None:
    assert set(CASES) | ELSEWHERE == set(Reason)


def with_water(site: CommandedSite, reason: Reason) -> None:
    if reason is Reason.NO_NOTICE:
        with site.engine.begin() as connection:
            terms.set_terms(connection, site.teller(date(2026, 11, 1)), "water", TERMS)


@pytest.mark.parametrize("reason", CASES)
def test_each_refusal_through_the_service(site: CommandedSite, reason: Reason) -> None:
    with_water(site, reason)
    waits = site.commands.ask(CLERK, site.wanted())
    CASES[reason](site)
    for action in (Action.SWITCH_OFF, Action.CLOSE_VALVE):
        assert reason in refused(site, lambda: site.commands.ask(CLERK, site.wanted(action)))  # noqa: B023
    # and what was asked before is not sent either
    assert reason in refused(site, lambda: site.commands.confirm(MANAGER, waits.id, grant=True))


def test_a_pulse_at_a_meter_is_judged_as_cutting_off(site: CommandedSite) -> None:
    withdraw(site)
    wanted = site.wanted(Action.PULSE)
    assert Reason.NO_TERMS in refused(site, lambda: site.commands.ask(MANAGER, wanted))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"licence": " "}, "licence"),
        ({"licensed_by": "us"}, "licensed_by"),
        ({"notice_days": 0}, "notice_days"),
        ({"grace_fen": -1}, "grace_fen"),
        ({"until_minute": 1}, "hours"),
        ({"holidays": {2026: frozenset({date(2025, 1, 1)})}}, "holidays"),
    ],
)
def test_wrong_terms_are_refused(
    site: CommandedSite, changed: dict[str, object], what: str
) -> None:
    with pytest.raises(RefusedError, match=what):
        set_terms(site, **changed)


def test_a_notice_needs_a_cause(site: CommandedSite) -> None:
    site.pay(5_00)
    with pytest.raises(RefusedError, match="no cause"), site.engine.begin() as connection:
        terms.give_notice(
            connection, site.teller(date(2026, 11, 20)), HOME, "electricity", channel="phone"
        )


@pytest.mark.parametrize("reason", CASES)
def test_each_refusal_through_the_api(
    site: CommandedSite, client: Callable[[str], Client], reason: Reason
) -> None:
    with_water(site, reason)
    clerk, manager = client("clerk"), client("manager")
    waits = clerk.post("/api/v1/commands", json=body(site)).json()
    CASES[reason](site)
    asked = clerk.post("/api/v1/commands", json=body(site))
    path = f"/api/v1/commands/{waits['id']}/confirmation"
    confirmed = manager.post(path, json={"grant": True})
    for said in (asked, confirmed):
        assert said.status_code == 409
        assert service.sentence(reason) in said.json()["detail"]
    assert site.broker.sent == []


def test_terms_notices_and_agreements_through_the_api(
    client: Callable[[str], Client],
) -> None:
    clerk, manager = client("clerk"), client("manager")
    made = {"licensed_by": "supplier", "licence": "许可", "grace": "10.00", "notice_days": 7}
    made |= {"begins": "09:00", "ends": "16:00", "holidays": {"2026": ["2026-10-01"]}}
    path = "/api/v1/cut-off-terms"
    assert clerk.put(f"{path}/electricity", json=made).status_code == 403
    assert manager.put(f"{path}/electricity", json=made).status_code == 204
    assert manager.put(f"{path}/heat", json=made).status_code == 409
    notice = {"account": HOME, "service": "electricity", "channel": "visit"}
    assert clerk.post("/api/v1/cut-off-notices", json=notice).json()["balance"] == "-30.01"
    agreed = {"service": "electricity", "source": "合同"}
    assert clerk.post(f"/api/v1/accounts/{HOME}/prepaid-services", json=agreed).status_code == 204
    assert manager.delete(f"{path}/electricity").status_code == 204
    assert clerk.post("/api/v1/cut-off-notices", json=notice).status_code == 409
