"""The frozen workloads A to G, and the files that hold them, written once into a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

import roitrace as rt
from benchmarks.expected import Expected, expected_results
from benchmarks.scene import NoisyScene, RoiPixels, irregular_rois
from roitrace.sources import RecordingFile
from roitrace.store.layout import BLOSC_LEVEL, BLOSC_NAME, RecordingLayout

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["LAYOUTS", "SCALES", "Files", "Scale", "Workload", "default_folder"]

GENERATOR = "1"
"""Changes with every change of the samples or pixels: files made before are not used then."""

LAYOUTS = ("default", "full_frame", "time_last")
FULL_FRAME_CHUNK = 64


@dataclass(frozen=True)
class Workload:
    """A recording and its ROIs, all of it derived from these numbers."""

    name: str
    frames: int
    height: int
    width: int
    n_rois: int
    dtype: str = "uint16"
    n_channels: int = 1
    seed: int = 20

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width."""
        return self.frames, self.height, self.width

    @property
    def recording_name(self) -> str:
        """Name of the recording, by what it holds; workloads that differ in their ROIs share it."""
        content = repr((GENERATOR, replace(self, name="", n_rois=0)))
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        return f"{'x'.join(map(str, self.shape))}-{self.dtype}-{digest}"

    @property
    def scenes(self) -> tuple[NoisyScene, ...]:
        """The recording, one scene per channel."""
        dtype = np.dtype(self.dtype)
        return tuple(NoisyScene(self.shape, dtype, self.seed, channel) for channel in range(self.n_channels))

    @cached_property
    def roi_pixels(self) -> RoiPixels:
        """The ROIs as plain lists."""
        return irregular_rois((self.height, self.width), self.n_rois, self.seed)

    def rois(self, recording: xr.DataArray, count: int | None = None) -> rt.Rois:
        """Return the ROIs, or the first `count`, on the frame of the recording."""
        chosen = self.roi_pixels.first(self.n_rois if count is None else count)
        return rt.Rois.from_pixels(chosen.pixels, frame=recording, weights=chosen.weights)


@dataclass(frozen=True)
class Scale:
    """How large the workloads are: as frozen, or tiny for a smoke test."""

    name: str
    a: Workload
    a_long: Workload
    b: Workload
    d: Workload
    e: Workload
    f: Workload
    two_channels: Workload
    base_frames: int
    million: int
    xarray_rois: int


SCALES = {
    "full": Scale(
        "full",
        a=Workload("A", 4096, 512, 512, 500),
        a_long=Workload("A-long", 16384, 512, 512, 500),
        b=Workload("B", 256, 2048, 2048, 5000),
        d=Workload("D", 2048, 512, 512, 500, dtype="float32"),
        e=Workload("E", 4096, 512, 512, 500, dtype="int16"),
        f=Workload("F", 256, 2048, 2048, 10_000),
        two_channels=Workload("G", 2048, 512, 512, 500, n_channels=2),
        base_frames=1024,
        million=1_000_000,
        xarray_rois=20,
    ),
    "quick": Scale(
        "quick",
        a=Workload("A", 512, 128, 128, 30),
        a_long=Workload("A-long", 1024, 128, 128, 30),
        b=Workload("B", 64, 256, 256, 80),
        d=Workload("D", 256, 128, 128, 30, dtype="float32"),
        e=Workload("E", 256, 128, 128, 30, dtype="int16"),
        f=Workload("F", 64, 256, 256, 160),
        two_channels=Workload("G", 256, 128, 128, 30, n_channels=2),
        base_frames=64,
        million=100_000,
        xarray_rois=3,
    ),
}


def default_folder() -> Path:
    """Return where the files are kept: ``$ROITRACE_BENCHMARKS``, or a folder for temporary files."""
    return Path(os.environ.get("ROITRACE_BENCHMARKS", Path(tempfile.gettempdir()) / "roitrace-benchmarks"))


class Files:
    """The files of the workloads. Each is written once, beside its final name first.

    Parameters
    ----------
    folder : Path
        Where they are kept. The frozen workloads take about 16 GB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, workload: Workload, layout: str = "default") -> Path:
        """Return the store of a workload in one of `LAYOUTS`."""
        chunks = (FULL_FRAME_CHUNK, workload.height, workload.width) if layout == "full_frame" else None
        grid = RecordingLayout.of(("time", "y", "x"), workload.shape, workload.dtype, chunks)
        name = f"{layout}-{'x'.join(map(str, grid.chunks))}-{BLOSC_NAME}{BLOSC_LEVEL}.zarr"

        def write(path: Path) -> None:
            if layout == "time_last":
                _write_time_last(workload, grid, path)
                return
            sources = tuple((scene,) for scene in workload.scenes)
            file = RecordingFile("benchmark", sources, has_channel_axis=workload.n_channels > 1)
            rt.convert(file, path, chunks=chunks, budget="4 GiB")

        return self._once(workload, name, write)

    def tiff(self, workload: Workload) -> Path:
        """Return a contiguous TIFF."""

        def write(path: Path) -> None:
            movie = tifffile.memmap(
                path, shape=workload.shape, dtype=workload.dtype, bigtiff=True, photometric="minisblack", metadata={"axes": "TYX"}
            )  # fmt: skip
            _fill(movie, workload)
            movie.flush()

        return self._once(workload, "contiguous.tif", write)

    def suite2p_binary(self, workload: Workload) -> Path:
        """Return the recording as suite2p keeps it: halved to fit int16."""

        def write(path: Path) -> None:
            with path.open("wb") as file:
                for block in workload.scenes[0].blocks():
                    (block // 2).astype(np.int16).tofile(file)

        return self._once(workload, "data.bin", write)

    def expected(
        self,
        workload: Workload,
        channel: int = 0,
        *,
        name: str = "plain",
        transform: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> Expected:
        """Return what NumPy makes of a channel, computed once; `transform` changes each block first, and has a `name`."""

        def write(path: Path) -> None:
            blocks = workload.scenes[channel].blocks()
            changed = blocks if transform is None else map(transform, blocks)
            expected_results(changed, workload.roi_pixels).write(path)

        rois = f"{workload.n_rois}rois-{workload.roi_pixels.digest()}"
        return Expected.read(self._once(workload, f"expected-{name}-channel{channel}-{rois}.npz", write))

    def prepare(self, scale: Scale) -> None:
        """Write all files that measuring needs and that are not there yet."""
        for layout in LAYOUTS:
            self.store(scale.a, layout)
        self.tiff(scale.a)
        self.suite2p_binary(scale.a)
        for workload in (scale.a, scale.a_long, scale.b, scale.d, scale.e, scale.f, scale.two_channels):
            self.store(workload)
            self.expected(workload, workload.n_channels - 1)

    def _once(self, workload: Workload, name: str, write: Callable[[Path], None]) -> Path:
        folder = self.folder / workload.recording_name
        path = folder / name
        if path.exists():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"partial-{os.getpid()}-{name}"
        try:
            write(partial)
            partial.replace(path)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink(missing_ok=True)
        return path


def _fill(target: Any, workload: Workload) -> None:
    first = 0
    for block in workload.scenes[0].blocks():
        target[first : first + len(block)] = block
        first += len(block)


def _write_time_last(workload: Workload, grid: RecordingLayout, path: Path) -> None:
    """Write with zarr itself: the default store's grid and codecs, but time is the fast axis inside a chunk."""
    array = zarr.create_group(path).create_array(
        "fluorescence",
        shape=grid.shape,
        dtype=grid.dtype,
        chunks=grid.chunks,
        shards=grid.shards,
        filters=[zarr.codecs.TransposeCodec(order=(1, 2, 0))],
        compressors=[
            zarr.codecs.BloscCodec(
                typesize=grid.dtype.itemsize, cname=BLOSC_NAME, clevel=BLOSC_LEVEL, shuffle="bitshuffle"
            ),
            zarr.codecs.Crc32cCodec(),
        ],
        dimension_names=grid.dims,
        fill_value=0,
    )
    _fill(array, workload)
