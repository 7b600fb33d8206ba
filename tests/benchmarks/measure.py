"""What one measurement says, and how CPU and wall time are taken."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Figure:
    """A measurement: CPU and wall microseconds per item of this process."""

    section: str
    what: str
    items: int
    cpu_us: float = 0.0
    wall_us: float = 0.0
    more: str = ""


@contextmanager
def measured(section: str, what: str, items: int) -> Iterator[Figure]:
    """Measure the block; its figure is complete when the block ends."""
    figure = Figure(section, what, items)
    cpu, wall = time.process_time(), time.perf_counter()
    yield figure
    figure.cpu_us = (time.process_time() - cpu) / items * 1e6
    figure.wall_us = (time.perf_counter() - wall) / items * 1e6
