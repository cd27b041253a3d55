"""Traces to test with, and a scheduler that proves that nothing is computed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike


def labelled(
    values: ArrayLike,
    *,
    rate: float | None = 10.0,
    time: ArrayLike | None = None,
    session: ArrayLike | None = None,
    name: str | None = "mean",
) -> xr.DataArray:
    """Label values ``(roi, time)`` as `extract` does; without a rate, time counts frames."""
    array = np.atleast_2d(np.asarray(values))
    frames = np.arange(array.shape[1], dtype=np.float64)
    if time is None:
        time = frames if rate is None else frames / rate
    trace = xr.DataArray(
        array,
        dims=("roi", "time"),
        coords={
            "roi": [f"cell {number}" for number in range(len(array))],
            "roi_id": ("roi", np.arange(1, len(array) + 1)),
            "time": ("time", np.asarray(time, dtype=np.float64), {"units": "1" if rate is None else "s"}),
        },
        name=name,
        attrs={} if rate is None else {"frame_rate": rate},
    )
    return trace if session is None else trace.assign_coords(session=("time", np.asarray(session)))


@st.composite
def trace_values(draw: st.DrawFn, *, max_rois: int = 3, max_frames: int = 60, missing: bool = True) -> Any:
    """Values ``(roi, time)``: smooth, noisy or coarse (with ties), some samples missing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, max_rois)), draw(st.integers(1, max_frames)))
    kind = draw(st.sampled_from(["noise", "walk", "coarse", "constant"]))
    values = rng.normal(100.0, 10.0, shape)
    if kind == "walk":
        values = 100.0 + values.cumsum(axis=1) / 10.0
    elif kind == "coarse":
        values = np.round(values / 10.0)
    elif kind == "constant":
        values = np.full(shape, 7.1)
    if missing and draw(st.booleans()):
        values[rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 1.0]))] = draw(
            st.sampled_from([np.nan, np.inf, -np.inf])
        )
    return values


@st.composite
def borders_within(draw: st.DrawFn, n_frames: int) -> Any:
    """Where up to four segments begin, and the number of frames."""
    inner = draw(st.sets(st.integers(1, n_frames - 1), max_size=3)) if n_frames > 1 else set()
    return np.array([0, *sorted(inner), n_frames], dtype=np.int64)


@st.composite
def chunked(draw: st.DrawFn, trace: xr.DataArray) -> xr.DataArray:
    """The same trace in irregular chunks along all its dims."""
    chunks = {}
    for dim, size in trace.sizes.items():
        cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=3))) if size > 1 else []
        chunks[dim] = tuple(int(step) for step in np.diff([0, *cuts, size]))
    return trace.chunk(chunks)


@contextmanager
def nothing_computed() -> Iterator[None]:
    """Fail where a dask graph is computed."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a graph was computed")

    with dask.config.set(scheduler=refuse):
        yield
