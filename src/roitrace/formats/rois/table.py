"""ROIs as a plain table, between files and the labelled `Rois`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["MAX_INDEX", "RoiTable", "labels_of_table", "split_rows", "table_of_labels", "whole_numbers"]

MAX_INDEX = 2**31
"""No frame has so many rows or columns."""


@dataclass(frozen=True, eq=False)
class RoiTable:
    """ROIs as a file has them.

    Attributes
    ----------
    names : tuple of str
        One per ROI.
    ids : tuple of int
        One per ROI.
    pixels : tuple of numpy.ndarray
        One integer array (n, 2) of ``(y_index, x_index)`` per ROI, row-major; pixels may lie off the frame.
    shape : tuple of int or None
        Height and width of the frame, where the file knows it.
    weights : tuple of numpy.ndarray or None
        One array (n,) per ROI.
    accepted : tuple of bool or None
        Whether each ROI counts as a cell, where the file says so.
    notes : tuple of str
        Sentences for the user.
    axis_order : {"yx", "xy"}
        Which index the format has first.
    settled : bool
        Whether there is no doubt about that: the file names its axes.
    may_leave_frame : bool
        Whether the ROIs are drawings, of which parts off the frame mean nothing.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    pixels: tuple[NDArray[np.int64], ...]
    shape: tuple[int, int] | None = None
    weights: tuple[NDArray[np.float64], ...] | None = None
    accepted: tuple[bool, ...] | None = None
    notes: tuple[str, ...] = ()
    axis_order: str = "yx"
    settled: bool = False
    may_leave_frame: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def frame_for(self, path: str) -> tuple[int, int]:
        """Return height and width of the frame, which a file needs.

        Raises
        ------
        ArgumentError
            If the ROIs have no frame.
        """
        if self.shape is None:
            raise ArgumentError(f"the ROIs have no frame, {path} needs its size")
        return self.shape

    def transposed(self) -> RoiTable:
        """Return the same ROIs with rows and columns exchanged."""
        return replace(
            self,
            pixels=tuple(yx[:, ::-1] for yx in self.pixels),
            shape=None if self.shape is None else (self.shape[1], self.shape[0]),
            axis_order=self.axis_order[::-1],
        )

    def lost(self, kept: Collection[str]) -> tuple[str, ...]:
        """Say what a file does not keep of these ROIs.

        Parameters
        ----------
        kept : collection of str
            What it keeps besides the pixels, of ``names``, ``ids``, ``weights``, ``single weights`` (32 bit), ``flags``.
        """
        said = {
            "names": "names" not in kept and self.names != tuple(map(str, self.ids)),
            "ids": "ids" not in kept and self.ids != tuple(range(1, len(self) + 1)),
            "weights": self.weights is not None and not {"weights", "single weights"} & set(kept),
            "weights beyond single precision": "single weights" in kept and not self._single_precision(),
            "which ROIs were rejected": "flags" not in kept
            and self.accepted is not None
            and not all(self.accepted),
        }
        return tuple(what for what, is_lost in said.items() if is_lost)

    def with_pixels(self) -> tuple[RoiTable, tuple[str, ...]]:
        """Leave out ROIs without pixels, and say which, for files that have no place for them."""
        kept = [number for number, yx in enumerate(self.pixels) if len(yx)]
        if len(kept) == len(self):
            return self, ()
        table = replace(
            self,
            names=tuple(self.names[number] for number in kept),
            ids=tuple(self.ids[number] for number in kept),
            pixels=tuple(self.pixels[number] for number in kept),
            weights=None if self.weights is None else tuple(self.weights[number] for number in kept),
            accepted=None if self.accepted is None else tuple(self.accepted[number] for number in kept),
        )
        gone = (name for name, yx in zip(self.names, self.pixels, strict=True) if not len(yx))
        return table, tuple(f"ROI {name!r}, which has no pixels" for name in gone)

    def _single_precision(self) -> bool:
        return all(np.array_equal(row, row.astype(np.float32)) for row in self.weights or ())


def whole_numbers(values: ArrayLike, what: str) -> NDArray[np.int64]:
    """Take numbers from a file as indices.

    Raises
    ------
    FormatError
        If they are no numbers, fractional, NaN or absurdly large.

    Examples
    --------
    >>> whole_numbers([3.0, 4.0], "a.csv: x").tolist()
    [3, 4]
    """
    given = np.asarray(values)
    if given.size == 0:
        return np.zeros(given.shape, np.int64)
    if given.dtype.kind not in "iuf":
        raise FormatError(f"{what} holds {given.dtype} values, expected whole numbers")
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(given.astype(np.float64)) < MAX_INDEX) | (given != np.floor(given))
    if wrong.any():
        raise FormatError(
            f"{what} holds {given[wrong].flat[0]}, expected whole numbers: indices of pixels, from 0 on"
        )
    return given.astype(np.int64)


def split_rows(values: NDArray[Any], sizes: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Cut an array into one piece per ROI.

    Examples
    --------
    >>> import numpy as np
    >>> [piece.tolist() for piece in split_rows(np.arange(4), [1, 0, 3])]
    [[0], [], [1, 2, 3]]
    """
    ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
    return tuple(np.split(values, ends[:-1])) if ends.size else ()


def table_of_labels(labels: NDArray[np.integer], notes: Iterable[str] = ()) -> RoiTable:
    """Turn a label image ``(y, x)`` of integers >= 0 into one ROI per value above 0; the value is id and name.

    Examples
    --------
    >>> import numpy as np
    >>> table = table_of_labels(np.array([[0, 7], [3, 7]]))
    >>> table.ids, table.pixels[1].tolist()
    ((3, 7), [[0, 1], [1, 1]])
    """
    flat = labels.ravel()
    inside = np.flatnonzero(flat)
    order = np.argsort(flat[inside], kind="stable")
    ids, starts = np.unique(flat[inside][order], return_index=True)
    yx = np.stack(np.divmod(inside[order], labels.shape[1]), axis=1)
    numbers = tuple(int(one) for one in ids)
    return RoiTable(
        names=tuple(map(str, numbers)),
        ids=numbers,
        pixels=tuple(np.split(yx, starts[1:])) if numbers else (),
        shape=(labels.shape[0], labels.shape[1]),
        notes=tuple(notes),
    )


def labels_of_table(
    table: RoiTable, path: str
) -> tuple[NDArray[np.unsignedinteger[Any]], tuple[int, ...], tuple[str, ...]]:
    """Return the label image ``(y, x)`` of ROIs, their labels, and what it does not keep.

    Pixels of a ROI hold its label: its id, 16 bit where ids fit, otherwise 32; a pixel of several stays with the first. Where an id is below 1 or
    beyond 32 bits, ROIs are numbered from 1.

    Raises
    ------
    ArgumentError
        If the ROIs have no frame.
    """
    frame = table.frame_for(path)
    lost = []
    numbers = table.ids
    if table.ids and not 1 <= min(table.ids) <= max(table.ids) < 2**32:
        numbers = tuple(range(1, len(table) + 1))
        lost.append("ids (numbered from 1)")
    labels: NDArray[Any] = np.zeros(frame, np.uint16 if max(numbers, default=0) < 2**16 else np.uint32)
    shared, hidden = 0, []
    for name, number, yx in zip(table.names, numbers, table.pixels, strict=True):
        free = labels[yx[:, 0], yx[:, 1]] == 0
        labels[yx[free, 0], yx[free, 1]] = number
        shared += int(np.count_nonzero(~free))
        if not free.any():
            hidden.append(name)
    if shared:
        lost.append(
            f"{format_count(shared, 'overlapping pixel')} (each stays with the first ROI that has it)"
        )
    lost += [f"ROI {name!r}, which has no pixels of its own" for name in hidden]
    return labels, numbers, tuple(lost)
