"""Statistics that were asked for: names and values become statistics, checked, with the parameters of their declarations."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.declarations import DECLARATIONS
from roitrace.engine.time_parameters import BIN_PARAMETERS
from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from roitrace.engine.declarations import Declaration, Order

__all__ = ["Statistic", "make", "make_halves", "moments_needed", "resolve"]


@dataclass(frozen=True)
class Statistic:
    """A statistic that was asked for: its kind, the name of its result, its parameters.

    Attributes
    ----------
    kind : str
        Which declaration it follows.
    name : str
        Name of the variable it becomes.
    parameters : tuple of (str, float)
        Values of the declaration's parameters.
    weights : numpy.ndarray or None
        Its own weights, one per entry of the ROIs; by default those of the ROIs.
    """

    kind: str
    name: str
    parameters: tuple[tuple[str, float], ...] = ()
    weights: NDArray[np.float64] | None = field(default=None, compare=False)

    @property
    def declaration(self) -> Declaration:
        """What it needs and how it ends."""
        return DECLARATIONS[self.kind]

    @property
    def declared(self) -> dict[str, float]:
        """Its parameters, but for those of bins."""
        return {key: value for key, value in self.parameters if key in self.declaration.parameters}

    @property
    def bin_frames(self) -> int:
        """Frames of the bins whose means it takes instead of samples; 0 for samples."""
        return int(dict(self.parameters).get("bin_frames", 0))

    @property
    def period(self) -> int:
        """Frames, or bins, after which the mean that a correlation subtracts starts anew; 0 for never."""
        frames = int(dict(self.parameters).get("detrend_frames", 0))
        return max(2, round(frames / self.bin_frames)) if frames and self.bin_frames else frames

    def order(self, count: int) -> Order:
        """Say which of `count` sorted samples it takes."""
        assert self.declaration.order is not None
        return self.declaration.order(count, **dict(self.parameters))

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value:g}" for key, value in self.parameters)
        return f"{self.kind}({given})" if given else self.kind


def make(
    kind: str, *, name: str | None = None, weights: NDArray[np.float64] | None = None, **parameters: Any
) -> Statistic:
    """Make a statistic of a kind, its parameters checked and completed.

    Raises
    ------
    ArgumentError
        If there is no such kind, parameter or value.
    """
    if kind not in DECLARATIONS:
        close = difflib.get_close_matches(kind, DECLARATIONS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ArgumentError(f"there is no statistic {kind!r}", f"{hint}there are {', '.join(DECLARATIONS)}")
    declared = DECLARATIONS[kind].parameters
    allowed = {**declared, **(BIN_PARAMETERS if DECLARATIONS[kind].binned else {})}
    values = []
    for key, value in parameters.items():
        if key not in allowed:
            raise ArgumentError(f"{kind} has no parameter {key!r}", f"it has {', '.join(allowed) or 'none'}")
        _, lowest, highest = allowed[key]
        if not isinstance(value, int | float | np.number) or not lowest <= value <= highest:
            raise ArgumentError(
                f"{kind}({key}={value!r}) is out of range", f"expected {lowest:g} <= {key} <= {highest:g}"
            )
    bins = [key for key in BIN_PARAMETERS if parameters.get(key)]
    for key, (default, _, _) in {**declared, **{key: BIN_PARAMETERS[key] for key in bins}}.items():
        if math.isnan(default) and key not in parameters:
            raise ArgumentError(f"{kind} needs {key}=", f"give it, for example stat.{kind}({key}=100)")
        values.append((key, float(parameters.get(key, default))))
    return Statistic(kind, name or kind, tuple(values), weights)


def make_halves(seed: int = 0) -> tuple[Statistic, Statistic]:
    """Make the means of two random halves of the pixels: ``half_a`` and ``half_b``."""
    return make("split_half", name="half_a", seed=seed, half=0), make(
        "split_half", name="half_b", seed=seed, half=1
    )


def resolve(
    statistics: Statistic | str | Iterable[Statistic | str | tuple[Statistic, ...]],
    *,
    over_time: bool = False,
    over_pixels: bool = False,
    **defaults: float,
) -> tuple[Statistic, ...]:
    """Turn names and statistics into statistics; `defaults` hold for the names that have such a parameter.

    Raises
    ------
    ArgumentError
        If one is unknown, unusable over time or over pixels where that is asked, or two share a name.
    """
    asked = [statistics] if isinstance(statistics, str | Statistic) else list(statistics)
    resolved: list[Statistic] = []
    for one in asked:
        if isinstance(one, Statistic):
            resolved.append(one)
        elif isinstance(one, tuple) and all(isinstance(each, Statistic) for each in one):
            resolved += one
        elif one == "split_half":
            resolved += make_halves()
        elif isinstance(one, str):
            known = DECLARATIONS[one].parameters if one in DECLARATIONS else {}
            own: dict[str, Any] = {key: value for key, value in defaults.items() if key in known}
            resolved.append(make(one, **own))
        else:
            raise ArgumentError(
                f"{one!r} is no statistic",
                f"give a name ({', '.join(DECLARATIONS)}) or a value of roitrace.stat",
            )
    usable = [kind for kind, declaration in DECLARATIONS.items() if declaration.over_time]
    for one in resolved:
        if over_time and not one.declaration.over_time:
            raise ArgumentError(f"{one.kind!r} is no projection over time", f"there are {', '.join(usable)}")
        if over_pixels and not one.declaration.over_pixels:
            raise ArgumentError(
                f"{one.kind!r} is an image and no trace",
                "ask for it in projections=, or with roitrace.project",
            )
        if over_pixels and any(key in BIN_PARAMETERS for key, _ in one.parameters):
            raise ArgumentError(
                f"{one.kind!r} of bins is an image and no trace",
                "ask for it in projections=, or with roitrace.project",
            )
    names = [one.name for one in resolved]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ArgumentError(
            f"two statistics are named {twice!r}",
            "name one of them, for example stat.percentile(90, name='p90')",
        )
    if not resolved:
        raise ArgumentError("no statistic was asked for", f"there are {', '.join(DECLARATIONS)}")
    return tuple(resolved)


def moments_needed(projections: Iterable[Statistic]) -> frozenset[str]:
    """Return the sums over time that some projections need of the samples; empty for none."""
    counted = frozenset({"count"})
    return frozenset[str]().union(
        *(counted if one.bin_frames else one.declaration.needs for one in projections)
    )
