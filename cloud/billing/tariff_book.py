"""The tariffs of a bill run: chosen by day, made ready for rating once, kept under their hash."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

from cloud.billing.cycles import Days, split_at
from cloud.documents import DocumentError
from cloud.errors import RefusedError
from cloud.tariffs.files import (
    check_billable,
    load_book,
    load_tariffs,
    tariff_in_force,
    version_on,
)
from cloud.tariffs.rate_plan import RatePlan
from cloud.tariffs.tariff import SupplyKind, Tariff


@dataclass(frozen=True)
class Chosen:
    """A version of a tariff, ready for rating; `text` is its canonical JSON, `hash` its SHA-256."""

    tariff: Tariff
    plan: RatePlan
    text: str
    hash: str


class TariffBook:
    """Tariffs by id; what was chosen is remembered in `used`."""

    def __init__(self, tariffs: Iterable[Tariff], *, allow_unverified: bool) -> None:
        self._tariffs = tuple(tariffs)
        self._allow_unverified = allow_unverified
        self._chosen: dict[tuple[str, date], Chosen] = {}
        self._segments: dict[tuple[str, Days], list[Days]] = {}

    @classmethod
    def built_in(cls, *, allow_unverified: bool) -> "TariffBook":
        """Return the book of the tariffs that come with the service."""
        return cls(built_in(), allow_unverified=allow_unverified)

    @classmethod
    def of(cls, own: Path | None, *, allow_unverified: bool) -> "TariffBook":
        """Return the book of these and of a folder of one's own, see `tariffs_of`."""
        return cls(tariffs_of(own), allow_unverified=allow_unverified)

    @property
    def used(self) -> dict[str, tuple[str, str]]:
        """Give the texts of what was chosen: hash -> (tariff id, text)."""
        return {each.hash: (each.tariff.id, each.text) for each in self._chosen.values()}

    def choose(self, tariff_id: str, supply: str, *, on: date) -> Chosen:
        """Return the version in force on a day; TariffRefusedError where it may not bill this."""
        tariff = tariff_in_force(self._tariffs, tariff_id, on=on)
        check_billable(tariff, SupplyKind(supply), allow_unverified=self._allow_unverified)
        key = tariff.id, tariff.effective_from
        if key not in self._chosen:
            text, digest = tariff_text(tariff)
            self._chosen[key] = Chosen(tariff, RatePlan(tariff), text, digest)
        return self._chosen[key]

    def segments(self, tariff_id: str, days: Days) -> list[Days]:
        """Split days where another version or another season begins."""
        key = tariff_id, days
        if key not in self._segments:
            self._segments[key] = self._split(tariff_id, days)
        return self._segments[key]

    def _split(self, tariff_id: str, days: Days) -> list[Days]:
        versions = [tariff for tariff in self._tariffs if tariff.id == tariff_id]
        found: list[Days] = []
        for span in split_at(days, [tariff.effective_from for tariff in versions]):
            held = version_on(versions, span.from_on)
            found += split_at(span, _season_starts(held, span) if held else [])
        return found


@cache
def built_in() -> tuple[Tariff, ...]:
    """Return the tariffs that come with the service, read once."""
    return tuple(load_tariffs())


def tariffs_of(own: Path | None) -> tuple[Tariff, ...]:
    """Return the built-in tariffs and those of a folder, read again where a file was changed.

    RefusedError has every fault of the folder.
    """
    if own is None:
        return built_in()
    try:
        stats = [(path.name, path.stat()) for path in sorted(own.iterdir())]
    except OSError as error:
        message = f"HUTONG_TARIFFS: {own}: {error.strerror}: allowed is a folder of tariff files"
        raise RefusedError(message) from error
    return _with_own(own, tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


def tariff_text(tariff: Tariff) -> tuple[str, str]:
    """Return a tariff as canonical JSON, and its SHA-256 in hex."""
    text = json.dumps(tariff.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
    return text, hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4)
def _with_own(own: Path, _files: tuple[tuple[str, int, int], ...]) -> tuple[Tariff, ...]:
    try:
        return tuple(load_book(own))
    except (DocumentError, OSError) as error:
        raise RefusedError(str(error)) from error


def _season_starts(tariff: Tariff, days: Days) -> list[date]:
    if not tariff.seasons:
        return []
    every = [days.from_on + timedelta(days=at) for at in range((days.to_on - days.from_on).days)]
    pairs = pairwise(every)
    return [day for before, day in pairs if tariff.season_of(before) != tariff.season_of(day)]
