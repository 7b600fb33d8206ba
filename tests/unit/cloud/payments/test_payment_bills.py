"""Daily bills read whole or refused by line; compared so that nothing is lost."""

import gzip
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.documents import DocumentError
from cloud.payments.bills import BillLine, alipay_bill, wechat_bill
from cloud.payments.reconciliation import Match, Ours, compare
from protocols.delivery.records import microseconds
from tests.fixtures.daily_bills import alipay_csv, alipay_zip, wechat_csv

AT_US = microseconds(datetime(2026, 11, 22, 2, 30, tzinfo=UTC))
WECHAT = wechat_csv(
    [("SUCCESS", "H1", "4200001", "", "123.45"), ("REFUND", "H1", "4200001", "T1", "3.00")]
)
ALIPAY = alipay_csv(
    [("交易", "H1", "2200001", "", "123.45"), ("退款", "H1", "2200001", "T1", "3.00")]
)


def lines_of(transaction: str, first: int, second: int) -> list[BillLine]:
    return [
        BillLine(first, "payment", "H1", transaction, "", 12_345, AT_US),
        BillLine(second, "refund", "H1", transaction, "T1", 300, AT_US),
    ]


def test_a_bill_of_wechat() -> None:
    assert wechat_bill(WECHAT, name="w.csv") == lines_of("4200001", 2, 3)
    assert wechat_bill(gzip.compress(WECHAT), name="w.gz") == lines_of("4200001", 2, 3)
    assert wechat_bill(wechat_csv([]), name="w.csv") == []


def test_a_bill_of_alipay() -> None:
    assert alipay_bill(ALIPAY, name="a.csv") == lines_of("2200001", 6, 7)
    assert alipay_bill(alipay_zip(ALIPAY), name="a.zip") == lines_of("2200001", 6, 7)
    assert alipay_bill(alipay_csv([]), name="a.csv") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (WECHAT.replace(b"`123.45", b"`12,3.45"), "line 2: 29 cells: allowed are 27"),
        (
            WECHAT.replace(b"`REFUND", b"`REFUSED"),
            "line 3: 交易状态: 'REFUSED': allowed are SUCCESS",
        ),
        (WECHAT.replace(b"`123.45", b"`123.456"), "line 2: 订单金额: '123.456'"),
        (WECHAT.replace(b"`2026-11-22 10", b"`22/11/2026 10"), "line 2: 交易时间"),
        (WECHAT[: WECHAT.index("总交易".encode())], "allowed is a whole bill"),
        (wechat_csv([("SUCCESS", "H1", "1", "", "1.00")], count=2), "1 lines: 总交易单数 says 2"),
        (b"\x1f\x8bnothing", "no gzip"),
        (b"\xff\xfe", "not utf-8-sig text at byte 0"),
        (b"", "allowed is a whole bill"),
        (ALIPAY, "not utf-8-sig"),
    ],
)
def test_a_bill_of_wechat_that_is_not_whole(content: bytes, says: str) -> None:
    with pytest.raises(DocumentError, match=r"^w\.csv: ") as caught:
        wechat_bill(content, name="w.csv")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ALIPAY[: ALIPAY.index("#交易合计".encode("gb18030")) - 100], "allowed is a whole bill"),
        (
            ALIPAY.replace("退款\t".encode("gb18030"), "转账\t".encode("gb18030")),
            "line 7: 业务类型",
        ),
        (ALIPAY.replace(b",-3.00\t,", b",three\t,", 1), "line 7: 订单金额（元）: 'three'"),
        (b"PK\x03\x04nothing", "no zip"),
        (alipay_zip(b"#"), "0 files with"),
        (WECHAT, "not gb18030 text at byte"),
    ],
)
def test_a_bill_of_alipay_that_is_not_whole(content: bytes, says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        alipay_bill(content, name="a.csv")
    assert says in str(caught.value)


KINDS = st.sampled_from(["payment", "refund"])
KEYS = st.integers(0, 8).map(str)


@given(
    there=st.lists(st.tuples(KINDS, KEYS, st.integers(1, 3)), max_size=12),
    here=st.dictionaries(st.tuples(KINDS, KEYS), st.integers(1, 3), max_size=8),
)
def test_every_line_of_both_sides_is_told_once(
    there: list[tuple[str, str, int]], here: dict[tuple[str, str], int]
) -> None:
    lines = [
        BillLine(place, kind, f"H{key}", key, key, fen, AT_US)  # type: ignore[arg-type]  # drawn
        for place, (kind, key, fen) in enumerate(there)
    ]
    ours = [
        Ours(kind, key, f"H{key}", fen, AT_US)  # type: ignore[arg-type]  # drawn
        for (kind, key), fen in here.items()
    ]
    found = compare(lines, ours, known={})
    told = [(each.kind, each.key, each.there_fen) for each in found if each.there_fen is not None]
    assert told == there
    assert {(each.kind, each.key) for each in found if each.here_fen is not None} == set(here)
    by = Counter(each.match for each in found)
    first = {(kind, key): fen for kind, key, fen in reversed(there)}
    assert by[Match.MATCHED] == sum(first.get(key) == fen for key, fen in here.items())
    assert by[Match.MISSING_THERE] == len(set(here) - set(first))
    assert by[Match.MISSING_HERE] == len(set(first) - set(here))
