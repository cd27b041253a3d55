"""Images, masks and outlines for a report, small enough for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.frame import frame_of
from roitrace.view.edges import trace_outlines
from roitrace.view.naming import quantity, value_unit
from roitrace.view.palette import REJECTED_ON_IMAGE, colour, robust_limits
from roitrace.view.report.encoding import encode_image, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.rois import Rois
    from roitrace.view.report.contents import Contents

__all__ = ["encode_images", "encode_mask", "encode_outlines", "reduced", "shrinking"]

_BYTES_PER_PIXEL = 1.7  # deflated, in base 64
_LEVEL_PERCENTILE = 95.0


def shrinking(sizes: Sequence[int], room: int) -> int:
    """Return how many rows, and columns, become one so that images of so many pixels fit into `room` bytes.

    Examples
    --------
    >>> shrinking([512 * 512] * 3, room=2_000_000), shrinking([2048 * 2048] * 3, room=2_000_000)
    (1, 4)
    """
    return max(1, math.ceil(math.sqrt(sum(sizes) * _BYTES_PER_PIXEL / room)))


def reduced(values: NDArray[Any], factor: int, name: str = "mean") -> NDArray[np.float64]:
    """Put squares of `factor` pixels together: their largest value for a maximum, their mean else; NaN takes no part."""
    image = np.asarray(values, dtype=np.float64)
    if factor == 1:
        return image
    height, width = (math.ceil(size / factor) * factor for size in image.shape)
    padding = ((0, height - image.shape[0]), (0, width - image.shape[1]))
    padded = np.pad(np.where(np.isfinite(image), image, np.nan), padding, constant_values=np.nan)
    squares = padded.reshape(height // factor, factor, width // factor, factor)
    if name in {"max", "min"}:
        pick = np.fmax if name == "max" else np.fmin
        extreme: NDArray[np.float64] = pick.reduce(pick.reduce(squares, axis=3), axis=1)
        return extreme
    count = np.isfinite(squares).sum(axis=(1, 3))
    total: NDArray[np.float64] = np.nansum(squares, axis=(1, 3))
    return total / np.where(count, count, np.nan)


def encode_images(contents: Contents, factor: int) -> list[dict[str, Any]]:
    """Encode the projections, those first in which cells were looked for."""
    looked_at = (
        [str(one) for one in np.atleast_1d(contents.groups["rois"].attrs.get("on", []))]
        if "rois" in contents.groups
        else []
    )
    names = sorted(contents.images, key=lambda name: (name not in looked_at, name != "mean"))
    return [_encode(contents.images[name], name, factor, contents.mask) for name in names]


def _encode(image: xr.DataArray, name: str, factor: int, mask: xr.DataArray | None) -> dict[str, Any]:
    values = reduced(image.values, factor, name)
    shown = robust_limits(values)
    known = values[np.isfinite(values)]
    whole = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    level = mask.attrs.get("level") if mask is not None and mask.attrs.get("image", name) == name else None
    if not isinstance(level, int | float) or not whole[0] <= level <= whole[1]:
        level = float(np.percentile(known, _LEVEL_PERCENTILE)) if known.size else 0.5
    return {
        "name": name,
        "title": quantity(name),
        "unit": value_unit(name, image.attrs),
        "shape": list(values.shape),
        "whole": list(whole),
        "shown": list(shown),
        "level": float(level),
        **encode_image(values).to_dict(),
    }


def encode_mask(mask: xr.DataArray, factor: int) -> dict[str, Any]:
    """Encode a mask; of squares that became one pixel those with half of their pixels in it."""
    values = reduced(mask.values, factor) >= 0.5
    return {
        "shape": list(values.shape),
        "share": float(mask.values.mean()),
        "bits": pack(values.view(np.uint8)),
    }


def encode_outlines(rois: Rois) -> dict[str, Any]:
    """Encode the outlines of all cells along the pixel edges: corners ``x, y`` as ints, loop after loop."""
    outlines = trace_outlines(rois.indptr, rois.pixels, rois.shape)
    corners = np.rint(outlines.vertices + 0.5).astype(np.int32)
    accepted = rois.accepted.tolist()
    return {
        "corners": pack(np.diff(corners, axis=0, prepend=0).astype(np.int32)),
        "sizes": pack(np.diff(outlines.indptr).astype(np.int32)),
        "rows": pack(outlines.rows.astype(np.int32)),
        "colours": [colour(number) if one else REJECTED_ON_IMAGE for number, one in enumerate(accepted)],
    }


def frames_fit(contents: Contents) -> bool:
    """Whether cells and images lie on the same frame, so that outlines can be drawn over them."""
    frame = contents.frame
    images = [*contents.images.values(), *([] if contents.mask is None else [contents.mask])]
    return frame is not None and all(frame.same_as(frame_of(one)) for one in images)
