"""Pages with axes as a recording: the rule by which page axes become time, channel and plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.axes import LETTERS, AxisView, assemble, assumed_axes, checked_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata

__all__ = ["PageOrder", "assemble_pages", "time_among_pages"]

STAND_FOR_TIME = "iqrz"  # image, other, sequence, depth: TIFF axes that mean time where no axis is called so
CALLED = {"z": "slices", "c": "channels"}
MOST_CHANNELS = 7  # as many as ImageJ shows; some writers call the frames of a movie channels


@dataclass(frozen=True)
class PageOrder:
    """What the pages of a recording are.

    Attributes
    ----------
    path : str
        The file.
    axes : str
        One letter per axis of the pages, slowest first, as the file calls them; without y and x.
    sizes : tuple of int
        Their lengths; those of length 1 do not count.
    frame : tuple of int
        Height and width of a page.
    """

    path: str
    axes: str
    sizes: tuple[int, ...]
    frame: tuple[int, int]


def assemble_pages(
    format_name: str,
    order: PageOrder,
    frames: Callable[[NDArray[np.int64]], BlockSource],
    metadata: RecordingMetadata,
    options: OpenOptions,
) -> RecordingFile:
    """Build a recording from pages.

    Parameters
    ----------
    format_name : str
        Name of the format.
    order : PageOrder
        What the pages are.
    frames : callable
        Makes a block source of the pages with the given numbers, counted in the order of `order`.
    metadata : RecordingMetadata
        What else the file says.
    options : OpenOptions
        What the user says.

    Raises
    ------
    FormatError
        If there is one image only, or an axis that is none of time, channel and plane.
    """
    pages = [(axis, size) for axis, size in zip(order.axes, order.sizes, strict=True) if size > 1]
    pages = pages or ([("t", 1)] if options.in_series or options.axes else [])
    shape = (*(size for _, size in pages), *order.frame)
    if options.axes:
        axes = checked_axes(options.axes, len(shape), order.path)
        if axes[-2:] != "yx":
            raise ArgumentError(
                f"axes={options.axes!r} for {order.path}, whose pages are images (y, x)",
                "end the axes with yx",
            )
    else:
        axes, notes = time_among_pages("".join(axis for axis, _ in pages), shape, order.path)
        metadata = replace(metadata, notes=(*metadata.notes, *notes))
    if metadata.time is not None and metadata.time.size != shape[axes.index("t")]:
        metadata = replace(metadata, time=None)
    numbers = np.arange(np.prod(shape[:-2], dtype=np.int64)).reshape(shape[:-2])

    def source(view: AxisView) -> BlockSource:
        fixed = dict(view.fixed)
        return frames(numbers[tuple(fixed.get(axis, slice(None)) for axis in range(numbers.ndim))])

    return assemble(format_name, order.path, shape, axes, make_source=source, metadata=metadata)


def time_among_pages(page_axes: str, shape: tuple[int, ...], path: str) -> tuple[str, tuple[str, ...]]:
    """Name the axes, time where the file calls it otherwise; notes say so."""
    if not page_axes:
        assumed_axes(shape, path)
    notes: tuple[str, ...] = ()
    many_channels = "c" if page_axes == "c" and shape[0] > MOST_CHANNELS else ""
    stands_for_time = next((axis for axis in STAND_FOR_TIME + many_channels if axis in page_axes), None)
    if "t" not in page_axes and stands_for_time is not None:
        if stands_for_time in CALLED:
            size = shape[page_axes.index(stands_for_time)]
            notes = (f"the {size} images that the file calls {CALLED[stands_for_time]} are taken as frames",)
        page_axes = page_axes.replace(stands_for_time, "t")
    unknown = sorted(set(page_axes) - set(LETTERS))
    if unknown or "t" not in page_axes:
        reason = f"{', '.join(unknown)} is none of t, c, z, y, x" if unknown else "none is time"
        raise FormatError(
            f"{path} has axes {page_axes}yx of lengths {shape}: {reason}",
            f"say what they are with axes=, one letter each, for example axes='{'tcz'[: len(page_axes)]}yx'",
        )
    return page_axes + "yx", notes
