"""Sets of TIFF files of which something else says what each page is: OME-XML, Bruker's and Thorlabs' settings."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.parts import join
from roitrace.formats.recordings.tiff_source import TiffStack, read_stack

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["frames_of_set", "open_member"]


def open_member(member: Path, own: TiffStack | None, path: str) -> TiffStack:
    """Take stock of one file of a set.

    Parameters
    ----------
    member : Path
        The file.
    own : TiffStack or None
        The first file of the set, whose frames this one must have.
    path : str
        What names the files of the set, for error messages.

    Raises
    ------
    FormatError
        If it is not there, damaged, or has other frames.
    """
    if not member.is_file():
        raise FormatError(
            f"{path} belongs to a set of files, and {member.name} is not beside it",
            "put all files of the set into one folder",
        )
    with understanding(f"{member} cannot be read as TIFF"), tifffile.TiffFile(member) as tiff:
        stack = read_stack(tiff, str(member))
    if own is not None and _frame(stack) != _frame(own):
        raise FormatError(
            f"{member.name} has pages of {_frame(stack)}, {path} of {_frame(own)}",
            "they belong to different sets: separate them",
        )
    return stack


def frames_of_set(stacks: list[TiffStack], files: NDArray[np.int64], pages: NDArray[np.int64]) -> BlockSource:
    """Return the block source of frames by file and page of the file, in order of time; each file is a part of it."""
    cuts = [0, *(np.flatnonzero(np.diff(files)) + 1).tolist(), files.size]
    runs = [slice(begin, end) for begin, end in pairwise(cuts)]
    sources = [stacks[int(files[run.start])].of_pages(pages[run]) for run in runs]
    return join(sources, [stacks[int(files[run.start])].path for run in runs])


def _frame(stack: TiffStack) -> str:
    return f"{stack.height} x {stack.width} {np.dtype(stack.stored_dtype).name}"
