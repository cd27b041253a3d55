"""How much each pixel of a ROI counts: by brightness, by place, or as the user says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.frame_weights import FRAME_RULES, sampled_weights, time_span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    from roitrace.regions import RoiCoordinates
    from roitrace.rois import Rois

    Rule: TypeAlias = str | xr.DataArray | ArrayLike | Callable[[RoiCoordinates], ArrayLike]

__all__ = ["RULES", "effective_pixels", "pixel_weights", "uses_frames"]

RULES = ("brightness", "proximity", "edge", *FRAME_RULES)


def pixel_weights(
    rois: Rois,
    by: Rule | Sequence[Any] = "brightness",
    *,
    image: xr.DataArray | ArrayLike | None = None,
    background: float | None = None,
    frames: xr.DataArray | ArrayLike | None = None,
) -> Rois:
    """Give each pixel of each ROI a weight, for the weighted statistics of `extract`.

    - ``"brightness"``: ``max(image - background, 0)``.
    - ``"proximity"``: ``exp(-d^2 / (2 r^2))``, d the distance to the ROI's unweighted centroid and
      ``r = sqrt(area / pi)``, the radius of a disc of the ROI's area.
    - ``"edge"``: the Euclidean distance to the nearest pixel outside the ROI (its centre, as in
      `scipy.ndimage.distance_transform_edt`); what is off the frame is outside.
    - ``"snr"``: ``sqrt(max(variance - noise^2, 0)) / noise`` over `frames`; noise^2 is half the variance of frame-to-frame differences.
    - ``"correlation"``: Pearson's r, over `frames`, with the mean of the ROI; negative ones count 0.
    - ``"inverse_variance"``: ``1 / noise^2``. A pixel that never changes weighs 0.

    The last three look at the data that they may be used on: `extract` marks weighted traces ``in_sample`` where the frames are among its own.

    Distances are in pixels; where these are not square, in pixels of the same area, by the frame's coordinates.
    Weights are not scaled: a weighted mean divides by their sum.

    Parameters
    ----------
    rois : Rois
        The cells; weights that they have are replaced.
    by : str, tuple, image, array, list of arrays or callable
        One of the rules above; an image ``(y, x)`` of weights; one array ``(n_pixels,)`` per ROI in a list, or all of
        them in one flat array, in the ROI's order (row-major); or a function that takes ``rois.coordinates(roi)`` and
        returns ``(n_pixels,)``. A tuple of these, a list of rules or ``"brightness * proximity"`` is their product.
    image : DataArray or array_like, optional
        ``(y, x)`` in memory, of the ROIs' frame; for ``"brightness"``.
    background : float, optional
        What counts as 0 brightness; the 5th percentile of the image's finite pixels if not given.
    frames : DataArray or array_like, optional
        ``(time, y, x)`` in memory, of the ROIs' frame: a sample of the recording, at least 3 frames.

    Returns
    -------
    Rois
        The same ROIs with weights; ``attrs["weights"]`` says which. Eager, one float64 per pixel of the ROIs.

    Raises
    ------
    ArgumentError
        For an unknown rule or a missing image; for weights of another length, or that are negative, NaN or infinite, or
        all 0 in a ROI, naming the ROIs.
    AlignmentError
        If an image is of another frame than the ROIs.
    LazyInputError
        If an image is not computed yet.

    Examples
    --------
    >>> import numpy as np
    >>> from roitrace.rois import Rois
    >>> rois = Rois.from_mask(np.ones((3, 3), dtype=bool))
    >>> pixel_weights(rois, "edge").weights
    array([1., 1., 1., 1., 2., 1., 1., 1., 1.])
    >>> image = np.arange(9.0).reshape(3, 3)
    >>> pixel_weights(rois, ("brightness", "edge"), image=image, background=2).weights
    array([0., 0., 0., 1., 4., 3., 4., 5., 6.])
    """
    weights = np.ones(rois.pixels.size)
    words = []
    for factor in _factors(by):
        if isinstance(factor, str) and factor in FRAME_RULES:
            values, word = sampled_weights(rois, factor, frames), factor
        else:
            values, word = _weigh(rois, factor, image, background)
        weights = weights * values
        words.append(word)
    attrs = {key: value for key, value in rois.attrs.items() if key not in {"weights_frames", "weights_time"}}
    attrs["weights"] = " * ".join(words)
    if frames is not None and set(words) & set(FRAME_RULES):
        attrs["weights_frames"] = len(frames)  # type: ignore[arg-type]
        attrs |= {"weights_time": span} if (span := time_span(frames)) is not None else {}
    return replace(rois.with_weights(weights), attrs=attrs)


def uses_frames(by: str) -> bool:
    """Whether a rule, or a product of rules, is measured in frames."""
    return any(factor in FRAME_RULES for factor in _factors(by))


def effective_pixels(rois: Rois) -> xr.DataArray:
    """How many equally weighted pixels would average noise as well: ``(sum w)^2 / sum w^2`` per ROI [1]_.

    Parameters
    ----------
    rois : Rois
        Without weights each pixel counts once, and this is the number of pixels.

    Returns
    -------
    DataArray
        ``effective_pixels (roi)``, float64; NaN for a ROI without pixels.

    References
    ----------
    .. [1] L. Kish, Survey Sampling, Wiley, 1965.

    Examples
    --------
    >>> from roitrace.rois import Rois
    >>> rois = Rois.from_pixels([[(0, 0), (0, 1)]], shape=(1, 2), weights=[[3.0, 1.0]])
    >>> effective_pixels(rois).values
    array([1.6])
    """
    weights = np.ones(rois.pixels.size) if rois.weights is None else rois.weights
    rows = _rows(rois)
    # Scaled by the largest of each ROI, so that squares neither vanish nor overflow.
    largest = np.zeros(len(rois))
    np.maximum.at(largest, rows, weights)
    weights = weights / largest[rows]
    total = np.bincount(rows, weights, len(rois))
    squares = np.bincount(rows, weights**2, len(rois))
    effective = np.divide(total**2, squares, out=np.full(len(rois), np.nan), where=squares > 0)
    return xr.DataArray(
        effective,
        dims="roi",
        coords=rois.coords(),
        name="effective_pixels",
        attrs={"long_name": "effective number of pixels", "units": "1"},
    )


def _factors(by: Rule | Sequence[Any]) -> Sequence[Any]:
    if isinstance(by, str):
        by = tuple(word.strip() for word in by.split("*"))
    if isinstance(by, tuple) or (isinstance(by, list) and all(isinstance(one, str) for one in by)):
        if not by:
            raise ArgumentError("by is empty", f"give one or more of {', '.join(RULES)}")
        return by
    return (by,)


def _weigh(
    rois: Rois, rule: Any, image: xr.DataArray | ArrayLike | None, background: float | None
) -> tuple[NDArray[np.float64], str]:
    """Return one factor of the weights, flat, and what to call it."""
    if isinstance(rule, str):
        if rule == "brightness":
            return _brightness(rois, image, background)
        if rule == "proximity":
            return _proximity(rois), rule
        if rule == "edge":
            return _edge_distance(rois), rule
        raise ArgumentError(f"by={rule!r}, expected {', '.join(RULES)}, an image, arrays or a function")
    if callable(rule):
        return _called(rois, rule), getattr(rule, "__name__", type(rule).__name__)
    if isinstance(rule, list):
        return _per_roi(rois, rule), "own"
    if np.ndim(rule) == 2:
        return _image_of(rois, rule, "the image of weights").ravel()[rois.pixels], "image"
    flat = np.asarray(rule, dtype=np.float64)
    if flat.shape != rois.pixels.shape:
        raise ArgumentError(
            f"by is an array of shape {flat.shape}, the ROIs have {rois.pixels.size} pixels in all",
            "give one weight per pixel, or an image (y, x)",
        )
    return flat, "own"


def _brightness(
    rois: Rois, image: xr.DataArray | ArrayLike | None, background: float | None
) -> tuple[NDArray[np.float64], str]:
    if image is None:
        raise ArgumentError(
            "weights by brightness need an image", 'give image=, such as project(recording)["mean"].compute()'
        )
    values = _image_of(rois, image, "the image")
    if background is None:
        finite = values[np.isfinite(values)]
        background = float(np.percentile(finite, 5)) if finite.size else 0.0
    elif not math.isfinite(background):
        raise ArgumentError(f"background={background!r}, expected a finite number")
    brightness = values.ravel()[rois.pixels] - background
    rows = _rows(rois)
    unknown = np.unique(rows[~np.isfinite(brightness)])
    if unknown.size:
        raise ArgumentError(
            f"the image is NaN or infinite inside {_names(rois, unknown)}",
            "fill it, or leave these ROIs out with rois.drop(...)",
        )
    weights = np.maximum(brightness, 0.0)
    dim = np.flatnonzero((np.bincount(rows, weights, len(rois)) == 0) & (rois.n_pixels > 0))
    if dim.size:
        raise ArgumentError(
            f"no pixel of {_names(rois, dim)} is brighter than the background {background:g}",
            "give a lower background=, or leave these ROIs out with rois.drop(...)",
        )
    return weights, f"brightness(background={background:g})"


def _proximity(rois: Rois) -> NDArray[np.float64]:
    height, width = _pixel_sides(rois)
    y_index, x_index = np.divmod(rois.pixels, rois.shape[1])
    rows, area = _rows(rois), np.maximum(rois.n_pixels, 1)
    y = y_index - (np.bincount(rows, y_index, len(rois)) / area)[rows]
    x = x_index - (np.bincount(rows, x_index, len(rois)) / area)[rows]
    squared_radius = (area / np.pi)[rows]
    weights: NDArray[np.float64] = np.exp(-((y * height) ** 2 + (x * width) ** 2) / (2.0 * squared_radius))
    return weights


def _edge_distance(rois: Rois) -> NDArray[np.float64]:
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415

    sides = _pixel_sides(rois)
    distances = np.empty(rois.pixels.size)
    y_index, x_index = np.divmod(rois.pixels, rois.shape[1])
    for begin, end in zip(rois.indptr[:-1], rois.indptr[1:], strict=True):
        if begin == end:
            continue
        # In its bounding box with a margin of one pixel, which stands for all that is outside.
        y = y_index[begin:end] - y_index[begin:end].min() + 1
        x = x_index[begin:end] - x_index[begin:end].min() + 1
        inside = np.zeros((y.max() + 2, x.max() + 2), dtype=np.bool_)
        inside[y, x] = True
        distances[begin:end] = distance_transform_edt(inside, sampling=sides)[y, x]
    return distances


def _pixel_sides(rois: Rois) -> tuple[float, float]:
    """Height and width of a pixel of area 1."""
    size = rois.frame.pixel_size
    if size is None or math.isclose(*size, rel_tol=1e-6):
        return 1.0, 1.0
    side = math.sqrt(size[0] * size[1])
    return size[0] / side, size[1] / side


def _called(rois: Rois, rule: Callable[[RoiCoordinates], ArrayLike]) -> NDArray[np.float64]:
    return _per_roi(rois, [rule(rois.coordinates(number)) for number in range(len(rois))])


def _per_roi(rois: Rois, arrays: Sequence[ArrayLike]) -> NDArray[np.float64]:
    if len(arrays) != len(rois):
        raise ArgumentError(
            f"{len(arrays)} arrays of weights for {len(rois)} ROIs", "give one array per ROI in a list"
        )
    rows = [np.asarray(array, dtype=np.float64) for array in arrays]
    for name, row, count in zip(rois.names, rows, rois.n_pixels, strict=True):
        if row.shape != (count,):
            raise ArgumentError(
                f"ROI {name} has {count} pixels but weights of shape {row.shape}", "give one weight per pixel"
            )
    return np.concatenate([*rows, np.zeros(0)])


def _image_of(rois: Rois, image: xr.DataArray | ArrayLike, what: str) -> NDArray[np.float64]:
    values = image_values(image, what)
    frame = frame_of(image)
    if not frame.same_as(rois.frame):
        raise AlignmentError(
            f"{what} is {frame.shape[0]} x {frame.shape[1]} pixels, the frame of the ROIs {rois.shape[0]} x {rois.shape[1]}"
            + (", with other coordinates" if frame.shape == rois.shape else ""),
            "take both from the same frame, or place the ROIs on the image's frame with rois.within(...)",
        )
    return values.astype(np.float64)


def _rows(rois: Rois) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(rois)), rois.n_pixels)


def _names(rois: Rois, numbers: NDArray[np.int64], limit: int = 5) -> str:
    shown = ", ".join(rois.names[number] for number in numbers[:limit])
    return f"ROI {shown}" + (f" and {numbers.size - limit} more" if numbers.size > limit else "")
