"""The inquiry into one unit id: whether anything answers there, and what it may be."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devices.driver import Link
from edge.config import RtuBus, TcpBus
from edge.recognition import (
    Candidate,
    Edition,
    candidates,
    exact_reads,
    filling,
    fingerprint_reads,
    matching,
    misordered,
    point_reads,
    tie_reads,
)
from protocols.errors import DeviceError, LinkError, WireError
from protocols.modbus.plan import Block


@dataclass(frozen=True, slots=True)
class Line:
    """One way to reach a bus: its entry of a gateway file, and whether RTU frames go over TCP."""

    bus: TcpBus | RtuBus
    rtu_over_tcp: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A unit id where something answers; `here` is False if nothing it said was a right frame."""

    unit_id: int
    line: Line
    here: bool
    answers: Mapping[Block, tuple[int, ...] | None]
    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...]

    @property
    def best(self) -> Candidate | None:
        """The candidate to propose, None if the unit is not recognised."""
        first = self.candidates[0] if self.candidates else None
        return first if first is not None and first.credible else None


class Inquiry:
    """One unit id under question: what it answered, and how often its answers were spoiled."""

    def __init__(self, link: Link, line: Line, unit_id: int, *, gap_s: float = 0.0) -> None:
        """`gap_s` is the pause that the unit gets before each further request."""
        self.silent = True
        self._link = link
        self._line = line
        self._unit_id = unit_id
        self._gap_s = gap_s
        self._patience_s = 0.0
        self._here = False
        self._answers: dict[Block, tuple[int, ...] | None] = {}
        self._spoiled = ""
        self._warnings: list[str] = []

    async def result(self, editions: Sequence[Edition]) -> Found | None:
        """What is there, None if nothing answers."""
        self._patience_s = max(edition.meter.timeout_ms or 0 for edition in editions) / 1000
        marks = fingerprint_reads(editions)
        # a meter may keep silent on a function that it does not know
        first = {block.function: block for block in reversed(marks)} or {3: Block(3, 0, 1)}
        for function in sorted(first):
            if not self._here:
                await self._ask(first[function])
        if not self._here:
            if self._spoiled:
                self._suspect(self._spoiled)
            return self._found(()) if self._warnings else None
        for block in marks:
            await self._ask(block)
        for block in point_reads(matching(editions, self._answers)):
            await self._ask(block)
        for block in tie_reads(candidates(editions, self._answers)):
            await self._ask(block)
        await self._ask_again(exact_reads(matching(editions, self._answers)))
        if self._spoiled:
            self._suspect(self._spoiled)
        found = tuple(candidates(editions, self._answers))
        self._explain(editions, found)
        return self._found(found)

    async def _ask(self, block: Block) -> None:
        if self._answers.get(block) is None:
            self._answers[block] = await self._read(block)

    async def _ask_again(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            before, again = self._answers[block], await self._read(block)
            if again is not None and again != before:
                self._suspect(f"two reads of {_place(block)} disagree")

    async def _read(self, block: Block) -> tuple[int, ...] | None:
        spoiled = silent = 0
        for _ in range(_TRIES):
            if self._here:
                await asyncio.sleep(self._gap_s)
            try:
                words = await self._link.transact(
                    self._unit_id,
                    block.function,
                    block.address,
                    block.count,
                    # only where somebody is: it would make the wait for all the absent longer
                    patience_s=self._patience_s if self._here else 0.0,
                )
            except DeviceError as error:
                if self._is_final(error.code):
                    return None
            except LinkError:
                silent += 1
                # who has answered before gets a second chance: a frame may be lost
                if silent > self._here and not spoiled:
                    return None
            except WireError as error:
                spoiled += 1
                if spoiled == _SPOILED:
                    self._spoiled = f"{spoiled} answers to one read of {_place(block)}: {error}"
            else:
                self.silent = False
                self._here = True
                return words
        return None

    def _is_final(self, code: int) -> bool:
        self.silent = False
        if code in _NOBODY and isinstance(self._line.bus, TcpBus):
            # of one who has answered it only says that this request was lost
            return not self._here
        self._here = True
        return code not in _BUSY

    def _suspect(self, why: str) -> None:
        self._warnings.append(f"possible duplicate unit id {self._unit_id}: {why}")

    def _explain(self, editions: Sequence[Edition], found: tuple[Candidate, ...]) -> None:
        word = filling(self._answers)
        if word is not None:
            said = f"only {word:04x}" if word else "only zeros"
            self._warnings.append(f"answers {said}: a gateway may answer for a meter not there")
        if not found:
            for edition, order in misordered(editions, self._answers):
                self._warnings.append(f"{edition} would fit in word order {order}")
        elif not found[0].credible:
            self._warnings.append(f"{found[0].edition} fits by its fingerprint alone")
        equal = [str(one.edition) for one in found[1:] if one.rank == found[0].rank]
        if equal:
            self._warnings.append(f"{found[0].edition} fits no better than {', '.join(equal)}")

    def _found(self, found: tuple[Candidate, ...]) -> Found:
        answers, warnings = dict(self._answers), tuple(self._warnings)
        return Found(self._unit_id, self._line, self._here, answers, found, warnings)


def _place(block: Block) -> str:
    return f"function {block.function} at {block.address:#06x}"


_TRIES = 4
_SPOILED = 3
_NOBODY = (10, 11)
_BUSY = (5, 6)
