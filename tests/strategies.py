"""Recordings and ROIs of every kind that is supported, for property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from roitrace.rois import Rois
from roitrace.sources import SAMPLE_DTYPES, BlockSource, Window
from tests.block_sources import ArraySource

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTEGER_DTYPES = tuple(name for name in SAMPLE_DTYPES if "int" in name)
FLOAT_DTYPES = ("float32", "float64")

Shape = tuple[int, int, int]


@st.composite
def shapes(draw: st.DrawFn, *, max_frames: int = 40, max_side: int = 9) -> Shape:
    """Shape ``(time, y, x)`` from one frame and one pixel on."""
    sides = st.integers(1, max_side)
    return draw(st.integers(1, max_frames)), draw(sides), draw(sides)


@st.composite
def samples(
    draw: st.DrawFn, shape: Shape, *, dtypes: tuple[str, ...] = SAMPLE_DTYPES, infinite: bool = True
) -> NDArray[Any]:
    """Samples ``(time, y, x)``: the whole range, its ends, or few values with ties; floats with NaN and infinities."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype.kind == "f":
        return draw(_floats(shape, dtype, rng, infinite=infinite))
    limits = np.iinfo(dtype)
    kind = draw(st.sampled_from(["range", "ends", "top", "few"]))
    if kind == "ends":
        return rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), shape)
    low = {"range": limits.min, "top": limits.max - 3, "few": 0}[kind]
    high = limits.max if kind != "few" else 3
    return rng.integers(low, high, shape, dtype, endpoint=True)


@st.composite
def _floats(
    draw: st.DrawFn, shape: Shape, dtype: np.dtype[Any], rng: np.random.Generator, *, infinite: bool
) -> NDArray[Any]:
    level = draw(st.sampled_from([0.0, 1.0, 1e6]))
    values = rng.normal(level, 10.0, shape).astype(dtype)
    missing = draw(st.sampled_from(["none", "some", "frames", "pixels", "all"]))
    if missing == "some":
        values[rng.random(shape) < draw(st.sampled_from([0.02, 0.1, 0.6]))] = np.nan
    elif missing == "frames":
        values[rng.random(shape[0]) < 0.4] = np.nan
    elif missing == "pixels":
        values[:, rng.random(shape[1:]) < 0.4] = np.nan
    elif missing == "all":
        values[:] = np.nan
    if infinite and draw(st.integers(0, 3)) == 0:
        values[rng.random(shape) < 0.1] = draw(st.sampled_from([np.inf, -np.inf]))
    return values


@st.composite
def chunkings(draw: st.DrawFn, shape: tuple[int, ...], *, max_cuts: int = 4) -> tuple[tuple[int, ...], ...]:
    """Irregular dask chunks."""
    chunks = []
    for size in shape:
        cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=max_cuts))) if size > 1 else []
        chunks.append(tuple(int(step) for step in np.diff([0, *cuts, size])))
    return tuple(chunks)


@st.composite
def sources(draw: st.DrawFn, values: NDArray[Any], log: str = "") -> BlockSource:
    """A source that holds `values`, on any native chunk grid, beginning anywhere inside a chunk."""
    chunks = tuple(draw(st.integers(1, size + 2)) for size in values.shape)
    before = tuple(draw(st.integers(0, 5)) for _ in range(3))
    after = tuple(draw(st.integers(0, 3)) for _ in range(3))
    if not any(before) and not any(after):
        return ArraySource(values, chunks, log)
    padding = list(zip(before, after, strict=True))
    around = ArraySource(np.pad(values, padding, constant_values=99), chunks, log)
    return Window(around, before, values.shape)


@st.composite
def roi_pixels(draw: st.DrawFn, frame: tuple[int, int], *, max_rois: int = 6) -> list[NDArray[np.int64]]:
    """Lists of pixels (n, 2): single pixels, scattered sets, the whole frame, none; overlapping, in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    everything = np.stack(np.unravel_index(np.arange(frame[0] * frame[1]), frame), axis=1)
    rows = []
    for _ in range(draw(st.integers(0, max_rois))):
        size = draw(st.sampled_from(["none", "one", "some", "most", "all"]))
        part = {"none": 0, "one": 1, "some": 5, "most": len(everything) * 3 // 4, "all": len(everything)}[
            size
        ]
        rows.append(rng.permutation(everything)[:part])
    return rows


@st.composite
def roi_sets(draw: st.DrawFn, frame: tuple[int, int], *, weighted: bool | None = None) -> Rois:
    """Rois of a frame, with or without weights."""
    pixels = draw(roi_pixels(frame))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has_weights = draw(st.booleans()) if weighted is None else weighted
    weights = [rng.random(len(row)) + 1e-3 for row in pixels] if has_weights else None
    for row in weights or []:
        row[1:][rng.random(row.size - 1 if row.size else 0) < 0.2] = 0.0
    return Rois.from_pixels(pixels, shape=frame, weights=weights)
