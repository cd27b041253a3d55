"""Take turns, time, check, and say how far the figures spread."""

from __future__ import annotations

import gc
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Contender", "Row", "Timings", "alternate", "ratio"]

LEAST_OF_MEMORY = 0.8
"""A round in which bare decode is slower than this part of the in-memory decode's speed is void."""

BARE, IN_MEMORY = "bare decode", "in-memory decode"


@dataclass(frozen=True)
class Contender:
    """One way of doing something.

    Attributes
    ----------
    name : str
        What it is called in the table.
    call : callable
        What is timed. A peer that runs in another process returns a `float`: its own seconds.
    check : callable, optional
        Given what `call` returned; fails if it is wrong.
    prepare : callable, optional
        Done before each call, not timed.
    """

    name: str
    call: Callable[[], Any]
    check: Callable[[Any], None] | None = None
    prepare: Callable[[], object] | None = None


@dataclass
class Timings:
    """Seconds of every round, by contender.

    Attributes
    ----------
    void : int
        Rounds thrown away because bare decode was disturbed.
    trusted : bool
        False where not enough good rounds could be had.
    """

    seconds: dict[str, list[float]]
    void: int = 0
    trusted: bool = True

    def median(self, name: str) -> float:
        """Return the median of the rounds, s."""
        return statistics.median(self.seconds[name])


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    key, what : str
        Name of the group of rows, and what is compared.
    value : float
        The ratio of medians, or another figure in `unit`.
    spread : tuple of float
        Smallest and largest value of single rounds.
    most, least : float or None
        The bars; None where there is none.
    aim : float or None
        What the design hopes for.
    timings : dict
        Median, smallest and largest seconds by contender.
    failed : bool
        Whether measuring ended in an error, or with a result that is not NumPy's.
    notes : tuple of str
        What a reader must know.
    """

    key: str
    what: str
    value: float
    spread: tuple[float, float] = (math.nan, math.nan)
    most: float | None = None
    least: float | None = None
    aim: float | None = None
    unit: str = "ratio"
    timings: dict[str, dict[str, float]] = field(default_factory=dict)
    void_rounds: int = 0
    trusted: bool = True
    failed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None where there is no bar or no trusted value."""
        if not self.trusted or math.isnan(self.value) or (self.most is None and self.least is None):
            return None
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )


def alternate(contenders: Sequence[Contender], repeats: int, *, warm: bool = True) -> Timings:
    """Run all contenders in turn, again and again, each round beginning with another one.

    A round in which bare decode was disturbed does not count and is repeated, up to twice as many rounds in all.
    """
    # what is there already is left out of the collections between the rounds
    gc.collect()
    gc.freeze()
    if warm:
        for one in contenders:
            _timed(one)
    timings = Timings({one.name: [] for one in contenders})
    for number in range(2 * repeats):
        if len(timings.seconds[contenders[0].name]) == repeats:
            break
        first = number % len(contenders)
        took = {one.name: _timed(one) for one in (*contenders[first:], *contenders[:first])}
        if IN_MEMORY in took and took[IN_MEMORY] < LEAST_OF_MEMORY * took[BARE]:
            timings.void += 1
            continue
        for name, seconds in took.items():
            timings.seconds[name].append(seconds)
    if not timings.seconds[contenders[0].name]:
        timings.trusted = False
        for name, seconds in took.items():
            timings.seconds[name].append(seconds)
    return timings


def ratio(
    key: str,
    what: str,
    timings: Timings,
    top: str,
    bottom: str,
    *,
    per: float = 1.0,
    most: float | None = None,
    least: float | None = None,
    aim: float | None = None,
    notes: tuple[str, ...] = (),
) -> Row:
    """Make the row ``median(top) / median(bottom) / per``."""
    single = [a / b / per for a, b in zip(timings.seconds[top], timings.seconds[bottom], strict=True)]
    return Row(
        key,
        what,
        timings.median(top) / timings.median(bottom) / per,
        (min(single), max(single)),
        most=most,
        least=least,
        aim=aim,
        timings=summary(timings),
        void_rounds=timings.void,
        trusted=timings.trusted,
        notes=notes,
    )


def summary(timings: Timings) -> dict[str, dict[str, float]]:
    """Return median, smallest and largest seconds by contender, and how often each ran."""
    return {
        name: {"median": statistics.median(one), "min": min(one), "max": max(one), "rounds": len(one)}
        for name, one in timings.seconds.items()
    }


def _timed(contender: Contender) -> float:
    if contender.prepare is not None:
        contender.prepare()
    gc.collect()
    start = time.perf_counter()
    result = contender.call()
    seconds = time.perf_counter() - start
    if contender.check is not None:
        contender.check(result)
    return result if isinstance(result, float) else seconds
