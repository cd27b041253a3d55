"""TIFF, BigTIFF, ImageJ stacks and hyperstacks, OME-TIFF, ScanImage: which page is which frame, channel and plane."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from roitrace.bounded_json import parse_json
from roitrace.errors import FormatError
from roitrace.formats.damage import cut_short, understanding
from roitrace.formats.recordings.tiff_frames import PageOrder, assemble_pages
from roitrace.formats.recordings.tiff_metadata import imagej_metadata, tag_metadata
from roitrace.formats.recordings.tiff_ome import open_ome
from roitrace.formats.recordings.tiff_scanimage import read_scanimage_layout, scanimage_metadata
from roitrace.formats.recordings.tiff_source import TiffStack, read_stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata

__all__ = ["open_tiff"]


@dataclass(frozen=True)
class _Understood:
    """Page axes and sizes, slowest first.

    `contiguous`: whether the images follow each other directly, whatever the directories say. `images`: which pages count, if not all.
    """

    axes: str
    sizes: tuple[int, ...]
    metadata: RecordingMetadata
    contiguous: bool = False
    images: NDArray[np.int64] | None = None


def open_tiff(path: str, options: OpenOptions) -> RecordingFile:
    """Understand a TIFF file: reads the page directories and the description, no samples.

    Pages are frames, unless the description of ImageJ, OME, ScanImage or tifffile says more. Uncompressed pages at regular distances
    are read through a memory map, others are decoded page by page; chunks are whole frames either way.

    Raises
    ------
    FormatError
        If the file is cut short, its pages differ, it holds one image only, or its description contradicts its pages.
    MissingDependencyError
        If the compression needs a package that is not installed.
    """
    with understanding(f"{path} cannot be read as TIFF"), tifffile.TiffFile(path) as tiff:
        if tiff.is_ome:
            return open_ome(tiff, path, options)
        stack = read_stack(tiff, path)
        pages = _understand(tiff, stack)
    order = PageOrder(path, pages.axes, pages.sizes, (stack.height, stack.width))
    images = pages.images

    def frames(numbers: NDArray[np.int64]) -> BlockSource:
        if images is not None:
            return stack.of_pages(images[numbers])
        return stack.contiguous(numbers) if pages.contiguous else stack.of_pages(numbers)

    return assemble_pages("tiff", order, frames, pages.metadata, options)


def _understand(tiff: tifffile.TiffFile, stack: TiffStack) -> _Understood:
    if tiff.is_stk or tiff.is_lsm or tiff.is_fluoview:
        kind = "MetaMorph STK" if tiff.is_stk else "Zeiss LSM" if tiff.is_lsm else "Olympus FluoView"
        raise FormatError(
            f"{stack.path} is a {kind} file, whose axes are not read",
            "save it as OME-TIFF, for example with Fiji",
        )
    rules = ((tiff.is_shaped, _shaped), (tiff.is_imagej, _imagej), (tiff.is_scanimage, _scanimage))
    return next((rule for applies, rule in rules if applies), _plain)(tiff, stack)


def _shaped(tiff: tifffile.TiffFile, stack: TiffStack) -> _Understood:
    """Tifffile's own description: the shape of the first of one or many series, as JSON."""
    page = tiff.pages.first
    metadata = tag_metadata(page)
    axes, sizes = _page_axes(_description(page.shaped_description or "", stack.path), stack)
    n_pages, in_first = len(stack.pages), math.prod(sizes)
    if in_first > n_pages and n_pages == 1 and stack.plain:
        if stack.n_contiguous < in_first:
            raise cut_short(stack.path, in_first, stack.n_contiguous)
        return _contiguous(axes, sizes, metadata, stack)
    if in_first > n_pages:
        raise cut_short(stack.path, in_first, n_pages)
    _unbroken(stack)
    if in_first == n_pages:
        return _Understood(axes, sizes, metadata)
    return _several_series(axes, sizes, n_pages, metadata)


def _several_series(
    axes: str, sizes: tuple[int, ...], n_pages: int, metadata: RecordingMetadata
) -> _Understood:
    """Series written one after the other, often one per frame: one recording, whose frames have the channels and planes of the first."""
    in_first = math.prod(sizes)
    if in_first > 1:
        note = f"the file holds several series, the first of {in_first} images; all {n_pages} images are taken in order"
        metadata = replace(metadata, notes=(*metadata.notes, note))
    inner = [(axis, size) for axis, size in zip(axes, sizes, strict=True) if axis in "cz" and size > 1]
    n_inner = math.prod(size for _, size in inner)
    if n_pages % n_inner or axes.lstrip("tiq").strip("cz"):
        return _Understood("t", (n_pages,), metadata)
    return _Understood(
        "t" + "".join(axis for axis, _ in inner), (n_pages // n_inner, *(size for _, size in inner)), metadata
    )


def _page_axes(description: dict[str, Any], stack: TiffStack) -> tuple[str, tuple[int, ...]]:
    """Axes and sizes in front of y and x; plain images where the description does not name them."""
    shape, axes = tuple(description["shape"]), str(description.get("axes", "")).lower()
    if shape[-1:] == (1,) and shape[-3:-1] == (stack.height, stack.width):
        shape, axes = shape[:-1], axes[:-1]  # one sample per pixel
    if shape[-2:] != (stack.height, stack.width):
        return "i", (len(stack.pages),)
    if len(axes) == len(shape) and axes[-2:] == "yx":
        return axes[:-2], shape[:-2]
    return "i", (math.prod(shape[:-2]),)


def _imagej(tiff: tifffile.TiffFile, stack: TiffStack) -> _Understood:
    """ImageJ: one directory may stand for a stack of any size, whose images follow each other directly."""
    described = tiff.imagej_metadata or {}
    channels, slices, frames, images = (
        _count(described, name, stack.path) for name in ("channels", "slices", "frames", "images")
    )
    metadata = imagej_metadata(tiff.pages.first, described)
    sizes = {"c": channels, "z": slices, "t": frames}
    fastest_first = str(described.get("order", "czt")).lower()
    order = fastest_first[::-1] if sorted(fastest_first) == ["c", "t", "z"] else "tzc"
    expected = channels * slices * frames
    if expected == 1:
        expected, order, sizes = max(images, len(stack.pages)), "i", {"i": max(images, len(stack.pages))}
    page_sizes = tuple(sizes[axis] for axis in order)
    if len(stack.pages) == expected and not stack.pages.broken:
        return _Understood(order, page_sizes, metadata)
    if stack.plain and stack.n_contiguous >= expected and (len(stack.pages) == 1 or stack.pages.broken):
        return _contiguous(order, page_sizes, metadata, stack)
    if len(stack.pages) > expected:
        raise FormatError(
            f"{stack.path} declares {expected} images in ImageJ's description and holds {len(stack.pages)} pages",
            "open it in ImageJ and save it again",
        )
    raise cut_short(
        stack.path,
        expected,
        max(len(stack.pages), stack.n_contiguous) if len(stack.pages) == 1 else len(stack.pages),
    )


def _contiguous(
    axes: str, sizes: tuple[int, ...], metadata: RecordingMetadata, stack: TiffStack
) -> _Understood:
    if stack.pages.broken:
        note = "the end of the file is missing, but not its samples: all images that it declares are there"
        metadata = replace(metadata, notes=(*metadata.notes, note))
    return _Understood(axes, sizes, metadata, contiguous=True)


def _scanimage(tiff: tifffile.TiffFile, stack: TiffStack) -> _Understood:
    """ScanImage: volumes of planes of channels, of which the frames of the flyback are left out."""
    page = tiff.pages.first
    text = f"{page.software}\n{page.description}"
    layout = read_scanimage_layout(text, stack.path)
    metadata = scanimage_metadata(text, layout, stack.height, stack.width)
    start = metadata.acquisition_time or tag_metadata(page).acquisition_time
    n_channels, per_volume = len(layout.channels), layout.frames_per_volume
    n_pages = len(_unbroken(stack).pages)
    n_volumes, left = divmod(n_pages, per_volume * n_channels)
    notes = []
    if left and layout.planes == 1:
        notes.append(f"the last frame has {left} of {n_channels} channels and is left out")
    elif left:
        notes.append(f"the last volume has {left} of {per_volume * n_channels} pages and is left out")
    if layout.flyback:
        notes.append(
            f"{layout.flyback} frames of each volume were taken while the focus flew back and are left out"
        )
    metadata = replace(metadata, acquisition_time=start, notes=tuple(notes))
    if layout.planes == 1:
        return _Understood("tc", (n_volumes, n_channels), metadata)
    if layout.repeats > 1 and n_volumes > 1:
        raise FormatError(
            f"{stack.path} holds {n_volumes} volumes with {layout.repeats} frames of each plane, which are not one series in time",
            "split it into one file per volume first",
        )
    numbers = np.arange(n_volumes * per_volume * n_channels).reshape(n_volumes, per_volume, n_channels)
    images = numbers[:, : layout.planes * layout.repeats].ravel()
    if layout.repeats > 1:
        sizes = (layout.planes, layout.repeats, n_channels)
        return _Understood("ztc", sizes, metadata, images=images)
    return _Understood("tzc", (n_volumes, layout.planes, n_channels), metadata, images=images)


def _plain(tiff: tifffile.TiffFile, stack: TiffStack) -> _Understood:
    """No description: every page is a frame."""
    return _Understood("t", (len(_unbroken(stack).pages),), tag_metadata(tiff.pages.first))


def _count(described: dict[str, Any], name: str, path: str) -> int:
    count = described.get(name, 1)
    if isinstance(count, int) and count > 0:
        return count
    raise FormatError(
        f"{path} declares {name}={count!r} in ImageJ's description, expected a number above 0",
        "open it in ImageJ and save it again",
    )


def _description(text: str, path: str) -> dict[str, Any]:
    if text.startswith("shape="):  # as tifffile wrote it before 2015
        return {"shape": [int(size) for size in re.findall(r"\d+", text)]}
    with understanding(f"the description of {path} is damaged", "write the file again"):
        description = dict(parse_json(text.rstrip("\0").encode(), f"the description of {path}"))
        description["shape"] = [int(size) for size in description["shape"]]
    return description


def _unbroken(stack: TiffStack) -> TiffStack:
    if stack.pages.broken:
        raise FormatError(
            f"{stack.path} is cut short: after {len(stack.pages)} pages its directory leads out of the file",
            "copy it again; to use the frames that are there, save them as a file of their own",
        )
    return stack
