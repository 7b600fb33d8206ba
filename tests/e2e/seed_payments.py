"""Payments, a relief and a void that wait: what a cashier's pages are looked at with."""

from sqlalchemy import Connection

from cloud.ledger import approvals
from cloud.ledger import service as ledger
from cloud.ledger.approvals import Ask
from cloud.ledger.repository import open_accounts_of
from cloud.ledger.service import Teller


def collect(connection: Connection, project: str, now_us: int) -> None:
    """Let most accounts pay, some too much; ask for a relief and for a void."""
    clerk = Teller(project, "clerk", now_us)
    for number, home in enumerate(sorted(open_accounts_of(connection, project).values())):
        owed_fen = ledger.standing_of(connection, project, home).owed_fen
        if owed_fen <= 0 or number % 3 == 0:
            continue
        channel = ledger.CHANNELS[number % 5]
        amount_fen = owed_fen + (10_000 if number % 7 == 0 else 0)
        paid = ledger.pay(
            connection, clerk, home, amount_fen=amount_fen, channel=channel, key=f"k{number}"
        )
        if number == 1:
            subject = {"entry_id": paid.id}
            approvals.ask(connection, clerk, home, kind=Ask.VOID, subject=subject, reason="收错户")
    (charge, fen), *_ = ledger.standing_of(connection, project, "1-101").open_fen().items()
    subject = {"period": charge.period, "item": charge.item, "amount_fen": fen // 10}
    approvals.ask(
        connection, clerk, "1-101", kind=Ask.RELIEF, subject=subject, reason="公共管道漏水，已核实"
    )
