"""ROIs and an image -> a table of what each ROI is like: size, shape, contrast, place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import AlignmentError
from roitrace.frame import frame_of, image_values
from roitrace.levels import check_samples
from roitrace.quality import peak_snr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from roitrace.rois import Rois

__all__ = ["DESCRIBED", "describe"]

DESCRIBED = {
    "area_px": ("pixels", "1"),
    "area_um2": ("area", "micrometer^2"),
    "diameter_px": ("diameter of the circle of this area", "pixel"),
    "diameter_um": ("diameter of the circle of this area", "micrometer"),
    "aspect": ("long over short axis of the ellipse of the same moments", "1"),
    "solidity": ("part of its convex hull that it fills", "1"),
    "level": ("mean of the image inside", "count"),
    "surround": ("mean of the image around", "count"),
    "contrast": ("mean inside minus mean around", "count"),
    "contrast_ratio": ("contrast over the robust standard deviation of the pixels around", "1"),
    "border_px": ("pixels at the edge of the frame", "1"),
    "overlap_fraction": ("part of the pixels that other ROIs have too", "1"),
    "activity": ("contrast ratio on the image of activity", "1"),
    "peak_snr": ("peak signal to noise ratio", "1"),
}
"""Every column that the table of `describe` may have: what it is, and its unit."""

_OF_IMAGE = {"level", "surround", "contrast"}
_MAD_TO_SD = 1.4826
_GAP, _FEWEST_AROUND = 1, 10  # pixels


def describe(
    rois: Rois,
    image: xr.DataArray | ArrayLike,
    *,
    activity: xr.DataArray | ArrayLike | None = None,
    traces: xr.Dataset | xr.DataArray | None = None,
) -> xr.Dataset:
    """Tabulate what each ROI is like; ``.to_dataframe()`` makes it a table to filter by, `judge` rejects by it.

    Size and shape: ``area_px``, ``diameter_px`` of the circle of that area, and where the pixel size is known ``area_um2``,
    ``diameter_um``; ``aspect``, the long over the short axis of the ellipse of the same second moments, and ``solidity``, the area
    over that of the convex hull (both of scikit-image's ``regionprops``). Contrast: ``level``, the mean of the image inside;
    ``surround``, that of the pixels farther than 1 and at most 1 px + half a diameter (at least 3 px) away that no ROI has;
    ``contrast``, their difference; ``contrast_ratio``, that over the surround's 1.4826 MAD. Place: ``border_px``, pixels at the
    frame's edge; ``overlap_fraction``, part of the pixels that other ROIs have too.

    Parameters
    ----------
    rois : Rois
        Any; weights do not count.
    image : DataArray or array_like
        ``(y, x)`` of their frame, in memory.
    activity : DataArray or array_like, optional
        An image that shows activity, such as the projection std or correlation: adds ``activity``, its contrast ratio.
    traces : Dataset or DataArray, optional
        Of these ROIs, from `extract`: adds ``peak_snr`` (see `roitrace.peak_snr`; F0 over the whole recording where the frame
        rate is not known).

    Returns
    -------
    Dataset
        Columns ``(roi,)``, see `DESCRIBED`. NaN where a ROI has no (finite) pixel, and for measures of the surround where fewer
        than 10 pixels around are free.

    Raises
    ------
    AlignmentError
        If an image is of another frame, or the traces are of other ROIs.
    LazyInputError
        If an image is a dask graph.

    Examples
    --------
    >>> from roitrace.rois import Rois
    >>> labels = np.zeros((20, 20), dtype=int)
    >>> labels[5:9, 5:13] = 1
    >>> table = describe(Rois.from_labels(labels), 100.0 + 50 * labels)
    >>> int(table["area_px"][0]), float(table["contrast"][0]), round(float(table["aspect"][0]), 2)
    (32, 50.0, 2.05)
    """
    values = _samples_of(rois, image, "the image")
    columns: dict[str, NDArray[np.float64]] = _of_shape(rois)
    columns |= _of_contrast(rois, values)
    columns["border_px"] = _border_pixels(rois)
    columns["overlap_fraction"] = rois.overlap_fraction()
    if activity is not None:
        seen = _samples_of(rois, activity, "the image of activity")
        columns["activity"] = _of_contrast(rois, seen)["contrast_ratio"]
    if traces is not None:
        columns["peak_snr"] = _of_traces(rois, traces)
    units = getattr(image, "attrs", {}).get("units", "count")
    dataset = xr.Dataset(coords={"roi": rois.coords()["roi"]})
    for name, (meaning, unit) in DESCRIBED.items():
        if name in columns:
            attrs = {"long_name": meaning, "units": str(units) if name in _OF_IMAGE else unit}
            dataset[name] = ("roi", columns[name], attrs)
    return dataset


def _samples_of(rois: Rois, image: xr.DataArray | ArrayLike, what: str) -> NDArray[np.float64]:
    values = check_samples(image_values(image, what)).astype(np.float64)
    if not frame_of(image).same_as(rois.frame):
        height, width = values.shape
        raise AlignmentError(
            f"{what} has {height} x {width} pixels, the ROIs lie on {rois.shape[0]} x {rois.shape[1]}, or their coordinates "
            "differ",
            "place the ROIs on its frame with rois.within(...)",
        )
    return np.where(np.isfinite(values), values, np.nan)


def _of_shape(rois: Rois) -> dict[str, NDArray[np.float64]]:
    """Areas, diameters, aspect and solidity."""
    from skimage.measure import regionprops  # noqa: PLC0415

    size = rois.frame.pixel_size
    area = rois.n_pixels.astype(np.float64)
    area[area == 0] = np.nan
    columns = {"area_px": area, "diameter_px": np.sqrt(4 / math.pi * area)}
    if size is not None:
        columns["area_um2"] = area * math.prod(size)
        columns["diameter_um"] = np.sqrt(4 / math.pi * columns["area_um2"])
    aspect, solidity = np.full(len(rois), np.nan), np.full(len(rois), np.nan)
    for number in np.flatnonzero(rois.n_pixels).tolist():
        mask, _ = _cropped(rois, number, 0)
        (region,) = regionprops(mask.astype(np.uint8), spacing=size or (1.0, 1.0))
        long, short = region.axis_major_length, region.axis_minor_length
        # a thread has no width, and a single pixel neither width nor length
        aspect[number] = long / short if short > 0 else np.inf if long > 0 else 1.0
        # the hull of pixel corners, in pixels: it does not depend on their size
        solidity[number] = np.count_nonzero(mask) / np.count_nonzero(region.image_convex)
    return columns | {"aspect": aspect, "solidity": solidity}


def _of_contrast(rois: Rois, values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Means inside and around, and how they differ."""
    import scipy.ndimage  # noqa: PLC0415

    free = np.isfinite(values) & ~rois.to_mask().values
    names = ("level", "surround", "contrast_ratio")
    columns = {name: np.full(len(rois), np.nan) for name in names}
    for number in np.flatnonzero(rois.n_pixels).tolist():
        inside = values.ravel()[rois.row(number)]
        inside = inside[np.isfinite(inside)]
        if not inside.size:
            continue
        columns["level"][number] = inside.mean()
        reach = _GAP + max(2.0, math.sqrt(rois.n_pixels[number] / math.pi))
        mask, place = _cropped(rois, number, math.ceil(reach))
        distance = scipy.ndimage.distance_transform_edt(~mask)
        around = values[place][free[place] & (distance > _GAP) & (distance <= reach)]
        if around.size < _FEWEST_AROUND:
            continue
        columns["surround"][number] = around.mean()
        spread = _MAD_TO_SD * float(np.median(np.abs(around - np.median(around))))
        if spread > 0:
            columns["contrast_ratio"][number] = (inside.mean() - around.mean()) / spread
    return columns | {"contrast": columns["level"] - columns["surround"]}


def _cropped(rois: Rois, number: int, margin: int) -> tuple[NDArray[np.bool_], tuple[slice, slice]]:
    """Return the mask of a ROI within its box and a margin, and where in the frame that is."""
    height, width = rois.shape
    y, x = np.divmod(rois.row(number), width)
    top, left = max(0, int(y.min()) - margin), max(0, int(x.min()) - margin)
    bottom, right = min(height, int(y.max()) + margin + 1), min(width, int(x.max()) + margin + 1)
    mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    mask[y - top, x - left] = True
    return mask, (slice(top, bottom), slice(left, right))


def _border_pixels(rois: Rois) -> NDArray[np.float64]:
    height, width = rois.shape
    y, x = np.divmod(rois.pixels, width)
    at_edge = (y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)
    rows = np.repeat(np.arange(len(rois)), rois.n_pixels)
    return np.bincount(rows[at_edge], minlength=len(rois)).astype(np.float64)


def _of_traces(rois: Rois, traces: xr.Dataset | xr.DataArray) -> NDArray[np.float64]:
    names = traces["roi"].values.astype(str).tolist() if "roi" in traces.coords else list(rois.names)
    if names != list(rois.names) or traces.sizes.get("roi") != len(rois):
        raise AlignmentError(
            f"there are {len(rois)} ROIs and {traces.sizes.get('roi', 1)} traces, or their names differ",
            "give the ROIs of the traces, in their order",
        )
    options: dict[str, Any] = {} if "frame_rate" in traces.attrs else {"window": None, "smoothing": None}
    found: NDArray[np.float64] = peak_snr(traces, **options).compute().values
    return found
