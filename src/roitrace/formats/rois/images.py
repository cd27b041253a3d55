"""ROIs as images: label images and masks in TIFF, PNG and `.npy`."""

from __future__ import annotations

import math
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.bounded import bounded, bounded_stack
from roitrace.formats.damage import understanding
from roitrace.formats.npz_member import open_images
from roitrace.formats.recordings.ome_xml import read_ome_xml
from roitrace.formats.recordings.signatures import is_npy, is_tiff
from roitrace.formats.recordings.tiff_pages import scan_pages
from roitrace.formats.rois.table import RoiTable, labels_of_table, table_of_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["checked_labels", "read_images", "write_labels"]

PLAIN_PNG_MODES = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}


@dataclass(frozen=True)
class _Images:
    """One image ``(y, x)`` or a stack ``(roi, y, x)``, image by image."""

    shape: tuple[int, ...]
    images: Iterator[NDArray[Any]]


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
    with (
        understanding(f"{path} cannot be read", "save the labels or masks again"),
        _load(path, options.name) as image,
    ):
        if len(image.shape) not in {2, 3} or 0 in image.shape:
            raise FormatError(
                f"{path} has shape {image.shape}, expected a label image or mask (y, x), or a stack of masks (roi, y, x)"
            )
        if len(image.shape) == 2 or image.shape[0] == 1:
            return _table_of_image(checked_labels(next(image.images), path), as_mask=options.as_mask)
        return _table_of_stack(image, path)


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


def _table_of_stack(stack: _Images, path: str) -> RoiTable:
    """One ROI per image; one image is in memory at a time."""
    pixels, values = [], np.zeros(0, np.int64)
    for image in stack.images:
        mask = checked_labels(image, path)
        if mask.dtype != np.bool_:
            values = np.union1d(values, np.unique(mask[mask != 0])[:2])
        if values.size > 1:
            raise FormatError(
                f"{path} is a stack of {stack.shape[0]} images with more than two values: labels in several images have no meaning here",
                "give one label image, or a stack of masks",
            )
        pixels.append(np.argwhere(mask))
    ids = tuple(range(1, len(pixels) + 1))
    return RoiTable(tuple(map(str, ids)), ids, tuple(pixels), (stack.shape[1], stack.shape[2]))


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


@contextmanager
def _load(path: str, name: str | None) -> Iterator[_Images]:
    with Path(path).open("rb") as file:
        head = file.read(8)
    if is_npy(Path(path), head):
        # mapped, so that a claim of more than there is takes no memory
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        bounded(array.shape[-2:], array.dtype, path)
        yield _Images(array.shape, iter(array if array.ndim == 3 else [array]))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            shape, _, images = open_images(archive, _member(archive, name, path), path)
            yield _Images(shape, images)
    elif is_tiff(Path(path), head):
        with tifffile.TiffFile(path) as tiff:
            yield _tiff_images(tiff, path)
    else:
        image = _png(path)
        yield _Images(image.shape, iter([image]))


def _member(archive: zipfile.ZipFile, name: str | None, path: str) -> str:
    """Return the entry of the named array, or of the only one that may be an image or a stack of them."""
    held = {info.filename.removesuffix(".npy"): info.filename for info in archive.infolist()}
    names = [name] if name is not None else [one for one in held if one in {"masks", "labels"}] or list(held)
    if len(names) != 1 or names[0] not in held:
        raise ArgumentError(f"{path} holds the arrays {', '.join(held) or 'none'}", f"name one: {path}::NAME")
    return held[names[0]]


def _tiff_images(tiff: tifffile.TiffFile, path: str) -> _Images:
    pages = scan_pages(path)
    if pages.broken:
        raise FormatError(f"{path} is cut short", "copy it again")
    size = Path(path).stat().st_size
    # what the first page claims and what its description claims, before lists as long are made
    page = tiff.pages.first
    bounded(page.shape, page.dtype or np.dtype("u1"), path, size)
    _check_description(tiff, path, page.nbytes, size)
    series = tiff.series[0]
    if len(tiff.series) > 1 or "S" in series.axes:
        raise FormatError(
            f"{path} holds {len(tiff.series)} images with axes {series.axes}, expected one image (y, x)",
            "save the labels as one grey image",
        )
    if len(series.shape) == 3 and len(series.pages) == series.shape[0]:
        bounded_stack(series.shape, series.dtype, path, size)
        return _Images(series.shape, (_page(tiff, number) for number in range(series.shape[0])))
    bounded(series.shape, series.dtype, path, size)
    whole = np.asarray(series.asarray(maxworkers=1))
    return _Images(whole.shape, iter(whole if whole.ndim == 3 else [whole]))


def _check_description(tiff: tifffile.TiffFile, path: str, page_bytes: int, size: int) -> None:
    """Refuse a description of more images than the file could hold, of which tifffile would make a list."""
    described = 1
    if tiff.is_ome:
        _, images = read_ome_xml(tiff.ome_metadata or "", path)
        described = sum(math.prod(image.sizes) for image in images)
    elif tiff.is_imagej:
        counts = (tiff.imagej_metadata or {}).get("images", 1)
        described = counts if isinstance(counts, int) else 1
    if described > max(len(tiff.pages), size // max(1, page_bytes)) + 1:
        raise FormatError(
            f"{path} declares {described:,} images and holds {len(tiff.pages)} pages", "copy it again"
        )


def _page(tiff: tifffile.TiffFile, number: int) -> NDArray[Any]:
    page = tiff.series[0].pages[number]
    if page is None:
        raise FormatError(f"page {number} of {tiff.filename} is missing", "copy it again")
    return np.asarray(page.asarray(maxworkers=1))


def _png(path: str) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the claim is judged here
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
        bounded(image.size, np.dtype("i4" if image.mode == "I" else "u2"), path, Path(path).stat().st_size)
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
