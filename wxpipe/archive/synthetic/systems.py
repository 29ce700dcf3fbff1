"""Weather systems of a synthetic sky: vortices, fronts and convection, where each is at a time, and how it is born.

A system is a function of time, so any slot can be drawn alone. How systems look is `appearance`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from wxpipe.archive.synthetic.ground import is_land, place_of
from wxpipe.archive.synthetic.regimes import Regimes, season
from wxpipe.archive.truth import SystemKind
from wxpipe.draws import derived_seed, uniform

_TYPHOON, _LOW, _LOW_OF_VISIT, _CONVECTION = range(11, 15)

_BLOCK = 120.0  # hours in which at most one typhoon is born
_LONGEST_TYPHOON = 200.0
_DAY = 24.0
_CLUSTERS = 6  # convective clusters that are tried a day
_LOWS = 2  # of a regime


@dataclass(frozen=True)
class Moment:
    """A system at a time, on the plane.

    Attributes:
        down, right: its centre.
        radius: of its cloud, in units of the plane.
        strength: 0 to 1.
        angle: radians by which it has turned, or in which it lies.
    """

    down: float
    right: float
    radius: float
    strength: float
    angle: float


@dataclass(frozen=True)
class System:
    """A system from its birth to its death; hours are since 1970.

    Attributes:
        eye: radius of a clear eye as a share of the system's; 0 for none.
        velocity, acceleration: (down, right), units of the plane an hour, and an hour squared.
        meander: how far it strays from that path, in units of the plane.
        growth, decay: hours that it takes to become strong and to fade.
        turning: radians an hour.
    """

    id: str
    kind: SystemKind
    seed: int
    spin: int
    begin: float
    end: float
    start: tuple[float, float]
    velocity: tuple[float, float]
    acceleration: tuple[float, float]
    meander: float
    radius: float
    peak: float
    growth: float
    decay: float
    turning: float = 0.0
    angle: float = 0.0
    eye: float = 0.0

    def at(self, hours: float) -> Moment | None:
        """Where it is, or None before its birth and after its death."""
        age, left = hours - self.begin, self.end - hours
        if age < 0 or left < 0:
            return None
        strength = self.peak * math.sqrt(min(age / self.growth, 1.0) * min(left / self.decay, 1.0))
        stray = self.meander * math.sin(age / 9.0 + self.angle)
        down = self.start[0] + self.velocity[0] * age + self.acceleration[0] * age * age / 2 + stray
        right = self.start[1] + self.velocity[1] * age + self.acceleration[1] * age * age / 2 + stray / 2
        return Moment(down, right, self.radius * (0.6 + 0.4 * strength), strength, self.angle + self.turning * age)


class Systems:
    """All systems of a sky.

    Args:
        seed: of the weather.
        regimes: whose visits bring lows with their fronts.
    """

    def __init__(self, seed: int, regimes: Regimes) -> None:
        self.seed, self.regimes = seed, regimes
        self._typhoons = lru_cache(maxsize=256)(self._make_typhoons)
        self._lows = lru_cache(maxsize=256)(self._make_lows)
        self._clusters = lru_cache(maxsize=256)(self._make_clusters)

    def between(self, first: float, last: float) -> Iterator[System]:
        """Systems that live at some time between two, in no order; each once."""
        blocks = range(math.floor((first - _LONGEST_TYPHOON) / _BLOCK) - 1, math.floor(last / _BLOCK) + 1)
        visits = range(self.regimes.visit(first) - 2, self.regimes.visit(last) + 2)
        days = range(math.floor(first / _DAY) - 1, math.floor(last / _DAY) + 1)
        for block in blocks:
            yield from _alive(self._typhoons(block), first, last)
        for visit in visits:
            yield from _alive(self._lows(visit), first, last)
        for day in days:
            yield from _alive(self._clusters(day), first, last)

    def _make_typhoons(self, block: int) -> tuple[System, ...]:
        seed = derived_seed(self.seed, _TYPHOON, block)
        chance, when, life, south, east, west, north, turn, size, strength = _draws(seed, 10)
        begin = (block + when) * _BLOCK
        if chance > 0.05 + 0.8 * _peak(begin, day=245, width=55):
            return ()
        life = 110 + 85 * life
        latitude, longitude = 9 + 8 * south, 130 + 18 * east
        westward, northward = 0.10 + 0.12 * west, 0.03 + 0.05 * north  # degrees an hour
        recurve = 0.0010 + 0.0020 * turn
        return (
            System(
                f"vortex-t{block}", "vortex", seed, 1, begin, begin + life, place_of(latitude, longitude),
                (-northward / 50, -westward / 50), (-recurve / 250, recurve / 50), 0.003, 0.085 + 0.045 * size,
                0.75 + 0.25 * strength, 30.0, 24.0, turning=-0.22, angle=2 * math.pi * turn, eye=0.09,
            ),
        )  # fmt: skip

    def _make_lows(self, visit: int) -> tuple[System, ...]:
        """The lows that a visit's regime brings, and the cold front that trails each of them."""
        regime, begin = int(self.regimes.regime[visit]), float(self.regimes.begins[visit])
        displacement = self.regimes.displacement[visit]
        made = []
        for number in range(_LOWS):
            script = _draws(derived_seed(self.seed, _LOW, regime, number), 9)
            chance, own = _draws(derived_seed(self.seed, _LOW_OF_VISIT, visit, number), 2)
            when, life, north, west, speed, slant, size, strength, angle = script
            if chance > 0.85:
                continue  # every sixth does not come this time
            born = begin - 4 + 22 * when + 3 * (own - 0.5)
            latitude, longitude = 34 + 13 * north, 103 + 24 * west
            start = place_of(latitude, longitude)
            start = start[0] + float(displacement[0]), start[1] + float(displacement[1])
            velocity = -(0.02 + 0.14 * slant) / 50, (0.40 + 0.35 * speed) * (0.92 + 0.16 * own) / 50
            low = System(
                f"vortex-l{visit}-{number}", "vortex", derived_seed(self.seed, _LOW, regime, number), 1, born,
                born + 34 + 16 * life, start, velocity, (0.0, 0.0), 0.002, 0.085 + 0.04 * size, 0.7 + 0.3 * strength,
                10.0, 12.0, turning=-0.10, angle=2 * math.pi * angle,
            )  # fmt: skip
            made += [low, _front_of(low, visit, number)]
        return tuple(made)

    def _make_clusters(self, day: int) -> tuple[System, ...]:
        """Convection of one day: mostly in summer, over land, and in the late afternoon of its place."""
        made = []
        for number in range(_CLUSTERS):
            seed = derived_seed(self.seed, _CONVECTION, day, number)
            chance, south, east, when, life, size, strength, drift = _draws(seed, 8)
            latitude, longitude = 10 + 30 * south, 103 + 46 * east
            start = place_of(latitude, longitude)
            likely = (0.15 + 0.85 * _peak(day * _DAY, day=205, width=65)) * (1.0 if is_land(*start) else 0.3)
            if chance > likely:
                continue
            born = day * _DAY + (13.5 + 3 * when - longitude / 15) % _DAY  # local time to UTC
            cluster = System(
                f"convection-{day}-{number}", "convection", seed, 0, born, born + 6 + 5 * life, start,
                (0.001, 0.002 + 0.003 * drift), (0.0, 0.0), 0.0, 0.028 + 0.03 * size, 0.6 + 0.4 * strength, 3.0,
                4.0, angle=2 * math.pi * drift,
            )  # fmt: skip
            made.append(cluster)
        return tuple(made)


def _front_of(low: System, visit: int, number: int) -> System:
    """A cold front whose middle lies south-west of its low, and runs with it."""
    start = low.start[0] + 0.115, low.start[1] - 0.085
    return System(
        f"front-{visit}-{number}", "front", derived_seed(low.seed, 1), 0, low.begin + 4, low.end, start,
        (low.velocity[0] + 0.0008, low.velocity[1]), (0.0, 0.0), 0.0, 0.15, 0.8 * low.peak, 10.0, 10.0,
        turning=-0.006, angle=math.radians(50),
    )  # fmt: skip


def _alive(systems: Iterable[System], first: float, last: float) -> Iterator[System]:
    return (system for system in systems if system.begin <= last and system.end >= first)


def _draws(seed: int, count: int) -> list[float]:
    """Numbers of 0 to 1."""
    return [(float(draw) + 1) / 2 for draw in uniform(seed, 0, count, 1.0)]


def _peak(hours: float, day: float, width: float) -> float:
    """1 on a day of the year, less around it, by a bell of that width in days."""
    away = (float(season(hours)) * 365.2425 - day + 182.6) % 365.2425 - 182.6
    return math.exp(-((away / width) ** 2))
