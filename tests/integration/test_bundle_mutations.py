"""Every single-field change of a real bundle is found, but for what nothing signed names."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.billing.verify_bill import DiffersError, verify
from tests.fixtures.mutations import mutants
from tests.fixtures.proven_site import PUBLIC
from tests.fixtures.signed_estate import bundle, deliver_signed, estate, month_of_reads, run

# nothing that is signed names them: who lives where, which plate a meter has
NAMES = {
    *("bill.id", "bill.number", "bill.account", "bill.premise", "bill.holder", "bill.revision"),
    *(
        "bill.posted_at",
        "segments[].parts[].meter",
        "segments[].parts[].meter_point",
        "pools[].parts[].meter",
    ),
    "pools[].note",
}
# what the biller says and what here changes no line: bound by the digest alone
FACTS = {"pools[].cap_percent"}


@pytest.mark.slow
def test_no_field_of_a_bundle_can_be_changed(sqlite_engine: Engine, tmp_path: Path) -> None:
    estate(sqlite_engine)
    deliver_signed(sqlite_engine, tmp_path, month_of_reads())
    run(sqlite_engine)
    unseen: set[str] = set()
    for home, service in (("1-101", "electricity"), ("1-102", "electricity"), ("1-101", "shared")):
        raw = bundle(sqlite_engine, home, service)
        verify(raw, [PUBLIC])
        tried = 0
        for path, changed in mutants(raw, renewed=False):
            tried += 1
            assert not _holds(changed), path
        assert tried > 300
        unseen |= {path for path, changed in mutants(raw, renewed=True) if _holds(changed)}
    # somebody who writes the digest anew is found all the same, but for these
    assert unseen == NAMES | FACTS


def _holds(raw: bytes) -> bool:
    try:
        verify(raw, [PUBLIC])
    except DiffersError:
        return False
    return True
