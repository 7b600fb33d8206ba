"""Tariff files: loading them, finding one by id, and which version is in force."""

from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from cloud.documents import (
    DocumentError,
    parse_json,
    parse_yaml,
    read_text,
)
from cloud.tariffs.faults import faults_of, with_line
from cloud.tariffs.schema import SCHEMA_FILE
from cloud.tariffs.tariff import SupplyKind, Tariff

BUILT_IN = Path(__file__).parent / "built_in"
SUFFIXES = (".yaml", ".yml", ".json")


class TariffRefusedError(ValueError):
    """A tariff that may not be used for this bill."""


def parse_tariff(text: str, *, name: str) -> Tariff:
    """Read one tariff from YAML (or JSON, by the name's ending); DocumentError."""
    parse = parse_json if name.endswith(".json") else parse_yaml
    try:
        document = parse(text, name=name)
    except DocumentError as error:
        raise DocumentError(*(with_line(fault, name=name) for fault in error.faults)) from None
    except RecursionError:
        msg = f"{name}: nested too deep: allowed is a mapping with the keys of one tariff"
        raise DocumentError(msg) from None
    if not isinstance(document, dict):
        msg = f"{name}:1: allowed is a mapping with the keys of one tariff"
        raise DocumentError(msg)
    try:
        return Tariff.model_validate(document)
    except ValidationError as error:
        raise DocumentError(*faults_of(error, text, name=name)) from None


def load_tariff(path: Path) -> Tariff:
    """Read one tariff file; DocumentError."""
    return parse_tariff(read_text(path), name=str(path))


def tariff_files(folder: Path) -> list[Path]:
    """Return the tariff files of a folder, by name."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.name != SCHEMA_FILE
    ]


def load_tariffs(folder: Path = BUILT_IN) -> list[Tariff]:
    """Read every tariff of a folder, by id and first day; DocumentError also for overlaps."""
    return [tariff for _, tariff in _read(folder)]


def load_book(own: Path) -> list[Tariff]:
    """Read the built-in tariffs and those of a folder of one's own; DocumentError.

    The folder may add ids and newer versions of an id: a version ends where the next one begins.
    It never stands in for a built-in version, nor a built-in one for it: both files are named.
    """
    if not own.is_dir():
        msg = f"{own}: allowed is a folder of tariff files (HUTONG_TARIFFS)"
        raise DocumentError(msg)
    shipped, mine = _read(BUILT_IN), _read(own)
    faults = [
        fault
        for path, tariff in mine
        for other_path, other in shipped
        if (fault := _clash(path, tariff, other_path, other)) is not None
    ]
    if faults:
        raise DocumentError(*faults)
    every = [tariff for _, tariff in (*shipped, *mine)]
    return sorted(every, key=lambda tariff: (tariff.id, tariff.effective_from))


def version_on(versions: Iterable[Tariff], day: date) -> Tariff | None:
    """Return which version of one tariff is in force on a day: of those begun, the newest."""
    begun = [tariff for tariff in versions if tariff.effective_from <= day]
    newest = max(begun, key=lambda tariff: tariff.effective_from, default=None)
    return newest if newest is not None and newest.in_force_on(day) else None


def tariff_in_force(tariffs: Iterable[Tariff], tariff_id: str, *, on: date) -> Tariff:
    """Choose the version of tariff_id in force on a local day; TariffRefusedError."""
    every = list(tariffs)
    versions = [tariff for tariff in every if tariff.id == tariff_id]
    if (held := version_on(versions, on)) is not None:
        return held
    if versions:
        spans = ", ".join(
            f"{tariff.effective_from} to {tariff.effective_to or 'now'}" for tariff in versions
        )
        msg = f"tariff {tariff_id}: not in force on {on}; versions run {spans}"
    else:
        known = ", ".join(sorted({tariff.id for tariff in every}))
        msg = f"tariff {tariff_id}: unknown; allowed are a file or one of {known}"
    raise TariffRefusedError(msg)


def check_billable(
    tariff: Tariff, supply_kind: SupplyKind, *, allow_unverified: bool = False
) -> None:
    """Refuse a tariff for a real bill: wrong supply kind or not verified; TariffRefusedError."""
    if supply_kind not in tariff.supply_kinds:
        msg = (
            f"tariff {tariff.id}: supply kind {supply_kind}: allowed are"
            f" {', '.join(tariff.supply_kinds)}"
        )
        raise TariffRefusedError(msg)
    if not tariff.verified and not allow_unverified:
        msg = (
            f"tariff {tariff.id} version {tariff.version}: verified: false: allowed for real"
            " bills is a tariff whose official notice is cited, or an explicit override"
        )
        raise TariffRefusedError(msg)


def _read(folder: Path) -> list[tuple[Path, Tariff]]:
    faults: list[str] = []
    found: list[tuple[Path, Tariff]] = []
    for path in tariff_files(folder):
        try:
            found.append((path, load_tariff(path)))
        except DocumentError as error:
            faults.extend(error.faults)
    found.sort(key=lambda each: (each[1].id, each[1].effective_from))
    for (first, earlier), (second, later) in pairwise(found):
        if earlier.id == later.id and earlier.in_force_on(later.effective_from):
            faults.append(
                f"{folder}: {later.id}: versions {earlier.version} and {later.version}"
                f" are both in force on {later.effective_from}; allowed is one"
                f" ({first.name}, {second.name})"
            )
    if faults:
        raise DocumentError(*faults)
    return found


def _clash(path: Path, tariff: Tariff, other_path: Path, other: Tariff) -> str | None:
    if tariff.id != other.id:
        return None
    begins = other.effective_from
    if tariff.effective_from == begins:
        return (
            f"{path}: {tariff.id} from {begins} on is in {other_path}, too:"
            " allowed is another effective_from or another id"
        )
    # what the service brings later must not change the company's prices unseen
    if tariff.in_force_on(begins):
        return (
            f"{path}: {tariff.id} version {tariff.version} is still in force on {begins}, when"
            f" {other_path} begins: allowed is an effective_to until then, or another id"
        )
    return None
