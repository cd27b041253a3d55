from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.errors import AlignmentError, ArgumentError, BudgetError, FormatError, LazyInputError
from roitrace.extraction import STATUS_FLAGS, extract, pixel_traces
from roitrace.rois import Rois
from tests.references import expected_projection, expected_traces
from tests.strategies import chunkings, roi_sets, samples, shapes, sources

STATISTICS = (
    stat.mean(),
    stat.sum(),
    stat.min(),
    stat.max(),
    stat.std(),
    stat.var(ddof=1),
    stat.median(),
    stat.percentile(90, name="p90"),
    stat.percentile(8, name="p8"),
    stat.trimmed_mean(0.1),
    stat.trimmed_mean(0.25, name="trim25"),
    stat.winsorized_mean(0.2),
)
PROJECTIONS = (stat.mean(), stat.max(), stat.std(name="sd"))


def labelled(values, **coords) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords)


def rows_of(rois: Rois) -> list[np.ndarray]:
    return [rois.coordinates(number).to_yx() for number in range(len(rois))]


MOVIE = np.random.default_rng(1).integers(0, 2**16, (30, 6, 8), dtype=np.uint16)


# -- equal to NumPy and SciPy -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(max_frames=12))
def test_traces_and_projections_are_what_the_definitions_say(data, shape):
    values = data.draw(samples(shape))
    rois = data.draw(roi_sets(shape[1:]))
    skipna = data.draw(st.booleans())
    coverage = data.draw(st.sampled_from([0.9, 0.5, 0.0, 1.0]))
    array = (
        as_dask(data.draw(sources(values)))
        if data.draw(st.booleans())
        else da.from_array(values, chunks=data.draw(chunkings(shape)))
    )
    asked = [*STATISTICS, *([stat.weighted_mean()] if rois.weights is not None else [])]
    options = {"projections": PROJECTIONS, "skipna": skipna, "min_coverage": coverage}
    result = extract(labelled(array), rois, asked, **options).compute(scheduler="sync")

    weights = None if rois.weights is None else [rois.row_weights(number) for number in range(len(rois))]
    for one in asked:
        expected = expected_traces(
            values, rows_of(rois), one, weights=weights, skipna=skipna, min_coverage=coverage
        )
        expected.check(result[one.name].values)
    for one in PROJECTIONS:
        expected_projection(values, one, skipna=skipna).check(result[f"projection_{one.name}"].values)
    np.testing.assert_array_equal(result["n_pixels"], rois.n_pixels)
    if values.dtype.kind == "f":
        valid = [(~np.isnan(values[:, row[:, 0], row[:, 1]])).sum(axis=1) for row in rows_of(rois)]
        np.testing.assert_array_equal(result["n_valid"], np.reshape(valid, (len(rois), shape[0])))
    else:
        assert "n_valid" not in result


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes())
def test_pixel_traces_are_fancy_indexing(data, shape):
    values = data.draw(samples(shape))
    rois = data.draw(roi_sets(shape[1:]))
    array = (
        as_dask(data.draw(sources(values)))
        if data.draw(st.booleans())
        else da.from_array(values, chunks=data.draw(chunkings(shape)))
    )
    matrix = pixel_traces(labelled(array), rois).compute(scheduler="sync")
    assert matrix.dtype == values.dtype
    expected = values[:, matrix["y_index"].values, matrix["x_index"].values].T
    np.testing.assert_array_equal(matrix.values, expected)
    flat = matrix["y_index"].values * shape[2] + matrix["x_index"].values
    np.testing.assert_array_equal(flat, rois.pixels)
    np.testing.assert_array_equal(matrix["roi"], np.repeat(rois.names, rois.n_pixels))


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8", "<u2"])
def test_foreign_byte_order(dtype):
    values = MOVIE.astype(dtype)
    rois = Rois.from_labels(np.arange(48).reshape(6, 8) // 9)
    expected = extract(labelled(values.astype(np.dtype(dtype).newbyteorder("="))), rois, STATISTICS).compute()
    for array in (values, da.from_array(values, chunks=(7, 4, 5))):
        result = extract(labelled(array), rois, STATISTICS, projections="mean").compute(scheduler="sync")
        xr.testing.assert_equal(result[list(expected)], expected)
        matrix = pixel_traces(labelled(array), rois)
        assert matrix.dtype.isnative
        np.testing.assert_array_equal(matrix[:, 0], values[0].ravel()[rois.pixels])


@pytest.mark.parametrize("weights", [None, "rois", "own"])
def test_only_weighted_statistics_use_weights(weights):
    mask = np.ones((6, 8), bool)
    w = np.linspace(0, 1, 48)
    rois = Rois.from_mask(mask).with_weights(w if weights == "rois" else None)
    asked = [
        "mean",
        "median",
        *([stat.weighted_mean(weights=w if weights == "own" else None)] if weights else []),
    ]
    result = extract(labelled(MOVIE), rois, asked).compute()
    flat = MOVIE.reshape(30, -1).astype(float)
    np.testing.assert_array_equal(result["mean"][0], flat.sum(axis=1) / 48)
    np.testing.assert_array_equal(result["median"][0], np.median(flat, axis=1))
    if weights:
        np.testing.assert_allclose(
            result["weighted_mean"][0], np.average(flat, axis=1, weights=w), rtol=1e-12
        )


def test_several_weightings_at_once():
    rois = Rois.from_labels(np.repeat([[1, 2]], 6, axis=0).repeat(4, axis=1)).with_weights(np.arange(1.0, 49))
    a, b = np.random.default_rng(0).random((2, 48))
    asked = (
        stat.weighted_mean(),
        stat.weighted_mean(weights=a, name="a"),
        stat.weighted_mean(weights=b, name="b"),
        stat.weighted_mean(weights=a, name="a2"),
    )
    result = extract(labelled(MOVIE), rois, asked).compute()
    for name, weights in (("weighted_mean", rois.weights), ("a", a), ("b", b), ("a2", a)):
        for number, row in enumerate(rows_of(rois)):
            own = weights[rois.indptr[number] : rois.indptr[number + 1]]
            expected = np.average(MOVIE[:, row[:, 0], row[:, 1]].astype(float), axis=1, weights=own)
            np.testing.assert_allclose(result[name][number], expected, rtol=1e-12)


def test_the_defaults():
    plain = extract(labelled(MOVIE), Rois.from_mask(np.eye(6, 8, dtype=bool)))
    assert [name for name in plain if plain[name].dims == ("roi", "time")] == [
        "mean",
        "median",
        "trimmed_mean",
    ]
    assert plain.attrs["primary"] == "mean"
    weighted = extract(labelled(MOVIE), Rois.from_mask(np.eye(6, 8, dtype=bool)).with_weights(np.ones(6)))
    assert "weighted_mean" in weighted
    assert extract(labelled(MOVIE), np.ones((6, 8), bool), ("max", "median")).attrs["primary"] == "max"


def test_proportion_to_cut_is_for_statistics_asked_for_by_name():
    result = extract(
        labelled(MOVIE),
        np.ones((6, 8), bool),
        ("trimmed_mean", "winsorized_mean", stat.trimmed_mean(0.3, name="own")),
        proportion_to_cut=0.2,
    )
    assert (result["n_cut_trimmed_mean"].item(), result["n_cut_winsorized_mean"].item()) == (9, 9)
    assert result["n_cut_own"].item() == 14
    assert result["trimmed_mean"].attrs["statistic"] == "trimmed_mean(proportion_to_cut=0.2)"


# -- labels -------------------------------------------------------------------------------------------------------


def test_labels_are_those_of_recording_and_rois():
    time = ("time", np.arange(30) / 5, {"units": "s"})
    y, x = (
        ("y", np.arange(6) * 0.5, {"units": "micrometer"}),
        ("x", np.arange(8) * 0.5, {"units": "micrometer"}),
    )
    recording = labelled(MOVIE, time=time, y=y, x=x).assign_attrs(frame_rate=5.0, secret="not carried")
    pixels = [[[0, 0]], [[5, 7], [1, 1]]]
    rois = Rois.from_pixels(pixels, frame=recording, names=["a", "b"], ids=[7, 3], accepted=[True, False])
    result = extract(recording, rois, "mean", projections="max").compute()
    assert result["roi"].values.tolist() == ["a", "b"]
    assert result["roi_id"].values.tolist() == [7, 3]
    assert result["accepted"].values.tolist() == [True, False]
    assert result["time"].attrs["units"] == "s"
    assert result.attrs == {"frame_rate": 5.0, "primary": "mean"}
    assert result["projection_max"].dims == ("y", "x")
    np.testing.assert_array_equal(result["projection_max"]["y"], recording["y"])
    assert result["status"].attrs["flag_masks"] == [1 << n for n in range(len(STATUS_FLAGS))]
    assert result["status"].attrs["flag_meanings"].split() == list(STATUS_FLAGS)
    matrix = pixel_traces(recording, rois)
    assert matrix["y"].values.tolist() == [0.0, 0.5, 2.5]
    assert matrix["x"].values.tolist() == [0.0, 0.5, 3.5]
    assert matrix.attrs["frame_rate"] == 5.0


# -- NaN with a reason --------------------------------------------------------------------------------------------


def status_of(result, roi) -> set[str]:
    bits = int(result["status"].sel(roi=roi))
    return {name for name, mask in STATUS_FLAGS.items() if bits & mask}


def test_every_roi_without_a_trace_says_why():
    movie = np.random.default_rng(2).normal(100, 5, (5, 6, 8))
    movie[:, 5, 7] = np.nan
    pixels = {
        "empty": [],
        "gone": [[9, 9], [-1, 0]],
        "part": [[0, 0], [0, 1], [7, 7]],
        "shared": [[2, 2], [2, 3]],
        "sharing": [[2, 2], [2, 3], [2, 4]],
        "dark": [[5, 7]],
        "fine": [[y, x] for y in (0, 1) for x in range(2, 8)],
    }
    rois = Rois.from_pixels(
        [np.array(one).reshape(-1, 2).astype(int) for one in pixels.values()],
        shape=(6, 8),
        names=list(pixels),
        off_frame="drop",
    )
    result = extract(labelled(movie), rois, ("mean", "median", "trimmed_mean"), overlap="exclude").compute()
    assert {name: status_of(result, name) for name in pixels} == {
        "empty": {"empty"},
        "gone": {"off_frame"},
        "part": {"partly_off_frame", "no_trim"},
        "shared": {"excluded"},
        "sharing": {"no_trim"},
        "dark": {"all_nan", "no_trim"},
        "fine": set(),
    }
    assert result["n_pixels"].values.tolist() == [0, 0, 2, 0, 1, 1, 12]
    for name in ("empty", "gone", "shared", "dark"):
        for statistic in ("mean", "median", "trimmed_mean"):
            assert np.isnan(result[statistic].sel(roi=name)).all()
    np.testing.assert_array_equal(result["mean"].sel(roi="sharing"), movie[:, 2, 4])


def test_kept_overlaps_count_for_each():
    rois = Rois.from_pixels([[[2, 2], [2, 3]], [[2, 3], [2, 4]]], shape=(6, 8))
    result = extract(labelled(MOVIE), rois, "sum").compute()
    np.testing.assert_array_equal(result["sum"][0], MOVIE[:, 2, 2:4].sum(axis=1, dtype=float))
    np.testing.assert_array_equal(result["sum"][1], MOVIE[:, 2, 3:5].sum(axis=1, dtype=float))
    assert result["overlap_fraction"].values.tolist() == [0.5, 0.5]


def test_a_recording_without_rois():
    nothing = Rois.from_labels(np.zeros((6, 8), int))
    for array in (MOVIE, MOVIE.astype("f4")):
        result = extract(labelled(array), nothing, STATISTICS, projections="mean").compute()
        assert result["mean"].shape == (0, 30)
        np.testing.assert_array_equal(result["projection_mean"], array.sum(axis=0, dtype=float) / 30)
        assert pixel_traces(labelled(array), nothing).compute().shape == (0, 30)


def test_a_crop_keeps_the_rois_and_counts_what_fell_off():
    y, x = np.arange(6) * 1.0, np.arange(8) * 1.0
    recording = labelled(MOVIE, y=y, x=x)
    rois = Rois.from_pixels(
        [[[0, 0]], [[0, 5], [3, 3]], [[4, 4]]], frame=recording, names=["out", "half", "in"]
    )
    crop = recording.isel(y=slice(2, 6), x=slice(1, 7))
    result = extract(crop, rois, "mean").compute()
    assert result["n_pixels"].values.tolist() == [0, 1, 1]
    assert [status_of(result, name) for name in rois.names] == [{"off_frame"}, {"partly_off_frame"}, set()]
    np.testing.assert_array_equal(result["mean"].sel(roi="in"), MOVIE[:, 4, 4])


def test_skipna_false_makes_a_frame_with_any_nan_nan():
    movie = np.ones((3, 2, 2))
    movie[1, 0, 0] = np.nan
    result = extract(
        labelled(movie), np.ones((2, 2), bool), ("mean", "median", "max"), skipna=False, projections="max"
    ).compute()
    for name in ("mean", "median", "max"):
        assert np.isnan(result[name][0]).values.tolist() == [False, True, False]
    assert np.isnan(result["projection_max"]).values.tolist() == [[True, False], [False, False]]


# -- refused ------------------------------------------------------------------------------------------------------

MASK = np.ones((6, 8), bool)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: extract(MOVIE, MASK),
            ArgumentError,
            "the recording is a ndarray, expected an xarray.DataArray",
        ),
        (lambda: extract(labelled(MOVIE).to_dataset(name="f"), MASK), ArgumentError, "is a Dataset"),
        (
            lambda: extract(labelled(MOVIE).transpose("y", "x", "time"), MASK),
            ArgumentError,
            r"dims \('y', 'x', 'time'\).*transpose",
        ),
        (lambda: extract(labelled(MOVIE)[0], MASK), ArgumentError, r"dims \('y', 'x'\)"),
        (
            lambda: extract(labelled(MOVIE).expand_dims(channel=2, axis=1), MASK),
            ArgumentError,
            r"isel\(channel=0\)",
        ),
        (lambda: extract(labelled(MOVIE)[:0], MASK), ArgumentError, "the recording is empty"),
        (
            lambda: extract(labelled(MOVIE.astype("int64")), MASK),
            FormatError,
            "int64 samples, expected one of uint8",
        ),
        (lambda: extract(labelled(MOVIE > 5), MASK), FormatError, "bool samples"),
        (lambda: extract(labelled(MOVIE), MASK[:3]), AlignmentError, "3 x 8 pixels"),
        (lambda: extract(labelled(MOVIE), MASK, "meen"), ArgumentError, "did you mean 'mean'"),
        (lambda: extract(labelled(MOVIE), MASK, ()), ArgumentError, "no statistic was asked for"),
        (
            lambda: extract(labelled(MOVIE), MASK, ("mean", "mean")),
            ArgumentError,
            "two statistics are named 'mean'",
        ),
        (
            lambda: extract(labelled(MOVIE), MASK, "weighted_mean"),
            ArgumentError,
            "'weighted_mean' needs weights",
        ),
        (lambda: extract(labelled(MOVIE), MASK, overlap="drop"), ArgumentError, "overlap='drop'"),
        (lambda: extract(labelled(MOVIE), MASK, min_coverage=1.5), ArgumentError, "min_coverage=1.5"),
        (lambda: extract(labelled(MOVIE), MASK, proportion_to_cut=0.5), ArgumentError, "out of range"),
        (
            lambda: extract(labelled(MOVIE), MASK, projections="weighted_mean"),
            ArgumentError,
            "no projection over time",
        ),
        (lambda: extract(labelled(MOVIE), MASK, budget="100 MiB"), BudgetError, "the budget is 100.0 MiB"),
        (lambda: extract(labelled(MOVIE), MASK, budget="much"), ArgumentError, "no amount of memory"),
        (
            lambda: extract(labelled(MOVIE), MASK, stat.weighted_mean(weights=np.ones(3))),
            ArgumentError,
            "weights for 48 pixels",
        ),
        (
            lambda: extract(labelled(MOVIE), xr.DataArray(MASK, dims=("y", "x")).chunk()),
            LazyInputError,
            "lazy",
        ),
        (lambda: extract(labelled(MOVIE), MASK.astype(float)), ArgumentError, "float64, expected integers"),
        (lambda: pixel_traces(MOVIE, MASK), ArgumentError, "the recording is a ndarray"),
        (lambda: pixel_traces(labelled(MOVIE), MASK[:3]), AlignmentError, "3 x 8 pixels"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "name", ["status", "n_pixels", "n_valid", "roi", "time", "overlap_fraction", "projection_max"]
)
def test_statistics_may_not_take_the_names_of_other_results(name):
    with pytest.raises(ArgumentError, match=f"{name!r} is the name of another result"):
        extract(labelled(MOVIE), MASK, stat.mean(name=name), projections="max")
