"""ROIs of one recording on another one of the same place: moved by a rigid offset, with how well each fits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.contrast import upright
from roitrace.errors import AlignmentError, ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.levels import check_samples
from roitrace.sparse_rows import listed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from roitrace.frame import Frame
    from roitrace.rois import Rois

__all__ = ["Transfer", "transfer"]

_AROUND = 3  # pixels around a ROI that are compared too
_POOR = 0.3  # correlation of two images below which they are hardly of the same place
_NEAR = 2  # pixels around the peak of the phase correlation, which noise may move


@dataclass(frozen=True)
class Transfer:
    """ROIs on another recording, and how well they fit.

    Attributes
    ----------
    rois : Rois
        Moved, on the frame of the other image, with the ids, names, flags, weights and history that they had. Pixels that left
        the frame are counted in ``n_outside``; a ROI of which none is left stays, empty.
    offset : tuple of int
        By how many pixels they moved, down and right: positions in the other image minus those in the first.
    table : Dataset
        Per ROI ``(roi,)``: ``fit``, Pearson's correlation of the two images over the ROI and the 3 px around it, after the move
        (NaN where fewer than 10 pixels are finite in both, or one image is flat there); ``fit_before``, the same without the
        move; ``outside_fraction``, the part of the ROI's pixels that left the frame. Attributes: ``offset_px``, ``found`` (whether
        it was found or given), ``image_fit`` (of the parts of the images that overlap, without slope and hot pixels).
    """

    rois: Rois
    offset: tuple[int, int]
    table: xr.Dataset

    def __str__(self) -> str:
        fits = self.table["fit"].values[np.isfinite(self.table["fit"].values)]
        lost = self.table["outside_fraction"].values
        names = [name for name, part in zip(self.rois.names, lost.tolist(), strict=True) if part > 0]
        fit = f"{np.median(fits):.2f}" if fits.size else "unknown"
        text = f"moved by {self.offset[0]} px down, {self.offset[1]} px right; median fit of the ROIs {fit}"
        if not self.table.attrs["image_fit"] >= _POOR:
            text += f"; the images hardly agree (correlation {self.table.attrs['image_fit']:.2f}): do they show the same place?"
        return text + (f"; leaving the frame, all or in part: {listed(names, 20)}" if names else "")


def transfer(
    rois: Rois,
    from_image: xr.DataArray | ArrayLike,
    to_image: xr.DataArray | ArrayLike,
    offset: tuple[int, int] | None = None,
) -> Transfer:
    """Carry ROIs over to another recording of the same place, such as the next day's.

    The offset is rigid and whole pixels, so that every ROI keeps its shape. If it is not given it is found by phase correlation [1]_ of the
    two images (scikit-image's ``phase_cross_correlation``, with and without normalisation), without slope and hot pixels, less their
    median, faded out towards the edges; of the offsets within 2 px of both peaks the one is taken at which the images correlate best.
    It is found where they share at least about half of the frame. Rotation and stretching are not looked for: where the table
    shows that ROIs in a corner fit badly, there may be some.

    Parameters
    ----------
    rois : Rois
        Of the frame of `from_image`.
    from_image, to_image : DataArray or array_like
        ``(y, x)``, in memory: the same projection, best the mean, of both recordings. Of the same pixel size; frames of different
        shape are compared from their top left corner.
    offset : tuple of int, optional
        Pixels down and right from a place in `from_image` to the same place in `to_image`.

    Returns
    -------
    Transfer
        The ROIs, the offset and a table of how well each fits.

    Raises
    ------
    AlignmentError
        If the ROIs are of another frame than `from_image`, or the pixel sizes differ.
    ArgumentError
        If the offset is no pair of whole numbers, or the images have nothing in common to find it by.
    LazyInputError
        If an image is a dask graph.

    References
    ----------
    .. [1] C. D. Kuglin, D. C. Hines, Proceedings of the IEEE Conference on Cybernetics and Society, 163-165 (1975).

    Examples
    --------
    >>> from roitrace.rois import Rois
    >>> random = np.random.default_rng(0)
    >>> scene = random.normal(size=(70, 70))
    >>> labels = np.zeros((64, 64), dtype=int)
    >>> labels[20:25, 30:36] = 1
    >>> moved = transfer(Rois.from_labels(labels), scene[:64, :64], scene[3:67, 2:66])
    >>> moved.offset, moved.rois.coordinates(0).to_yx()[0].tolist(), round(float(moved.table["fit"][0]), 3)
    ((-3, -2), [17, 28], 1.0)
    """
    before, after = (
        _samples(one, name) for one, name in ((from_image, "from_image"), (to_image, "to_image"))
    )
    frame = frame_of(to_image)
    if not frame_of(from_image).same_as(rois.frame):
        raise AlignmentError(
            f"the ROIs lie on {rois.shape[0]} x {rois.shape[1]} pixels, from_image has {before.shape[0]} x {before.shape[1]}, or "
            "their coordinates differ",
            "give the image that they were drawn on, or place them on its frame with rois.within(...)",
        )
    _check_pixel_sizes(frame_of(from_image), frame)
    found = offset is None
    step = _found_offset(before, after) if offset is None else _whole(offset)
    moved = rois.shifted(*step, frame)
    table = xr.Dataset(
        {
            "fit": ("roi", _fits(rois, before, after, step)),
            "fit_before": ("roi", _fits(rois, before, after, (0, 0))),
            "outside_fraction": ("roi", _outside(rois, moved)),
        },
        coords={"roi": rois.coords()["roi"]},
        attrs={
            "offset_px": list(step),
            "found": int(found),
            "image_fit": _image_fit(_levelled(before), _levelled(after), step),
        },
    )
    words = f"moved by {step[0]} px down, {step[1]} px right to another recording"
    return Transfer(moved.recorded(words), step, table)


def _samples(image: xr.DataArray | ArrayLike, name: str) -> NDArray[np.float64]:
    values = check_samples(image_values(image, name)).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _whole(offset: tuple[int, int]) -> tuple[int, int]:
    given = np.asarray(offset)
    if given.shape != (2,) or given.dtype.kind not in "iuf" or not (given == np.rint(given)).all():
        raise ArgumentError(
            f"offset={offset!r}, expected two whole numbers of pixels: down, right", "for example (3, -2)"
        )
    return int(given[0]), int(given[1])


def _check_pixel_sizes(one: Frame, other: Frame) -> None:
    sizes = one.pixel_size, other.pixel_size
    if sizes[0] is None or sizes[1] is None:
        return
    if not np.allclose(sizes[0], sizes[1], rtol=1e-3):
        texts = [f"{y:.4g} x {x:.4g} um" for y, x in (sizes[0], sizes[1])]
        raise AlignmentError(
            f"a pixel of from_image is {texts[0]}, one of to_image {texts[1]}",
            "scale one of the recordings first",
        )


def _found_offset(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[int, int]:
    from skimage.registration import phase_cross_correlation  # noqa: PLC0415

    height, width = np.minimum(before.shape, after.shape)
    if min(height, width) < 8:
        raise ArgumentError(
            f"the images share {height} x {width} pixels, too few to find an offset", "give offset="
        )
    pair = [_levelled(one[:height, :width]) for one in (before, after)]
    if not all(one.any() for one in pair):
        raise ArgumentError("an image is flat: there is nothing to find an offset by", "give offset=")
    window = np.outer(*(np.sin(math.pi * (np.arange(n) + 0.5) / n) ** 2 for n in (height, width)))
    steps: set[tuple[int, int]] = set()
    for normalization in ("phase", None):
        # the shift that would bring `after` back onto `before`
        back, _, _ = phase_cross_correlation(pair[0] * window, pair[1] * window, normalization=normalization)
        down, right = (-round(float(one)) for one in back)
        near = range(-_NEAR, _NEAR + 1)
        steps |= {(down + dy, right + dx) for dy in near for dx in near}
    fits = {step: _image_fit(pair[0], pair[1], step) for step in sorted(steps)}
    return max(fits, key=lambda step: fits[step] if np.isfinite(fits[step]) else -np.inf)


def _levelled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take slope, hot pixels and the median out of an image."""
    flat, _ = upright(values)
    levelled: NDArray[np.float64] = flat - np.median(flat)
    return levelled


def _outside(rois: Rois, moved: Rois) -> NDArray[np.float64]:
    part = np.full(len(rois), np.nan)
    np.divide(rois.n_pixels - moved.n_pixels, rois.n_pixels, out=part, where=rois.n_pixels > 0)
    return part


def _fits(
    rois: Rois, before: NDArray[np.float64], after: NDArray[np.float64], step: tuple[int, int]
) -> NDArray[np.float64]:
    """Correlate both images over each ROI and what is around it."""
    import scipy.ndimage  # noqa: PLC0415

    fits = np.full(len(rois), np.nan)
    disc = np.hypot(*np.mgrid[-_AROUND : _AROUND + 1, -_AROUND : _AROUND + 1]) <= _AROUND
    for number in np.flatnonzero(rois.n_pixels).tolist():
        y, x = np.divmod(rois.row(number), rois.shape[1])
        top, left = y.min() - _AROUND, x.min() - _AROUND
        box = np.zeros((int(np.ptp(y)) + 2 * _AROUND + 1, int(np.ptp(x)) + 2 * _AROUND + 1), dtype=np.bool_)
        box[y - top, x - left] = True
        rows, columns = np.nonzero(scipy.ndimage.binary_dilation(box, disc))
        fits[number] = _correlation(
            _at(before, rows + top, columns + left),
            _at(after, rows + top + step[0], columns + left + step[1]),
        )
    return fits


def _at(image: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Take samples, NaN off the image."""
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    values = np.full(rows.shape, np.nan)
    values[inside] = image[rows[inside], columns[inside]]
    return values


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 10 or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return math.nan
    return float(np.corrcoef(one[both], other[both])[0, 1])


def _image_fit(before: NDArray[np.float64], after: NDArray[np.float64], step: tuple[int, int]) -> float:
    """Correlate two images where they overlap after a step."""
    parts = []
    for axis in (0, 1):
        begin = max(0, -step[axis])
        end = min(before.shape[axis], after.shape[axis] - step[axis])
        parts.append((slice(begin, max(begin, end)), slice(begin + step[axis], max(begin, end) + step[axis])))
    (rows, other_rows), (columns, other_columns) = parts
    return _correlation(before[rows, columns].ravel(), after[other_rows, other_columns].ravel())
