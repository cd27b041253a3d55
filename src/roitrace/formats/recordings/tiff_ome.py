"""OME-TIFF: the description says which page of which file holds which plane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import cut_short
from roitrace.formats.recordings.ome_xml import OmeImage, choose_image, read_ome_xml
from roitrace.formats.recordings.tiff_frames import PageOrder, assemble_pages
from roitrace.formats.recordings.tiff_set import frames_of_set, open_member
from roitrace.formats.recordings.tiff_source import TiffStack, read_stack

if TYPE_CHECKING:
    import tifffile
    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import BlockSource, RecordingFile

__all__ = ["open_ome"]


def open_ome(tiff: tifffile.TiffFile, path: str, options: OpenOptions) -> RecordingFile:
    """Understand an OME-TIFF file, or the set of files that its description names.

    Raises
    ------
    FormatError
        If planes that the description promises are in no file.
    """
    uuid, images = read_ome_xml(tiff.ome_metadata or "", path)
    image = choose_image(images, options.dataset, path)
    if image.samples_per_pixel > 1:
        raise FormatError(
            f"{path} has {image.samples_per_pixel} samples per pixel: it holds colours, not counts",
            "save it as one grey channel per page",
        )
    stacks, file_of, page_of = _locate(image, uuid, read_stack(tiff, path), path)

    def frames(numbers: NDArray[np.int64]) -> BlockSource:
        return frames_of_set(stacks, file_of[numbers], page_of[numbers])

    order = PageOrder(path, image.axes, image.sizes, (stacks[0].height, stacks[0].width))
    recording = assemble_pages("ome-tiff", order, frames, image.metadata, options)
    return replace(recording, files=tuple(stack.path for stack in stacks))


def _locate(
    image: OmeImage, uuid: str | None, own: TiffStack, path: str
) -> tuple[list[TiffStack], NDArray[np.int64], NDArray[np.int64]]:
    """Find the files, and the file and page of each plane in the image's own order."""
    n_planes = int(np.prod(image.sizes, dtype=np.int64))
    names = {block.file for block in image.blocks if block.file is not None}
    stacks = [own]
    number_of: dict[tuple[str, str] | None, int] = {None: 0}
    for name in sorted(names):
        file_uuid, file_name = name
        beside = Path(path).parent / Path(file_name).name
        if file_uuid == uuid or beside == Path(path) or (len(names) == 1 and not beside.exists()):
            number_of[name] = 0  # this file, perhaps renamed since
        else:
            number_of[name] = len(stacks)
            stacks.append(open_member(beside, own, path))
    file_of, page_of = np.full(n_planes, -1), np.full(n_planes, -1)
    for block in image.blocks:
        number = number_of[block.file]
        available = len(stacks[number].pages) - block.first_page
        wanted = available if block.n_planes is None else block.n_planes
        count = max(0, min(wanted, available, n_planes - block.first_plane))
        planes = slice(block.first_plane, block.first_plane + count)
        file_of[planes] = number
        page_of[planes] = block.first_page + np.arange(count)
    missing = np.flatnonzero(file_of < 0)
    if missing.size:
        raise cut_short(path, n_planes, n_planes - missing.size)
    return stacks, file_of, page_of
