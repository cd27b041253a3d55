"""ROIs as images: label images and masks in TIFF, PNG and `.npy`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.signatures import is_npy, is_tiff
from roitrace.formats.recordings.tiff_pages import scan_pages
from roitrace.formats.rois.table import RoiTable, labels_of_table, table_of_labels
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["checked_labels", "read_images", "write_labels"]

MAX_BYTES = 4 * 2**30
PLAIN_PNG_MODES = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}


def read_images(path: str, options: RoiOptions) -> RoiTable:
    """Read a label image, a mask, or a stack of masks.

    An image ``(y, x)`` of integers is a label image: 0 is background, every other value one ROI whose id it is. A boolean image, or any image
    with `options.as_mask`, is one ROI. A stack ``(roi, y, x)`` of booleans, or of integers with two values one of which is 0, is one ROI per
    image; they may overlap. Whole numbers stored as floats count as integers.

    Raises
    ------
    FormatError
        If the file is damaged, has colours, negative or fractional values, or more than three axes.
    """
    image = _load(path, options.name)
    if image.ndim == 3 and image.shape[0] == 1:
        image = image[0]
    if image.ndim not in {2, 3} or 0 in image.shape:
        raise FormatError(
            f"{path} has shape {image.shape}, expected a label image or mask (y, x), or a stack of masks (roi, y, x)"
        )
    image = checked_labels(image, path)
    if image.ndim == 2:
        return _table_of_image(image, as_mask=options.as_mask)
    if image.dtype != np.bool_ and np.setdiff1d(np.unique(image), [0]).size > 1:
        raise FormatError(
            f"{path} is a stack of {len(image)} images with more than two values: labels in several images have no meaning here",
            "give one label image, or a stack of masks",
        )
    return RoiTable(
        names=tuple(str(number) for number in range(1, len(image) + 1)),
        ids=tuple(range(1, len(image) + 1)),
        pixels=tuple(np.argwhere(mask) for mask in image),
        shape=(image.shape[1], image.shape[2]),
    )


def write_labels(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write a label image: 0 is background, pixels of a ROI hold its id; 16 bit where ids fit, otherwise 32.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    ArgumentError
        If the ROIs have no frame, or a PNG would need ids above 65535.
    """
    labels, _, lost = labels_of_table(table, path)
    _save(labels, path)
    return (*table.lost({"ids"}), *lost)


def _table_of_image(image: NDArray[Any], *, as_mask: bool) -> RoiTable:
    if image.dtype != np.bool_ and not as_mask:
        return table_of_labels(image)
    return RoiTable(("1",), (1,), (np.argwhere(image),), (image.shape[0], image.shape[1]))


def checked_labels(image: NDArray[Any], path: str) -> NDArray[Any]:
    """Return an image of booleans or whole numbers >= 0; floats that are whole numbers become integers.

    Raises
    ------
    FormatError
        If it holds anything else.
    """
    if image.dtype == np.bool_ or image.dtype.kind == "u":
        return image
    if image.dtype.kind not in "if":
        raise FormatError(f"{path} holds {image.dtype} values, expected booleans or integers")
    if not np.isfinite(image).all() or (image < 0).any() or (image != np.floor(image)).any():
        raise FormatError(
            f"{path} holds negative or fractional values, expected a mask or labels: 0, 1, 2, ..."
        )
    return image.astype(np.int64)


def _load(path: str, name: str | None) -> NDArray[Any]:
    size = Path(path).stat().st_size
    if size > MAX_BYTES:
        raise FormatError(
            f"{path} has {format_bytes(size)}, a mask or label image at most {format_bytes(MAX_BYTES)}",
            "it may be a recording",
        )
    with Path(path).open("rb") as file:
        head = file.read(8)
    if is_npy(Path(path), head):
        return _load_npy(path)
    if zipfile.is_zipfile(path):
        return _load_npz(path, name)
    return _load_tiff(path) if is_tiff(Path(path), head) else _load_png(path)


def _load_npy(path: str) -> NDArray[Any]:
    with understanding(f"{path} cannot be read", "save the label image alone with numpy.save"):
        return np.asarray(np.load(path, allow_pickle=False))


def _load_npz(path: str, name: str | None) -> NDArray[Any]:
    """Read the named array, or the only one that may be an image or a stack of them."""
    with understanding(f"{path} cannot be read as npz", "save the masks again with numpy.savez"):
        with zipfile.ZipFile(path) as archive:
            claimed = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        names = (
            [name]
            if name is not None
            else [one for one in claimed if one in {"masks", "labels"}] or list(claimed)
        )
        if len(names) != 1 or names[0] not in claimed:
            raise ArgumentError(
                f"{path} holds the arrays {', '.join(claimed) or 'none'}", f"name one: {path}::NAME"
            )
        if claimed[names[0]] > MAX_BYTES:
            raise FormatError(
                f"{path}: {names[0]} claims {format_bytes(claimed[names[0]])}, masks have at most {format_bytes(MAX_BYTES)}"
            )
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[names[0]])


def _load_tiff(path: str) -> NDArray[Any]:
    if scan_pages(path).broken:
        raise FormatError(f"{path} is cut short", "copy it again")
    with understanding(f"{path} cannot be read as TIFF", "save it again"), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        if len(tiff.series) > 1 or "S" in series.axes:
            raise FormatError(
                f"{path} holds {len(tiff.series)} images with axes {series.axes}, expected one image (y, x)",
                "save the labels as one grey image",
            )
        if series.nbytes > MAX_BYTES:
            claimed, most = format_bytes(series.nbytes), format_bytes(MAX_BYTES)
            raise FormatError(
                f"{path} claims {claimed}, a label image has at most {most}", "it may be a recording"
            )
        return np.asarray(series.asarray(maxworkers=1))


def _load_png(path: str) -> NDArray[Any]:
    with understanding(f"{path} cannot be read as PNG", "save it again"):
        try:
            image = Image.open(path, formats=["PNG"])
        except Image.DecompressionBombError as error:
            raise FormatError(f"{path} claims an unreasonable size: {error}", "it may be damaged") from error
        with image:
            if image.mode not in PLAIN_PNG_MODES:
                raise FormatError(
                    f"{path} has colours (mode {image.mode}), expected a grey mask or label image",
                    "save it as 8 or 16 bit grey",
                )
            return np.asarray(image)


def _save(labels: NDArray[Any], path: str) -> None:
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        np.save(path, labels)
    elif suffix == ".png":
        if labels.dtype != np.uint16:
            raise ArgumentError(f"ids reach {labels.max()}, a PNG holds at most 65535", "write a .tif")
        Image.fromarray(labels).save(path, format="PNG")
    else:
        tifffile.imwrite(
            path, labels, imagej=labels.dtype == np.uint16, metadata={"axes": "YX"}, compression=None
        )
