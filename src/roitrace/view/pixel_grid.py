"""Where the pixels of a frame lie in data units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import AlignmentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.frame import Frame

__all__ = ["PixelGrid", "require_same_frame"]


@dataclass(frozen=True)
class PixelGrid:
    """An evenly spaced pixel grid in data units.

    Attributes
    ----------
    shape : tuple of int
        Height and width, pixels.
    origin, step : tuple of float
        Centre of pixel (0, 0) and distance to the next, ``(y, x)``.
    unit : str
        ``"µm"`` or ``"pixels"``.
    """

    shape: tuple[int, int]
    origin: tuple[float, float]
    step: tuple[float, float]
    unit: str

    @classmethod
    def of(cls, frame: Frame) -> PixelGrid:
        """Grid of a frame; one whose rows or columns are unevenly spaced is drawn by index."""
        steps = [_even_step(centres) for centres in frame.centres]
        if not frame.labelled or None in steps or min(frame.shape) == 0:
            return cls(frame.shape, (0.0, 0.0), (1.0, 1.0), "pixels")
        # An axis of one pixel has no spacing of its own: its pixel is drawn square.
        y_step, x_step = steps[0] or abs(steps[1] or 1.0), steps[1] or abs(steps[0] or 1.0)
        y, x = frame.centres
        unit = "µm" if frame.units == "micrometer" else "pixels"
        return cls(frame.shape, (float(y[0]), float(x[0])), (y_step, x_step), unit)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer pixel edges: left, right, bottom, top."""
        (y, x), (y_step, x_step), (height, width) = self.origin, self.step, self.shape
        return x - x_step / 2, x + (width - 0.5) * x_step, y + (height - 0.5) * y_step, y - y_step / 2

    def window(self, rows: slice, columns: slice) -> PixelGrid:
        """Grid of a part of the frame."""
        y, x = rows.start, columns.start
        origin = self.origin[0] + y * self.step[0], self.origin[1] + x * self.step[1]
        return replace(self, shape=(rows.stop - y, columns.stop - x), origin=origin)

    def place(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn ``(x_index, y_index)`` of shape (n, 2), pixel centres at integers, into data units."""
        placed: NDArray[np.float64] = xy * np.array(self.step[::-1]) + np.array(self.origin[::-1])
        return placed


def require_same_frame(first: Frame, second: Frame, what: str, image: str) -> None:
    """Refuse to draw one thing over another of a different frame.

    Raises
    ------
    AlignmentError
        If the frames differ.
    """
    if not first.same_as(second):
        raise AlignmentError(
            f"{what} is {first.shape[0]} x {first.shape[1]} pixels, {image} {second.shape[0]} x {second.shape[1]}, "
            "and their y and x are not the same",
            "draw both on the same frame",
        )


def _even_step(centres: NDArray[np.float64]) -> float | None:
    """Spacing of pixel centres; 0 for a single one, None if uneven."""
    if centres.size < 2:
        return 0.0
    step = float(centres[-1] - centres[0]) / (centres.size - 1)
    return step if step and np.allclose(np.diff(centres), step, rtol=1e-3, atol=0) else None
