"""What statistics take of the time axis, in seconds and in frames: bins whose means they take, periods after which a mean starts anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from roitrace.engine.declarations import DECLARATIONS
from roitrace.errors import ArgumentError
from roitrace.units import require_frame_rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from roitrace.engine.statistics import Statistic

__all__ = ["BIN_PARAMETERS", "BinNeeds", "bins_of", "in_frames", "periods_of", "with_bins"]

_MAX_BIN_FRAMES = 2**16
"""Of a bin: sums of so many samples of 16 bits are exact in 32."""

BIN_PARAMETERS = {"bin_seconds": (0.0, 0.0, math.inf), "bin_frames": (0.0, 0.0, float(_MAX_BIN_FRAMES))}
"""Of every statistic that may take the means of bins: name to (default, lowest, highest allowed value)."""


@dataclass(frozen=True)
class BinNeeds:
    """What the statistics of the means of equal bins need: frames of a bin, fields of `Samples`, periods of correlations, in bins."""

    frames: int
    needs: frozenset[str]
    periods: tuple[int, ...]


def bins_of(projections: Iterable[Statistic]) -> tuple[BinNeeds, ...]:
    """Return what projections of the means of bins need, each length of a bin once."""
    binned = [one for one in projections if one.bin_frames]
    return tuple(
        BinNeeds(
            frames,
            frozenset[str]().union(*(one.declaration.needs for one in binned if one.bin_frames == frames)),
            _periods([one for one in binned if one.bin_frames == frames]),
        )
        for frames in sorted({one.bin_frames for one in binned})
    )


def with_bins(statistics: Iterable[Statistic], bin_seconds: float | None) -> tuple[Statistic, ...]:
    """Let the statistics that may take the means of bins do so, unless they have bins of their own.

    Raises
    ------
    ArgumentError
        If there is none, or the length is no number above 0.
    """
    asked = tuple(statistics)
    if bin_seconds is None:
        return asked
    able = [kind for kind, declaration in DECLARATIONS.items() if declaration.binned]
    if not 0 < bin_seconds < math.inf:
        raise ArgumentError(f"bin_seconds={bin_seconds!r}, expected a number of seconds above 0")
    if not any(one.declaration.binned for one in asked):
        raise ArgumentError(
            f"bin_seconds={bin_seconds:g} says nothing about {', '.join(one.name for one in asked)}",
            f"it is for {', '.join(able)}",
        )
    return tuple(
        replace(one, parameters=(*one.parameters, ("bin_seconds", float(bin_seconds))))
        if one.declaration.binned and not any(key in BIN_PARAMETERS for key, _ in one.parameters)
        else one
        for one in asked
    )


def in_frames(
    statistics: Iterable[Statistic], frame_rate: float | None, n_frames: int | None = None
) -> tuple[Statistic, ...]:
    """Turn what statistics have in seconds into frames.

    Raises
    ------
    MetadataError
        If the frame rate is not known.
    ArgumentError
        If a bin is shorter than two frames, longer than 65536, or than the recording of `n_frames`.
    """
    return tuple(_in_frames(_bins_in_frames(one, frame_rate, n_frames), frame_rate) for one in statistics)


def _bins_in_frames(statistic: Statistic, frame_rate: float | None, n_frames: int | None) -> Statistic:
    parameters = dict(statistic.parameters)
    seconds = parameters.pop("bin_seconds", 0.0)
    if not seconds and "bin_frames" not in parameters:
        return statistic
    frames = round(parameters.get("bin_frames", 0))
    asked = f"{statistic.kind}(bin_frames={frames})"
    if seconds and not frames:
        asked = f"{statistic.kind}(bin_seconds={seconds:g})"
        frames = round(seconds * require_frame_rate(frame_rate, asked))
    most = _MAX_BIN_FRAMES if n_frames is None else min(_MAX_BIN_FRAMES, n_frames)
    if not 2 <= frames <= most:
        raise ArgumentError(
            f"a bin of {asked} has {frames:,} frames, expected 2 to {most:,}"
            + ("" if most == _MAX_BIN_FRAMES else ", as many as the recording has"),
            "give another length, or leave it out",
        )
    return replace(statistic, parameters=tuple((parameters | {"bin_frames": float(frames)}).items()))


def _in_frames(statistic: Statistic, frame_rate: float | None) -> Statistic:
    parameters = dict(statistic.parameters)
    seconds = parameters.get("detrend_seconds", 0.0)
    if not seconds or parameters["detrend_frames"]:
        return replace(statistic, parameters=_with(parameters, "detrend_seconds", 0.0))
    asked = f"{statistic.kind}(detrend_seconds={seconds:g})"
    frames = max(2.0, float(round(seconds * require_frame_rate(frame_rate, asked))))
    parameters["detrend_frames"] = frames
    return replace(statistic, parameters=_with(parameters, "detrend_seconds", 0.0))


def _with(parameters: dict[str, float], key: str, value: float) -> tuple[tuple[str, float], ...]:
    return tuple(({**parameters, key: value} if key in parameters else parameters).items())


def periods_of(projections: Iterable[Statistic]) -> tuple[int, ...]:
    """Return the frames after which local correlations of samples subtract a new mean, 0 for one mean; each once."""
    return _periods(one for one in projections if not one.bin_frames)


def _periods(projections: Iterable[Statistic]) -> tuple[int, ...]:
    correlated = (one for one in projections if "correlation" in one.declaration.needs)
    return tuple(sorted({one.period for one in correlated}))
