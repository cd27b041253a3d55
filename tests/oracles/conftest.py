from __future__ import annotations

from itertools import accumulate, cycle, takewhile

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from tests.shared_data import DATA

NEUHOF = DATA / "neurofinder_neuhof"


def pieces(size, steps):
    """Chunks of unequal sizes, taken in turn from `steps`, that fill an axis."""
    ends = list(takewhile(lambda end: end < size, accumulate(cycle(steps))))
    return tuple(int(piece) for piece in np.diff([0, *ends, size]))


@pytest.fixture(scope="session")
def cut():
    """Cut a movie ``(time, y, x)`` into lazy blocks of unequal sizes."""

    def cut(movie):
        recording = movie if isinstance(movie, xr.DataArray) else xr.DataArray(movie, dims=("time", "y", "x"))
        time, y, x = recording.shape
        return recording.chunk(
            time=pieces(time, (7, 131, 40)), y=pieces(y, (59, 13, 90)), x=pieces(x, (101, 33))
        )

    return cut


@pytest.fixture(scope="session", params=["file", "irregular blocks"])
def neuhof(request, cut):
    """The two-photon recording, lazy: as it lies on disk, or in irregular blocks."""
    recording = rt.open_recording(NEUHOF / "movie_600x240x240_u16.tif")
    return recording if request.param == "file" else cut(recording.compute())


@pytest.fixture(scope="session")
def reference():
    """Arrays that other software computed from the two-photon recording."""
    return lambda name: np.load(NEUHOF / "reference" / name)
