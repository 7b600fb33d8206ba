"""The tables that decide: whole, and in docs/delivery.md as they are in the code."""

from pathlib import Path
from typing import get_args

import pytest

from protocols.delivery import receiver, sender

DELIVERY = Path(__file__).parents[4] / "docs" / "delivery.md"


def table(name: str, head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {left} | {right} |" for left, right in [head, *rows]]
    return "\n".join(
        [f"<!-- {name} -->", lines[0], "|---|---|", *lines[1:], f"<!-- end of {name} -->"]
    )


def test_every_event_and_every_fate_has_its_transition() -> None:
    assert set(sender.TRANSITIONS) == set(get_args(sender.SenderEvent))
    assert set(sender.FATES) == set(sender.AckFate)
    assert set(receiver.TRANSITIONS) == set(receiver.Fate)


@pytest.mark.parametrize("rules", [sender.ACK_RULES, receiver.RULES])
def test_rules_have_names_of_their_own(rules: tuple[sender.AckRule | receiver.Rule, ...]) -> None:
    assert len({rule.name for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    "wanted",
    [
        table(
            "what an ACK means",
            ("an ACK", "means"),
            [(rule.name, rule.fate.value) for rule in sender.ACK_RULES],
        ),
        table(
            "what becomes of a batch",
            ("a batch", "becomes"),
            [(rule.name, rule.fate.value.replace("_", " ")) for rule in receiver.RULES],
        ),
    ],
)
def test_the_documentation_has_the_rules_in_their_order(wanted: str) -> None:
    assert wanted in DELIVERY.read_text(encoding="utf-8"), f"put this there:\n{wanted}"
