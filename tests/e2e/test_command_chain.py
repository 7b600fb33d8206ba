"""A read that somebody asks for, through every real program: page to meter and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.chain_processes import Chain, Installation, last_month, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

WAIT_S = 40.0
DEVICES = frozenset({"e-1-101", "e-1-102"})


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a running site, cloud and gateway that trusts the cloud's key; it polls once an hour."""
    made = Chain(tmp_path, Installation(devices=DEVICES, period_s=3600))
    try:
        made.broker.start()
        made.start_site()
        made.import_project(last_month())
        content = yaml.safe_load(made.gateway_file.read_text("utf-8"))
        content["command_key"] = made.command_key()
        made.gateway_file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
        made.start_cloud()
        made.start_edge()
        yield made
    finally:
        made.close()


def test_read_now_from_the_api_to_the_meter_and_back(chain: Chain) -> None:
    with chain.client("maintenance") as client:

        def ask(number: int, **wanted: object) -> dict[str, object]:
            body = {"why": "a test", "key": f"k-{number}", **wanted}
            answer = client.post("commands", json=body)
            return {**answer.json(), "status_code": answer.status_code}

        client.base_url = f"{chain.url}/api/v1/"
        numbers = iter(range(1000))

        def done() -> dict[str, object] | None:
            # before its HELLO is answered there is nobody to ask, or nobody who knows the time
            asked = ask(next(numbers), action="read_now", device="e-1-101")
            if asked["status_code"] != 201:
                return None
            path = f"commands/{asked['id']}"
            told = wait_for(lambda: _ended(client.get(path).json()), WAIT_S, "an answer")
            return told if told["state"] == "done" else None

        told = wait_for(done, WAIT_S, "a read", every_s=0.5)
        assert [step["state"] for step in told["trail"]] == ["asked", "sent", "taken", "done"]
        assert str(told["said"]).endswith("readings")
        # its own file allows no switching, whoever asks
        assert ask(-1, action="switch_off", device="e-1-101")["status_code"] == 409
        refused = ask(-2, action="switch_on", device="e-1-101")
        told = wait_for(
            lambda: _ended(client.get(f"commands/{refused['id']}").json()), WAIT_S, "an answer"
        )
        assert told["said"] == "this device may not be asked for it"
    chain.stop("edge")


def _ended(told: dict[str, object]) -> dict[str, object] | None:
    return told if told["state"] in ("done", "failed", "refused", "unknown") else None
