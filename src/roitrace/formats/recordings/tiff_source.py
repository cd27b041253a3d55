"""Pages of a TIFF file as a block source: memory-mapped where they are plain, decoded page by page otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from roitrace.errors import FormatError, MissingDependencyError
from roitrace.formats.damage import cut_short, understanding
from roitrace.formats.identity import combine, file_identity
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.recordings.tiff_pages import TiffPages, scan_pages
from roitrace.sources import BlockReader, BlockSource, check_sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PagedSource", "TiffStack", "read_stack"]


@dataclass(frozen=True, eq=False)
class TiffStack:
    """The pages of one TIFF file, all of one size and sample type.

    Attributes
    ----------
    path : str
        The file.
    pages : TiffPages
        Where they are.
    stored_dtype : str
        With byte order.
    height, width : int
        Of a page.
    plain : bool
        Whether a page's samples lie in the file as they are, one after the other.
    first_sample : int
        Byte at which the first page's samples begin; meaningful if `plain`.
    n_bytes : int
        Length of the file.
    """

    path: str
    pages: TiffPages
    stored_dtype: str
    height: int
    width: int
    plain: bool
    first_sample: int
    n_bytes: int

    @property
    def page_bytes(self) -> int:
        """Bytes of one uncompressed page."""
        return self.height * self.width * np.dtype(self.stored_dtype).itemsize

    @property
    def n_contiguous(self) -> int:
        """How many whole pages fit between the first sample and the end of the file; 0 if not `plain`."""
        return (self.n_bytes - self.first_sample) // self.page_bytes if self.plain else 0

    def contiguous(self, numbers: NDArray[np.int64]) -> BlockSource:
        """Frames by number, where all frames follow the first one directly, whatever the directories say."""
        return self._regular(self.first_sample + numbers * self.page_bytes)

    def of_pages(self, numbers: NDArray[np.int64]) -> BlockSource:
        """Frames by page number."""
        starts = self.pages.samples[numbers]
        if (
            self.plain
            and starts.min() >= 0
            and np.unique(np.diff(starts)).size <= 1
            and starts[-1] >= starts[0]
        ):
            return self._regular(starts)
        dtype = check_sample_dtype(np.dtype(self.stored_dtype), self.path)
        shape = (numbers.size, self.height, self.width)
        return PagedSource(self.path, self.pages.directories[numbers], shape, dtype, self.pages.same_layout)

    def _regular(self, starts: NDArray[np.int64]) -> StridedSource:
        itemsize = np.dtype(self.stored_dtype).itemsize
        step = int(starts[1] - starts[0]) if starts.size > 1 else self.page_bytes
        strides = (step, self.width * itemsize, itemsize)
        return StridedSource(
            self.path, self.stored_dtype, int(starts[0]), strides, (starts.size, self.height, self.width)
        )


def read_stack(tiff: tifffile.TiffFile, path: str) -> TiffStack:
    """Take stock of an open TIFF file; no samples are read.

    Raises
    ------
    FormatError
        If pages differ, hold colours or unsupported samples, or lie beyond the end of the file.
    MissingDependencyError
        If the compression needs a package that is not installed.
    """
    pages = scan_pages(path)
    page = tiff.pages.first
    # tifffile gives the value of a tag as it is, whatever its type
    shaped: tuple[Any, ...] = page.shaped
    separate, depth, height, width, samples = shaped
    if not all(isinstance(size, int) and size > 0 for size in (height, width)):
        raise FormatError(
            f"the pages of {path} are {height!r} x {width!r} pixels: the file is damaged",
            "copy the file again",
        )
    if separate * samples > 1 or depth > 1:
        raise FormatError(
            f"the pages of {path} have {separate * samples} samples per pixel and depth {depth}, expected 1 and 1: it holds colours, not counts",
            "save it as one grey channel per page",
        )
    if page.dtype is None or page.dtype.kind not in "uif":
        raise FormatError(
            f"{path} holds {page.bitspersample}-bit samples of an unsupported kind",
            "save it as 8 or 16 bit grey",
        )
    check_sample_dtype(page.dtype, path)
    if page.compression not in tifffile.TIFF.DECOMPRESSORS or (
        page.predictor != 1 and page.predictor not in tifffile.TIFF.UNPREDICTORS
    ):
        raise MissingDependencyError(
            f"{path} is compressed with {page.compression!s}, which needs the package imagecodecs",
            "install it with: pip install 'roitrace[tiff]'",
        )
    n_bytes = Path(path).stat().st_size
    stack = TiffStack(
        path=path,
        pages=pages,
        stored_dtype=page.dtype.newbyteorder(tiff.byteorder).str,
        height=height,
        width=width,
        plain=bool(page.is_final) and page.bitspersample == page.dtype.itemsize * 8,
        first_sample=int(page.dataoffsets[0]) if page.dataoffsets else n_bytes,
        n_bytes=n_bytes,
    )
    _check_complete(tiff, stack)
    return stack


def _page_at(tiff: tifffile.TiffFile, directory: int, index: int = 0) -> tifffile.TiffPage:
    tiff.filehandle.seek(directory)
    with understanding(f"page {index} of {tiff.filehandle.path} is damaged"):
        return tifffile.TiffPage(tiff, index)


def _check_complete(tiff: tifffile.TiffFile, stack: TiffStack) -> None:
    pages = stack.pages
    if stack.plain:
        short = np.flatnonzero((pages.n_bytes > 0) & (pages.n_bytes < stack.page_bytes))
        if short.size:
            raise FormatError(
                f"page {short[0]} of {stack.path} has {pages.n_bytes[short[0]]} bytes, {stack.height} x {stack.width} samples need "
                f"{stack.page_bytes}",
                "write the file again with the program that made it",
            )
    ends = np.where(pages.n_bytes >= 0, pages.samples + pages.n_bytes, 0)
    if pages.samples[-1] < 0:
        last = _page_at(tiff, int(pages.directories[-1]), len(pages) - 1)
        ends[-1] = max(map(sum, zip(last.dataoffsets, last.databytecounts, strict=False)), default=0)
    whole = int(np.count_nonzero(ends <= stack.n_bytes))
    if whole < len(pages):
        raise cut_short(stack.path, len(pages), whole)


@dataclass(frozen=True, eq=False)
class PagedSource(BlockSource):
    """TIFF pages that must be decoded, or that lie at irregular distances, ``(time, y, x)``.

    The file is opened once per reader; each page is found through its directory, decoded and, where a block needs only a
    part of it, cut.

    Parameters
    ----------
    path : str
        The file.
    directories : numpy.ndarray
        Byte at which the directory of each frame begins.
    shape : tuple of int
        ``(time, y, x)``.
    dtype : numpy.dtype
        Native byte order.
    same_layout : bool
        Whether all pages are compressed and cut into strips as the first one is.
    """

    path: str
    directories: NDArray[np.int64]
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    same_layout: bool
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunks", (1, *self.shape[1:]))

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(file_identity(self.path), self.directories.astype("<i8").tobytes(), self.shape)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        with tifffile.TiffFile(self.path) as tiff:
            yield _PagedReader(tiff, self)


class _PagedReader:
    def __init__(self, tiff: tifffile.TiffFile, source: PagedSource) -> None:
        self.tiff = tiff
        self.source = source
        self.first = _page_at(tiff, int(source.directories[0]))
        self.page = np.empty(source.shape[1:], source.dtype)
        self.block = np.empty((0, 0, 0), source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        shape = (time.stop - time.start, y.stop - y.start, x.stop - x.start)
        if self.block.shape != shape:
            self.block = np.empty(shape, self.source.dtype)
        whole = shape[1:] == self.source.shape[1:]
        for number in range(time.start, time.stop):
            frame = self.block[number - time.start]
            self._decode(number, frame if whole else self.page)
            if not whole:
                frame[...] = self.page[y, x]
        return self.block

    def _decode(self, number: int, out: NDArray[Any]) -> None:
        directory = int(self.source.directories[number])
        with understanding(f"frame {number} of {self.source.path} cannot be decoded"):
            if self.source.same_layout:
                self.tiff.filehandle.seek(directory)
                tifffile.TiffFrame(self.tiff, number, keyframe=self.first).asarray(out=out, maxworkers=1)
            else:
                _page_at(self.tiff, directory, number).asarray(out=out, maxworkers=1)
