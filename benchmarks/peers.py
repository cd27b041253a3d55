"""Other ways of doing the same: NumPy, dask with scipy, xarray, and suite2p in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import scipy.sparse
import scipy.stats
import tifffile
import xarray as xr

from benchmarks.expected import PROPORTION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.scene import RoiPixels

__all__ = ["Suite2p", "dask_means", "numpy_four", "peer_python", "xarray_means"]

FOLDER = Path(__file__).parent


def numpy_four(tiff: Path, rois: RoiPixels) -> xr.Dataset:
    """One ROI at a time from a memory map: mean, median, trimmed and weighted mean."""
    movie = tifffile.memmap(tiff, mode="r")
    traces: dict[str, list[NDArray[np.float64]]] = {
        "mean": [],
        "median": [],
        "trimmed_mean": [],
        "weighted_mean": [],
    }
    for pixels, weights in zip(rois.pixels, rois.weights, strict=True):
        matrix = movie[:, pixels[:, 0], pixels[:, 1]]
        traces["mean"].append(matrix.mean(axis=1))
        traces["median"].append(np.median(matrix, axis=1))
        traces["trimmed_mean"].append(scipy.stats.trim_mean(matrix, PROPORTION, axis=1))
        traces["weighted_mean"].append(np.average(matrix, axis=1, weights=weights))
    return xr.Dataset({name: (("roi", "time"), np.stack(rows)) for name, rows in traces.items()})


def dask_means(store: Path, rois: RoiPixels, threads: int, *, restricted: bool = False) -> xr.Dataset:
    """Means of all ROIs by one sparse product per block of whole frames (a shard of the store).

    `restricted`: with the pixels that belong to ROIs alone, picked first.
    """
    array = xr.open_zarr(store, chunks=None)["fluorescence"]
    frames = array.encoding["shards"][0]
    movie = da.from_zarr(str(store), component="fluorescence", chunks=(frames, *array.shape[1:]))
    height, width = array.shape[1:]
    rows = np.concatenate([np.full(len(one), number) for number, one in enumerate(rois.pixels)])
    flat = np.concatenate([one[:, 0] * width + one[:, 1] for one in rois.pixels])
    used, columns = np.unique(flat, return_inverse=True) if restricted else (slice(None), flat)
    pixels = columns.max() + 1 if restricted else height * width
    sizes = np.array([len(one) for one in rois.pixels], dtype=np.float64)
    members = scipy.sparse.csr_array((np.ones(flat.size), (rows, columns)), shape=(len(rois), pixels))

    def sum_block(block: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(members @ block.reshape(len(block), -1)[:, used].T)

    sums = movie.map_blocks(
        sum_block, drop_axis=(1, 2), new_axis=0, chunks=((len(rois),), movie.chunks[0]), dtype=np.float64
    )
    with dask.config.set(scheduler="threads", num_workers=threads):
        return xr.Dataset({"mean": (("roi", "time"), sums.compute() / sizes[:, None])})


def xarray_means(store: Path, rois: RoiPixels, threads: int) -> xr.Dataset:
    """``where(mask).mean(("y", "x"))``, one ROI after the other: together they are no faster and take gigabytes each."""
    movie = xr.open_zarr(store)["fluorescence"]
    means = []
    with dask.config.set(scheduler="threads", num_workers=threads):
        for pixels in rois.pixels:
            mask = np.zeros(movie.shape[1:], dtype=bool)
            mask[pixels[:, 0], pixels[:, 1]] = True
            means.append(movie.where(xr.DataArray(mask, dims=("y", "x"))).mean(("y", "x")).values)
    return xr.Dataset({"mean": (("roi", "time"), np.stack(means))})


def peer_python(folder: Path, name: str) -> Path | None:
    """Return the interpreter of a peer's environment, if ``peers.sh`` has made it."""
    python = folder / "peers" / name / "bin" / "python"
    return python if python.exists() else None


class Suite2p:
    """suite2p in a process of its own, which stays between rounds and waits without using a processor."""

    def __init__(
        self,
        python: Path,
        binary: Path,
        shape: tuple[int, int, int],
        rois: RoiPixels,
        threads: int,
        folder: Path,
    ) -> None:
        self._traces = folder / "suite2p-traces.npy"
        given = folder / "suite2p-rois.npz"
        flat = [one[:, 0] * shape[2] + one[:, 1] for one in rois.pixels]
        np.savez(given, indptr=np.cumsum([0, *map(len, flat)]), pixels=np.concatenate(flat))
        command = [python, FOLDER / "suite2p_worker.py", binary, *shape, given, self._traces, threads]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = str(self._answer()["version"])
        self.peak_bytes = 0

    def run(self) -> float:
        """Extract once and return suite2p's own seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.peak_bytes = int(answer["peak_bytes"])
        return float(answer["seconds"])

    def check(self, mean: NDArray[np.float64]) -> None:
        """Fail unless the last traces are the means of the halved recording."""
        traces = 2.0 * np.load(self._traces).astype(np.float64)
        if traces.shape != mean.shape or not ((traces <= mean + 0.01) & (traces >= mean - 1.01)).all():
            raise AssertionError("suite2p's traces are not the means of the halved recording")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"suite2p's process ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
