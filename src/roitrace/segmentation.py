"""Image -> cells: the default recipe that finds bright, round cells of a known size."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import xarray as xr

from roitrace.cell_diameter import Disc
from roitrace.contrast import Contrast
from roitrace.errors import ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.levels import check_samples
from roitrace.pieces import cut_basins, is_bright, most_like_the_disc, pieces_like
from roitrace.rois import Rois
from roitrace.threshold import clean_mask, label_rois

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from roitrace.pieces import Piece

__all__ = ["Recipe", "SegmentOptions", "segment", "segment_steps"]


class SegmentOptions(TypedDict, total=False):
    """What `segment` takes besides the image and the cell diameter."""

    smoothing: float
    background: float
    k: float
    max_hole: float
    opening: int
    seed_distance: float
    n_levels: int
    min_overlap: float
    min_contrast: float
    min_snr: float


def segment(
    image: xr.Dataset | xr.DataArray | ArrayLike,
    *,
    on: str | Sequence[str] | None = None,
    cell_diameter: str | float = "12 um",
    **options: Unpack[SegmentOptions],
) -> Rois:
    """Find bright, roughly round cells in an image ``(y, x)``, or in several at once, one ROI per cell.

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

    Several images each go through steps 1 to 5 on their own up to the pieces, and the pieces of all compete: no image is
    scaled against another, and a cell that is seen in one alone is found.

    A gain or an offset of an image changes nothing. A pixel that is NaN stands in for its nearest finite neighbour while
    the image is smoothed, and never belongs to a cell of that image. Eager; needs memory for some fourteen float64 images,
    and five more for each further image.

    Parameters
    ----------
    image : DataArray, array_like or Dataset
        ``(y, x)``, in memory: a mean projection, or another one in which cells are bright. Or a Dataset of such images, as
        `project` gives it.
    on : str or sequence of str, optional
        Which images of a Dataset, such as ``"correlation"`` or ``("mean", "correlation")``; needed where it holds several.
    cell_diameter : str or float
        ``"12 um"`` where the pixel size is known, ``"10 px"``, or a number of pixels. ``"auto"`` estimates it from the image:
        the median size of blobs, weighted by their contrast and size, within some 10 % where cells are what the image shows
        most of.
    **options
        All in the units given here:

        ``smoothing``, ``background`` : standard deviations of the two Gaussians, in cell diameters (0.12, 1.0).
        ``k`` : level of the mask, in spreads of the contrast (0.75).
        ``max_hole`` : largest hole that is filled, in cell areas (0.3).
        ``opening`` : radius of the opening's disc, pixels; 0 leaves it out (1).
        ``seed_distance`` : smallest distance of two peaks, in cell diameters (0.5).
        ``n_levels`` : levels tried for each cell (20).
        ``min_overlap`` : 0 to 1; it bounds the area of a cell too: at 0.55, to 0.55 to 1.8 times that of the disc (0.55).
        ``min_contrast`` : raise it where the background is taken for cells, lower it where dim cells are missed (2.0).
        ``min_snr`` : 0 keeps pieces that pixel noise explains (5.0).

    Returns
    -------
    Rois
        Ids and names count from 1 in raster order of the first pixel. Empty if there is no cell. The attributes tell the
        parameters, ``on``, and the diameter that was taken, ``diameter``.

    Raises
    ------
    MetadataError
        If the cell diameter is in micrometres and the image does not know its pixel size.
    ArgumentError
        If a parameter is unknown or out of range, `on` names no image of the Dataset, or no pixel of an image is finite.
    LazyInputError
        If an image is a dask graph.

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
    >>> segment(100 + cells, cell_diameter="auto").attrs["diameter"]
    '9.5 px'
    """
    steps = segment_steps(image, on=on, cell_diameter=cell_diameter, **options)
    return replace(Rois.from_labels(steps["labels"]), attrs=dict(steps.attrs))


def segment_steps(
    image: xr.Dataset | xr.DataArray | ArrayLike,
    *,
    on: str | Sequence[str] | None = None,
    cell_diameter: str | float = "12 um",
    **options: Unpack[SegmentOptions],
) -> xr.Dataset:
    """Do what `segment` does, and keep every image on the way.

    Parameters are those of `segment`, and so are the errors.

    Returns
    -------
    Dataset
        Images ``(y, x)``: ``image`` (float64, without hot pixels; NaN stays), ``background``, ``contrast``, ``mask``
        (bool), ``basins`` (int32), ``labels`` (int32: the cells), ``overlap`` (of each cell with its disc; NaN
        elsewhere), ``level`` (of each cell, in contrast; NaN elsewhere). With several images the first five have a
        dimension ``projection``, and ``source`` (int32) is the position of the one that each cell was cut from, -1
        elsewhere. Attributes: the parameters, ``on``, ``diameter``, and ``mask_level`` and ``pixel_noise``, lists where
        there are several images.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> steps = segment_steps(100.0 + ((y - 20) ** 2 + (x - 20) ** 2 < 25), cell_diameter="10 px")
    >>> int(steps["labels"].max()), bool(steps["overlap"].max() > 0.8)
    (1, True)
    """
    recipe = Recipe.of(options)
    images = _chosen_images(image, on)
    frame = frame_of(images[0])
    values = [_samples(one) for one in images]
    auto = cell_diameter == "auto"
    disc = Disc.estimated(values, frame) if auto else Disc.of_diameter(cell_diameter, frame)
    worked = [_work_on(one, recipe, disc, number) for number, one in enumerate(values)]
    found = most_like_the_disc([piece for one in worked for piece in one.pieces], frame.shape)
    source = found.pop("source")
    names = ("image", "background", "contrast", "mask", "basins")
    if len(images) == 1:
        dataset = xr.Dataset({name: frame.image(worked[0].images[name]) for name in names})
    else:
        stacks = {name: [frame.image(one.images[name]) for one in worked] for name in names}
        dataset = xr.Dataset({name: xr.concat(stack, "projection") for name, stack in stacks.items()})
        dataset = dataset.assign_coords(projection=[str(one.name) for one in images])
    dataset = dataset.assign({name: frame.image(one) for name, one in found.items()})
    levels, noises = [one.level for one in worked], [one.noise for one in worked]
    several = len(images) > 1
    if several:
        dataset["source"] = frame.image(source)
    return dataset.assign_attrs(
        {"on": [str(one.name) for one in images]} if images[0].name is not None else {},
        cell_diameter=str(cell_diameter),
        diameter=disc.written(frame),
        **asdict(recipe),
        mask_level=levels if several else levels[0],
        pixel_noise=noises if several else noises[0],
    )


@dataclass(frozen=True)
class Recipe:
    """The options of `segment`, with their defaults; their meaning is told there."""

    smoothing: float = 0.12
    background: float = 1.0
    k: float = 0.75
    max_hole: float = 0.3
    opening: int = 1
    seed_distance: float = 0.5
    n_levels: int = 20
    min_overlap: float = 0.55
    min_contrast: float = 2.0
    min_snr: float = 5.0

    @classmethod
    def of(cls, options: SegmentOptions) -> Recipe:
        """Refuse options that are unknown or out of range."""
        known = [one.name for one in fields(cls)]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ArgumentError(
                    f"segment has no option {name!r}",
                    f"did you mean {near[0]!r}?" if near else f"options are {', '.join(known)}",
                )
        recipe = cls(**options)
        recipe.check()
        return recipe

    def check(self) -> None:
        """Refuse values out of range."""
        for name, one in asdict(self).items():
            if not math.isfinite(one) or (one < 0 and name != "k"):
                raise ArgumentError(f"{name}={one}, expected a finite number >= 0")
        if self.background <= self.smoothing:
            raise ArgumentError(
                f"background={self.background} is no wider than smoothing={self.smoothing}, both in cell diameters",
                "the defaults are 1.0 and 0.12",
            )
        if self.n_levels < 1 or self.n_levels % 1:
            raise ArgumentError(f"n_levels={self.n_levels}, expected 1, 2, 3 or more")
        if self.min_overlap > 1:
            raise ArgumentError(f"min_overlap={self.min_overlap}, expected 0 to 1")


@dataclass(frozen=True)
class _Worked:
    """What one image came to."""

    images: dict[str, NDArray[np.generic]]
    pieces: list[Piece]
    level: float
    noise: float


def _chosen_images(
    image: xr.Dataset | xr.DataArray | ArrayLike, on: str | Sequence[str] | None
) -> list[xr.DataArray]:
    if not isinstance(image, xr.Dataset):
        if on is not None:
            raise ArgumentError(
                f"on={on!r} chooses from several images, but one was given",
                "leave on= out, or give a Dataset",
            )
        return [image if isinstance(image, xr.DataArray) else frame_of(image).image(image_values(image))]
    there = [str(name) for name in image.data_vars]
    if on is None and len(there) != 1:
        raise ArgumentError(
            f"the Dataset holds {', '.join(there) or 'nothing'}",
            'choose with on="mean" or on=("mean", "correlation")',
        )
    names = there if on is None else [on] if isinstance(on, str) else list(on)
    for name in names:
        if name not in there:
            raise ArgumentError(f"there is no image {name!r}", f"there are {', '.join(there)}")
    if not names or len(set(names)) < len(names):
        raise ArgumentError(
            f"on={on!r}, expected one or more different names", f"there are {', '.join(there)}"
        )
    return [image[name] for name in names]


def _samples(image: xr.DataArray) -> NDArray[np.float64]:
    """Return the samples of an image, NaN where they are not finite."""
    values = check_samples(image_values(image)).astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _work_on(values: NDArray[np.float64], recipe: Recipe, disc: Disc, number: int) -> _Worked:
    """Take one image up to its pieces."""
    contrast = Contrast.of(values, disc.part(recipe.smoothing), disc.part(recipe.background))
    level, least = contrast.level(recipe.k), contrast.level(recipe.min_contrast)
    hole = int(recipe.max_hole * disc.area)
    apart = max(1, round(math.sqrt(math.prod(disc.part(recipe.seed_distance)))))
    mask = clean_mask(contrast.values > level, fill_holes=hole, opening=recipe.opening).values
    mask &= np.isfinite(values)
    basins = label_rois(mask, split="intensity", image=contrast.values, min_distance=apart).to_labels().values
    cuts = cut_basins(
        contrast.values, basins, level, n_levels=recipe.n_levels, hole=hole, opening=recipe.opening
    )
    pieces = [
        piece
        for labels, levels in cuts
        for piece in pieces_like(labels, levels, disc, recipe.min_overlap, number)
        if is_bright(piece, contrast.values, least, recipe.min_snr * contrast.noise)
    ]
    images: dict[str, NDArray[np.generic]] = {
        "image": contrast.image,
        "background": contrast.background,
        "contrast": contrast.values,
        "mask": mask,
        "basins": basins,
    }
    return _Worked(images, pieces, level, contrast.noise)
