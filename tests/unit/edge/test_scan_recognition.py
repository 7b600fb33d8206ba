"""Which profiles fit which words: every shipped one its own meter, none of them zeros."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.profile import profile_ids
from edge.recognition import (
    Candidate,
    Edition,
    candidates,
    editions_of,
    exact_reads,
    filling,
    fingerprint_reads,
    matching,
    misordered,
    point_reads,
)
from protocols.modbus.plan import Block
from protocols.modbus.registers import WordOrder
from tests.fixtures.scanned_meters import Answers, SameWords, ScannedMeter, answers_of

EDITIONS = editions_of(profile_ids())
MARKS = fingerprint_reads(EDITIONS)


def edition(name: str) -> Edition:
    (found,) = [one for one in EDITIONS if str(one) == name]
    return found


def found_in(meter: ScannedMeter) -> list[Candidate]:
    return candidates(EDITIONS, answers_of(meter, EDITIONS))


@pytest.mark.parametrize("zeros", [False, True], ids=["refuses", "answers zeros"])
@pytest.mark.parametrize("one", EDITIONS, ids=str)
def test_a_meter_is_recognised(one: Edition, zeros: bool) -> None:  # noqa: FBT001 - a parameter
    found = found_in(ScannedMeter(one, zeros=zeros))
    assert found[0].credible
    best = [str(other.edition) for other in found if other.rank == found[0].rank]
    assert str(one) in best
    # where a meter refuses what it does not have, its words leave no doubt
    assert zeros or best == [str(one)]


def test_fingerprints_are_read_once_and_exact_ones_first() -> None:
    assert len(MARKS) == len(set(MARKS)) < len(EDITIONS)
    exact = exact_reads(EDITIONS)
    assert MARKS[: len(exact)] == exact
    assert Block(3, 0xC350, 4) in exact


@given(st.lists(st.sampled_from([0, None]), min_size=len(MARKS), max_size=len(MARKS)))
def test_zeros_and_refusals_are_never_recognised(said: list[int | None]) -> None:
    answers = {
        block: None if word is None else (word,) * block.count
        for block, word in zip(MARKS, said, strict=True)
    }
    assert candidates(EDITIONS, answers) == []
    assert misordered(EDITIONS, answers) == []
    assert filling(answers) == (0 if 0 in said else None)


@given(st.integers(0, 0xFFFF))
def test_one_word_everywhere_is_never_recognised(word: int) -> None:
    answers = answers_of(SameWords(EDITIONS[0], word), EDITIONS)
    assert filling(answers) == word
    assert candidates(EDITIONS, answers) == []


@given(st.data())
def test_no_answer_recognises_a_meter_that_its_words_do_not(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(EDITIONS))
    answers = answers_of(ScannedMeter(one), EDITIONS)
    mark = one.meter.identification()
    assert mark is not None
    answers[mark] = data.draw(st.sampled_from([None, (0,) * mark.count]))
    assert one not in matching(EDITIONS, answers)


def test_a_family_is_told_apart_and_named() -> None:
    found = found_in(ScannedMeter(edition("eastron-sdm630")))
    assert [str(one.edition) for one in found] == [
        "eastron-sdm630",
        "eastron-sdm120",
        "eastron-sdm230",
    ]
    assert found[0].evidence == "voltage_l2 230.4 V is in 80..300; 6 of 6 checks fit"
    assert found[1].evidence.endswith("3 of 4 checks fit, 1 do not")


def test_what_only_the_smaller_profile_has_decides_a_tie() -> None:
    found = found_in(ScannedMeter(edition("eastron-sdm230")))
    assert [str(one.edition) for one in found] == ["eastron-sdm230", "eastron-sdm120"]
    assert (found[0].fits, found[0].more_fits) == (found[1].fits, found[1].more_fits + 1)


def test_a_swapped_word_order_is_the_variant() -> None:
    found = found_in(ScannedMeter(edition("eastron-sdm630/low-word-first")))
    assert [str(one.edition) for one in found] == ["eastron-sdm630/low-word-first"]


def test_a_word_order_that_no_edition_has_is_named() -> None:
    one = edition("chint-ddsu666")
    swapped = one.meter.model_copy(update={"word_order": WordOrder.CDAB})
    answers = answers_of(ScannedMeter(Edition(one.profile, None, swapped)), EDITIONS)
    assert candidates(EDITIONS, answers) == []
    assert (one, WordOrder.CDAB) in misordered(EDITIONS, answers)


def test_an_exact_fingerprint_goes_before_a_plausible_one() -> None:
    found = found_in(ScannedMeter(edition("carlo-gavazzi-em340"), zeros=True))
    assert [one.exact for one in found] == [True, False, False]
    assert found[0].evidence.startswith("register 0x000b is 0155; ")


def test_one_plausible_word_against_all_others_is_no_proof() -> None:
    refused: Answers = dict.fromkeys(point_reads(EDITIONS))
    (found,) = candidates([edition("orno-we-504")], refused | {Block(3, 0, 1): (2301,)})
    assert (found.fits, found.misfits, found.credible) == (1, 2, False)
