"""OME-Zarr label images, 0.4 and 0.5: https://ngff.openmicroscopy.org/0.5/#labels-md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.bounded import read_bounded
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.ome_zarr import read_ome_layout
from roitrace.formats.rois.images import checked_labels
from roitrace.formats.rois.planes import one_plane
from roitrace.formats.rois.table import RoiTable, labels_of_table, table_of_labels
from roitrace.store.rooted import open_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_ome_labels", "write_ome_labels"]

LARGEST_CHUNK = 1024


def read_ome_labels(path: str, options: RoiOptions) -> RoiTable:
    """Read a label image: the group itself, the only one among the labels of an image, or the one that `options.name` names.

    The finest level is read. The label is the id; ``name`` and ``accepted`` are taken from the properties of the labels.

    Raises
    ------
    ArgumentError
        If there are several label images, or several planes or times, and it is not said which.
    FormatError
        If the store is damaged, or holds no labels.
    """
    with understanding(
        f"{path} cannot be read as zarr", "copy the whole folder again, hidden files included"
    ):
        group, what = _chosen(open_group(path), options.name, path)
        attributes = dict(group.attrs)
        layout = read_ome_layout(attributes, what)
        if layout is None:
            raise FormatError(f"{what} has no multiscales", "give an OME-Zarr label image")
        array = group[layout.array]
        if (
            not isinstance(array, zarr.Array)
            or array.ndim != len(layout.axes)
            or layout.axes[-2:] != ("y", "x")
        ):
            raise FormatError(
                f"{what} has axes {', '.join(layout.axes)}, expected y and x last", "save it again"
            )
        labels = read_bounded(array, what)
    others = [
        size for axis, size in zip(layout.axes[:-2], labels.shape, strict=False) if size > 1 and axis != "z"
    ]
    if others:
        raise FormatError(
            f"{what} has labels of shape {labels.shape}, expected one image (y, x)", "save one of them"
        )
    plane = one_plane(labels.reshape(-1, *labels.shape[-2:]), options.plane, what)
    return _described(table_of_labels(checked_labels(plane, what)), _label_mark(attributes))


def write_ome_labels(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write one OME-Zarr 0.5 label image; names and flags go into the properties of the labels.

    Returns
    -------
    tuple of str
        What the store does not keep.
    """
    labels, numbers, lost = labels_of_table(table, path)
    flags = table.accepted or (True,) * len(table)
    properties = [
        {"label-value": number, "name": name, "accepted": flag}
        for number, name, flag in zip(numbers, table.names, flags, strict=True)
    ]
    multiscale = {
        "name": "rois",
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}]}],
    }
    mark: dict[str, Any] = {"properties": properties} if properties else {}
    group = zarr.create_group(
        path, attributes={"ome": {"version": "0.5", "multiscales": [multiscale], "image-label": mark}}
    )
    chunks = tuple(max(1, min(size, LARGEST_CHUNK)) for size in labels.shape)
    array = group.create_array(
        "0",
        shape=labels.shape,
        dtype=labels.dtype,
        chunks=chunks,
        dimension_names=("y", "x"),
        config={"write_empty_chunks": True},
    )
    array[:] = labels
    return (*table.lost({"ids", "names", "flags"}), *lost)


def _chosen(group: zarr.Group, wanted: str | None, path: str) -> tuple[zarr.Group, str]:
    """Return the group of the label image, and how to call it."""
    if wanted is None and _label_mark(dict(group.attrs)) is not None:
        return group, path
    parent = group if wanted is None or "labels" not in group else group["labels"]
    if wanted is None and "labels" in group:
        parent = group["labels"]
    if not isinstance(parent, zarr.Group):
        raise FormatError(f"{path} holds no label images", "give an OME-Zarr image with labels")
    names = sorted(name for name, _ in parent.groups())
    if wanted is None and len(names) != 1:
        raise ArgumentError(
            f"{path} holds {len(names)} label images: {', '.join(names)}", f"name one: {path}::NAME"
        )
    name = names[0] if wanted is None else wanted.removeprefix("labels/")
    found = parent.get(name)
    if not isinstance(found, zarr.Group):
        raise ArgumentError(f"{path} has no label image {name!r}", f"it has {', '.join(names) or 'none'}")
    return found, f"{path}::{name}"


def _label_mark(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    ome = attributes.get("ome", attributes)
    mark = ome.get("image-label") if isinstance(ome, Mapping) else None
    return mark if isinstance(mark, Mapping) else None


def _described(table: RoiTable, mark: Mapping[str, Any] | None) -> RoiTable:
    """Give ROIs the names and flags of their label's properties; one without pixels is there too."""
    listed = mark.get("properties") if mark is not None else None
    by_label = {
        one["label-value"]: one
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping) and isinstance(one.get("label-value"), int)
    }
    pixels = dict(zip(table.ids, table.pixels, strict=True))
    ids = [*table.ids]
    if by_label and set(table.ids) <= by_label.keys():
        ids = [number for number in by_label if number > 0]  # in the order of the one who wrote them
    names = tuple(str(by_label.get(number, {}).get("name", number)) for number in ids)
    flags = tuple(by_label.get(number, {}).get("accepted", True) is not False for number in ids)
    return RoiTable(
        names=names if len(set(names)) == len(names) else tuple(map(str, ids)),
        ids=tuple(ids),
        pixels=tuple(pixels.get(number, _NONE) for number in ids),
        shape=table.shape,
        accepted=flags if not all(flags) else None,
    )


_NONE: NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)
