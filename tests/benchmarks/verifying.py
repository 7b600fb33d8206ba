"""Bills computed anew from their bundles: written reads, signed reads, a month of hours, a pool."""

import json
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud.billing.verify_bill import verify
from cloud.database import migrate, open_engine
from cloud.tariffs.files import load_tariffs, tariff_in_force
from cloud.tariffs.usage_files import parse_usage
from tests.benchmarks.measure import Figure, measured
from tests.fixtures.bundles import bundle_of_usage
from tests.fixtures.proven_site import KEY, PUBLIC
from tests.fixtures.signed_estate import (
    bundle,
    deliver_signed,
    estate,
    month_of_reads,
)
from tests.fixtures.signed_estate import (
    run as run_bills,
)
from tests.reference.golden_cases import cases

SIGNATURES = 200
MOST_BYTES = 4_000_000
MESSAGE = bytes(70)


def run() -> list[Figure]:
    """Measure on one core; the limit is that of bare Ed25519 signatures."""
    figures = [_measured("every golden tariff", _golden())]
    with tempfile.TemporaryDirectory(prefix="hutong-bench-verify-") as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'hutong.db'}")
        migrate(engine)
        estate(engine)
        deliver_signed(engine, Path(folder), month_of_reads())
        run_bills(engine)
        made = {
            "2 signed reads": bundle(engine, "1-101"),
            "744 hours of one sum": bundle(engine, "1-201", by_hour=False),
            "745 signed reads by the hour": bundle(engine, "1-201"),
            "a share of two pools": bundle(engine, "1-101", "shared"),
        }
        engine.dispose()
    figures += [_measured(what, [raw] * (1 + MOST_BYTES // len(raw))) for what, raw in made.items()]
    public = Ed25519PublicKey.from_public_bytes(KEY.public_key().public_bytes_raw())
    signature = KEY.sign(MESSAGE)
    with measured("verify", "bare Ed25519 signatures", SIGNATURES) as limit:
        for _ in range(SIGNATURES):
            public.verify(signature, MESSAGE)
    return [*figures, limit]


def _measured(what: str, bundles: list[bytes]) -> Figure:
    lines = sum(len(json.loads(raw)["bill"]["line_items"]) for raw in bundles)
    with measured("verify", what, lines) as figure:
        for raw in bundles:
            verify(raw, [PUBLIC])
    size = sum(map(len, bundles)) // len(bundles)
    per_bill = figure.cpu_us * lines / len(bundles)
    figure.more = (
        f"{1e6 / figure.cpu_us:.0f} lines/s; {len(bundles)} bills of {size} bytes,"
        f" {per_bill:.0f} us each"
    )
    return figure


def _golden() -> list[bytes]:
    tariffs, made = load_tariffs(), list[bytes]()
    for case in cases():
        if "fault" not in case.expected:
            on = parse_usage(json.dumps(case.usage), name="usage.json").from_on
            tariff = tariff_in_force(tariffs, case.tariff_id, on=on)
            made.append(bundle_of_usage(tariff, case.usage)[0])
    return made
