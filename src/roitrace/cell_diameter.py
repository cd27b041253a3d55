"""How large a cell is expected to be: as it is given, or as the image shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.contrast import upright
from roitrace.errors import ArgumentError, MetadataError
from roitrace.units import parse_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.frame import Frame

__all__ = ["Disc"]

_SMALLEST, _LARGEST = 4.0, 60.0  # pixels
_STEPS_PER_OCTAVE = 8


@dataclass(frozen=True)
class Disc:
    """A cell as it is expected: a disc, or an ellipse where pixels are not square.

    Attributes
    ----------
    diameter : tuple of float
        Along y and x, pixels.
    """

    diameter: tuple[float, float]

    @classmethod
    def of_diameter(cls, cell_diameter: str | float, frame: Frame) -> Disc:
        """Take a length, ``"12 um"``, ``"10 px"`` or a number of pixels.

        Raises
        ------
        MetadataError
            If it is in micrometres and the frame does not know its pixel size.
        ArgumentError
            If it is no length, below 2 pixels, or larger than the frame.
        """
        given = cell_diameter if isinstance(cell_diameter, str) else float(cell_diameter)
        length, unit = parse_length(given)
        if unit == "micrometer" and frame.pixel_size is None:
            raise MetadataError(
                f"cell_diameter={cell_diameter!r} is in micrometres, but the image does not know its pixel size",
                'give it in pixels, like "10 px", or as "auto", or give pixel_size= when you convert or open the recording',
            )
        sizes = frame.pixel_size if unit == "micrometer" and frame.pixel_size is not None else (1.0, 1.0)
        # the pixel size is a difference of coordinates, and its rounding must not decide what a disc holds
        diameter = round(length / sizes[0], 6), round(length / sizes[1], 6)
        if not (min(diameter) >= 2 and max(diameter) <= max(frame.shape)):
            raise ArgumentError(
                f"cell_diameter={cell_diameter!r} is {diameter[0]:g} x {diameter[1]:g} pixels in an image of "
                f"{frame.shape[0]} x {frame.shape[1]}, expected 2 pixels or more, and no more than the image has",
                "check the unit and the pixel size",
            )
        return cls(diameter)

    @classmethod
    def estimated(cls, images: Sequence[NDArray[np.float64]], frame: Frame) -> Disc:
        """Estimate the size of what is bright and round: the median over the images.

        In each, without its slope and hot pixels, smoothed by 1 px and with dark middles filled, every maximum over place and
        scale of the scale-normalised Laplacian of Gaussians (Lindeberg 1998, *International Journal of Computer Vision* 30)
        is a blob of diameter ``2 sqrt(2) sigma``. The estimate is the median of their diameters, each weighted by the square
        of its contrast times its diameter. Diameters of 4 to 60 pixels, at most a third of the image, are tried.

        Raises
        ------
        ArgumentError
            If no image has a blob, or all are too small for one.
        """
        sizes = frame.pixel_size or (1.0, 1.0)
        stretch = min(sizes) / sizes[0], min(sizes) / sizes[1]
        found = [one for image in images if (one := _blob_diameter(image, stretch)) is not None]
        if not found:
            raise ArgumentError(
                f'cell_diameter="auto" finds nothing bright and round in the image of {frame.shape[0]} x {frame.shape[1]}',
                'give the diameter, like "12 um" or "10 px"',
            )
        diameter = float(np.median(found))
        return cls((round(diameter * stretch[0], 1), round(diameter * stretch[1], 1)))

    def written(self, frame: Frame) -> str:
        """Write the diameter for a person, in micrometres where they are known.

        Examples
        --------
        >>> from roitrace.frame import Frame
        >>> Disc((10.4, 10.4)).written(Frame((64, 64)))
        '10.4 px'
        """
        if frame.pixel_size is None:
            return f"{math.sqrt(math.prod(self.diameter)):.3g} px"
        return f"{self.diameter[0] * frame.pixel_size[0]:.3g} um"

    @property
    def area(self) -> float:
        """Pixels."""
        return math.pi / 4 * math.prod(self.diameter)

    def part(self, share: float) -> tuple[float, float]:
        """Return a share of the diameter, pixels ``(y, x)``."""
        return share * self.diameter[0], share * self.diameter[1]

    def holds(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether offsets from the centre lie inside."""
        return (2 * y / self.diameter[0]) ** 2 + (2 * x / self.diameter[1]) ** 2 <= 1

    def pixels_in(
        self, shape: tuple[int, int], y: NDArray[np.float64], x: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Pixels of the image that the disc covers, for each centre."""
        half_y, half_x = (math.ceil(side / 2) for side in self.diameter)
        dy, dx = (one.ravel() for one in np.mgrid[-half_y : half_y + 1, -half_x : half_x + 1])
        inside = self.holds(dy, dx)
        row = np.rint(y)[:, None] + dy[inside]
        column = np.rint(x)[:, None] + dx[inside]
        inside_image = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        covered: NDArray[np.int64] = inside_image.sum(axis=1, dtype=np.int64)
        return covered


def _blob_diameter(image: NDArray[np.float64], stretch: tuple[float, float]) -> float | None:
    """Diameter of typical blobs in pixels along the finer axis; `stretch` makes pixels of the other axis equal."""
    import scipy.ndimage  # noqa: PLC0415

    fine = [length / one for length, one in zip(image.shape, stretch, strict=True)]
    octaves = math.log2(max(1.0, min(_LARGEST, min(fine) / 3) / _SMALLEST))
    steps = int(octaves * _STEPS_PER_OCTAVE) + 1
    if steps < 3 or min(image.shape) < 5:
        return None
    diameters = _SMALLEST * 2 ** (np.arange(steps) / _STEPS_PER_OCTAVE)
    flat, _ = upright(image)
    filled = _without_dark_middles(scipy.ndimage.gaussian_filter(flat, 1.0))
    filled -= np.median(filled)  # derivatives of a truncated Gaussian do not forget a constant
    stack = np.stack([_blobness(filled, diameter, stretch) for diameter in diameters])
    # below that is what rounding leaves of a flat image
    least = 1e-9 * np.ptp(filled) + 1e-12 * np.nanmax(np.abs(image))
    peak = (scipy.ndimage.maximum_filter(stack, size=(3, 5, 5)) == stack) & (stack > least)
    peak[[0, -1]] = False
    if not peak.any():
        return None
    scale = np.nonzero(peak)[0]
    weight = np.cumsum(np.bincount(scale, (stack[peak] * diameters[scale]) ** 2, steps))
    return float(diameters[np.searchsorted(weight, weight[-1] / 2)])


def _without_dark_middles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise every dip to the lowest level at which it is connected to the border."""
    from skimage.morphology import reconstruction  # noqa: PLC0415

    seed = values.copy()
    seed[1:-1, 1:-1] = values.max()
    filled: NDArray[np.float64] = reconstruction(seed, values, method="erosion")
    return filled


def _blobness(
    values: NDArray[np.float64], diameter: float, stretch: tuple[float, float]
) -> NDArray[np.float64]:
    """Scale-normalised Laplacian of Gaussians, positive where it is bright."""
    import scipy.ndimage  # noqa: PLC0415

    y, x = (diameter / math.sqrt(8) * one for one in stretch)
    along_y = y**2 * scipy.ndimage.gaussian_filter(values, (y, x), order=(2, 0))
    along_x = x**2 * scipy.ndimage.gaussian_filter(values, (y, x), order=(0, 2))
    response: NDArray[np.float64] = -(along_y + along_x)
    return response
