"""ROIs as a plain table, between files and the labelled `Rois`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["RoiTable", "table_of_labels"]


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
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    pixels: tuple[NDArray[np.int64], ...]
    shape: tuple[int, int] | None = None
    weights: tuple[NDArray[np.float64], ...] | None = None
    accepted: tuple[bool, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def lost(self, *, names: bool) -> tuple[str, ...]:
        """Say what a file of pixels alone does not keep of these ROIs.

        Parameters
        ----------
        names : bool
            Whether the file keeps names; ids are lost where it does.
        """
        said = {
            "names": not names and self.names != tuple(map(str, self.ids)),
            "ids": names and self.ids != tuple(range(1, len(self) + 1)),
            "weights": self.weights is not None,
            "which ROIs were rejected": self.accepted is not None and not all(self.accepted),
        }
        return tuple(what for what, is_lost in said.items() if is_lost)


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
