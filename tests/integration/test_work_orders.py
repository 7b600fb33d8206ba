"""Work orders: opened once by what stays above a cap, moved on by who may, never changed after."""

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from cloud.auth import Person
from cloud.billing import runs
from cloud.errors import NotFoundError, RefusedError
from cloud.maintenance import repository, service
from cloud.maintenance.orders import MOVES, Order, State, moves_of
from cloud.maintenance.tables import work_order_steps, work_orders
from cloud.sites.tables import users
from tests.fixtures.pooled_site import LOSS, POOL, Site, site, used

AT_US = 1_790_000_000_000_000
MANAGER = Person(1, "p", "boss", "李经理", "manager", None)
REPAIRER = Person(2, "p", "wang", "王工", "maintenance", None)
# 40 kWh of 800 are lost, 16 may be shared
LOSSY = used(80_000, 6_000, 20_000, 30_000, 20_000)


@pytest.fixture
def made(engine: Engine) -> Site:
    found = site(engine, [LOSS | {"cap_percent": "2"}, POOL])
    found.month("2026-10", "2026-11", LOSSY)
    with engine.begin() as connection:
        for person in (MANAGER, REPAIRER):
            row = {"username": person.username, "name": person.name, "role": person.role}
            connection.execute(users.insert().values(**row, project_id="p", password_hash="x"))
    return found


def orders(made: Site) -> list[Order]:
    with made.engine.connect() as connection:
        return repository.orders_of(connection, "p")


def move(made: Site, person: Person, after: str, **said: str) -> Order:
    (order,) = orders(made)
    with made.engine.begin() as connection:
        return service.move(connection, person, order.id, after=after, at_us=AT_US, **said)


def test_a_loss_above_the_cap_opens_one_order_when_it_is_posted(made: Site) -> None:
    with made.engine.begin() as connection:
        begun = runs.start(connection, "p", "2026-10", allow_unverified=True, by="boss")
    runs.advance(made.engine, begun.key)
    assert orders(made) == []
    with made.engine.begin() as connection:
        runs.discard(connection, begun.key)
    assert orders(made) == [], "a run that was dropped opens none"
    made.bill("2026-10")
    made.bill("2026-10")
    (order,) = orders(made)
    assert (order.kind, order.pool_id, order.meter_point_id) == ("pool_loss", "loss", "mp-m")
    assert (order.title, order.note) == ("2026-10 线损超过上限 2%", "24.00 / 800.00")
    assert (order.state, order.assignee) == (State.ACCEPTED, "")
    sheet = made.sheet("loss", "2026-10")
    assert (sheet.charged, sheet.above_cap) == ("16.00", "24.00")
    # the same source opens no second one
    with made.engine.begin() as connection:
        row = connection.execute(select(work_orders)).mappings().one()
        fields = {key: row[key] for key in row if key != "id"}
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(work_orders.insert().values(**fields))


def test_it_goes_its_way_and_each_step_stays(made: Site) -> None:
    made.bill("2026-10")
    assert move(made, MANAGER, "dispatched", assignee="wang").assignee == "wang"
    assert move(made, REPAIRER, "taken").assignee == "wang"
    move(made, REPAIRER, "in_progress")
    move(made, REPAIRER, "done", note=" 2单元分表接线松动，已紧固 ")
    move(made, MANAGER, "in_progress", note="再查一次")
    move(made, REPAIRER, "done", note="已复核")
    assert move(made, MANAGER, "closed").state is State.CLOSED
    (order,) = orders(made)
    with made.engine.connect() as connection:
        assert repository.orders_of(connection, "p", is_open=True) == []
        steps = repository.steps_of(connection, [order.id])[order.id]
    assert [step.after for step in steps] == [
        *("dispatched", "taken", "in_progress", "done", "in_progress", "done", "closed"),
    ]
    assert steps[3].note == "2单元分表接线松动，已紧固"
    assert [step.number for step in steps] == list(range(1, 8))
    for statement in (
        work_order_steps.update().values(note="x"),
        work_order_steps.delete(),
    ):
        with (
            pytest.raises(DBAPIError, match="posted is posted"),
            made.engine.begin() as connection,
        ):
            connection.execute(statement)


def test_what_is_not_allowed_is_refused_and_changes_nothing(made: Site) -> None:
    made.bill("2026-10")
    for person, after, said, fault in (
        (REPAIRER, "dispatched", {"assignee": "wang"}, "by a maintenance: allowed are none"),
        (MANAGER, "done", {}, "allowed are dispatched, closed"),
        (MANAGER, "dispatched", {}, "assignee: allowed is the user name"),
        (MANAGER, "dispatched", {"assignee": "zhao"}, "allowed are wang, boss"),
        (MANAGER, "closed", {"note": "  "}, "note: allowed is a text"),
        (MANAGER, "nowhere", {}, "state 'nowhere' after accepted"),
    ):
        with pytest.raises(RefusedError, match=fault):
            move(made, person, after, **said)
    with pytest.raises(NotFoundError):
        move(made, Person(3, "q", "x", "x", "manager", None), "closed")
    with made.engine.connect() as connection:
        assert connection.execute(select(work_order_steps)).all() == []


def test_every_state_but_the_last_has_a_way_on_to_it() -> None:
    ways = {state: {move.after for move in MOVES if move.before == state} for state in State}
    assert ways.pop(State.CLOSED) == set()
    reached, waiting = set(), [State.ACCEPTED]
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting += [after for after in ways.get(state, ()) if after not in reached]
    assert reached == set(State)
    assert moves_of(State.ACCEPTED, "clerk") == ()
