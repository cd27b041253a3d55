"""Image -> mask -> labels: which pixels are bright, cleaned, one ROI per connected component."""

from __future__ import annotations

import difflib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.choices import THRESHOLDS
from roitrace.errors import AlignmentError, ArgumentError
from roitrace.frame import Frame, frame_of, image_values
from roitrace.labelling import components, edge_distance, enclosed, split_components
from roitrace.levels import (
    LOCAL,
    check_samples,
    clipped_range,
    fill_from_nearest,
    global_level,
    local_level,
)
from roitrace.rois import Rois, as_rois

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

__all__ = ["clean_mask", "label_rois", "threshold"]

_DEFAULT_K = {"mean_sd": 2.0, "niblack": 0.2, "sauvola": 0.2}
_USED_BY = {
    "value": ("value",),
    "percentile": ("percentile",),
    "k": tuple(_DEFAULT_K),
    "block_size": LOCAL,
    "offset": LOCAL,
}
_CELL_DIAMETER = 12.0  # micrometres, a usual cortical neuron


def threshold(
    image: xr.DataArray | ArrayLike,
    method: str = "otsu",
    *,
    value: float | None = None,
    percentile: float | None = None,
    block_size: int | None = None,
    offset: float = 0.0,
    k: float | None = None,
    within: Rois | xr.DataArray | ArrayLike | None = None,
) -> xr.DataArray:
    """Mark the bright pixels of an image ``(y, x)``.

    Parameters
    ----------
    image : DataArray or array_like
        ``(y, x)``, any real dtype, in memory. NaN is never selected and does not move the level.
    method : str
        Global: one level for the image. ``"value"`` and ``"percentile"`` select ``image >= level`` (as ImageJ does; 95
        keeps the top 5 %, ties in); ``"mean_sd"`` selects ``image > mean + k * sd`` (sd with ddof 0); ``"otsu"``,
        ``"li"``, ``"triangle"``, ``"yen"``, ``"isodata"`` and ``"minimum"`` are scikit-image's, ``image > level``, of the
        image clipped to its 0.1-99.9 percentiles, so that one hot pixel does not move the level.

        Adaptive: a level per pixel, from the block around it. ``"local_mean"``, ``"local_gaussian"`` (sigma
        ``(block_size - 1) / 6``), ``"local_median"``, ``"niblack"`` (mean - k * sd) and ``"sauvola"``
        (mean * (1 + k * (sd / r - 1)), r half of the image's 0.1-99.9 percentile range) are scikit-image's;
        ``image > statistic - offset``. The image is reflected at its edges; a NaN pixel stands in for its nearest finite
        neighbour.
    value : float
        The level, in the image's counts. Given alone, it chooses the method ``"value"``.
    percentile : float
        0 to 100 (linear interpolation). Given alone, it chooses the method ``"percentile"``.
    block_size : int
        Side of the block, pixels, odd, at most the image's. By default 3 cell diameters of 12 um, where the pixel size is
        known.
    offset : float
        Counts that a pixel may lie below its local statistic and still count; negative: that it must lie above.
    k : float
        Standard deviations; 2 for ``"mean_sd"``, 0.2 for ``"niblack"`` and ``"sauvola"`` if not given.
    within : Rois, DataArray or array_like
        Regions drawn around cells: Rois, one boolean mask, or a label image. Nothing outside is selected, and a global
        level is found in each region on its own. A region without a finite pixel selects nothing, and its level is NaN.

    Returns
    -------
    DataArray
        Boolean ``(y, x)`` with the attributes ``method``, ``comparison``, ``level``, ``range_low``, ``range_high`` (the
        range of values that the level was found in) and the parameters. With `within` and a global method ``level`` and
        the range are lists, one per name in ``regions``. An adaptive method has ``level_min`` and ``level_max``.

    Raises
    ------
    LazyInputError
        If the image is a dask graph.
    ArgumentError
        If the method is unknown, or a parameter is missing, impossible, or one that the method does not use; if no pixel
        is finite; if the method finds no level.
    AlignmentError
        If `within` does not lie on the image's frame.

    References
    ----------
    scikit-image, ``skimage.filters``. Sauvola & Pietikainen (2000), *Pattern Recognition* 33, with r taken from the image
    instead of the dtype.

    Examples
    --------
    >>> mask = threshold(np.array([[100, 120], [300, 310]]), value=300)
    >>> mask.values.tolist(), mask.attrs["comparison"]
    ([[False, False], [True, True]], '>=')
    """
    values, frame = check_samples(image_values(image)), frame_of(image)
    given = {
        "value": value,
        "percentile": percentile,
        "k": k,
        "block_size": block_size,
        "offset": offset or None,
    }
    method = _chosen_method(method, given)
    regions = None if within is None else as_rois(within).within(frame, "the image")
    given["k"] = _DEFAULT_K.get(method) if k is None else k
    # a method has at most one of these
    parameters = {
        name: float(one) for name in ("value", "percentile", "k") if (one := given[name]) is not None
    }
    parameter = next(iter(parameters.values()), math.nan)
    if method in LOCAL:
        block = _block(block_size, frame, method)
        mask, found = _local_mask(values, method, block, offset=offset, k=parameter)
        if regions is not None:
            mask &= regions.to_mask().values
    else:
        mask, found = _global_mask(values, method, parameter, regions)
    if regions is not None:
        found["regions"] = list(regions.names)
    return frame.image(mask, "mask", **({"method": method} | found | parameters))


def clean_mask(
    mask: xr.DataArray | ArrayLike,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    fill_holes: bool | int = False,
    opening: int = 0,
    closing: int = 0,
    clear_border: bool = False,
) -> xr.DataArray:
    """Tidy a mask ``(y, x)``: gaps, holes, spurs, components at the border, components of the wrong size.

    The steps that are asked for run in this order: closing, holes, opening, border, size. Components touch by edges or
    corners. What lies outside the image neither erodes nor extends the mask.

    Parameters
    ----------
    mask : DataArray or array_like
        Boolean, in memory.
    min_pixels, max_pixels : int
        Keep components of at least and at most so many pixels.
    fill_holes : bool or int
        True fills every background area that the mask encloses; a number only those of at most so many pixels.
    opening : int
        Radius of a disc, pixels: what the disc does not fit into goes. 1 takes single pixels and threads away.
    closing : int
        Radius of a disc, pixels: gaps that the disc does not fit into are filled.
    clear_border : bool
        Leave out components that touch the edge of the image.

    Returns
    -------
    DataArray
        Boolean ``(y, x)``; the attributes of `mask`, and what was done in ``cleaned``.

    Raises
    ------
    ArgumentError
        If the mask is not boolean or a number is negative.

    References
    ----------
    scikit-image, ``skimage.morphology.opening``, ``closing``, ``skimage.segmentation.clear_border``.

    Examples
    --------
    >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], dtype=bool)
    >>> clean_mask(ring, fill_holes=True).values.astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    from skimage.morphology import closing as close  # noqa: PLC0415
    from skimage.morphology import disk  # noqa: PLC0415
    from skimage.morphology import opening as open_  # noqa: PLC0415
    from skimage.segmentation import clear_border as without_border  # noqa: PLC0415

    cleaned = _mask_values(mask)
    steps: dict[str, float] = {"closing": closing, "fill_holes": fill_holes, "opening": opening}
    steps |= {"clear_border": clear_border, "min_pixels": min_pixels or 0}
    steps["max_pixels"] = math.inf if max_pixels is None else max_pixels
    for name, number in steps.items():
        if number < 0:
            raise ArgumentError(f"{name}={number!r}, expected 0 or more pixels")
    if closing:
        cleaned = close(cleaned, disk(closing))
    if fill_holes:
        any_size = isinstance(fill_holes, bool | np.bool_)
        cleaned = cleaned | enclosed(cleaned, math.inf if any_size else fill_holes)
    if opening:
        cleaned = open_(cleaned, disk(opening))
    if clear_border:
        cleaned = without_border(cleaned)
    if min_pixels or max_pixels is not None:
        labels = components(cleaned, 2)
        sizes = np.bincount(labels.ravel())
        keep = (sizes >= steps["min_pixels"]) & (sizes <= steps["max_pixels"])
        keep[0] = False
        cleaned = keep[labels]
    done = ", ".join(f"{name}={one}" for name, one in steps.items() if one and one != math.inf)
    attrs = dict(getattr(mask, "attrs", {}))
    if done:
        attrs["cleaned"] = f"{attrs['cleaned']}; {done}" if "cleaned" in attrs else done
    return frame_of(mask).image(cleaned, "mask", **attrs)


def label_rois(
    mask: xr.DataArray | ArrayLike,
    *,
    connectivity: int = 2,
    split: str | None = None,
    image: xr.DataArray | ArrayLike | None = None,
    min_distance: int | None = None,
) -> Rois:
    """One ROI per connected component of a mask; touching cells may be split.

    Parameters
    ----------
    mask : DataArray or array_like
        Boolean ``(y, x)``, in memory.
    connectivity : {2, 1}
        2: pixels touch by edges and corners (as ImageJ's particles do); 1: by edges.
    split : {None, "distance", "intensity"}
        Watershed inside each component, from seeds at the pixels farthest from its edge (``"distance"``) or at the
        brightest ones of `image` (``"intensity"``). Every pixel of the mask stays in a ROI.
    image : DataArray or array_like
        The image to split on, ``(y, x)``, in memory; smooth it first.
    min_distance : int
        Smallest distance of two seeds of a component along either axis, pixels. By default half the diameter of a disc
        as large as the median component.

    Returns
    -------
    Rois
        Ids and names count from 1 in raster order of each ROI's first pixel; empty if the mask is. `attrs` are those of
        the mask and the parameters.

    Raises
    ------
    ArgumentError
        If the mask is not boolean, or an argument is none of those listed, or misses what `split` needs.
    AlignmentError
        If mask and image are not of the same frame.

    References
    ----------
    ``scipy.ndimage.label``; ``skimage.feature.peak_local_max``, ``skimage.segmentation.watershed``.

    Examples
    --------
    >>> rois = label_rois(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool))
    >>> len(rois), rois["1"].coordinates(0).to_yx().tolist()
    (2, [[0, 0], [1, 1]])
    """
    values = _mask_values(mask)
    if connectivity not in {1, 2}:
        raise ArgumentError(f"connectivity={connectivity!r}, expected 1 (edges) or 2 (edges and corners)")
    if split not in {None, "distance", "intensity"}:
        raise ArgumentError(f"split={split!r}, expected None, 'distance' or 'intensity'")
    if (split == "intensity") != (image is not None):
        raise ArgumentError(
            f"split={split!r} with{'out' if image is None else ''} an image",
            "split='intensity' needs image=, and nothing else uses it",
        )
    if min_distance is not None and (split is None or min_distance < 1):
        raise ArgumentError(
            f"min_distance={min_distance} with split={split!r}",
            "give 1 or more pixels, and split='distance' or 'intensity'",
        )
    frame = frame_of(mask)
    labels = components(values, connectivity)
    parameters: dict[str, Any] = {"connectivity": connectivity}
    if split is not None and values.any():
        if min_distance is None:
            min_distance = max(1, round(math.sqrt(np.median(np.bincount(labels.ravel())[1:]) / math.pi)))
        surface = edge_distance(values) if image is None else _surface(image, frame)
        labels = split_components(labels, surface, min_distance, connectivity)
        parameters |= {"split": split, "min_distance": min_distance}
    rois = Rois.from_labels(frame.image(labels))
    return replace(rois, attrs=dict(getattr(mask, "attrs", {})) | parameters)


# -- levels -----------------------------------------------------------------------------------------------------


def _chosen_method(method: str, given: dict[str, float | None]) -> str:
    """Return the method that is meant, or say what contradicts it."""
    if given["value"] is not None and given["percentile"] is not None:
        raise ArgumentError(
            f"value={given['value']} and percentile={given['percentile']} are two levels", "give one of them"
        )
    if method == "otsu":
        method = next((name for name in ("value", "percentile") if given[name] is not None), method)
    if method not in THRESHOLDS:
        near = difflib.get_close_matches(str(method), THRESHOLDS, n=1, cutoff=0.4)
        raise ArgumentError(
            f"{method!r} is no threshold method, expected one of {', '.join(THRESHOLDS)}",
            f"did you mean {near[0]!r}?" if near else "choose one of them",
        )
    for name, one in given.items():
        if one is None:
            continue
        if method not in _USED_BY[name]:
            raise ArgumentError(
                f"{name}={one} is given, but the method {method!r} does not use it",
                f"it belongs to {', '.join(_USED_BY[name])}",
            )
        if not math.isfinite(one):
            raise ArgumentError(f"{name}={one}, expected a finite number")
    if method in given and given[method] is None:
        raise ArgumentError(f"the method {method!r} is asked without its level", f"give {method}=")
    percentile = given["percentile"]
    if percentile is not None and not 0 <= percentile <= 100:
        raise ArgumentError(f"percentile={percentile}, expected 0 to 100", "95 keeps the brightest 5 %")
    return method


def _global_mask(
    values: NDArray[Any], method: str, parameter: float, regions: Rois | None
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Return the mask and what was found: comparison, level and range, as lists where there are regions."""
    at_least = method in {"value", "percentile"}
    samples = values.ravel()
    # float64 holds every sample dtype exactly; beside a float32 image the level would be rounded instead
    floats = samples.astype(np.float64)
    mask = np.zeros(samples.size, dtype=np.bool_)
    rows = [np.arange(samples.size)] if regions is None else [regions.row(n) for n in range(len(regions))]
    levels = [global_level(samples[row], method, parameter) for row in rows]
    for row, found in zip(rows, levels, strict=True):
        mask[row] |= floats[row] >= found.level if at_least else floats[row] > found.level
    columns = {
        "level": [found.level for found in levels],
        "range_low": [found.low for found in levels],
        "range_high": [found.high for found in levels],
    }
    attrs: dict[str, Any] = {"comparison": ">=" if at_least else ">"}
    attrs |= columns if regions is not None else {name: column[0] for name, column in columns.items()}
    return mask.reshape(values.shape), attrs


def _local_mask(
    values: NDArray[Any], method: str, block: tuple[int, int], *, offset: float, k: float
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    floats = values.astype(np.float64)
    filled = fill_from_nearest(floats)
    low, high = clipped_range(floats)
    span = float(np.ptp(filled))
    level = local_level(filled, method, block, k=k, half_range=0.5 * (high - low or span)) - offset
    # sliding sums leave rounding behind, by which a flat part must not be selected
    mask = floats - level > 1e-12 * span
    return mask, {
        "comparison": ">",
        "level_min": float(level.min()),
        "level_max": float(level.max()),
        "range_low": low,
        "range_high": high,
        "block_size": block[0] if block[0] == block[1] else list(block),
        "offset": float(offset),
    }


def _block(block_size: int | None, frame: Frame, method: str) -> tuple[int, int]:
    """Sides of the block, odd, ``(y, x)``."""
    if block_size is None:
        if frame.pixel_size is None:
            raise ArgumentError(
                f"{method!r} has no default block size here: the image's pixel size is not known",
                "give block_size= in pixels, odd, about 3 cell diameters",
            )
        y, x = (
            min(round(3 * _CELL_DIAMETER / size) | 1, length - 1 + length % 2)
            for size, length in zip(frame.pixel_size, frame.shape, strict=True)
        )
        return y, x
    if block_size < 1 or block_size % 2 != 1:
        raise ArgumentError(
            f"block_size={block_size!r}, expected an odd number of pixels",
            "a block has a pixel in its middle: take the next odd number",
        )
    if block_size > min(frame.shape):
        raise ArgumentError(
            f"block_size={block_size} is larger than the image, {frame.shape[0]} x {frame.shape[1]} pixels",
            "take a smaller block, or a global method such as 'otsu'",
        )
    return int(block_size), int(block_size)


# -- masks and labels -------------------------------------------------------------------------------------------


def _mask_values(mask: xr.DataArray | ArrayLike) -> NDArray[np.bool_]:
    values = image_values(mask, "the mask")
    if values.dtype != np.bool_:
        raise ArgumentError(
            f"the mask has dtype {values.dtype}, expected bool", "make one with roitrace.threshold(image)"
        )
    return values


def _surface(image: xr.DataArray | ArrayLike, frame: Frame) -> NDArray[np.float64]:
    values = check_samples(image_values(image)).astype(np.float64)
    if not frame_of(image).same_as(frame):
        raise AlignmentError(
            f"the image to split on is {values.shape}, the mask {frame.shape}, and their frames differ",
            "give the image that the mask was made from",
        )
    return np.where(np.isfinite(values), values, values[np.isfinite(values)].min())
