"""What the counts of a serial line give away: another master, or two devices with one address."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from protocols.io.line_counts import LineCounts

TOLD_AGAIN_US = 3600 * 1_000_000
# so many foreign frames are no chance
FOREIGN_FRAMES = 3
# so many spoiled answers of one unit, while the others' are whole, are no noise
SPOILED_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something to tell: `foreign_master` of a bus, `possible_duplicate` of a device."""

    kind: str
    device: str
    count: int


@dataclass
class LineTrouble:
    """Compares the counts of one line with what was told of them; each trouble once an hour."""

    counts: LineCounts | None
    devices: Mapping[int, str]
    _foreign: int = 0
    _spoiled: dict[int, int] = field(default_factory=dict)
    _told_us: dict[tuple[str, str], int] = field(default_factory=dict)

    def news(self, now_us: int) -> list[Trouble]:
        """What has come up and was not told within the hour."""
        if self.counts is None:
            return []
        fresh = []
        for trouble in self._troubles(self.counts):
            key = (trouble.kind, trouble.device)
            if now_us - self._told_us.get(key, -TOLD_AGAIN_US) >= TOLD_AGAIN_US:
                self._told_us[key] = now_us
                fresh.append(trouble)
        return fresh

    def _troubles(self, counts: LineCounts) -> Iterator[Trouble]:
        foreign = counts.foreign - self._foreign
        if foreign >= FOREIGN_FRAMES:
            self._foreign = counts.foreign
            yield Trouble("foreign_master", "", foreign)
        total = sum(counts.spoiled_by_unit.values())
        for unit_id, spoiled in counts.spoiled_by_unit.items():
            more = spoiled - self._spoiled.get(unit_id, 0)
            # a bad cable spoils everybody's answers, a second meter only those of its address
            if more >= SPOILED_ANSWERS and 2 * spoiled > total and unit_id in self.devices:
                self._spoiled[unit_id] = spoiled
                yield Trouble("possible_duplicate", self.devices[unit_id], more)
