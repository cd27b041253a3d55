"""SIMA's `rois.pkl`: polygons by label (Kaifosh et al. 2014, Front. Neuroinform. 8:80). Read without running the pickle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.objects import LIMIT_BYTES, unpickle
from roitrace.formats.rois.rasterize import polygon_pixels
from roitrace.formats.rois.table import RoiTable, whole_numbers
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_sima"]

FILE = "rois.pkl"


def read_sima(path: str, options: RoiOptions) -> RoiTable:
    """Read one set of polygons of a folder `*.sima`, or of its `rois.pkl`. A pixel belongs to a polygon that holds its centre.

    Names are the labels of the ROIs where all have one, else their ids, else numbers from 1.

    Raises
    ------
    ArgumentError
        If there are several sets, or polygons in several planes, and it is not said which.
    FormatError
        If the file is damaged, or a ROI is kept as a mask, which only SIMA itself can unpack.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    size = file.stat().st_size
    if size > LIMIT_BYTES:
        raise FormatError(f"{file} has {format_bytes(size)}, at most {format_bytes(LIMIT_BYTES)} are read")
    sets = unpickle(file.read_bytes(), str(file))
    with understanding(f"{file} holds ROIs that are not as SIMA writes them", "save them again with SIMA"):
        rois = _chosen(sets, options.name, file)
        pixels = tuple(_pixels(one, options.plane, f"{file}: ROI {n}") for n, one in enumerate(rois))
        sizes = {tuple(one["im_shape"])[-2:] for one in rois if one.get("im_shape") is not None}
    ids = tuple(range(1, len(rois) + 1))
    shape = None
    if len(sizes) == 1:
        height, width = (int(one) for one in whole_numbers(list(sizes.pop()), f"{file}: im_shape"))
        shape = (height, width)
    return RoiTable(
        _names(rois, ids), ids, pixels, shape, axis_order="xy", settled=True, may_leave_frame=True
    )


def _chosen(sets: Any, wanted: str | None, file: Path) -> list[dict[str, Any]]:
    if (
        not isinstance(sets, dict)
        or not sets
        or not all(isinstance(one, dict) and "rois" in one for one in sets.values())
    ):
        raise FormatError(f"{file} holds no sets of ROIs", "give the rois.pkl of a .sima folder")
    if wanted is None and len(sets) > 1:
        first = next(iter(sets))
        raise ArgumentError(
            f"{file} holds the sets {', '.join(map(str, sets))}", f"name one: {file}::{first}"
        )
    name = wanted if wanted is not None else next(iter(sets))
    if name not in sets:
        raise ArgumentError(f"{file} has no set {name!r}", f"it has {', '.join(map(str, sets))}")
    return list(sets[name]["rois"])


def _pixels(roi: dict[str, Any], plane: int | None, what: str) -> NDArray[np.int64]:
    """Union of the polygons of a ROI in one plane; vertices (x, y, z) are corners of pixels."""
    if roi.get("polygons") is None:
        raise FormatError(
            f"{what} is kept as a sparse mask, which only SIMA can unpack",
            "with SIMA: numpy.save('masks.npy', [numpy.asarray(roi)[0] for roi in rois]), and give masks.npy",
        )
    polygons = [np.asarray(one, dtype=np.float64) for one in roi["polygons"]]
    planes = sorted({float(one[0, 2]) for one in polygons if one.shape[1] > 2})
    if plane is None and len(planes) > 1:
        raise ArgumentError(
            f"{what} lies in the planes {', '.join(f'{one:g}' for one in planes)}", "choose one with plane="
        )
    here = [one for one in polygons if plane is None or one.shape[1] < 3 or one[0, 2] == plane]
    pixels = [polygon_pixels([one[:, :2]]) for one in here]
    return np.unique(np.concatenate([*pixels, np.zeros((0, 2), np.int64)]), axis=0)


def _names(rois: list[dict[str, Any]], ids: tuple[int, ...]) -> tuple[str, ...]:
    for key in ("label", "id"):
        names = [one.get(key) for one in rois]
        if None not in names and len(set(map(str, names))) == len(names):
            return tuple(map(str, names))
    return tuple(map(str, ids))
