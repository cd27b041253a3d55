"""ROIs as the engine sees them: horizontal runs of pixels, cut along a grid of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.gather import runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["RoiTable", "TiledRuns", "grid_edges", "tile_runs"]


@dataclass(frozen=True, eq=False)
class RoiTable:
    """Which entries of the pixel matrix belong to which ROI, and their weights.

    Attributes
    ----------
    indptr : numpy.ndarray
        ROI ``i`` owns entries ``indptr[i]`` to ``indptr[i + 1]``.
    weights : numpy.ndarray
        Weights (weighting, entry), float64; one row for each different weighting asked for.
    """

    indptr: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __getstate__(self) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Return what travels to workers: weights of 32 bits where that keeps each of them, as in suite2p and CaImAn."""
        with np.errstate(over="ignore"):
            narrow = self.weights.astype(np.float32)
        return self.indptr, narrow if np.array_equal(narrow, self.weights) else self.weights

    def __setstate__(self, state: tuple[NDArray[np.int64], NDArray[np.floating]]) -> None:
        object.__setattr__(self, "indptr", state[0])
        object.__setattr__(self, "weights", state[1].astype(np.float64))

    @classmethod
    def empty(cls) -> RoiTable:
        """No ROIs."""
        return cls(np.zeros(1, dtype=np.int64), np.zeros((0, 0)))

    @property
    def n_entries(self) -> int:
        """Pixels of all ROIs."""
        return int(self.indptr[-1])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each ROI."""
        return np.diff(self.indptr)


@dataclass(frozen=True, eq=False)
class TiledRuns:
    """Horizontal runs of pixels, grouped by tile.

    Attributes
    ----------
    y_edges, x_edges : numpy.ndarray
        Borders of the tiles, the frame's own included.
    runs : numpy.ndarray
        As `roitrace.kernels.gather.runs_of` gives them, cut at the borders and sorted by tile, in raster
        order within.
    starts : numpy.ndarray
        Runs of tile ``n`` (row by row) are ``runs[starts[n]:starts[n + 1]]``.
    """

    y_edges: NDArray[np.int64]
    x_edges: NDArray[np.int64]
    runs: NDArray[np.int32]
    starts: NDArray[np.int64]

    def tile(self, row: int, column: int) -> tuple[slice, slice, NDArray[np.int32]]:
        """Return where a tile lies and its runs."""
        return self.numbered(row * (self.x_edges.size - 1) + column)

    def numbered(self, number: int) -> tuple[slice, slice, NDArray[np.int32]]:
        """Return where a tile lies and its runs; tiles are counted row by row."""
        row, column = divmod(number, self.x_edges.size - 1)
        return (
            slice(int(self.y_edges[row]), int(self.y_edges[row + 1])),
            slice(int(self.x_edges[column]), int(self.x_edges[column + 1])),
            self.runs[self.starts[number] : self.starts[number + 1]],
        )

    @property
    def held(self) -> NDArray[np.bool_]:
        """Whether each tile holds pixels of ROIs, row by row."""
        return np.diff(self.starts) > 0


def grid_edges(size: int, step: int, offset: int) -> NDArray[np.int64]:
    """Return the borders of tiles of `step` pixels over `size`, the first one cut short by `offset`."""
    return np.array(sorted({0, *range(step - offset % step, size, step), size}), dtype=np.int64)


def tile_runs(
    pixels: NDArray[np.int64],
    width: int,
    y_edges: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    starts: NDArray[np.int64] | None = None,
) -> TiledRuns:
    """Cut the pixels of all ROIs, in their order, into runs within tiles; the entries in `starts` begin new ones."""
    runs = runs_of(pixels, width, starts)
    row = np.searchsorted(y_edges, runs[:, 1], side="right") - 1
    first = np.searchsorted(x_edges, runs[:, 2], side="right") - 1
    last = np.searchsorted(x_edges, runs[:, 2] + runs[:, 3] - 1, side="right") - 1
    pieces = last - first + 1
    source = np.repeat(np.arange(len(runs)), pieces)
    column = first[source] + np.arange(source.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.maximum(runs[source, 2], x_edges[column])
    end = np.minimum(runs[source, 2] + runs[source, 3], x_edges[column + 1])
    cut = np.stack([runs[source, 0] + begin - runs[source, 2], runs[source, 1], begin, end - begin], axis=1)
    tile = row[source] * (x_edges.size - 1) + column
    order = np.lexsort((cut[:, 1] * width + cut[:, 2], tile))
    n_tiles = (y_edges.size - 1) * (x_edges.size - 1)
    starts = np.searchsorted(tile[order], np.arange(n_tiles + 1))
    return TiledRuns(y_edges, x_edges, np.ascontiguousarray(cut[order], dtype=np.int32), starts)
