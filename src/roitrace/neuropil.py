"""Neuropil: for every ROI a ring of pixels around it that belong to no cell, as another set of ROIs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import AlignmentError, ArgumentError
from roitrace.frame import frame_of, image_values

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from roitrace.rois import Rois

__all__ = ["MIN_NEUROPIL_PIXELS", "RULES", "neuropil"]

RULES = ("suite2p", "allen")

MIN_NEUROPIL_PIXELS = 50
"""A ring of fewer pixels gives no trace: Fneu is NaN, with the status ``few_neuropil_pixels``."""

_GROWTH = 5  # pixels on each side, suite2p's step
_MOST_STEPS = 100  # as suite2p


def neuropil(
    rois: Rois,
    *,
    rule: str = "suite2p",
    gap: int | None = None,
    min_pixels: int = 350,
    reach: int = 13,
    weight_percentile: float = 0.0,
    valid: xr.DataArray | ArrayLike | None = None,
) -> Rois:
    """Return the neuropil of each ROI: pixels around it that belong to no ROI, rejected ones included.

    - ``"suite2p"`` [1]_: the ROI is dilated `gap` times (over edges); then a rectangle, at first the bounding box of that,
      grows by 5 pixels on each side until it holds more than `min_pixels` free pixels, at most 100 times. The neuropil
      is the free pixels of the rectangle outside the dilated ROI.
    - ``"allen"`` [2]_: the free pixels within `reach` pixels of the ROI (dilations by a square of 3 x 3), outside the gap.

    A pixel is free if no ROI has it. suite2p itself also counts the dim pixels of cells as free: those whose weight (the largest
    of all ROIs) is below a percentile, over a square of 5 median radii, of the map of weights. ``weight_percentile=50``, with
    suite2p's ``lam`` as weights, gives its masks pixel by pixel; the default keeps every pixel of a cell out.

    One background for all, of every pixel outside all ROIs, needs no rule: ``Rois.from_mask(~rois.to_mask())``.

    Parameters
    ----------
    rois : Rois
        All ROIs of the frame, rejected ones too: whoever is left out counts as neuropil.
    rule : {"suite2p", "allen"}
        How the ring grows.
    gap : int, optional
        Pixels between a ROI and its neuropil; 2 for ``"suite2p"``, 0 for ``"allen"`` if not given.
    min_pixels : int
        For ``"suite2p"``: it grows until it has more than this.
    reach : int
        For ``"allen"``: pixels from the ROI's border.
    weight_percentile : float
        0: every pixel of a ROI is left out. Above: only those with at least this percentile of the weights around.
    valid : DataArray or array_like, optional
        Boolean ``(y, x)`` in memory: pixels outside it are never neuropil (borders that motion correction left empty).

    Returns
    -------
    Rois
        One per ROI, with its name, id and flag, without weights. A ROI without pixels has no neuropil. Eager; time grows
        with the number of ROIs and the area around them.

    Raises
    ------
    ArgumentError
        For an unknown rule, a number out of range, or `weight_percentile` of ROIs without weights.
    AlignmentError
        If `valid` is of another frame.
    LazyInputError
        If `valid` is not computed yet.

    References
    ----------
    .. [1] M. Pachitariu et al., bioRxiv 061507 (2017); suite2p 1.1.
    .. [2] S. E. J. de Vries et al., Nature Neuroscience 23, 138-151 (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from roitrace.rois import Rois
    >>> cell = np.zeros((9, 9), dtype=bool)
    >>> cell[4, 4] = True
    >>> neuropil(Rois.from_mask(cell), rule="allen", reach=2, gap=1).n_pixels
    array([16])
    """
    plan = _checked(rule, gap, min_pixels, reach, weight_percentile)
    free = _free_pixels(rois, weight_percentile)
    if valid is not None:
        free &= _valid_pixels(rois, valid)
    rings = [_ring(row, free, plan) for row in np.split(rois.pixels, rois.indptr[1:-1])] if len(rois) else []
    attrs = {"kind": "neuropil", "neuropil_rule": rule, "neuropil_gap": plan.gap}
    attrs |= {"min_pixels": min_pixels} if rule == "suite2p" else {"reach": reach}
    return replace(
        rois,
        indptr=np.cumsum([0, *(ring.size for ring in rings)], dtype=np.int64),
        pixels=np.concatenate([*rings, np.zeros(0, dtype=np.int64)]),
        weights=None,
        n_outside=np.zeros(len(rois), dtype=np.int64),
        attrs=rois.attrs | attrs | {"weight_percentile": float(weight_percentile)},
    )


@dataclass(frozen=True)
class _Plan:
    rule: str
    gap: int
    min_pixels: int
    reach: int


def _checked(rule: str, gap: int | None, min_pixels: int, reach: int, weight_percentile: float) -> _Plan:
    if rule not in RULES:
        raise ArgumentError(f"rule={rule!r}, expected one of {', '.join(RULES)}")
    gap = gap if gap is not None else {"suite2p": 2, "allen": 0}[rule]
    for name, value, lowest in (("gap", gap, 0), ("min_pixels", min_pixels, 1), ("reach", reach, 1)):
        if not float(value).is_integer() or value < lowest:
            raise ArgumentError(f"{name}={value!r}, expected a whole number of pixels >= {lowest}")
    if rule == "allen" and gap >= reach:
        raise ArgumentError(f"gap={gap} leaves nothing of reach={reach}", "give a larger reach")
    if not 0 <= weight_percentile <= 100:
        raise ArgumentError(f"weight_percentile={weight_percentile!r}, expected 0 to 100")
    return _Plan(rule, int(gap), int(min_pixels), int(reach))


def _free_pixels(rois: Rois, weight_percentile: float) -> NDArray[np.bool_]:
    """Boolean image: pixels that count as no cell."""
    if weight_percentile == 0:
        return ~np.asarray(rois.to_mask().values)
    from scipy.ndimage import percentile_filter  # noqa: PLC0415

    if rois.weights is None:
        raise ArgumentError(
            f"weight_percentile={weight_percentile:g} needs weights, and the ROIs have none",
            "leave it out, or give suite2p's lam as weights",
        )
    largest = np.zeros(rois.shape)
    np.maximum.at(largest.ravel(), rois.pixels, rois.weights)
    side = max(1, int(5 * _median_radius(rois)))
    level = percentile_filter(largest, weight_percentile, size=side)
    return np.asarray((largest < level) | (largest == 0), dtype=np.bool_)


def _median_radius(rois: Rois) -> float:
    """Median over ROIs of twice the mean standard deviation along the axes of the weighted footprint, pixels."""
    radii = []
    for number in np.flatnonzero(rois.n_pixels).tolist():
        weights = rois.row_weights(number) / rois.row_weights(number).sum()
        yx = np.stack(np.divmod(rois.row(number), rois.shape[1])).astype(np.float64)
        centred = (yx - (weights * yx).sum(axis=1, keepdims=True)) * np.sqrt(weights)
        variances = np.linalg.eigvalsh(centred @ centred.T)
        radii.append(2 * float(np.sqrt(np.maximum(variances, 0)).mean()))
    return float(np.median(radii)) if radii else 0.0


def _valid_pixels(rois: Rois, valid: xr.DataArray | ArrayLike) -> NDArray[np.bool_]:
    values = image_values(valid, "valid")
    if values.dtype != np.bool_:
        raise ArgumentError(f"valid has dtype {values.dtype}, expected bool", "compare it with a level first")
    if not frame_of(valid).same_as(rois.frame):
        raise AlignmentError(
            f"valid has the frame {values.shape}, the ROIs {rois.shape}", "give both of the same frame"
        )
    return values


def _ring(row: NDArray[np.int64], free: NDArray[np.bool_], plan: _Plan) -> NDArray[np.int64]:
    """Flat pixels of the neuropil of one ROI, in raster order."""
    if row.size == 0:
        return row
    y, x = np.divmod(row, free.shape[1])
    box = _Box(int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1)
    if plan.rule == "allen":
        outer = box.grown(plan.reach, free.shape)
        ring = _dilated(y, x, outer, plan.reach, square=True) & ~_dilated(y, x, outer, plan.gap, square=True)
        return outer.flat(ring & free[outer.slices], free.shape[1])
    inner = box.grown(plan.gap, free.shape)
    cell = _dilated(y, x, inner, plan.gap, square=False)
    # suite2p's first rectangle is the bounding box of the dilated ROI, which touches all sides of `inner`
    taken = int(np.count_nonzero(cell & free[inner.slices]))
    outer = inner
    count = steps = 0
    while count <= plan.min_pixels and steps < _MOST_STEPS:
        outer = outer.grown(_GROWTH, free.shape)
        count = int(np.count_nonzero(free[outer.slices])) - taken
        steps += 1
        if outer.shape == free.shape:
            break
    ring = free[outer.slices].copy()
    ring[inner.inside(outer)] &= ~cell
    return outer.flat(ring, free.shape[1])


@dataclass(frozen=True)
class _Box:
    """A rectangle of pixels; `bottom` and `right` are excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def grown(self, margin: int, frame: tuple[int, ...]) -> _Box:
        """Return a larger rectangle, cut at the frame."""
        return _Box(
            max(0, self.top - margin),
            min(frame[0], self.bottom + margin),
            max(0, self.left - margin),
            min(frame[1], self.right + margin),
        )

    def inside(self, outer: _Box) -> tuple[slice, slice]:
        """Where this rectangle lies within a larger one."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    def flat(self, image: NDArray[np.bool_], width: int) -> NDArray[np.int64]:
        """Flat indices, in the frame, of the pixels that an image of this rectangle marks."""
        y, x = np.nonzero(image)
        return (y + self.top) * width + x + self.left


def _dilated(
    y: NDArray[np.int64], x: NDArray[np.int64], box: _Box, times: int, *, square: bool
) -> NDArray[np.bool_]:
    """Image of a rectangle: the pixels and their neighbours, over edges or also over corners."""
    from scipy.ndimage import binary_dilation, generate_binary_structure  # noqa: PLC0415

    image = np.zeros(box.shape, dtype=np.bool_)
    image[y - box.top, x - box.left] = True
    if times == 0:
        return image
    structure = generate_binary_structure(2, 2 if square else 1)
    return np.asarray(binary_dilation(image, structure, iterations=times), dtype=np.bool_)
