"""Image -> cells: the default recipe that finds bright, round cells of a known size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError, MetadataError
from roitrace.frame import frame_of, image_values
from roitrace.labelling import in_raster_order
from roitrace.levels import check_samples, fill_from_nearest
from roitrace.rois import Rois
from roitrace.threshold import clean_mask, label_rois
from roitrace.units import parse_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from roitrace.frame import Frame

__all__ = ["segment", "segment_steps"]

_MAD_TO_SD = 1.4826
_HIGHEST_LEVEL = 0.9  # of a cell's peak: above it, noise decides what is left


def segment(
    image: xr.DataArray | ArrayLike,
    *,
    cell_diameter: str | float = "12 um",
    smoothing: float = 0.12,
    background: float = 1.0,
    k: float = 0.75,
    max_hole: float = 0.3,
    opening: int = 1,
    seed_distance: float = 0.5,
    n_levels: int = 20,
    min_overlap: float = 0.55,
    min_contrast: float = 2.0,
    min_snr: float = 5.0,
) -> Rois:
    """Find bright, roughly round cells in an image ``(y, x)``, one ROI per cell.

    1. Hot pixels, farther from all eight neighbours than these from one another, are clipped to their range.
    2. ``contrast`` is the image smoothed by a small Gaussian minus its background, the image smoothed by a large one,
       both without the slope of the image, which would make cells at its edges.
    3. The mask is where contrast > median + `k` spreads; small holes are filled (a dark nucleus), and an opening takes
       threads away. The spread is 1.4826 * the median distance of the pixels below the median from it: the MAD of the
       half in which there are no cells.
    4. A watershed on contrast cuts the mask into basins, one per peak.
    5. Each basin is cut at `n_levels` levels between that of the mask and 0.9 of its peak. A piece is a cell if it shares
       at least `min_overlap` (intersection over union) with a disc of the cell's diameter around its centroid, and if its
       mean contrast is at least the median + `min_contrast` spreads, and at least `min_snr` times what pixel noise gives
       over as many pixels. Of the pieces that overlap, the one most like the disc is taken: so each cell has its own
       level, and bright cells do not bleed.

    A gain or an offset of the image changes nothing. A pixel that is NaN stands in for its nearest finite neighbour while
    the image is smoothed, and never belongs to a cell. Eager; needs memory for some fourteen float64 images.

    Parameters
    ----------
    image : DataArray or array_like
        ``(y, x)``, in memory: a mean projection, or another one in which cells are bright.
    cell_diameter : str or float
        ``"12 um"`` where the pixel size is known, ``"10 px"``, or a number of pixels.
    smoothing, background : float
        Standard deviations of the two Gaussians, in cell diameters.
    k : float
        Level of the mask, in spreads of the contrast.
    max_hole : float
        Largest hole that is filled, in cell areas.
    opening : int
        Radius of the opening's disc, pixels; 0 leaves it out.
    seed_distance : float
        Smallest distance of two peaks, in cell diameters.
    n_levels : int
        Levels tried for each cell.
    min_overlap : float
        0 to 1. It bounds the area of a cell too: at 0.55, to 0.55 to 1.8 times that of the disc.
    min_contrast : float
        Raise it where the background is taken for cells, lower it where dim cells are missed.
    min_snr : float
        0 keeps pieces that pixel noise explains.

    Returns
    -------
    Rois
        Ids and names count from 1 in raster order of the first pixel. Empty if there is no cell.

    Raises
    ------
    MetadataError
        If the cell diameter is in micrometres and the image does not know its pixel size.
    ArgumentError
        If a parameter is out of range, or no pixel of the image is finite.
    LazyInputError
        If the image is a dask graph.

    See Also
    --------
    segment_steps : every image on the way.
    roitrace.threshold.threshold, roitrace.threshold.clean_mask, roitrace.threshold.label_rois : the steps by hand.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> cells = 50.0 * ((y - 12) ** 2 + (x - 10) ** 2 < 25) + 200.0 * ((y - 28) ** 2 + (x - 27) ** 2 < 25)
    >>> len(segment(100 + cells, cell_diameter="10 px"))
    2
    """
    steps = segment_steps(
        image,
        cell_diameter=cell_diameter,
        smoothing=smoothing,
        background=background,
        k=k,
        max_hole=max_hole,
        opening=opening,
        seed_distance=seed_distance,
        n_levels=n_levels,
        min_overlap=min_overlap,
        min_contrast=min_contrast,
        min_snr=min_snr,
    )
    return replace(Rois.from_labels(steps["labels"]), attrs=dict(steps.attrs))


def segment_steps(
    image: xr.DataArray | ArrayLike,
    *,
    cell_diameter: str | float = "12 um",
    smoothing: float = 0.12,
    background: float = 1.0,
    k: float = 0.75,
    max_hole: float = 0.3,
    opening: int = 1,
    seed_distance: float = 0.5,
    n_levels: int = 20,
    min_overlap: float = 0.55,
    min_contrast: float = 2.0,
    min_snr: float = 5.0,
) -> xr.Dataset:
    """Do what `segment` does, and keep every image on the way.

    Parameters are those of `segment`, and so are the errors.

    Returns
    -------
    Dataset
        Images ``(y, x)``: ``image`` (float64, without hot pixels; NaN stays), ``background``, ``contrast``, ``mask``
        (bool), ``basins`` (int32), ``labels`` (int32: the cells), ``overlap`` (of each cell with its disc; NaN
        elsewhere), ``level`` (of each cell, in contrast; NaN elsewhere). Attributes: the parameters, ``mask_level`` and
        ``pixel_noise``.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> steps = segment_steps(100.0 + ((y - 20) ** 2 + (x - 20) ** 2 < 25), cell_diameter="10 px")
    >>> int(steps["labels"].max()), bool(steps["overlap"].max() > 0.8)
    (1, True)
    """
    parameters = {
        "smoothing": smoothing,
        "background": background,
        "k": k,
        "max_hole": max_hole,
        "opening": opening,
        "seed_distance": seed_distance,
        "n_levels": n_levels,
        "min_overlap": min_overlap,
        "min_contrast": min_contrast,
        "min_snr": min_snr,
    }
    _check(parameters)
    frame = frame_of(image)
    values = check_samples(image_values(image)).astype(np.float64)
    finite = np.isfinite(values)
    values[~finite] = np.nan
    disc = _Disc(_diameter(cell_diameter, frame))
    # reflected at the edges, a slope would turn into bright edges
    slope = _slope(values)
    upright = _without_hot_pixels(fill_from_nearest(values - slope))
    blurred = _gaussian(upright, background, disc)
    contrast = np.where(finite, _gaussian(upright, smoothing, disc) - blurred, np.nan)
    middle, spread = _middle_and_spread(contrast[finite])
    level, noise = middle + k * spread, _pixel_noise(upright)
    hole = int(max_hole * disc.area)
    apart = max(1, round(seed_distance * math.sqrt(math.prod(disc.diameter))))
    mask = clean_mask(contrast > level, fill_holes=hole, opening=opening).values & finite
    basins = label_rois(mask, split="intensity", image=contrast, min_distance=apart).to_labels().values
    pieces = [
        piece
        for labels, levels in _cuts(contrast, basins, level, n_levels=n_levels, hole=hole, opening=opening)
        for piece in _pieces(labels, levels, disc, min_overlap)
        if _is_bright(piece, contrast, middle + min_contrast * spread, min_snr * noise)
    ]
    labels, overlap, own_level = _most_like_the_disc(pieces, frame.shape)
    images = {
        "image": np.where(finite, upright + slope, np.nan),
        "background": blurred + slope,
        "contrast": contrast,
        "mask": mask,
        "basins": basins,
        "labels": labels,
        "overlap": overlap,
        "level": own_level,
    }
    attrs = {"cell_diameter": str(cell_diameter), **parameters, "mask_level": level, "pixel_noise": noise}
    return xr.Dataset({name: frame.image(one) for name, one in images.items()}, attrs=attrs)


@dataclass(frozen=True)
class _Disc:
    """A cell as it is expected: a disc, or an ellipse where pixels are not square."""

    diameter: tuple[float, float]

    @property
    def area(self) -> float:
        return math.pi / 4 * math.prod(self.diameter)

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


@dataclass(frozen=True)
class _Piece:
    pixels: NDArray[np.int64]
    overlap: float
    level: float


def _check(parameters: dict[str, float]) -> None:
    for name, one in parameters.items():
        if not math.isfinite(one) or (one < 0 and name != "k"):
            raise ArgumentError(f"{name}={one}, expected a finite number >= 0")
    smoothing, background = parameters["smoothing"], parameters["background"]
    if background <= smoothing:
        raise ArgumentError(
            f"background={background} is no wider than smoothing={smoothing}, both in cell diameters",
            "the defaults are 1.0 and 0.12",
        )
    if parameters["n_levels"] < 1 or parameters["n_levels"] % 1:
        raise ArgumentError(f"n_levels={parameters['n_levels']}, expected 1, 2, 3 or more")
    if parameters["min_overlap"] > 1:
        raise ArgumentError(f"min_overlap={parameters['min_overlap']}, expected 0 to 1")


def _diameter(cell_diameter: str | float, frame: Frame) -> tuple[float, float]:
    """Diameter of a cell along y and x, pixels."""
    given = cell_diameter if isinstance(cell_diameter, str) else float(cell_diameter)
    length, unit = parse_length(given)
    if unit == "micrometer" and frame.pixel_size is None:
        raise MetadataError(
            f"cell_diameter={cell_diameter!r} is in micrometres, but the image does not know its pixel size",
            'give it in pixels, like "10 px", or give pixel_size= when you convert or open the recording',
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
    return diameter


def _without_hot_pixels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip a pixel to the range of its eight neighbours where it lies outside by more than that range."""
    import scipy.ndimage  # noqa: PLC0415

    around = np.ones((3, 3), dtype=np.bool_)
    around[1, 1] = False
    low = scipy.ndimage.minimum_filter(values, footprint=around, mode="mirror")
    high = scipy.ndimage.maximum_filter(values, footprint=around, mode="mirror")
    hot = (values > high + (high - low)) | (values < low - (high - low))
    return np.where(hot, np.clip(values, low, high), values)


def _slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit lines to the medians of rows and of columns, which cells do not tilt; their sum is 0 in the middle."""
    return _line(values)[:, None] + _line(values.T)[None, :]


def _line(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a line through the medians of rows by least squares; rows of NaN are left out."""
    position = np.arange(len(values), dtype=np.float64) - (len(values) - 1) / 2
    seen = np.isfinite(values).any(axis=1)
    medians, x = np.nanmedian(values[seen], axis=1), position[seen] - position[seen].mean()
    line: NDArray[np.float64] = position * (float(x @ (medians - medians.mean())) / (float(x @ x) or 1.0))
    return line


def _gaussian(values: NDArray[np.float64], sigma: float, disc: _Disc) -> NDArray[np.float64]:
    """Smooth by a Gaussian of `sigma` cell diameters."""
    import scipy.ndimage  # noqa: PLC0415

    smooth: NDArray[np.float64] = scipy.ndimage.gaussian_filter(
        values, [sigma * side for side in disc.diameter]
    )
    return smooth


def _middle_and_spread(contrast: NDArray[np.float64]) -> tuple[float, float]:
    """Median, and the robust standard deviation of the half below it."""
    middle = float(np.median(contrast))
    return middle, _MAD_TO_SD * float(np.median(middle - contrast[contrast <= middle]))


def _pixel_noise(values: NDArray[np.float64]) -> float:
    """Estimate the standard deviation of what neighbouring pixels do not share."""
    import scipy.ndimage  # noqa: PLC0415

    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    difference = values - scipy.ndimage.convolve(values, cross, mode="mirror")
    return _MAD_TO_SD * float(np.median(np.abs(difference))) / math.sqrt(1 + 1 / 4)


def _cuts(
    contrast: NDArray[np.float64],
    basins: NDArray[np.int32],
    level: float,
    *,
    n_levels: int,
    hole: int,
    opening: int,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
    """Cut every basin at a level of its own, lowest first: labels of the pieces, and the level at each pixel."""
    import scipy.ndimage  # noqa: PLC0415

    count = int(basins.max(initial=0))
    if count == 0:
        return
    peak = np.full(count + 1, level)
    peak[1:] = scipy.ndimage.maximum(contrast, basins, np.arange(1, count + 1))
    for height in np.linspace(0, _HIGHEST_LEVEL, int(n_levels)):
        levels = level + height * (peak - level)[basins]
        mask = clean_mask((contrast > levels) & (basins > 0), fill_holes=hole, opening=opening).values
        yield _components_within(np.where(mask, basins, 0)), levels


def _components_within(basins: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label the connected parts of each basin."""
    from skimage.measure import label  # noqa: PLC0415

    labels: NDArray[np.int32] = label(basins, connectivity=2).astype(np.int32)
    return labels


def _pieces(
    labels: NDArray[np.int32], levels: NDArray[np.float64], disc: _Disc, min_overlap: float
) -> Iterator[_Piece]:
    """Pieces that are like the disc."""
    pixels = np.flatnonzero(labels)
    pixels = pixels[np.argsort(labels.ravel()[pixels], kind="stable")]
    piece = labels.ravel()[pixels] - 1
    y, x = np.divmod(pixels, labels.shape[1])
    area = np.bincount(piece)
    centre_y, centre_x = np.bincount(piece, y) / area, np.bincount(piece, x) / area
    shared = np.bincount(piece[disc.holds(y - centre_y[piece], x - centre_x[piece])], minlength=area.size)
    overlap = shared / (area + disc.pixels_in(labels.shape, centre_y, centre_x) - shared)
    end = np.cumsum(area)
    for number in np.flatnonzero(overlap >= min_overlap):
        own = pixels[end[number] - area[number] : end[number]]
        yield _Piece(own, float(overlap[number]), float(levels.ravel()[own[0]]))


def _is_bright(piece: _Piece, contrast: NDArray[np.float64], least: float, least_of_one: float) -> bool:
    """Whether the mean is at least `least`, and what pixel noise gives over as many pixels as the piece has."""
    mean = float(contrast.ravel()[piece.pixels].mean())
    return mean >= least and mean * math.sqrt(piece.pixels.size) >= least_of_one


def _most_like_the_disc(
    pieces: list[_Piece], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Take pieces that do not overlap, best first: labels, overlap with the disc, level."""
    labels = np.zeros(shape, dtype=np.int32)
    overlap, level = np.full(shape, np.nan), np.full(shape, np.nan)
    count = 0
    for piece in sorted(pieces, key=lambda one: -one.overlap):
        if labels.ravel()[piece.pixels].any():
            continue
        count += 1
        labels.ravel()[piece.pixels] = count
        overlap.ravel()[piece.pixels] = piece.overlap
        level.ravel()[piece.pixels] = piece.level
    return in_raster_order(labels), overlap, level
