"""The native links do on uvloop what they do on asyncio's own loop."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.fixtures.modbus_behaviours import Check, silence_before_each_request
from tests.integration.test_modbus_conformance import CASES, FAST, SLOW, stand_of

NATIVE = [case for case in CASES if case[0].startswith("native")]


@pytest.mark.parametrize(
    "case", NATIVE, ids=[f"{name}: {check.__name__}" for name, check in NATIVE]
)
def test_conformance_on_uvloop(case: tuple[str, Check], tmp_path: Path) -> None:
    name, check = case

    async def main() -> None:
        stand = stand_of(name, tmp_path, SLOW if check is silence_before_each_request else FAST)
        await stand.peer.start()
        try:
            await check(stand)
        finally:
            await stand.link.close()
            await stand.peer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
