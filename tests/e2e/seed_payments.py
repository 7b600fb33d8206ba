"""Payments, a discount, requests that wait, orders at a channel: for a cashier's pages."""

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection

from cloud.billing.cycles import Days
from cloud.discounts import service as discounts
from cloud.discounts.plans import By, Plan
from cloud.ledger import approvals
from cloud.ledger import service as ledger
from cloud.ledger.approvals import Ask
from cloud.ledger.repository import open_accounts_of
from cloud.ledger.service import Teller
from cloud.payments import repository as payments
from cloud.payments.channel import Evidence, Status, Told
from cloud.payments.states import Order, State, Verdict

WAITS, CAME_LATE = "H20261122100000AAAAAAAAAAAA", "H20261122100000BBBBBBBBBBBB"


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
    _order_online(connection, clerk)
    _lower(connection, project, now_us)


def _order_online(connection: Connection, clerk: Teller) -> None:
    # one that waits for its payer, one that was paid late, and one that is nobody's
    now_us = clerk.now_us
    order = Order(
        number=WAITS,
        project_id=clerk.project_id,
        account_id="1-101",
        channel="wechat",
        amount_fen=12_345,
        subject="青松花园 1号楼 1-101",
        state=State.CREATED,
        made_by=clerk.by,
        made_us=now_us,
        # a page that is looked at for longer than an order lives
        expires_us=now_us + 86_400_000_000,
        opens="weixin://wxpay/bizpayurl?pr=AAAAAAAAAAAA",
        transaction_id=None,
        paid_us=None,
        is_late=False,
        entry_id=None,
        ask_us=None,
    )
    payments.add_order(connection, order)
    entered = ledger.pay(
        connection, clerk, "1-101", amount_fen=5_000, channel="alipay", key="alipay:22", items=()
    )
    late = {"number": CAME_LATE, "channel": "alipay", "amount_fen": 5_000, "state": State.PAID}
    late |= {"transaction_id": "2026112222001400000000000022", "paid_us": now_us}
    payments.add_order(
        connection, Order(**{**vars(order), **late, "is_late": True, "entry_id": entered.id})
    )
    told = Told(
        "H20261122100000CCCCCCCCCCCC",
        Status.PAID,
        Evidence(b"{}"),
        transaction_id="4200002222202611220000000001",
        amount_fen=800,
    )
    payments.add_notice(
        connection,
        "wechat",
        told,
        source="notification",
        verdict=Verdict.UNKNOWN,
        reason=f"order {told.number!r} is not on file",
        now_us=now_us,
    )


def _lower(connection: Connection, project: str, now_us: int) -> None:
    # a plan that one home has, another plan that waits
    clerk, manager = (Teller(project, name, now_us) for name in ("clerk", "manager"))
    ever = Days(date(2026, 1, 1), date.max)
    plan = Plan(
        "prepay-2027",
        "预缴一年免一个月",
        "A year ahead, one month free",
        ("property-fee",),
        By.MONTHS,
        Decimal(1),
        12,
        None,
        ever,
        "2026 年第 3 次业主大会决议第 5 条",
    )
    asked = discounts.ask_plan(connection, clerk, plan)
    approvals.decide(connection, manager, asked.id, grant=True)
    asked = discounts.ask_discount(
        connection, clerk, "1-101", code=plan.code, days=ever, reason="已签预缴协议"
    )
    approvals.decide(connection, manager, asked.id, grant=True)
    other = Plan(
        "hardship",
        "低保户减半",
        "Hardship, one half",
        ("property-fee", "parking"),
        By.PERCENT,
        Decimal(50),
        0,
        60_00,
        ever,
        "街道办 2026-17 号文",
    )
    discounts.ask_plan(connection, clerk, other)
