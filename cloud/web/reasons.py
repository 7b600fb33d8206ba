"""Sentences that the delivery keeps in English, found again for pages in any language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloud.web.i18n import N_


@dataclass(frozen=True)
class Sentence:
    """A message of the catalogue with what to put into it."""

    message: str
    values: Mapping[str, str]


def sentence_of(text: str) -> Sentence | None:
    """Return the sentence that a kept text is, None for one that somebody wrote."""
    for pattern, message in _SENTENCES:
        if (found := pattern.fullmatch(text)) is not None:
            return Sentence(message, found.groupdict())
    return None


_SENTENCES: Final = tuple(
    (re.compile(pattern, re.DOTALL), message)
    for pattern, message in (
        (
            r"(?P<count>\d+) readings out of range or of another gateway's device",
            N_("%(count)s readings are out of range or of another gateway's device"),
        ),
        (
            "reading it ended the worker again and again",
            N_("Reading it ended the service again and again; it is not read any more"),
        ),
        ("a batch id came with other bytes", N_("A batch id came a second time with other bytes")),
        (
            "a sequence number came with another hash",
            N_(
                "A sequence number came a second time with another hash; is there a second gateway?"
            ),
        ),
        (
            "an unknown batch at or below the watermark",
            N_("An unknown batch came for a place that was closed"),
        ),
        ("the chain is broken", N_("It does not follow the batch before it")),
        (
            r"a batch of (?P<bytes>\d+) bytes cannot be decoded: .*",
            N_("Its %(bytes)s bytes are no batch"),
        ),
        (
            r"batch version (?P<version>-?\d+); known: .*",
            N_("It has version %(version)s, which this service does not know"),
        ),
        (
            r"a batch of (?P<bytes>\d+) bytes; allowed: up to (?P<most>\d+)",
            N_("It has %(bytes)s bytes; allowed are %(most)s"),
        ),
        (
            r"a batch of (?P<bytes>\d+) bytes unpacks to over (?P<most>\d+)",
            N_("Its %(bytes)s bytes unpack to more than %(most)s"),
        ),
        (
            r"(?P<count>\d+) records in a batch; allowed: up to (?P<most>\d+)",
            N_("It has %(count)s records; allowed are %(most)s"),
        ),
        (
            r"series (?P<series>.*): columns differ in length",
            N_("The columns of %(series)s differ in length"),
        ),
        (
            r"a replaced batch id must have \d+ bytes",
            N_("It names a batch that it replaces by no valid id"),
        ),
        (r"(?P<count>\d+) readings stored", N_("%(count)s readings stored")),
        (
            r"(?P<count>\d+) readings stored, (?P<waiting>\d+) wait for the time",
            N_("%(count)s readings stored, %(waiting)s wait for the time"),
        ),
    )
)
