"""What a serial line has carried, counted: the figures that tell a bad cable from a dead meter."""

from dataclasses import dataclass, field


@dataclass
class LineCounts:
    """Counted since the link was made.

    `late` answers came after their timeout; `foreign` frames belong to another master's
    conversation; `stray` bytes belong to no frame (bias resistors are missing); `spoiled` questions
    were answered by nothing that could be an answer, also by unit id.
    """

    asked: int = 0
    answered: int = 0
    silent: int = 0
    spoiled: int = 0
    late: int = 0
    foreign: int = 0
    stray: int = 0
    spoiled_by_unit: dict[int, int] = field(default_factory=dict)
