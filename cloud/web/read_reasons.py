"""What plausibility says of a read, in any language and in what the register shows."""

import re
from decimal import Decimal
from typing import Final

from cloud.web.formats import Format
from cloud.web.i18n import N_, translations_of
from cloud.web.reasons import Sentence

_COUNTS: Final = frozenset({"before", "later", "most", "used", "usual"})
_SENTENCES: Final = tuple(
    (re.compile(pattern, re.DOTALL), message)
    for pattern, message in (
        (
            r"read_at: -?\d+ us: allowed is up to now",
            N_("Its time lies ahead; allowed is up to now"),
        ),
        (
            r"read_at: -?\d+ us: no meter stood here then",
            N_("No meter stood here at that time"),
        ),
        (
            r"read_at: -?\d+ us: a read of that instant is there already",
            N_("A read of that moment is there already"),
        ),
        (
            r"count: -?\d+: allowed is from 0, below (?P<most>\d+)",
            N_("The meter cannot show that; allowed is from 0 to below %(most)s"),
        ),
        (
            r"count: -?\d+: allowed is from 0, no limit",
            N_("The meter cannot show that; allowed is from 0"),
        ),
        (
            r"count: -?\d+: a later read shows (?P<later>\d+)",
            N_("A later read shows %(later)s; allowed is up to that"),
        ),
        (
            r"count: -?\d+: the read before shows (?P<before>\d+)",
            N_("The read before shows %(before)s; allowed is from that"),
        ),
        (
            r"count: -?\d+: did it roll over from (?P<before>\d+)\?",
            N_("The read before shows %(before)s: did the register roll over?"),
        ),
        (
            r"count: -?\d+: (?P<used>\d+) used, the meter can do (?P<most>\d+)",
            N_("%(used)s used since the read before; the meter can do %(most)s"),
        ),
        (
            r"count: -?\d+: (?P<used>\d+) used, usual are (?P<usual>\d+) \(.*\)",
            N_("%(used)s used since the read before; usual would be %(usual)s"),
        ),
        (
            r"count: -?\d+: only (?P<used>\d+) used, usual are (?P<usual>\d+) \(.*\)",
            N_("Only %(used)s used since the read before; usual would be %(usual)s"),
        ),
        (r"meter point '(?P<point>.*)' is unknown", N_("There is no meter point %(point)s")),
        (r"meter: '(?P<meter>.*)': no meter has it", N_("No meter has the number “%(meter)s”")),
        (
            r"meter: '(?P<meter>.*)': several meters have it",
            N_("Several meters have the number “%(meter)s”; name the meter point"),
        ),
        (r"register: .*: allowed is a number", N_("The register is no number")),
        (
            r"register: .*: allowed are (?P<places>\d+) decimals",
            N_("This meter's register has %(places)s decimals at most"),
        ),
        (
            r"read_at: .*: allowed is 2026-11-30 or .*",
            N_("The time is not readable; allowed is 2026-11-30 or 2026-11-30 18:00"),
        ),
        (r"the round does not list it", N_("The reading round does not list it")),
        (
            r"the round has a read of it already|round \d+: .* was read: withdraw that read first",
            N_("The reading round has a read of it already; withdraw that one first"),
        ),
        (r"round \d+ is closed", N_("The reading round is closed")),
        (
            r"photo: \d+ bytes: allowed are \d+",
            N_("The photo is larger than 5 MB; everything else is still here"),
        ),
        (
            r"photo: neither JPEG nor PNG.*",
            N_("The photo is neither JPEG nor PNG; everything else is still here"),
        ),
    )
)


def reason_of(text: str, exponent: int, form: Format) -> Sentence | None:
    """Return the sentence of a reason, its counts as registers; None for an unknown one."""
    for pattern, message in _SENTENCES:
        if (found := pattern.fullmatch(text)) is not None:
            values = {
                key: form.number(Decimal(value).scaleb(exponent)) if key in _COUNTS else value
                for key, value in found.groupdict().items()
            }
            return Sentence(message, values)
    return None


def told(text: str, exponent: int, form: Format) -> str:
    """Return a reason as plain text in the reader's language, as it is where it is unknown."""
    sentence = reason_of(text, exponent, form)
    if sentence is None:
        return text
    return translations_of(form.language).gettext(sentence.message) % sentence.values
