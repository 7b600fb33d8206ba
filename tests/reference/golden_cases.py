"""Golden cases of tariffs: finding them, and writing what the second engine expects of new ones."""

import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.reference.second_engine import Bill, read_tariff, second_bill

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tariffs"
BUILT_IN = ROOT / "cloud" / "tariffs" / "built_in"


@dataclass(frozen=True)
class Case:
    """A folder tests/golden/tariffs/<tariff id>/<case> with usage.json and expected.json."""

    folder: Path

    @property
    def tariff_id(self) -> str:
        """Name the tariff."""
        return self.folder.parent.name

    @property
    def usage(self) -> dict[str, Any]:
        """Read what was used."""
        usage: dict[str, Any] = json.loads((self.folder / "usage.json").read_text("utf-8"))
        return usage

    @property
    def expected(self) -> dict[str, Any]:
        """Read what must come out."""
        expected: dict[str, Any] = json.loads((self.folder / "expected.json").read_text("utf-8"))
        return expected

    def __str__(self) -> str:
        """Give its name in a list of tests."""
        return f"{self.tariff_id}/{self.folder.name}"


def cases() -> list[Case]:
    """Find every golden case."""
    return [Case(folder) for folder in sorted(GOLDEN.glob("*/*")) if folder.is_dir()]


def tariff_texts() -> dict[str, list[str]]:
    """Read the texts of all built-in versions by id."""
    texts: dict[str, list[str]] = {}
    for path in sorted(BUILT_IN.glob("*.yaml")):
        text = path.read_text("utf-8")
        texts.setdefault(read_tariff(text)["id"], []).append(text)
    return texts


def bill_of(case: Case, texts: dict[str, list[str]]) -> Bill:
    """Compute a case by the second engine, with the version in force; RefusedError."""
    first_day = case.usage["from"]
    versions = texts[case.tariff_id]
    in_force = [text for text in versions if read_tariff(text)["effective_from"] <= first_day]
    newest = max(in_force or versions, key=lambda text: read_tariff(text)["effective_from"])
    return second_bill(newest, case.usage)


def expectation(bill: Bill) -> dict[str, object]:
    """Give a bill as the expected.json of a case."""
    return {
        "origin": "derived",
        "line_items": [
            {
                "code": line.code,
                "quantity": _written(line.quantity),
                "unit_price": _written(line.unit_price),
                "amount": _yuan(line.fen),
            }
            for line in bill.lines
        ],
        "total": _yuan(bill.total_fen),
    }


def write_missing() -> None:
    """Write expected.json where a case has none yet; what is there stays."""
    texts = tariff_texts()
    for case in cases():
        path = case.folder / "expected.json"
        if not path.exists():
            document = expectation(bill_of(case, texts))
            text = json.dumps(document, ensure_ascii=False, indent=2)
            path.write_text(text + "\n", "utf-8")


def _written(value: Fraction) -> str:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(exact) != value:
        msg = f"{value} has no end as a decimal"
        raise ValueError(msg)
    return format(exact, "f")


def _yuan(fen: int) -> str:
    return f"{'-' * (fen < 0)}{abs(fen) // 100}.{abs(fen) % 100:02d}"


if __name__ == "__main__":
    write_missing()
