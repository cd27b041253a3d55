from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError, BudgetError, FormatError
from roitrace.projection import project
from tests.references import expected_projection
from tests.strategies import INTEGER_DTYPES, chunkings, samples, shapes, sources

PROJECTIONS = (
    stat.mean(),
    stat.sum(),
    stat.min(),
    stat.max(),
    stat.std(),
    stat.var(),
    stat.std(ddof=1, name="sd1"),
)
MOVIE = np.random.default_rng(1).integers(0, 2**16, (30, 6, 8), dtype=np.uint16)


def labelled(values, **coords) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords)


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(max_frames=20, max_side=6), st.booleans())
def test_projections_are_what_the_definitions_say(data, shape, skipna):
    values = data.draw(samples(shape))
    array = (
        as_dask(data.draw(sources(values)))
        if data.draw(st.booleans())
        else da.from_array(values, chunks=data.draw(chunkings(shape)))
    )
    result = project(labelled(array), PROJECTIONS, skipna=skipna).compute(scheduler="sync")
    assert list(result) == [one.name for one in PROJECTIONS]
    for one in PROJECTIONS:
        expected_projection(values, one, skipna=skipna).check(result[one.name].values)


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_long_recordings_of_extreme_samples_stay_exact(dtype):
    # Sums beyond 2^53 and squares beyond 2^64: a float64 or a single limb would round or wrap.
    limits = np.iinfo(dtype)
    values = np.full((5000, 1, 2), limits.max, dtype)
    values[:, 0, 1] = limits.min
    values[::7] = limits.max - 1
    result = project(labelled(da.from_array(values, chunks=(999, 1, 1))), PROJECTIONS).compute(
        scheduler="sync"
    )
    for one in PROJECTIONS:
        expected_projection(values, one).check(result[one.name].values)


def test_one_request_or_several_give_the_same():
    together = project(labelled(MOVIE), PROJECTIONS).compute()
    for one in PROJECTIONS:
        np.testing.assert_array_equal(project(labelled(MOVIE), one).compute()[one.name], together[one.name])
    xr.testing.assert_equal(project(labelled(MOVIE)).compute(), together[["mean", "max"]])


def test_images_carry_the_frame_and_say_what_they_are():
    y = ("y", np.arange(6) * 0.5, {"units": "micrometer"})
    recording = labelled(MOVIE, y=y, x=np.arange(8.0)).assign_attrs(frame_rate=5.0)
    result = project(recording, ("var", stat.std(ddof=1)))
    assert result.attrs == {"frame_rate": 5.0}
    assert result["var"].attrs == {
        "long_name": "var(ddof=0) over time",
        "units": "count^2",
        "statistic": "var(ddof=0)",
    }
    assert result["std"].dims == ("y", "x")
    assert result["std"]["y"].attrs["units"] == "micrometer"
    assert result["std"].dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: project(MOVIE), ArgumentError, "the recording is a ndarray"),
        (
            lambda: project(labelled(MOVIE).transpose("time", "x", "y")),
            ArgumentError,
            "expected .'time', 'y', 'x'.",
        ),
        (lambda: project(labelled(MOVIE)[:, :0]), ArgumentError, "the recording is empty"),
        (lambda: project(labelled(MOVIE.astype("complex64"))), FormatError, "complex64"),
        (
            lambda: project(labelled(MOVIE), ("mean", "trimmed_mean")),
            ArgumentError,
            "no projection over time",
        ),
        (lambda: project(labelled(MOVIE), "maximum"), ArgumentError, "there is no statistic 'maximum'"),
        (lambda: project(labelled(MOVIE), budget=2**20), BudgetError, "the budget is 1.0 MiB"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
