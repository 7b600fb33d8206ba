"""What an old system leaves behind is read whole, and must add up to what it says."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.documents import DocumentError
from cloud.ledger.entries import Charge
from cloud.ledger.openings import COLUMNS, Openings, parse_openings, parse_totals
from cloud.money import fen_to_yuan

HEADER = ",".join(COLUMNS)
GOOD = f"""{HEADER}
1-101,property-fee,2026-08,237.24,237.24,,,
1-101,property-fee,2026-09,237.24,100.00,,,
1-102,,,,,50.00,,
1-102,,,,,,500.00,
1-101,water,,,,,,171.25
"""


def test_charges_balances_and_use_are_read() -> None:
    found = parse_openings(GOOD, name="old.csv")
    assert [(each.charge, each.charged_fen, each.received_fen) for each in found.charges] == [
        (Charge("2026-08", "property-fee"), 237_24, 237_24),
        (Charge("2026-09", "property-fee"), 237_24, 100_00),
    ]
    assert found.prepaid_fen == {"1-102": 50_00}
    assert found.deposit_fen == {"1-102": 500_00}
    assert found.used == {("1-101", "water"): Decimal("171.25")}
    assert found.accounts == ["1-101", "1-102"]
    assert found.totals() == {
        "receivable.property-fee": 137_24,
        "prepaid": 50_00,
        "deposit": 500_00,
    }


def test_totals_that_are_not_met_are_named() -> None:
    found = parse_openings(GOOD, name="old.csv")
    said = parse_totals(
        {"receivable": {"property-fee": "137.24", "parking": "1.00"}, "prepaid": "50.01"},
        name="totals.json",
    )
    with pytest.raises(DocumentError) as refused:
        found.check(said, name="totals.json")
    assert refused.value.faults == (
        "totals.json: deposit: 0.00 is said, the rows add up to 500.00",
        "totals.json: prepaid: 50.01 is said, the rows add up to 50.00",
        "totals.json: receivable.parking: 1.00 is said, the rows add up to 0.00",
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",property-fee,2026-08,1.00,,,,", "line 2: account: ''"),
        ("a,property-fee,2026-13,1.00,,,,", "period '2026-13'"),
        ("a,,2026-08,1.00,,,,", "item ''"),
        ("a,property-fee,2026-08,1.00,1.01,,,", "received: 1.01: allowed is up to 1.00"),
        ("a,property-fee,2026-08,1.001,,,,", "charged: '1.001'"),
        ("a,property-fee,2026-08,-1.00,,,,", "allowed is 0.00 or more"),
        ("a,,,,,1.00,1.00,", "prepaid, deposit is given: allowed is exactly one"),
        ("a,,,,,,,", "nothing is given"),
        ("a,,,,,,,7", "a service that `item` names"),
        ("a,,,,,1.00,,\na,,,,,2.00,,", "line 3: a: stands twice"),
    ],
)
def test_a_bad_row_is_named(row: str, reason: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse_openings(f"{HEADER}\n{row}\n", name="old.csv")
    assert reason in str(refused.value)
    assert str(refused.value).startswith("old.csv: line ")


def test_other_columns_are_refused() -> None:
    with pytest.raises(DocumentError, match="columns amount: allowed are exactly account, item"):
        parse_openings(f"{HEADER},amount\n", name="old.csv")


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["2026-01", "2026-02"])),
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(
            lambda pair: (max(pair), min(pair))
        ),
    )
)
def test_what_is_owed_is_what_was_charged_and_not_received(
    charges: dict[tuple[str, str], tuple[int, int]],
) -> None:
    rows = [
        f"{account},fee,{period},{fen_to_yuan(charged)},{fen_to_yuan(received)},,,"
        for (account, period), (charged, received) in charges.items()
    ]
    found: Openings = parse_openings("\n".join([HEADER, *rows]), name="x")
    owed = sum(charged - received for charged, received in charges.values())
    assert found.totals().get("receivable.fee", 0) == owed
