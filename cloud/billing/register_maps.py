"""How the words of a meter's register lie, as the profile files say: a bundle states it."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from cloud.billing import verify_bill
from cloud.documents import DocumentError, parse_yaml, read_text

_ROOT: Final = Path(__file__).resolve().parents[2]
# packaged beside the devices, else in the checkout
_FOLDERS: Final = (_ROOT / "devices" / "firmware-configs", _ROOT / "firmware-configs")

RegisterMap = Mapping[str, object]


def map_of(
    profile: str, point: str, *, exponent: int, reads: Sequence[tuple[bytes, int]]
) -> RegisterMap | None:
    """Return the map of a profile or variant that makes the counts of the words; None for none.

    It has `type`, `order`, `scale` and `terms`; `reads` are words with the counts they mean.
    """
    for found in _maps(profile, point):
        try:
            if all(verify_bill.decoded(raw, found, exponent, "") == count for raw, count in reads):
                return found
        except (verify_bill.DiffersError, OverflowError):
            continue
    return None


@cache
def _maps(profile: str, point: str) -> tuple[dict[str, object], ...]:
    # a name, no path; a profile of the gateway's own is not here
    name = f"{profile}.yaml" if profile.replace("-", "").isalnum() else ""
    path = next(
        (found for folder in _FOLDERS if (found := folder / "profiles" / name).is_file()), None
    )
    if path is None:
        return ()
    try:
        document = parse_yaml(read_text(path), name=str(path))
    except DocumentError:
        return ()
    return tuple(_read(document, point))


def _read(document: object, point: str) -> Iterator[dict[str, object]]:
    base = _mapping(document)
    plain = _mapping(_mapping(base.get("points")).get(point))
    for variant in ({}, *map(_mapping, _mapping(base.get("variants")).values())):
        own = plain | _mapping(_mapping(variant.get("points")).get(point))
        if "type" not in own:
            continue
        order = own.get("word_order") or variant.get("word_order") or base.get("word_order")
        yield {
            "type": str(own["type"]),
            "order": str(order or "ABCD"),
            "scale": f"{Decimal(str(own.get('scale', '1'))):f}",
            "terms": int(str(own.get("terms", "1"))),
        }


def _mapping(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}
