"""hutong-edge profile and decode: what the profiles are worth, and what raw words mean."""

import json
import re
from typing import Annotated

import typer

from devices.driver import Sample
from devices.point_decoder import decode_words
from devices.profile import FUNCTIONS, Profile, load_profile, profile_ids
from devices.profile_schema import schema_text
from protocols.delivery.records import decimal_text, words_to_bytes, words_to_hex
from protocols.errors import ConfigError
from protocols.modbus.plan import MAX_REGISTERS

LAST_REGISTER = 0xFFFF

profile_app = typer.Typer(no_args_is_help=True, help="The maps of the meters that can be read.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@profile_app.command("check")
def check_profiles(
    profiles: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE|ID]...", help="default: all that ship")
    ] = None,
) -> None:
    """Check profiles; exit 2 and one line per fault."""
    faults: list[str] = []
    good: list[Profile] = []
    for wanted in profiles or profile_ids():
        try:
            good.append(load_profile(wanted))
        except ConfigError as error:
            faults += error.faults
    for profile in good:
        count, variants = len(profile.points), len(profile.variants)
        typer.echo(f"{profile.id}: {count} points, {variants} variants")
    if faults:
        raise ConfigError(*faults)


@profile_app.command("list")
def list_profiles(*, as_json: Json = False) -> None:
    """List the profiles that ship with the program."""
    for profile in map(load_profile, profile_ids()):
        fields = {
            "id": profile.id,
            "maker": profile.maker,
            "model": profile.model,
            "medium": profile.medium,
            "evidence": profile.evidence,
            "points": len(profile.points),
            "billing": [name for name, point in profile.points.items() if point.billing],
            "variants": list(profile.variants),
        }
        if as_json:
            typer.echo(json.dumps(fields, ensure_ascii=False))
            continue
        variants = f"  variants: {', '.join(profile.variants)}" if profile.variants else ""
        typer.echo(
            f"{profile.id:<22} {profile.medium:<8} {profile.evidence:<11}"
            f" {profile.maker} {profile.model}{variants}"
        )


@profile_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of profile files."""
    typer.echo(schema_text(), nl=False)


def decode(
    profile: Annotated[str, typer.Option(help="profile id or file")],
    address: Annotated[str, typer.Option(help="wire address of the first word, 72 or 0x48")],
    words: Annotated[str, typer.Option(help='register words in hex: "4365 0000"')],
    function: Annotated[int | None, typer.Option(help="default: the profile's")] = None,
    variant: Annotated[str | None, typer.Option(help="a variant of the profile")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what the words of one read mean, point by point; transformer ratios count as 1."""
    known = load_profile(profile)
    if variant is not None:
        known = known.variant(variant)
    first, values = _address(address), _words(words)
    wanted = known.function if function is None else function
    if wanted not in FUNCTIONS:
        message = f"--function: {wanted}: allowed are {', '.join(map(str, FUNCTIONS))}"
        raise ConfigError(message)
    if first + len(values) - 1 > LAST_REGISTER:
        message = f"--address: {first} and {len(values)} words: the last register is 65535"
        raise ConfigError(message)
    samples = decode_words(known, wanted, first, values)
    if not samples:
        message = (
            f"{known.id}: no point lies wholly in function {wanted}, registers"
            f" {first:#06x}..{first + len(values) - 1:#06x}; it has {_ranges(known)}"
        )
        raise ConfigError(message)
    for sample in samples:
        fields = _fields(sample)
        typer.echo(
            json.dumps(fields) if as_json else "  ".join(str(part) for part in fields.values())
        )


def _fields(sample: Sample) -> dict[str, str | None]:
    return {
        "point": sample.point,
        "value": decimal_text(sample.count, sample.exponent),
        "uom": sample.uom,
        "quality": sample.quality,
        "words": words_to_hex(words_to_bytes(sample.words)),
    }


def _address(text: str) -> int:
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address <= LAST_REGISTER:
        message = f"--address: {text!r}: allowed are 0..65535, decimal or like 0x48"
        raise ConfigError(message)
    return address


def _words(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    for word in words:
        if not re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{4}", word):
            message = f'--words: {word!r}: allowed are words of four hex digits, like "4365 0000"'
            raise ConfigError(message)
    if not 1 <= len(words) <= MAX_REGISTERS:
        message = f"--words: {len(words)} words: allowed are 1..{MAX_REGISTERS}, as in one read"
        raise ConfigError(message)
    return tuple(int(word, 16) for word in words)


def _ranges(profile: Profile) -> str:
    ends: dict[int, tuple[int, int]] = {}
    for point in profile.points:
        span = profile.span(point)
        first, last = ends.get(span.function, (span.address, span.end))
        ends[span.function] = (min(first, span.address), max(last, span.end))
    return ", ".join(
        f"function {function} {first:#06x}..{end - 1:#06x}"
        for function, (first, end) in sorted(ends.items())
    )
