"""Traces as a plain table, between labelled results and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.rois.table import RoiTable

__all__ = ["FilledSpan", "Group", "Trace", "TraceTable", "Variable", "in_dtype"]

# A memory-mapped page holds 512 samples: blocks of time that end on pages read each of them once.
_PAGE_FRAMES = 512


def in_dtype(values: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return the values of a trace in a dtype; they are copied only if they have another.

    Raises
    ------
    ArgumentError
        If a finite value is too large for it.
    """
    with np.errstate(over="raise"):
        try:
            return values.astype(dtype, copy=False)
        except FloatingPointError as error:
            raise ArgumentError(
                f"{name!r} holds values beyond the range of {dtype}", 'give dtype="float64"'
            ) from error


@dataclass(frozen=True, eq=False)
class Variable:
    """A labelled array: its dims, its values in memory or mapped from a file, its attributes."""

    dims: tuple[str, ...]
    values: NDArray[Any]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Group:
    """Variables that belong together, as in a results store; `coords` are those that label axes."""

    variables: dict[str, Variable]
    coords: dict[str, Variable]
    attrs: dict[str, Any]

    def sizes(self) -> dict[str, int]:
        """Length of every dim."""
        every = (*self.coords.values(), *self.variables.values())
        return {dim: size for one in every for dim, size in zip(one.dims, one.values.shape, strict=True)}


@dataclass(frozen=True)
class FilledSpan:
    """Frames `first` to `last`, both included, of one trace of one ROI that hold interpolated values."""

    trace: str
    roi: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Trace:
    """One statistic, corrected or normalised trace of all ROIs.

    Attributes
    ----------
    name : str
        Such as ``mean`` or ``dff``.
    group, variable : str
        Where it is in the results, such as ``normalized`` and ``dff``.
    values : numpy.ndarray
        ``(roi, time)``, float64, in memory or mapped from a file.
    dtype : numpy.dtype
        What is written.
    role : str
        ``fluorescence``, ``neuropil``, ``corrected`` (F without it), or the method by which it was normalised, such as ``dff``.
    attrs : dict
        ``long_name``, ``units`` and the like.
    """

    name: str
    group: str
    variable: str
    values: NDArray[np.float64]
    dtype: np.dtype[Any]
    role: str
    attrs: dict[str, Any]

    def block(self, rois: slice, time: slice) -> NDArray[Any]:
        """Read a part, in the dtype that is written.

        Raises
        ------
        ArgumentError
            If a finite value is too large for the dtype.
        """
        return in_dtype(np.asarray(self.values[rois, time]), self.dtype, self.name)


@dataclass(frozen=True, eq=False)
class TraceTable:
    """Everything that an export may hold.

    Attributes
    ----------
    names, ids, accepted
        One per ROI.
    time : numpy.ndarray
        Time of each frame, float64, in `time_units`.
    time_units : str
        ``s``, or ``1`` where frames are counted.
    frame_rate : float or None
        Hz, where it is known.
    traces : tuple of Trace
        Those that were chosen, F first.
    groups : dict
        All groups as in a results store, with no other traces than these.
    images : dict
        Projections ``(y, x)``.
    rois : RoiTable or None
        Pixels, where they are known.
    pixel_size : tuple of float or None
        Height and width of a pixel, micrometres.
    filled : tuple of FilledSpan
        What was interpolated.
    attrs : dict
        Provenance: texts.
    block_bytes : int
        How much of a trace a writer may hold at a time.
    """

    names: tuple[str, ...]
    ids: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    time: NDArray[np.float64]
    time_units: str
    frame_rate: float | None
    traces: tuple[Trace, ...]
    groups: dict[str, Group]
    images: dict[str, Variable]
    rois: RoiTable | None
    pixel_size: tuple[float, float] | None
    filled: tuple[FilledSpan, ...]
    attrs: dict[str, str]
    block_bytes: int = 8 * 2**20

    @property
    def shape(self) -> tuple[int, int]:
        """Number of ROIs and of frames."""
        return len(self.names), self.time.size

    @property
    def time_name(self) -> str:
        """What to call the axis of time where units cannot be told: ``time`` (s) or ``frame``."""
        return "time" if self.time_units == "s" else "frame"

    def times(self, span: slice) -> NDArray[Any]:
        """Return times in seconds, or the numbers of frames."""
        values = self.time[span]
        return values if self.time_units == "s" or (self.time % 1).any() else values.astype(np.int64)

    def spans_of_time(self, n_traces: int = 1) -> Iterator[slice]:
        """Cut time so that all ROIs of so many traces fit a block."""
        n_rois, n_frames = self.shape
        step = max(1, self.block_bytes // (8 * max(1, n_rois) * n_traces))
        step -= step % _PAGE_FRAMES if step > _PAGE_FRAMES else 0
        for start in range(0, n_frames, step):
            yield slice(start, min(start + step, n_frames))

    def spans_of_rois(self, n_traces: int = 1) -> Iterator[slice]:
        """Cut the ROIs so that all frames of so many traces fit a block."""
        n_rois, n_frames = self.shape
        step = max(1, self.block_bytes // (8 * max(1, n_frames) * n_traces))
        for start in range(0, n_rois, step):
            yield slice(start, min(start + step, n_rois))

    def lost(self, *, rois: bool = False, images: bool = False, tables: bool = False) -> tuple[str, ...]:
        """Say what of these results a file does not keep.

        Parameters
        ----------
        rois, images, tables : bool
            Whether it keeps the pixels of the ROIs, projections, and numbers per ROI such as ``status``.
        """
        per_roi = {
            name
            for group in self.groups.values()
            for name, one in group.variables.items()
            if one.dims == ("roi",)
        }
        said = {
            "the pixels of the ROIs": not rois and self.rois is not None,
            "projections": not images and bool(self.images),
            "numbers per ROI such as status": not tables and bool(per_roi - {"reason"}),
            "which ROIs were rejected": not (tables or rois) and not self.accepted.all(),
            "parameters and source": not tables and bool(self.attrs),
        }
        return tuple(what for what, is_lost in said.items() if is_lost)
