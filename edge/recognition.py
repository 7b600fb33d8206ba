"""Which profiles fit what a unit answered: words in, ranked candidates out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from devices.driver import Sample
from devices.point_decoder import decode_words
from devices.profile import Profile, load_profile
from protocols.modbus.plan import Block
from protocols.modbus.registers import RegisterType, WordOrder

# The words of each read; None where the unit refused or kept silent.
Answers = Mapping[Block, tuple[int, ...] | None]


@dataclass(frozen=True, slots=True)
class Edition:
    """A profile, or one of its variants with `meter` as that variant has it.

    A point without a range has that of the same point, at the same place, of another edition.
    """

    profile: str
    variant: str | None
    meter: Profile

    def __str__(self) -> str:
        return self.profile if self.variant is None else f"{self.profile}/{self.variant}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An edition whose fingerprint fits, and what its other points say for and against it.

    `fits` counts the fingerprint and each point that is in its range and not 0; `misfits` those
    out of range or refused; `unsure` those that are 0 or not available, which proves nothing.
    `more_fits` and `more_misfits` are the same of points without a range, where they were read.
    """

    edition: Edition
    exact: bool
    fits: int
    misfits: int
    unsure: int
    more_fits: int
    more_misfits: int
    evidence: str

    @property
    def credible(self) -> bool:
        """Whether more speaks for it than against it."""
        return self.fits > self.misfits

    @property
    def rank(self) -> tuple[bool, bool, int, int, int, int, int]:
        """Smallest for the best; candidates of equal rank cannot be told apart by their words."""
        doubts = (self.misfits, self.unsure, self.more_misfits, -self.more_fits)
        return (not self.credible, not self.exact, -self.fits, *doubts)


def editions_of(profiles: Iterable[str]) -> list[Edition]:
    """Every edition of these profiles, the plain ones first; ProfileError for an unknown id."""
    plain = [Edition(name, None, load_profile(name)) for name in profiles]
    variants = [
        Edition(base.profile, name, base.meter.variant(name))
        for base in plain
        for name in base.meter.variants
    ]
    return _with_lent_ranges([*plain, *variants])


def fingerprint_reads(editions: Sequence[Edition]) -> list[Block]:
    """The distinct reads that tell these editions apart, those with exact answers first."""
    marked = [(edition, edition.meter.identification()) for edition in editions]
    ordered = sorted(marked, key=lambda pair: not _is_exact(pair[0]))
    return list(dict.fromkeys(block for _, block in ordered if block is not None))


def matching(editions: Sequence[Edition], answers: Answers) -> list[Edition]:
    """The editions whose fingerprint these answers fit; one word everywhere fits none."""
    if filling(answers) is not None:
        return []
    return [edition for edition in editions if _fits(edition.meter, answers)]


def point_reads(editions: Sequence[Edition]) -> list[Block]:
    """The distinct reads, one per point with a range, by which these editions are compared."""
    blocks = [_block(edition.meter, point) for edition in editions for point in _judged(edition)]
    return list(dict.fromkeys(blocks))


def tie_reads(found: Sequence[Candidate]) -> list[Block]:
    """The reads of points that the best candidates don't share; none if one is the best alone."""
    best = [one.edition for one in found if one.rank == found[0].rank]
    blocks = [_block(edition.meter, name) for edition in best for name in edition.meter.points]
    times = Counter(blocks)
    return sorted(block for block in times if times[block] < len(best))


def exact_reads(editions: Sequence[Edition]) -> list[Block]:
    """The distinct reads of known words, whose answer never changes in one meter."""
    return fingerprint_reads([edition for edition in editions if _is_exact(edition)])


def candidates(editions: Sequence[Edition], answers: Answers) -> list[Candidate]:
    """The editions that fit these answers, the best first; a plain profile before its variants."""
    found = [_candidate(edition, answers) for edition in matching(editions, answers)]
    return sorted(found, key=lambda one: (one.rank, one.edition.variant or "", one.edition.profile))


def misordered(editions: Sequence[Edition], answers: Answers) -> list[tuple[Edition, WordOrder]]:
    """Plain profiles that fit in a word order that none of their editions has, with that order."""
    had = {(edition.profile, edition.meter.word_order) for edition in editions}
    return [
        (edition, order)
        for edition in editions
        if edition.variant is None and not _is_exact(edition)
        for order in WordOrder
        if (edition.profile, order) not in had
        and _fits(edition.meter.model_copy(update={"word_order": order}), answers, wide=True)
    ]


def filling(answers: Answers) -> int | None:
    """The one word that stands everywhere in the answers, None if there are several or none.

    A word other than 0 counts from three reads on.
    """
    heard = [words for words in answers.values() if words is not None]
    words = {word for part in heard for word in part}
    if len(words) != 1:
        return None
    (word,) = words
    return word if word == 0 or len(heard) >= _ENOUGH else None


def _fits(meter: Profile, answers: Answers, *, wide: bool = False) -> bool:
    block = meter.identification()
    words = None if block is None else answers.get(block)
    if words is None or not any(words) or (wide and len(words) == 1):
        return False
    return meter.recognises(words)


def _candidate(edition: Edition, answers: Answers) -> Candidate:
    meter = edition.meter
    ranged, others = [1], [0]
    for name, point in meter.points.items():
        block = _block(meter, name)
        if block in answers and (meter.fingerprint is None or name != meter.fingerprint.point):
            words = answers[block]
            sample = None if words is None else _sample(meter, name, words)
            (others if point.range is None else ranged).append(_verdict(sample))
    fits, misfits = ranged.count(1), ranged.count(-1)
    evidence = f"{_evidence(edition, answers)}; {fits} of {len(ranged)} checks fit"
    return Candidate(
        edition,
        exact=_is_exact(edition),
        fits=fits,
        misfits=misfits,
        unsure=ranged.count(0),
        more_fits=others.count(1),
        more_misfits=others.count(-1),
        evidence=f"{evidence}, {misfits} do not" if misfits else evidence,
    )


def _verdict(sample: Sample | None) -> int:
    if sample is None:
        return -1
    # what reads 0 is more often absent than wrong, and proves nothing either way
    if not sample.count:
        return 0
    return -1 if sample.quality == "out_of_range" else 1


def _with_lent_ranges(editions: Sequence[Edition]) -> list[Edition]:
    # else a profile would win by what its file says rather than by what the meter says
    lent = {
        (name, _place(edition, name)): point.range
        for edition in editions
        for name, point in edition.meter.points.items()
        if point.range is not None
    }
    whole = []
    for edition in editions:
        points = {
            name: point.model_copy(
                update={"range": point.range or lent.get((name, _place(edition, name)))}
            )
            for name, point in edition.meter.points.items()
        }
        whole.append(replace(edition, meter=edition.meter.model_copy(update={"points": points})))
    return whole


def _place(edition: Edition, name: str) -> tuple[Block, RegisterType, WordOrder, Decimal]:
    meter, point = edition.meter, edition.meter.points[name]
    return _block(meter, name), point.type, meter.order(name), point.scale


def _evidence(edition: Edition, answers: Answers) -> str:
    meter = edition.meter
    block, mark = meter.identification(), meter.fingerprint
    words = None if block is None else answers.get(block)
    if block is None or mark is None or words is None:
        return ""
    if mark.point is None or mark.range is None:
        shown = " ".join(f"{word:04x}" for word in words)
        text = f" ({mark.ascii})" if mark.ascii else ""
        return f"register {block.address:#06x} is {shown}{text}"
    sample = _sample(meter, mark.point, words)
    value = Decimal(0) if sample.value is None else sample.value
    uom = f" {sample.uom}" if sample.uom else ""
    return f"{mark.point} {value}{uom} is in {mark.range.min}..{mark.range.max}"


def _judged(edition: Edition) -> list[str]:
    return [name for name, point in edition.meter.points.items() if point.range is not None]


def _block(meter: Profile, point: str) -> Block:
    span = meter.span(point)
    return Block(span.function, span.address, span.count)


def _sample(meter: Profile, point: str, words: tuple[int, ...]) -> Sample:
    block = _block(meter, point)
    samples = decode_words(meter, block.function, block.address, words)
    return next(sample for sample in samples if sample.point == point)


def _is_exact(edition: Edition) -> bool:
    mark = edition.meter.fingerprint
    return mark is not None and mark.point is None


_ENOUGH = 3
