"""What is done with work orders 工单: moving them on."""

from sqlalchemy import Connection

from cloud.auth import Person
from cloud.errors import RefusedError
from cloud.maintenance import repository
from cloud.maintenance.orders import Order, Step, assignee_after, checked


def move(
    connection: Connection,
    person: Person,
    order_id: int,
    *,
    after: str,
    assignee: str = "",
    note: str = "",
    at_us: int,
) -> Order:
    """Move a work order on and keep the step; RefusedError, NotFoundError."""
    order = repository.order(connection, person.project_id, order_id, lock=True)
    note, assignee = note.strip(), assignee.strip()
    made = checked(order, after, role=person.role, assignee=assignee, note=note)
    known = repository.repairers_of(connection, person.project_id)
    if made.needs_assignee and assignee not in known:
        names = ", ".join(known) or "none"
        message = f"work order {order_id}: assignee {assignee!r}: allowed are {names}"
        raise RefusedError(message)
    step = Step(
        repository.count_steps(connection, order_id) + 1,
        made.before,
        made.after,
        assignee_after(order, made, by=person.username, assignee=assignee),
        note,
        person.username,
        at_us,
    )
    repository.add_step(connection, order_id, step)
    return repository.order(connection, person.project_id, order_id)
