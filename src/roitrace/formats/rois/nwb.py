"""NWB's PlaneSegmentation: pixel, voxel and image masks in, pixel masks out.

Layout: NWB schema 2.x, ``PlaneSegmentation``: masks list x before y. Read with h5py, so that no extra is needed; written with pynwb.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.bounded import bounded_stack, read_bounded, stored_bytes
from roitrace.formats.damage import understanding
from roitrace.formats.extras import import_extra
from roitrace.formats.hdf5_file import check_own_samples, open_hdf5_file
from roitrace.formats.rois.footprints import weights_or_none
from roitrace.formats.rois.table import RoiTable, split_rows, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["plane_segmentation", "read_nwb", "write_nwb"]

KIND = "PlaneSegmentation"
NAME_COLUMNS = ("roi_name", "name", "roi_names", "cell_name", "label")
FLAG_COLUMNS = ("accepted", "is_cell", "iscell", "is_accepted")
PIXEL = np.dtype([("x", "<u4"), ("y", "<u4"), ("weight", "<f4")])
UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)


def read_nwb(path: str, options: RoiOptions) -> RoiTable:
    """Read one PlaneSegmentation: the only one, or the one that `options.name` names.

    Ids are those of the table; names and flags come from columns such as ``roi_name`` and ``accepted``, where they are there. Image masks
    are ``(roi, x, y)``, as the schema has them.

    Raises
    ------
    ArgumentError
        If there are several, or voxels lie in several planes, and it is not said which.
    FormatError
        If there is none, or it is damaged.
    """
    with understanding(f"{path} cannot be read as NWB"), open_hdf5_file(path) as file:
        table = file[_chosen(_segmentations(file), options.name, path)]
        what = f"{path}::{table.name}"
        ids = tuple(whole_numbers(read_bounded(table["id"], what), f"{what}: id").tolist())
        shape = None
        if not ids:
            return RoiTable((), (), ())
        if "pixel_mask" in table:
            pixels, weights = _pixel_masks(table, "pixel_mask", what)
        elif "voxel_mask" in table:
            pixels, weights = _voxels_of_plane(table, options.plane, what)
        elif "image_mask" in table:
            shape, pixels, weights = _image_masks(table["image_mask"], what)
        else:
            raise FormatError(f"{what} has no pixel_mask, voxel_mask or image_mask", "give another table")
        if len(ids) != len(pixels):
            raise FormatError(f"{what} has {len(ids)} ids and {len(pixels)} masks", "copy the file again")
        return RoiTable(
            names=_names(table, ids),
            ids=ids,
            pixels=pixels,
            shape=shape,
            weights=weights_or_none(weights),
            accepted=_flags(table, len(ids)),
            axis_order="xy",
        )


def write_nwb(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write a new NWB file with one PlaneSegmentation; what NWB wants to know besides is marked as unknown.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    MissingDependencyError
        If pynwb is not installed.
    """
    pynwb = import_extra("pynwb", "nwb", "writing NWB")
    identity = hashlib.sha256(repr((table.names, table.ids)).encode())
    for yx in table.pixels:
        identity.update(yx.tobytes())
    file = pynwb.NWBFile(
        session_description="regions of interest",
        identifier=identity.hexdigest()[:32],
        session_start_time=UNKNOWN_START,
    )
    channel = pynwb.ophys.OpticalChannel(name="channel", description="unknown", emission_lambda=np.nan)
    plane = file.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        description="unknown",
        device=file.create_device(name="microscope"),
        excitation_lambda=np.nan,
        indicator="unknown",
        location="unknown",
    )
    module = file.create_processing_module(name="ophys", description="optical physiology")
    module.add(pynwb.ophys.ImageSegmentation(plane_segmentations=[plane_segmentation(table, plane)]))
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return table.lost({"names", "ids", "flags", "single weights"})


def plane_segmentation(
    table: RoiTable, imaging_plane: Any, *, name: str = KIND, description: str = "regions of interest"
) -> Any:
    """Return a `pynwb.ophys.PlaneSegmentation` of the ROIs: pixel masks, ``roi_name`` and ``accepted``.

    Parameters
    ----------
    table : RoiTable
        The ROIs; pixels without weights get 1.
    imaging_plane : pynwb.ophys.ImagingPlane
        What they lie in.
    name, description : str
        Of the table.
    """
    from hdmf.common import VectorData, VectorIndex  # noqa: PLC0415
    from pynwb.ophys import PlaneSegmentation  # noqa: PLC0415

    sizes = [len(yx) for yx in table.pixels]
    masks = np.zeros(sum(sizes), PIXEL)
    if len(table):
        masks["y"], masks["x"] = np.concatenate(table.pixels).T
    masks["weight"] = 1 if table.weights is None else np.concatenate([*table.weights, np.zeros(0)])
    accepted = np.ones(len(table), np.bool_) if table.accepted is None else np.asarray(table.accepted)
    pixels = VectorData(name="pixel_mask", description="x, y and weight of each pixel", data=masks)
    columns = [
        VectorIndex(name="pixel_mask_index", data=np.cumsum(sizes, dtype=np.uint32), target=pixels),
        pixels,
        VectorData(name="roi_name", description="name of the ROI", data=list(table.names)),
        VectorData(
            name="accepted", description="whether the ROI counts as a cell", data=accepted.astype(np.bool_)
        ),
    ]
    return PlaneSegmentation(
        name=name,
        description=description,
        imaging_plane=imaging_plane,
        id=list(table.ids),
        columns=columns if len(table) else None,
        colnames=["pixel_mask", "roi_name", "accepted"] if len(table) else None,
    )


def _segmentations(file: h5py.File) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("neurodata_type")) == KIND:
            found.append(f"/{name}")

    file.visititems(visit)
    return found


def _chosen(found: list[str], wanted: str | None, path: str) -> str:
    fitting = [one for one in found if wanted is None or one == wanted or one.rpartition("/")[2] == wanted]
    if not found:
        raise FormatError(f"{path} holds no {KIND}", "give a file with ROIs")
    if len(fitting) != 1:
        listing = ", ".join(found)
        asked = "" if wanted is None else f", and {len(fitting)} are called {wanted!r}"
        raise ArgumentError(f"{path} holds {listing}{asked}", f"name one of them: {path}::{found[0]}")
    return fitting[0]


def _pixel_masks(
    table: h5py.Group, column: str, what: str
) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.float64], ...]]:
    masks = read_bounded(table[column], f"{what}: {column}")
    missing = {"x", "y", "weight"} - set(masks.dtype.names or ())
    if missing:
        raise FormatError(f"{what}: {column} has no {', '.join(sorted(missing))}", "copy the file again")
    sizes = _sizes(table, column, len(masks), what)
    y, x = (whole_numbers(masks[axis], f"{what}: {axis}") for axis in "yx")
    return split_rows(np.stack([y, x], axis=1), sizes), split_rows(masks["weight"].astype(np.float64), sizes)


def _sizes(table: h5py.Group, column: str, count: int, what: str) -> NDArray[np.int64]:
    if f"{column}_index" not in table:
        raise FormatError(f"{what}: {column} has no index", "copy the file again")
    ends = whole_numbers(read_bounded(table[f"{column}_index"], what), f"{what}: {column}_index")
    sizes = np.diff(ends, prepend=0)
    if (sizes < 0).any() or (ends[-1] if ends.size else 0) != count:
        raise FormatError(
            f"{what}: the index of {column} does not fit its {count} pixels", "copy the file again"
        )
    return sizes


def _voxels_of_plane(
    table: h5py.Group, plane: int | None, what: str
) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.float64], ...]]:
    """Return the pixels of one plane; ROIs of other planes keep their place, without pixels."""
    pixels, weights = _pixel_masks(table, "voxel_mask", what)
    depth = whole_numbers(read_bounded(table["voxel_mask"], what)["z"], f"{what}: z")
    planes = np.unique(depth).tolist()
    if plane is None and len(planes) > 1:
        raise ArgumentError(
            f"{what} has ROIs in the planes {', '.join(map(str, planes))}", "choose one with plane="
        )
    if plane is not None and plane not in planes:
        raise ArgumentError(
            f"{what} has no ROIs in plane {plane}", f"its planes are {', '.join(map(str, planes))}"
        )
    here = split_rows(
        depth == (planes[0] if plane is None else plane) if planes else depth == 0, [len(yx) for yx in pixels]
    )
    return (
        tuple(yx[keep] for yx, keep in zip(pixels, here, strict=True)),
        tuple(row[keep] for row, keep in zip(weights, here, strict=True)),
    )


def _image_masks(
    masks: h5py.Dataset, what: str
) -> tuple[tuple[int, int], tuple[NDArray[np.int64], ...], tuple[NDArray[np.float64], ...]]:
    if masks.ndim != 3:
        raise FormatError(f"{what}: image_mask has shape {masks.shape}, expected (roi, x, y)")
    _, width, height = masks.shape
    check_own_samples(masks, f"{what}: image_mask")
    bounded_stack(masks.shape, masks.dtype, f"{what}: image_mask", stored_bytes(masks))
    pixels, weights = [], []
    for number in range(len(masks)):
        image = np.asarray(masks[number]).T
        yx = np.argwhere(image)
        pixels.append(yx)
        weights.append(image[yx[:, 0], yx[:, 1]].astype(np.float64))
    return (height, width), tuple(pixels), tuple(weights)


def _names(table: h5py.Group, ids: tuple[int, ...]) -> tuple[str, ...]:
    for column in NAME_COLUMNS:
        if column in table and table[column].shape == (len(ids),):
            names = tuple(_text(one) for one in table[column][:])
            if len(set(names)) == len(names):
                return names
    return tuple(map(str, ids))


def _flags(table: h5py.Group, count: int) -> tuple[bool, ...] | None:
    lower = {name.lower(): name for name in table}
    for column in FLAG_COLUMNS:
        flags = table[lower[column]] if column in lower else None
        if flags is not None and flags.ndim in {1, 2} and len(flags) == count and flags.dtype.kind in "biuf":
            values = flags[:]
            return tuple(bool(one) for one in (values if values.ndim == 1 else values[:, 0]) > 0)
    return None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
