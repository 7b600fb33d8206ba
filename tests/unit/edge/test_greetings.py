"""Each HELLO has its own nonce, and its answer says what the cloud's time can be."""

from edge.greetings import BEST_OF_US, KEPT, Greetings
from protocols.commands import HEARD_FOR_US, Heard

SECOND_US = 1_000_000
SERVER_US = 1_782_864_000_000_000


def test_nonces_are_fresh_few_and_young() -> None:
    greetings = Greetings()
    said = [greetings.greet(number * 30 * SECOND_US) for number in range(KEPT + 2)]
    assert len(set(said)) == len(said)
    last_us = (KEPT + 1) * 30 * SECOND_US
    assert greetings.nonces(last_us) == tuple(said[-KEPT:])
    assert greetings.nonces(last_us + HEARD_FOR_US) == (said[-1],)
    assert greetings.nonces(last_us + HEARD_FOR_US + 1) == ()


def test_the_tightest_of_two_minutes_is_kept() -> None:
    greetings = Greetings()
    assert greetings.heard(0) is None
    slow, quick = greetings.greet(0), greetings.greet(30 * SECOND_US)
    greetings.answered(slow, SERVER_US, 5 * SECOND_US)
    greetings.answered(quick, SERVER_US + 30, 31 * SECOND_US)
    greetings.answered(quick, SERVER_US + 40, 33 * SECOND_US)
    tightest = Heard(SERVER_US + 30, 30 * SECOND_US, 31 * SECOND_US)
    assert greetings.heard(40 * SECOND_US) == tightest
    late = greetings.greet(140 * SECOND_US)
    greetings.answered(late, SERVER_US + 140, 144 * SECOND_US)
    assert greetings.heard(31 * SECOND_US + BEST_OF_US) == tightest
    after = greetings.heard(32 * SECOND_US + BEST_OF_US)
    assert after is not None
    assert after.server_us == SERVER_US + 40


def test_what_answers_no_hello_of_ours_says_nothing() -> None:
    greetings = Greetings()
    greetings.greet(0)
    # an older cloud says none, somebody else's answer says theirs
    greetings.answered("", SERVER_US, 1)
    greetings.answered("another", SERVER_US, 1)
    assert greetings.heard(1) is None
