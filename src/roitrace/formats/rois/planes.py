"""One plane of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["one_plane"]


def one_plane(labels: NDArray[Any], plane: int | None, what: str) -> NDArray[Any]:
    """Return an image ``(y, x)`` of an image or a stack ``(plane, y, x)``.

    Raises
    ------
    ArgumentError
        If there are several planes and none of them is named.

    Examples
    --------
    >>> import numpy as np
    >>> one_plane(np.zeros((3, 4, 6)), 2, "labels").shape
    (4, 6)
    """
    if labels.ndim == 2:
        return labels
    if labels.ndim != 3 or 0 in labels.shape:
        raise FormatError(f"{what} has labels of shape {labels.shape}, expected (y, x) or (plane, y, x)")
    if plane is None and len(labels) > 1:
        raise ArgumentError(f"{what} has labels in {len(labels)} planes", "choose one with plane=")
    if plane is not None and plane >= len(labels):
        raise ArgumentError(
            f"{what} has {len(labels)} planes, there is no plane {plane}", "they count from 0"
        )
    chosen: NDArray[Any] = labels[plane or 0]
    return chosen
