"""Single charges 临时收费: billed at once, once for each key, in the books and numbered."""

from datetime import date

import pytest
from sqlalchemy import Engine, select

from cloud.billing.bill_tables import bills, line_items
from cloud.billing.single_charges import SingleCharge, charge_once
from cloud.errors import RefusedError
from cloud.ledger import service as books
from cloud.ledger.service import Teller
from tests.fixtures.estate import at, premise, put_on_file

TELLER = Teller("p", "clerk", at("2026-10-05T10:00:00"))
REPAIR = SingleCharge("repair", "更换水龙头", 58_00)


@pytest.fixture
def estate(engine: Engine) -> Engine:
    with engine.begin() as connection:
        put_on_file(connection, date(2026, 10, 1), premises=[premise("1-101")], meters=[])
    return engine


def test_a_single_charge_is_a_bill_of_its_own(estate: Engine) -> None:
    with estate.begin() as connection:
        first = charge_once(connection, TELLER, "1-101", REPAIR, key="a")
        assert charge_once(connection, TELLER, "1-101", REPAIR, key="a") == first
        second = charge_once(connection, TELLER, "1-101", REPAIR, key="b")
        assert first != second
        posted = connection.execute(select(bills).order_by(bills.c.number)).all()
        rows = connection.execute(select(line_items)).all()
        owed = books.standing_of(connection, "p", "1-101")
    assert [(row.number, row.total_fen) for row in posted] == [
        ("B00000001", 58_00),
        ("B00000002", 58_00),
    ]
    assert {(row.description, row.amount_fen) for row in rows} == {("更换水龙头", 58_00)}
    assert owed.owed_fen == 2 * 58_00


def test_a_key_is_used_once(estate: Engine) -> None:
    with estate.begin() as connection:
        charge_once(connection, TELLER, "1-101", REPAIR, key="a")
        other = SingleCharge("repair", "更换水龙头", 59_00)
        with pytest.raises(RefusedError, match="key 'a' was used for something else"):
            charge_once(connection, TELLER, "1-101", other, key="a")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (SingleCharge("Repair!", "x", 1), "item 'Repair!'"),
        (SingleCharge("repair", " ", 1), "description"),
        (SingleCharge("repair", "x", 0), "above 0"),
    ],
)
def test_nonsense_is_refused(estate: Engine, wanted: SingleCharge, reason: str) -> None:
    with estate.begin() as connection, pytest.raises(RefusedError, match=reason):
        charge_once(connection, TELLER, "1-101", wanted, key="a")
