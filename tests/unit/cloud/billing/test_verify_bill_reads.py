"""What the standalone verifier says of words, registers and nonsense."""

import ast
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing import verify_bill
from cloud.billing.register_maps import map_of
from cloud.billing.verify_bill import DiffersError, decoded, verify
from cloud.billing.verify_bill.values import sha256
from cloud.tariffs.files import load_tariffs
from devices.profile import load_profile, profile_ids
from protocols.delivery.records import words_to_bytes
from protocols.modbus.registers import RegisterType, WordOrder, decode, encode, to_count
from tests.fixtures.bundles import bundle_of_usage
from tests.fixtures.mutations import rewritten

TIERED = next(each for each in load_tariffs() if each.id == "cn-beijing-electricity-tiered")
JULY = {"from": "2026-07-01", "to": "2026-08-01", "quantity": "250.50"}
CHARGE = {"code": "meter", "name": {"zh": "表", "en": "m"}, "per": "month", "by": "premise"}
CHARGE |= {"part": "whole", "season": None, "price": "3.00", "prices_by_floor": None}
CREDIT = {"number": "C00000001", "reason": "misread", "total": "-122.84"}
Json = dict[str, Any]
Change = Callable[[Json], object]


def changed(change: Change) -> bytes:
    """Return a good bundle after a change, its digest made anew."""
    document: Json = json.loads(bundle_of_usage(TIERED, JULY)[0])
    change(document)
    return rewritten(document, renewed=True)


def test_it_imports_nothing_of_ours() -> None:
    allowed = sys.stdlib_module_names | {"cryptography"}
    files = sorted(Path(verify_bill.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert {name.name.partition(".")[0] for name in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").partition(".")[0] in allowed, path
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1, path


@given(
    type_=st.sampled_from(list(RegisterType)),
    order=st.sampled_from(list(WordOrder)),
    number=st.integers(0, 2**31 - 1),
    scale=st.sampled_from(["1", "0.01", "0.001", "1000"]),
    exponent=st.sampled_from([-3, -2, 0]),
)
def test_words_mean_what_the_driver_says(
    type_: RegisterType, order: WordOrder, number: int, scale: str, exponent: int
) -> None:
    value: float = number / 100 if type_.is_float else number % 2**15
    words = encode(value, type_, order)
    raw = words_to_bytes(words)
    count = to_count(
        decode(words, type_, order),
        scale=Decimal(scale),
        resolution_exponent=exponent,
        double=type_ is RegisterType.FLOAT64,
    )
    how = {"type": str(type_), "order": str(order), "scale": scale, "terms": 1}
    assert decoded(raw, how, exponent, "words") == count


def test_the_map_of_every_billed_register_is_found() -> None:
    found = 0
    for name in profile_ids():
        profile = load_profile(name)
        for point, wanted in profile.points.items():
            if not wanted.billing:
                continue
            term = words_to_bytes(encode(4096, wanted.type, profile.order(point)))
            raw = term * wanted.terms
            one = to_count(4096, scale=wanted.scale, resolution_exponent=wanted.exponent)
            assert one is not None
            count = one * wanted.terms
            found += 1
            how = map_of(name, point, exponent=wanted.exponent, reads=[(raw, count)])
            assert how == {
                "type": str(wanted.type),
                "order": str(profile.order(point)),
                "scale": f"{wanted.scale:f}",
                "terms": wanted.terms,
            }
            assert map_of(name, point, exponent=wanted.exponent, reads=[(raw, count + 1)]) is None
    assert found > 15
    assert map_of("../profiles/eastron-sdm120", "energy_import", exponent=-2, reads=[]) is None


def _edge(document: Json, side: str, count: int) -> None:
    edge = document["segments"][0]["parts"][0][side]
    edge["count"] = edge["reads"][0]["count"] = count


def _rolls_over(document: Json, capacity: int | None) -> None:
    _edge(document, "start", 999_000)
    _edge(document, "end", 24_050)
    document["segments"][0]["parts"][0]["capacity"] = capacity


def test_a_register_that_rolls_over_is_counted() -> None:
    assert verify(changed(lambda document: _rolls_over(document, 1_000_000)))
    with pytest.raises(DiffersError, match=r"segments\[0\].parts\[0\]: falls or goes back"):
        verify(changed(lambda document: _rolls_over(document, None)))
    with pytest.raises(DiffersError, match="did not turn"):
        verify(
            changed(lambda document: document["segments"][0]["parts"][0].update(capacity=1_000_000))
        )


def _put(path: str, value: object) -> Change:
    def change(document: Json) -> None:
        holder: Any = document
        *front, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
        for key in front:
            holder = holder[key]
        holder[last] = value

    return change


def _tariff(key: str, value: object) -> Change:
    def change(document: Json) -> None:
        segment = document["segments"][0]
        tariff = json.loads(segment["tariff"]["text"])
        *front, last = key.split(".")
        (tariff[front[0]] if front else tariff)[last] = value
        text = json.dumps(tariff, ensure_ascii=False, sort_keys=True)
        segment["tariff"] = {"text": text, "sha256": sha256(text.encode()).hex()}

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            _put("format", "hutong-bill-2"),
            "format: found 'hutong-bill-2', expected 'hutong-bill-1'",
        ),
        (_put("bill.total", "122.85"), r"bill.total: found '122.85', expected .*first at byte 5"),
        (
            _put("bill.line_items.0.formula", "1"),
            r"bill.line_items\[0\].formula: .*first at byte 0",
        ),
        (_put("bill.extra", 1), "bill: fields extra: this program knows"),
        (_put("segments.0.inputs.premise.people", 4), "people: 4, expected null: nothing asks"),
        (
            _put("segments.0.inputs.used_before", None),
            "used_before: found nothing, expected a number",
        ),
        (
            _put("segments.0.inputs.quantity", "250.51"),
            r"inputs.quantity: found 250.51, expected 250.5",
        ),
        (_put("segments.0.inputs.to_on", "2026-08-02"), "parts: mp-1: at_us"),
        (_put("segments.0.inputs.from_on", "2026-07-02"), "from_on: found '2026-07-02', expected"),
        (_put("bill.to_on", "2026-08-02"), "bill.to_on: found '2026-08-02', expected '2026-08-01'"),
        (_put("bill.from_on", "2026-06-01"), "bill.period: found '2026-07', expected '2026-06'"),
        (_put("bill.line_items.0.segment", 1), r"line_items\[0\].segment: found 1, expected 0"),
        (_put("segments.0.inputs.used_before", "-1"), "used_before: found -1, expected 0"),
        (_put("segments.0.tariff", None), r"segments\[0\].tariff: is not on file"),
        (_put("credit", CREDIT | {"total": "122.84"}), "credit.total: found '122.84'"),
        (_put("segments", None), "segments: found None"),
        (_put("segments", []), "bill.quantity: found '250.50', expected None"),
        (_put("segments.0.inputs", None), "inputs: were not kept with this bill"),
        (_put("segments.0.tariff.text", "{}"), "tariff.sha256: found"),
        (
            _put("segments.0.parts.0.exponent", 10**9),
            "exponent: found 1000000000, expected -18 to 17",
        ),
        (_put("segments.0.parts.0.end.reads.0.lacks", ""), "expected it or what it `lacks`"),
        (_put("segments.0.parts.0.end.rule", "by-guess"), r"end.rule: found 'by-guess'"),
        (_put("segments.0.parts.0.end.reads.0.read_at_us", 1), "its read is of 1"),
        (_tariff("surcharge", None), "fields surcharge: this program knows id, version"),
        (_tariff("rounding", "bankers"), "rounding: found 'bankers', expected 'line', 'component'"),
        (_tariff("price_source", "market"), "price_source: found 'market'"),
        (_tariff("split_rule", "by-guess"), "split_rule: found 'by-guess'"),
        (_tariff("tiers.part", "by-week"), "tiers.part: found 'by-week'"),
        (_tariff("fixed_charges", [CHARGE | {"per": "week"}]), "meter.per: found 'week'"),
        (_tariff("fixed_charges", [CHARGE | {"by": "window"}]), "meter.by: found 'window'"),
        (_tariff("fixed_charges", [CHARGE | {"part": "half"}]), "meter.part: found 'half'"),
        (_tariff("effective_to", "2026-07-15"), "the tariff is not in force then"),
        (
            _put("segments.0.inputs.quantity", 250.5),
            "250.5: a number that is not whole must be a text",
        ),
        (
            _put("segments.0.inputs.premise", {"area_m2": {}}),
            "fields floor, households, people, vehicles",
        ),
        (_put("segments.0.parts", 7), "parts: found 7, expected an object"),
    ],
)
def test_the_first_thing_that_differs_is_named(change: Change, told: str) -> None:
    with pytest.raises(DiffersError, match=told):
        verify(changed(change))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "is no bundle"),
        (b"[]\n", "is no bundle"),
        (b"\xff", "is no bundle"),
        (b"[" * 100_000, "is no bundle"),
        (b'{"a":1}', r"(?s)\(file\): .* \(first at byte 1\)"),
        (b'{\n "a": NaN\n}\n', "NaN"),
    ],
)
def test_nonsense_is_refused(raw: bytes, told: str) -> None:
    with pytest.raises(DiffersError, match=told):
        verify(raw)


def test_a_blank_more_is_seen_and_a_digest_binds() -> None:
    raw, _ = bundle_of_usage(TIERED, JULY)
    with pytest.raises(DiffersError, match=rf"\(file\): .*byte {len(raw)}\)"):
        verify(raw + b" ")
    document = json.loads(raw)
    document["bill"]["holder"] = "somebody"
    with pytest.raises(DiffersError, match="digest: found"):
        verify(rewritten(document, renewed=False))


def _two_meters() -> Json:
    # both used half of what is billed
    document: Json = json.loads(bundle_of_usage(TIERED, JULY | {"quantity": "501.00"})[0])
    half = json.loads(bundle_of_usage(TIERED, JULY)[0])["segments"][0]["parts"][0]
    document["segments"][0]["parts"] = [half, half | {"meter_point": "mp-2", "meter": "m-2"}]
    return document


def test_several_meters_of_one_home_add_up() -> None:
    document = _two_meters()
    assert verify(rewritten(document, renewed=True))
    document["segments"][0]["parts"].pop()
    with pytest.raises(DiffersError, match=r"inputs.quantity: found 501, expected 250.5"):
        verify(rewritten(document, renewed=True))


@pytest.mark.parametrize(
    ("weights", "quantity", "told"),
    [
        (("1", "3"), "83.50", ""),
        (("1", "7"), "35.78", ""),
        (("1", "7"), "35.79", ""),
        (("1", "7"), "35.80", "inputs.quantity"),
        (("1", "3"), "83.51", "inputs.quantity"),
        (("4", "3"), "334.00", "weight: 4.0 of 3.0"),
    ],
)
def test_a_home_has_its_weight_of_a_shared_meter(
    weights: tuple[str, str], quantity: str, told: str
) -> None:
    whole = json.loads(bundle_of_usage(TIERED, JULY)[0])["segments"][0]
    document: Json = json.loads(bundle_of_usage(TIERED, JULY | {"quantity": quantity})[0])
    segment = document["segments"][0]
    segment["parts"] = whole["parts"]
    share = dict(zip(("weight", "weight_total"), weights, strict=True))
    segment["inputs"]["shares"] = [share | {"meter_point": "mp-1"}]
    raw = rewritten(document, renewed=True)
    if told:
        with pytest.raises(DiffersError, match=told):
            verify(raw)
        return
    assert "1 个分摊计量点" in "".join(verify(raw))
    segment["inputs"]["shares"][0]["meter_point"] = "mp-2"
    with pytest.raises(DiffersError, match=r"inputs.shares: "):
        verify(rewritten(document, renewed=True))
