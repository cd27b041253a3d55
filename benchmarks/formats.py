"""What reading compressed frames costs beside the library's own bare read of the same frames.

    python -m benchmarks.formats

writes a TIFF file and an HDF5 file of 600 frames of 512 x 512 into a temporary folder, reads all frames from each in blocks of 50 through
a block source and with the library alone, and prints the median ratio of CPU time of alternating repetitions. It also opens a TIFF file of
100,000 pages and reads ten frames from its middle.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import h5py
import numpy as np
import tifffile

from roitrace.formats.registry import open_recording_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from roitrace.sources import BlockSource

__all__ = ["main", "ratio_of_reading", "write_movies"]

STEP = 50
REPEATS = 5


def write_movies(folder: Path, shape: tuple[int, int, int]) -> dict[str, Path]:
    """Write the same counts as zlib and LZW TIFF, and as gzip HDF5 of whole frames and of chunks in time."""
    rng = np.random.default_rng(0)
    movie = rng.poisson(40, shape).astype(np.uint16)
    paths = {name: folder / name for name in ("zlib.tif", "lzw.tif", "frames.h5", "chunks.h5")}
    for compression in ("zlib", "lzw"):
        tifffile.imwrite(
            paths[f"{compression}.tif"], movie, compression=compression, photometric="minisblack"
        )
    for name, chunks in (("frames.h5", (1, *shape[1:])), ("chunks.h5", (STEP, 64, 64))):
        with h5py.File(paths[name], "w") as file:
            file.create_dataset(
                "data", data=movie, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
            )
    return paths


def ratio_of_reading(path: Path, repeats: int = REPEATS) -> tuple[float, float]:
    """Return the CPU time of a block source over that of the bare library, and the latter in seconds."""
    source = open_recording_file(path).sources[0][0]
    bare = _bare_tiff if path.suffix == ".tif" else _bare_hdf5
    ours, theirs = [], []
    for _ in range(repeats):
        theirs.append(_seconds(lambda: bare(path, source.shape)))
        ours.append(_seconds(lambda: _through_source(source)))
    return median(one / other for one, other in zip(ours, theirs, strict=True)), median(theirs)


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _through_source(source: BlockSource) -> None:
    frames, height, width = source.shape
    with source.open() as reader:
        for start in range(0, frames, STEP):
            reader.read(slice(start, min(start + STEP, frames)), slice(0, height), slice(0, width))


def _bare_tiff(path: Path, shape: tuple[int, int, int]) -> None:
    out = np.empty((STEP, *shape[1:]), np.uint16)
    with tifffile.TiffFile(path) as tiff:
        for start in range(0, shape[0], STEP):
            stop = min(start + STEP, shape[0])
            tiff.asarray(key=slice(start, stop), out=out[: stop - start], maxworkers=1)


def _bare_hdf5(path: Path, shape: tuple[int, int, int]) -> None:
    out = np.empty((STEP, *shape[1:]), np.uint16)
    with h5py.File(path, "r") as file:
        for start in range(0, shape[0], STEP):
            stop = min(start + STEP, shape[0])
            file["data"].read_direct(out, np.s_[start:stop], np.s_[: stop - start])


def _open_many_pages(folder: Path) -> float:
    path = folder / "pages.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        page = np.ones((16, 16), np.uint16)
        for _ in range(100_000):
            writer.write(page, contiguous=False, metadata=None)
    start = time.perf_counter()
    source = open_recording_file(path).sources[0][0]
    source.read(slice(50_000, 50_010), slice(0, 16), slice(0, 16))
    return time.perf_counter() - start


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, dict[str, float]] = {}
        for name, path in write_movies(Path(folder), (600, 512, 512)).items():
            ratio, seconds = ratio_of_reading(path)
            figures[name] = {"cpu_over_bare": round(ratio, 3), "bare_cpu_seconds": round(seconds, 3)}
        figures["tiff of 100000 pages"] = {
            "seconds_to_open_and_read": round(_open_many_pages(Path(folder)), 2)
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
