"""How premises use energy and water through the day, the week and the year."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LoadShape = Literal["home", "shop", "lighting", "pump", "water-home"]
Floats = NDArray[np.float64]

SLOTS_PER_DAY = 96
SLOTS_PER_HOUR = 4
# Days come in chunks so that any instant can be reached without an end of the world.
CHUNK_DAYS = 64


@dataclass(frozen=True, slots=True)
class Calendar:
    """Per day of a chunk: the season as an angle (0 about 1 January), and whether a weekend."""

    angle: Floats
    weekend: NDArray[np.bool_]


Draw = Callable[[np.random.Generator, Calendar], Floats]
_hours = np.arange(SLOTS_PER_DAY) / SLOTS_PER_HOUR


def _bump(centre: float, width: float) -> Floats:
    away = np.abs(_hours - centre % 24)
    away = np.minimum(away, 24 - away)
    bump: Floats = np.exp(-0.5 * (away / width) ** 2)
    return bump


def _between(start: float, end: float) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = np.logical_and(_hours >= start, _hours < end)
    return chosen


def _season(days: Calendar, *, summer: float, winter: float) -> Floats:
    warm = np.clip(-np.cos(days.angle - 0.25), 0, 1) ** 2
    cold = np.clip(np.cos(days.angle - 0.25), 0, 1) ** 2
    season: Floats = 1 + summer * warm + winter * cold
    return season


def _home(character: np.random.Generator, size: float) -> Draw:
    per_day = size * character.uniform(5.0, 9.4)
    standby = character.uniform(0.04, 0.08)
    morning, evening = character.normal(7.2, 0.5), character.normal(19.8, 0.7)
    shape = 0.35 + 0.8 * _bump(morning, 1.0) + 0.5 * _bump(12.3, 1.0) + 1.9 * _bump(evening, 1.9)
    shape -= 0.25 * _bump(3.5, 2.2)
    at_home = 0.35 + 0.8 * _bump(10.0, 1.5) + 0.9 * _bump(14.5, 2.5) + 1.8 * _bump(evening, 2.1)
    shape, at_home = shape / shape.sum(), at_home / at_home.sum()

    def draw(random: np.random.Generator, days: Calendar) -> Floats:
        per = per_day * _season(days, summer=0.38, winter=0.18) * random.normal(1, 0.1, CHUNK_DAYS)
        form = np.where(days.weekend[:, None], 1.12 * at_home, shape)
        busy = random.gamma(2.2, 1 / 2.2, (CHUNK_DAYS, SLOTS_PER_DAY))
        use: Floats = standby / SLOTS_PER_HOUR + per[:, None] * form * busy
        return use

    return draw


def _shop(character: np.random.Generator, size: float) -> Draw:
    busy_kw = size * character.uniform(1.8, 4.2)
    opens, closes = character.uniform(7.5, 9.5), character.uniform(20.5, 22.5)
    fridge_kw = character.uniform(0.1, 0.5)
    shape = 1 / (1 + np.exp(-(_hours - opens) * 4)) / (1 + np.exp((_hours - closes) * 4))

    def draw(random: np.random.Generator, days: Calendar) -> Floats:
        per = _season(days, summer=0.45, winter=0.1) * np.where(days.weekend, 1.15, 1.0)
        noise = random.normal(1, 0.08, (CHUNK_DAYS, SLOTS_PER_DAY))
        use: Floats = (fridge_kw + busy_kw * per[:, None] * shape * noise) / SLOTS_PER_HOUR
        return use

    return draw


def _lighting(character: np.random.Generator, size: float) -> Draw:
    lit_kw = size * character.uniform(0.9, 1.3)
    always_kw = 0.12 * size

    def draw(random: np.random.Generator, days: Calendar) -> Floats:
        # Sunrise and sunset at 36 degrees north, to a quarter of an hour.
        half_day = 6.0 + 1.2 * -np.cos(days.angle + 0.17)
        dark = (_hours < (12.2 - half_day)[:, None]) | (_hours > (12.2 + half_day)[:, None])
        late = _between(1, 5)  # half of the lamps rest then
        share = np.where(dark, np.where(late, 0.55, 1.0), 0.0)
        lifts = random.gamma(1.5, 0.1, (CHUNK_DAYS, SLOTS_PER_DAY)) * (0.15 + _bump(18.5, 4))
        return (always_kw + lit_kw * share + lifts) / SLOTS_PER_HOUR

    return draw


def _pump(character: np.random.Generator, size: float) -> Draw:
    running_kw = size * character.uniform(3.2, 4.0)
    demand = 0.08 + 0.55 * _bump(7.5, 1.3) + 0.3 * _bump(12.2, 1.2) + 0.6 * _bump(20.0, 1.8)

    def draw(random: np.random.Generator, days: Calendar) -> Floats:
        duty = demand * _season(days, summer=0.2, winter=0.0)[:, None]
        steps = np.floor(duty * 6 + random.random((CHUNK_DAYS, SLOTS_PER_DAY))) / 6
        return running_kw * np.clip(steps, 0, 1) / SLOTS_PER_HOUR

    return draw


def _water_home(character: np.random.Generator, size: float) -> Draw:
    per_day = size * character.uniform(0.26, 0.5)
    morning, evening = character.normal(7.0, 0.4), character.normal(20.5, 0.6)
    often = 0.03 + 0.6 * _bump(morning, 0.8) + 0.25 * _bump(12.0, 0.9) + 0.65 * _bump(evening, 1.4)
    # Nobody draws water between two and four: that is when a leak shows.
    often[_between(2, 4)] = 0.0
    per_event = per_day / often.sum()

    def draw(random: np.random.Generator, days: Calendar) -> Floats:
        likely = often * np.where(days.weekend, 1.15, 1.0)[:, None]
        likely = likely * _season(days, summer=0.15, winter=0.0)[:, None]
        drawn = random.random((CHUNK_DAYS, SLOTS_PER_DAY)) < likely
        use: Floats = drawn * per_event * random.gamma(2.0, 0.5, drawn.shape)
        return use

    return draw


SHAPES: dict[LoadShape, Callable[[np.random.Generator, float], Draw]] = {
    "home": _home,
    "shop": _shop,
    "lighting": _lighting,
    "pump": _pump,
    "water-home": _water_home,
}
