"""Nothing is cut off unless every single condition holds."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.commands.cutting_off import SENTENCES, Facts, Feed, Reason, Terms, judge

ZONE = ZoneInfo("Asia/Shanghai")
TERMS = Terms("contract", "供用电合同 第 8 条", 30_00, 7, 9 * 60, 17 * 60, {2026: frozenset()})
FEED = Feed(
    "mp", "electricity", "sub", "collected", "1-101", has_subs=False, account_ids=("1-101",)
)
# a Tuesday
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=ZONE)
FACTS = Facts(
    feeds=(FEED,),
    terms=TERMS,
    is_prepaid=True,
    balance_fen=-30_01,
    noticed_on=(date(2026, 11, 17),),
    local=NOON,
    latest=NOON + timedelta(seconds=30),
    asked_by="clerk",
    confirmed_by="manager",
)


def at(when: datetime) -> Facts:
    return replace(
        FACTS,
        local=when,
        latest=when + timedelta(seconds=30),
        noticed_on=(when.date() - timedelta(days=10),),
    )


def fed(**changed: object) -> Facts:
    return replace(FACTS, feeds=(replace(FEED, **changed),))


def agreed(**changed: object) -> Facts:
    return replace(FACTS, terms=replace(TERMS, **changed))


# one condition that does not hold, and the reason which must be told; others may join it
BROKEN: list[tuple[Facts, Reason]] = [
    (replace(FACTS, feeds=()), Reason.NO_METER_POINT),
    (replace(FACTS, feeds=(FEED, replace(FEED, meter_point_id="b"))), Reason.SEVERAL_METER_POINTS),
    (fed(service="heat"), Reason.NO_UTILITY),
    (fed(service="property-fee"), Reason.NO_UTILITY),
    (fed(role="public"), Reason.NO_HOME),
    (fed(role="master"), Reason.NO_HOME),
    (fed(supply="public"), Reason.NO_HOME),
    (fed(premise_id=None), Reason.NO_HOME),
    (fed(has_subs=True), Reason.FEEDS_OTHERS),
    (fed(account_ids=()), Reason.NO_ACCOUNT),
    (fed(account_ids=("a", "b")), Reason.SEVERAL_ACCOUNTS),
    (replace(FACTS, terms=None), Reason.NO_TERMS),
    (agreed(licence=" "), Reason.NO_LICENCE),
    (agreed(licensed_by=""), Reason.NO_LICENCE),
    (replace(FACTS, is_prepaid=False), Reason.NOT_PREPAID),
    (replace(FACTS, balance_fen=-30_00), Reason.NOT_IN_DEBT),
    (replace(FACTS, balance_fen=1), Reason.NOT_IN_DEBT),
    (replace(FACTS, noticed_on=()), Reason.NO_NOTICE),
    (replace(FACTS, noticed_on=(date(2026, 11, 18),)), Reason.NOTICE_TOO_YOUNG),
    (replace(FACTS, noticed_on=(date(2026, 10, 25),)), Reason.NOTICE_TOO_OLD),
    (at(NOON.replace(hour=7, minute=59)), Reason.NIGHT),
    (at(NOON.replace(hour=20)), Reason.NIGHT),
    (
        replace(at(NOON.replace(hour=8)), terms=replace(TERMS, from_minute=8 * 60 + 1)),
        Reason.OUTSIDE_HOURS,
    ),
    (at(NOON.replace(hour=17)), Reason.OUTSIDE_HOURS),
    # what is sent now may be done half a minute later
    (at(NOON.replace(hour=16, minute=59, second=45)), Reason.OUTSIDE_HOURS),
    (agreed(holidays={2025: frozenset()}), Reason.NO_CALENDAR),
    # 31 December needs the list of the year that follows
    (at(datetime(2026, 12, 31, 12, tzinfo=ZONE)), Reason.NO_CALENDAR),
    (at(datetime(2026, 11, 28, 12, tzinfo=ZONE)), Reason.DAY_OFF),
    (at(datetime(2026, 11, 29, 12, tzinfo=ZONE)), Reason.DAY_OFF),
    (agreed(holidays={2026: frozenset({date(2026, 11, 24)})}), Reason.DAY_OFF),
    (at(datetime(2026, 11, 27, 12, tzinfo=ZONE)), Reason.BEFORE_DAY_OFF),
    (agreed(holidays={2026: frozenset({date(2026, 11, 25)})}), Reason.BEFORE_DAY_OFF),
    (replace(FACTS, asked_by=" "), Reason.NOBODY_ASKED),
    (replace(FACTS, confirmed_by=None), Reason.NOT_CONFIRMED),
    (replace(FACTS, confirmed_by=""), Reason.NOT_CONFIRMED),
    (replace(FACTS, confirmed_by="clerk"), Reason.CONFIRMED_BY_ASKER),
]


def test_all_conditions_together_allow_it() -> None:
    assert judge(FACTS) == ()
    for hour in (9, 16):
        assert judge(at(NOON.replace(hour=hour))) == ()


@pytest.mark.parametrize(("facts", "reason"), BROKEN, ids=lambda it: str(it)[:30])
def test_each_condition_that_fails_refuses(facts: Facts, reason: Reason) -> None:
    assert reason in judge(facts)


def test_every_reason_is_tried_and_has_words() -> None:
    assert {reason for _, reason in BROKEN} == set(Reason) == set(SENTENCES)


def test_every_reason_that_applies_is_told_at_once() -> None:
    night = datetime(2026, 11, 28, 23, tzinfo=ZONE)
    worst = Facts((), None, False, 0, (), night, night, "", None)  # noqa: FBT003
    assert set(judge(worst)) >= {
        Reason.NO_METER_POINT,
        Reason.NO_TERMS,
        Reason.NOT_PREPAID,
        Reason.NIGHT,
        Reason.NOBODY_ASKED,
        Reason.NOT_CONFIRMED,
    }


@given(
    minutes=st.integers(0, 500 * 1440),
    balance_fen=st.integers(-100_00, 100_00),
    ages=st.lists(st.integers(0, 60), max_size=3),
    from_minute=st.integers(0, 1439),
    length=st.integers(1, 1440),
    prepaid=st.booleans(),
    off=st.sets(st.integers(0, 400), max_size=5),
)
def test_what_is_allowed_holds_every_condition(
    minutes: int,
    balance_fen: int,
    ages: list[int],
    from_minute: int,
    length: int,
    *,
    prepaid: bool,
    off: set[int],
) -> None:
    when = datetime(2026, 1, 1, tzinfo=ZONE) + timedelta(minutes=minutes)
    days = {date(2026, 1, 1) + timedelta(days=day) for day in off}
    holidays = {year: frozenset(d for d in days if d.year == year) for year in (2026, 2027)}
    until = min(1440, from_minute + length)
    terms = replace(TERMS, holidays=holidays, from_minute=from_minute, until_minute=until)
    noticed = tuple(when.date() - timedelta(days=age) for age in ages)
    facts = replace(
        FACTS,
        terms=terms,
        local=when,
        latest=when,
        balance_fen=balance_fen,
        noticed_on=noticed,
        is_prepaid=prepaid,
    )
    tomorrow = when.date() + timedelta(days=1)
    # said again in other words: an oracle of its own
    fine = (
        prepaid
        and balance_fen < -30_00
        and any(7 <= age < 30 for age in ages)
        and 8 <= when.hour < 20
        and from_minute <= when.hour * 60 + when.minute < until
        and when.isoweekday() in (1, 2, 3, 4)
        and when.date() not in days
        and tomorrow not in days
    )
    assert (judge(facts) == ()) is fine
