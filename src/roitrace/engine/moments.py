"""Sums over time of every pixel, fed block by block and merged without changing a bit.

Integer samples have exact sums, so any order gives the same. Float samples are summed in leaves of 256 frames counted from frame 0,
in order within a leaf; finished leaves merge as the nodes of one fixed binary tree over leaf numbers, so that the result
does not depend on who summed which leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.bins import Binned, bin_bytes, bin_dtype, merges_bins
from roitrace.engine.correlation import Correlation, correlation_bytes
from roitrace.engine.declarations import Samples
from roitrace.engine.leaves import Leaf, OpenLeaf, leaf_parts, merged
from roitrace.engine.plan import LEAF_FRAMES
from roitrace.engine.tracks import Changes, Cubes, Peaks
from roitrace.kernels.changes import third_moment
from roitrace.kernels.exact import spread
from roitrace.kernels.moments import add_block, add_float, add_series, add_squares_wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic
    from roitrace.engine.time_parameters import BinNeeds

__all__ = ["Moments", "in_order", "merge_moments", "moment_bytes", "new_moments"]

_IMAGES = ("total", "squares_low", "minimum", "maximum")


@dataclass
class Moments:
    """Sums of one image over some frames.

    Attributes
    ----------
    frames : int
        Frames that went in.
    dtype : numpy.dtype
        Of the samples.
    images : dict
        ``total``, ``squares_high``, ``squares_low`` of integer samples and ``minimum``, ``maximum``: what was needed.
    leaves : dict
        Unfinished leaves of float samples: number to (frames so far, sums).
    nodes : dict
        Finished leaves of float samples: (number of leaves, first leaf) to sums.
    tracks : dict
        ``position``, ``changes``, ``cubes``: sums that are more than powers of samples; what was needed.
    correlations : dict
        Products of neighbouring pixels, by the period of their mean.
    binned : dict
        Sums of the means of bins, by the frames of a bin.
    """

    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    needs: frozenset[str]
    frames: int = 0
    images: dict[str, NDArray[Any]] = field(default_factory=dict)
    leaves: dict[int, tuple[int, OpenLeaf]] = field(default_factory=dict)
    nodes: dict[tuple[int, int], Leaf] = field(default_factory=dict)
    tracks: dict[str, Peaks | Changes | Cubes] = field(default_factory=dict)
    correlations: dict[int, Correlation] = field(default_factory=dict)
    binned: dict[int, Binned[Moments]] = field(default_factory=dict)

    @property
    def is_float(self) -> bool:
        """Whether the samples are floats."""
        return np.issubdtype(self.dtype, np.floating)

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """Add a block ``(time, y, x)`` that begins at `first_frame` of the recording; `advance` follows when all tiles are in.

        Tiles of the same frames come row by row.
        """
        corner = (y.start, x.start)
        if self._takes_series(block):
            total, squares, lowest, highest, wants = self._plain_images(block.dtype)
            series = np.ascontiguousarray(block.transpose(1, 2, 0))
            add_series(series, corner, total, squares, lowest, highest, wants)
            return
        block = np.ascontiguousarray(block)
        for track in (*self.tracks.values(), *self.correlations.values(), *self.binned.values()):
            track.add(block, first_frame, y, x)
        if self.is_float:
            for leaf, part in leaf_parts(first_frame, block.shape[0]):
                add_float(block[part], corner, *self._open_leaf(leaf))
        if "squares_high" in self.images:
            add_squares_wide(block, corner, self.images["squares_high"], self.images["squares_low"])
        total, squares, lowest, highest, wants = self._plain_images(block.dtype)
        if wants.any():
            add_block(block, corner, total, squares, lowest, highest, wants)

    def _takes_series(self, block: NDArray[Any]) -> bool:
        """Whether a block's time lies together, and sums and extremes of narrow integers are all that is needed."""
        time_last = block.shape[0] > 1 and block.strides[0] == block.itemsize
        more = self.is_float or self.tracks or self.correlations or "squares_high" in self.images
        return time_last and not more and not self.binned

    def _plain_images(self, dtype: np.dtype[Any]) -> tuple[Any, Any, Any, Any, NDArray[np.bool_]]:
        """Return the images that one pass over a block fills, empty ones for those not needed, and which are."""
        wants = np.array([name in self.images for name in _IMAGES])
        wants[1] &= "squares_high" not in self.images
        dtypes: tuple[Any, ...] = (np.int64, np.uint64, dtype, dtype)
        total, squares, lowest, highest = (
            self.images.get(name, np.zeros((0, 0), one)) for name, one in zip(_IMAGES, dtypes, strict=True)
        )
        return total, squares, lowest, highest, wants

    def advance(self, first_frame: int, frames: int) -> None:
        """Note that all tiles of some frames were added, and put finished leaves into the tree."""
        self.frames += frames
        for track in (*self.tracks.values(), *self.correlations.values(), *self.binned.values()):
            track.advance(first_frame, frames)
        if not self.is_float:
            return
        for leaf, part in leaf_parts(first_frame, frames):
            so_far = self.leaves[leaf][0] + part.stop - part.start
            if so_far == LEAF_FRAMES:
                self._insert(1, leaf, self.leaves.pop(leaf)[1].closed())
            else:
                self.leaves[leaf] = (so_far, self.leaves[leaf][1])

    def copy(self) -> Moments:
        """Return sums to go on from; finished nodes are shared, since nothing changes them."""
        leaves = {leaf: (frames, sums.copied()) for leaf, (frames, sums) in self.leaves.items()}
        images = {key: image.copy() for key, image in self.images.items()}
        tracks = {key: track.copy() for key, track in self.tracks.items()}
        correlations = {period: one.copy() for period, one in self.correlations.items()}
        binned = {frames: one.copy(Moments.copy) for frames, one in self.binned.items()}
        return replace(
            self,
            images=images,
            leaves=leaves,
            nodes=dict(self.nodes),
            tracks=tracks,
            correlations=correlations,
            binned=binned,
        )

    def samples(self, statistic: Statistic | None = None) -> Samples:
        """Finish per pixel (y, x): the sums, and whatever else a statistic needs."""
        more: dict[str, Any] = {}
        if statistic is None:
            return self._sums()
        if statistic.bin_frames:
            return self._of_bins(statistic)
        for key in statistic.declaration.needs & set(self.tracks):
            more[key] = self._finish_track(self.tracks[key])
        if "correlation" in statistic.declaration.needs:
            more["correlation"] = self.correlations[statistic.period].image()
        return replace(self._sums(), **more)

    def _of_bins(self, statistic: Statistic) -> Samples:
        """Finish sums of bins; those of integers are sums of their frames and become means here."""
        samples = self.binned[statistic.bin_frames].sums.samples(
            replace(statistic, parameters=_without_bins(statistic))
        )
        if self.is_float:
            return samples
        length = statistic.bin_frames
        return replace(
            samples,
            maximum=None if samples.maximum is None else samples.maximum / length,
            spread=None if samples.spread is None else samples.spread / length**2,
        )

    def _finish_track(self, track: Peaks | Changes | Cubes) -> Any:
        if isinstance(track, Peaks):
            return track.position
        if isinstance(track, Changes):
            count, deviations = track.samples()
            return Samples(count=count, spread=deviations)
        if track.sums:
            return track.sums[3]
        high = self.images.get("squares_high")
        low = self.images["squares_low"]
        return third_moment(
            self.frames,
            self.images["total"],
            np.zeros_like(low) if high is None else high,
            low,
            track.high,
            track.low,
        )

    def _sums(self) -> Samples:
        """Return counts, totals, squared deviations and extremes."""
        if not self.is_float:
            low, high = self.images.get("squares_low"), self.images.get("squares_high")
            total = self.images.get("total")
            deviations = None
            if low is not None:
                deviations = spread(np.int64(self.frames), total, np.uint64(0) if high is None else high, low)
            extremes = {key: self.images[key] for key in ("minimum", "maximum") if key in self.images}
            return Samples(count=np.int64(self.frames), total=total, spread=deviations, **extremes)
        whole = self._collapse()
        missing = whole.number == 0
        extremes = {
            key: np.where(missing, np.nan, self.images[key].astype(np.float64))
            for key in ("minimum", "maximum")
            if key in self.images
        }
        return Samples(count=whole.number, total=whole.total, spread=whole.squares, **extremes)

    def _open_leaf(self, leaf: int) -> OpenLeaf:
        if leaf not in self.leaves:
            self.leaves[leaf] = (0, OpenLeaf.empty(self.shape))
        return self.leaves[leaf][1]

    def _insert(self, size: int, first: int, sums: Leaf) -> None:
        """Put a finished node into the tree; two brothers become their parent, the earlier one first."""
        while True:
            brother = first - size if (first // size) % 2 else first + size
            other = self.nodes.pop((size, brother), None)
            if other is None:
                self.nodes[size, first] = sums
                return
            sums = merged(other, sums) if brother < first else merged(sums, other)
            size, first = 2 * size, min(first, brother)

    def _collapse(self) -> Leaf:
        """Merge what is left, later parts into earlier ones, from the end."""
        by_leaf = {first: sums for (_, first), sums in self.nodes.items()}
        by_leaf |= {leaf: sums.closed() for leaf, (_, sums) in self.leaves.items()}
        parts = [by_leaf[leaf] for leaf in sorted(by_leaf)]
        whole = parts.pop()
        while parts:
            whole = merged(parts.pop(), whole)
        return whole


def _without_bins(statistic: Statistic) -> tuple[tuple[str, float], ...]:
    """Return the parameters of a statistic as its bins see them: bins in place of frames."""
    parameters = {key: value for key, value in statistic.parameters if key != "bin_frames"}
    if "detrend_frames" in parameters:
        parameters["detrend_frames"] = float(statistic.period)
    return tuple(parameters.items())


def new_moments(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    needs: frozenset[str],
    periods: tuple[int, ...] = (),
    bins: tuple[BinNeeds, ...] = (),
) -> Moments:
    """Return sums of nothing yet for images of a shape; `needs` are fields of `Samples`, `periods` those of correlations."""
    moments = Moments(shape, dtype, needs)
    kinds: dict[str, type[Peaks | Changes | Cubes]] = {"position": Peaks, "changes": Changes, "cubes": Cubes}
    moments.tracks = {key: kind.new(shape, dtype) for key, kind in kinds.items() if key in needs}
    moments.correlations = {period: Correlation(shape, dtype, period) for period in periods}
    for one in bins:
        inner = new_moments(shape, bin_dtype(dtype), one.needs, one.periods)
        moments.binned[one.frames] = Binned(shape, dtype, one.frames, inner)
    integer = not moments.is_float
    if integer and needs & {"total", "spread"}:
        moments.images["total"] = np.zeros(shape, np.int64)
    if integer and "spread" in needs:
        moments.images["squares_low"] = np.zeros(shape, np.uint64)
        if dtype.itemsize == 4:
            moments.images["squares_high"] = np.zeros(shape, np.uint64)
    lowest, highest = _range(dtype)
    if "minimum" in needs:
        moments.images["minimum"] = np.full(shape, highest, dtype)
    if "maximum" in needs:
        moments.images["maximum"] = np.full(shape, lowest, dtype)
    return moments


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Merge sums over different frames of the same image. The parts are left as they were."""
    first = parts[0]
    if len(parts) == 1:
        return first
    whole = new_moments(first.shape, first.dtype, first.needs, tuple(first.correlations))
    whole.binned = {frames: one.copy(Moments.copy) for frames, one in first.binned.items()}
    for part in parts:
        for frames, one_bin in part.binned.items():
            if part is not first:
                whole.binned[frames].merge(one_bin, lambda one, other: merge_moments([one, other]))
        for key, track in part.tracks.items():
            whole.tracks[key].merge(track)  # type: ignore[arg-type]
        for period, one in part.correlations.items():
            whole.correlations[period].merge(one)
        whole.frames += part.frames
        for key, image in part.images.items():
            _merge_image(key, whole.images, image)
        if "squares_high" in part.images:
            carry = whole.images["squares_low"] < part.images["squares_low"]
            whole.images["squares_high"] += carry
        for (size, leaf), sums in part.nodes.items():
            whole._insert(size, leaf, sums)
        whole.leaves.update(part.leaves)
    return whole


def moment_bytes(
    dtype: np.dtype[Any],
    needs: frozenset[str],
    periods: tuple[int, ...] = (),
    bins: tuple[BinNeeds, ...] = (),
) -> int:
    """Bytes per pixel that sums of this kind take."""
    inner = sum(bin_bytes(dtype) + moment_bytes(bin_dtype(dtype), one.needs, one.periods) for one in bins)
    tracks = {"position": 8 + dtype.itemsize, "changes": 2 * dtype.itemsize + 40, "cubes": 32}
    more = sum(tracks[key] for key in needs & set(tracks)) + len(periods) * correlation_bytes(dtype)
    return inner + more + _sum_bytes(dtype, needs)


def in_order(dtype: np.dtype[Any], needs: frozenset[str], bins: tuple[BinNeeds, ...] = ()) -> bool:
    """Whether sums go on from frame to frame and cannot be merged."""
    if bins and not merges_bins(dtype):
        return True
    return np.issubdtype(dtype, np.floating) and bool(needs & {"changes", "cubes", "correlation"})


def _sum_bytes(dtype: np.dtype[Any], needs: frozenset[str]) -> int:
    if np.issubdtype(dtype, np.floating):
        return 8 * (5 + 4 * 2) + 2 * dtype.itemsize
    squares = (8 if dtype.itemsize < 4 else 16) if "spread" in needs else 0
    return 8 + squares + dtype.itemsize * len(needs & {"minimum", "maximum"})


def _merge_image(key: str, images: dict[str, NDArray[Any]], more: NDArray[Any]) -> None:
    if key == "minimum":
        np.minimum(images[key], more, out=images[key])
    elif key == "maximum":
        np.maximum(images[key], more, out=images[key])
    else:
        images[key] += more


def _range(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if np.issubdtype(dtype, np.floating):
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max
