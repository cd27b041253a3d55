"""The pixel grid that images, masks, ROIs and recordings share, and how two of them line up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Frame", "frame_of", "image_values"]


@dataclass(frozen=True, eq=False)
class Frame:
    """A pixel grid: its shape and, where it is known, where the pixel centres lie.

    Attributes
    ----------
    shape : tuple of int
        Height and width, pixels.
    y, x : numpy.ndarray or None
        Pixel centres; None where only indices are known (an array without labels).
    units : str
        ``"micrometer"``, or ``"1"`` where `y` and `x` count pixels.

    Examples
    --------
    >>> Frame((4, 6)).shape
    (4, 6)
    """

    shape: tuple[int, int]
    y: NDArray[np.float64] | None = None
    x: NDArray[np.float64] | None = None
    units: str = "1"

    @property
    def labelled(self) -> bool:
        """Whether the pixel centres are known."""
        return self.y is not None and self.x is not None

    @property
    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel centres ``(y, x)``; indices where nothing better is known."""
        height, width = self.shape
        y = np.arange(height, dtype=np.float64) if self.y is None else self.y
        x = np.arange(width, dtype=np.float64) if self.x is None else self.x
        return y, x

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel, micrometres; None where they are not known or the axis has one pixel."""
        if self.units != "micrometer" or min(self.shape) < 2:
            return None
        y, x = self.centres
        return float(np.median(np.diff(y))), float(np.median(np.diff(x)))

    def coords(self) -> dict[str, Any]:
        """Coordinates for an xarray object with dims ``y, x``; none where only indices are known."""
        if not self.labelled:
            return {}
        return {"y": ("y", self.y, {"units": self.units}), "x": ("x", self.x, {"units": self.units})}

    def image(self, values: NDArray[Any], name: str | None = None, **attrs: object) -> xr.DataArray:
        """Label an image ``(y, x)`` of this frame."""
        return xr.DataArray(values, dims=("y", "x"), coords=self.coords(), name=name, attrs=attrs)

    def same_as(self, other: Frame) -> bool:
        """Whether both are the same grid; one without labels equals any of its shape."""
        if self.shape != other.shape:
            return False
        if not (self.labelled and other.labelled):
            return True
        return (
            self.units == other.units
            and np.array_equal(self.centres[0], other.centres[0])
            and np.array_equal(self.centres[1], other.centres[1])
        )

    def origin_in(self, other: Frame, *, this: str, that: str) -> tuple[int, int]:
        """Find where this frame begins inside `other`, ``(row, column)``.

        Raises
        ------
        AlignmentError
            If this frame is not an exact, contiguous part of `other`.
        """
        if self.same_as(other):
            return 0, 0
        if not (self.labelled and other.labelled):
            raise AlignmentError(
                f"{this} is {_size(self)}, {that} {_size(other)}, and they carry no coordinates to line them up",
                f"make both of the same frame, or give {that} the y and x coordinates of its frame",
            )
        if self.units != other.units:
            raise AlignmentError(
                f"{this} has y and x in {_unit(self)}, {that} in {_unit(other)}",
                "give both the same pixel size",
            )
        return (
            _begin(self.centres[0], other.centres[0], "y", this, that),
            _begin(self.centres[1], other.centres[1], "x", this, that),
        )


def frame_of(image: xr.DataArray | ArrayLike) -> Frame:
    """Return the frame of an image ``(y, x)`` or a recording ``(..., y, x)``."""
    if not isinstance(image, xr.DataArray):
        shape = np.shape(image)
        if len(shape) < 2:
            raise ArgumentError(f"an array of shape {shape} has no y and x axes", "give an image (y, x)")
        return Frame((shape[-2], shape[-1]))
    if not {"y", "x"} <= set(image.dims):
        raise ArgumentError(
            f"dims are {image.dims}, expected y and x among them", "rename them with .rename(...)"
        )
    shape = (image.sizes["y"], image.sizes["x"])
    if "y" not in image.coords or "x" not in image.coords:
        return Frame(shape)
    units = str(image["y"].attrs.get("units", "1"))
    return Frame(
        shape,
        np.asarray(image["y"].values, dtype=np.float64),
        np.asarray(image["x"].values, dtype=np.float64),
        units,
    )


def image_values(image: xr.DataArray | ArrayLike, what: str = "the image") -> NDArray[Any]:
    """Return the values ``(y, x)`` of an image that is in memory.

    Raises
    ------
    LazyInputError
        If the image is a dask graph: computing it is the caller's decision.
    ArgumentError
        If it is no image of real numbers.
    """
    if isinstance(image, xr.DataArray):
        if image.chunks is not None:
            raise LazyInputError(
                f"{what} is lazy: its values are not computed yet",
                f"call .compute() on it first ({image.nbytes:,} bytes)",
            )
        if image.dims != ("y", "x"):
            raise ArgumentError(f"{what} has dims {image.dims}, expected ('y', 'x')")
        return _real(image.values, image, what)
    if hasattr(image, "dask"):
        raise LazyInputError(
            f"{what} is lazy: its values are not computed yet", "call .compute() on it first"
        )
    try:
        values = np.asarray(image)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{what} is of type {type(image).__name__}, which is no array: {error}"
        ) from error
    if values.ndim != 2:
        raise ArgumentError(f"{what} has shape {values.shape}, expected two axes (y, x)")
    return _real(values, image, what)


def _real(values: NDArray[Any], given: object, what: str) -> NDArray[Any]:
    if values.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{what} is of type {type(given).__name__}, with {values.dtype} in it; expected real numbers (y, x)"
        )
    return values


def _begin(part: NDArray[np.float64], whole: NDArray[np.float64], axis: str, this: str, that: str) -> int:
    begin = int(np.searchsorted(whole, part[0])) if part.size else 0
    if part.size and np.array_equal(whole[begin : begin + part.size], part):
        return begin
    raise AlignmentError(
        f"{this} has {axis} from {part[0]:g} to {part[-1]:g} ({part.size} pixels), {that} from {whole[0]:g} to "
        f"{whole[-1]:g} ({whole.size} pixels), and the first is no exact part of the second",
        "take both from the same frame, or crop them on whole pixels",
    )


def _size(frame: Frame) -> str:
    return f"{frame.shape[0]} x {frame.shape[1]} pixels"


def _unit(frame: Frame) -> str:
    return "pixels" if frame.units == "1" else frame.units
