"""What an OME-XML description says: axes, sizes, which page holds which plane, and when and how large.

Follows the OME data model, https://docs.openmicroscopy.org/ome-model/ (schema 2016-06 and those before it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.units import LENGTHS, TIMES
from roitrace.formats.xml import parse_xml
from roitrace.sources import RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

__all__ = ["OmeImage", "PageBlock", "choose_image", "read_ome_xml"]

MOST_PLANES = 2**23
"""Planes of an image; each is an entry of a table."""


@dataclass(frozen=True)
class PageBlock:
    """Successive pages of one file that hold successive planes.

    Attributes
    ----------
    first_plane : int
        Number of the first plane, counted in the image's own dimension order, fastest axis first.
    first_page : int
        Number of the first page.
    n_planes : int or None
        How many; None for all pages of the file.
    file : tuple of (str, str) or None
        UUID and name of the file; None for the file that holds the description.
    """

    first_plane: int
    first_page: int
    n_planes: int | None
    file: tuple[str, str] | None


@dataclass(frozen=True)
class OmeImage:
    """One image of an OME description.

    Attributes
    ----------
    name : str
        Its name, or its id.
    axes : str
        Page axes, slowest first: ``"tzc"`` in some order.
    sizes : tuple of int
        Their lengths.
    samples_per_pixel : int
        More than 1 for colour images.
    blocks : tuple of PageBlock
        Where the planes are.
    metadata : RecordingMetadata
        Frame rate, times, pixel size, channel names, start.
    """

    name: str
    axes: str
    sizes: tuple[int, int, int]
    samples_per_pixel: int
    blocks: tuple[PageBlock, ...]
    metadata: RecordingMetadata


def read_ome_xml(text: str, path: str) -> tuple[str | None, tuple[OmeImage, ...]]:
    """Return the file's own UUID and its images.

    Raises
    ------
    FormatError
        If the description cannot be parsed or names no image.
    """
    what = f"the OME description of {path}"
    root = parse_xml(text, what)
    with understanding(f"{what} cannot be understood", "write the file again"):
        images = tuple(
            _image(image, pixels)
            for image in _children(root, "Image")
            for pixels in _children(image, "Pixels")
        )
    if not images:
        master = next((element.get("MetadataFile") for element in _children(root, "BinaryOnly")), None)
        raise FormatError(
            f"the OME description of {path} names no image" + (f"; it refers to {master}" if master else ""),
            "open the file of the set that holds the full description",
        )
    return root.get("UUID"), images


def choose_image(images: tuple[OmeImage, ...], wanted: str | None, path: str) -> OmeImage:
    """Return the only image, or the one that the user named by name or number.

    Raises
    ------
    ArgumentError
        If there are several and none, or none of them, is named.
    """
    names = [image.name for image in images]
    if wanted is None and len(images) == 1:
        return images[0]
    if wanted in names:
        return images[names.index(wanted)]
    if wanted is not None and wanted.isdecimal() and int(wanted) < len(images):
        return images[int(wanted)]
    listing = ", ".join(
        f"{number}: {image.name} ({', '.join(f'{axis} {size}' for axis, size in zip(image.axes, image.sizes, strict=True))})"
        for number, image in enumerate(images)
    )
    problem = f"{path} holds {len(images)} images" if wanted is None else f"{path} holds no image {wanted!r}"
    raise ArgumentError(f"{problem}: {listing}", "name one with dataset=, by name or number")


def _image(image: Element, pixels: Element) -> OmeImage:
    order = pixels.attrib["DimensionOrder"][2:].lower()
    sizes = {axis: int(pixels.attrib[f"Size{axis.upper()}"]) for axis in "tzc"}
    if set(order) != set("tzc") or min(sizes.values()) < 1:
        message = f"dimension order {pixels.attrib['DimensionOrder']} with sizes {sizes}"
        raise ValueError(message)
    if math.prod(sizes.values()) > MOST_PLANES:
        message = f"sizes {sizes}, more than {MOST_PLANES:,} planes"
        raise ValueError(message)
    channels = list(_children(pixels, "Channel"))
    samples = max((int(channel.get("SamplesPerPixel", "1")) for channel in channels), default=1)
    blocks = tuple(_block(data, order, sizes) for data in _children(pixels, "TiffData"))
    return OmeImage(
        name=image.get("Name") or image.get("ID") or "",
        axes=order[::-1],
        sizes=(sizes[order[2]], sizes[order[1]], sizes[order[0]]),
        samples_per_pixel=samples,
        blocks=blocks or (PageBlock(0, 0, None, None),),
        metadata=RecordingMetadata(
            frame_rate=_frame_rate(pixels),
            time=_plane_times(pixels, sizes["t"]),
            pixel_size=_pixel_size(pixels),
            channel_names=tuple(channel.get("Name") or channel.get("ID") or "" for channel in channels),
            acquisition_time=next((date.text for date in _children(image, "AcquisitionDate")), None),
        ),
    )


def _block(data: Element, order: str, sizes: dict[str, int]) -> PageBlock:
    plane, step = 0, 1
    for axis in order:
        index = int(data.get(f"First{axis.upper()}", "0"))
        if not 0 <= index < sizes[axis]:
            message = f"First{axis.upper()}={index} of {sizes[axis]}"
            raise ValueError(message)
        plane += index * step
        step *= sizes[axis]
    count = data.get("PlaneCount") or data.get("NumPlanes") or ("1" if "IFD" in data.attrib else None)
    uuid = next(_children(data, "UUID"), None)
    file = None if uuid is None or not uuid.get("FileName") else (uuid.text or "", uuid.attrib["FileName"])
    return PageBlock(plane, int(data.get("IFD", "0")), None if count is None else int(count), file)


def _frame_rate(pixels: Element) -> float | None:
    interval = _quantity(pixels, "TimeIncrement", TIMES, "s")
    return 1 / interval if interval else None


def _pixel_size(pixels: Element) -> tuple[float, float] | None:
    height, width = (_quantity(pixels, f"PhysicalSize{axis}", LENGTHS, "µm") for axis in "YX")
    return (height, width) if height and width else None


def _plane_times(pixels: Element, n_frames: int) -> NDArray[np.float64] | None:
    """Time of each frame in channel 0 and plane 0, s; None unless all are there and increase."""
    times = np.full(n_frames, np.nan)
    for plane in _children(pixels, "Plane"):
        frame, seconds = int(plane.get("TheT", "0")), _quantity(plane, "DeltaT", TIMES, "s")
        first = plane.get("TheC", "0") == plane.get("TheZ", "0") == "0"
        if first and seconds is not None and 0 <= frame < n_frames:
            times[frame] = seconds
    increasing = bool(np.isfinite(times).all() and (np.diff(times) > 0).all())
    return times if n_frames > 1 and increasing else None


def _quantity(element: Element, name: str, factors: dict[str, float], default_unit: str) -> float | None:
    value = element.get(name)
    factor = factors.get(element.get(f"{name}Unit", default_unit).lower())
    if value is None or factor is None:
        return None
    return float(value) * factor


def _children(element: Element, name: str) -> Iterator[Element]:
    """Children by local name: the namespace differs from schema to schema."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)
