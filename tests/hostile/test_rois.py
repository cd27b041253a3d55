"""ROI sets malformed in every way, through Python and through files: an error, or the trace of the pixels that are there."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.errors import ArgumentError, RoitraceError

SHAPE = (12, 12)
VALUES = np.random.default_rng(0).integers(0, 1000, (4, *SHAPE)).astype(np.uint16)
RECORDING = xr.DataArray(VALUES, dims=("time", "y", "x"))
GOOD = np.array([[1, 1], [2, 2]])
NAN, INF = np.nan, np.inf


def means(rois):
    """Mean traces, as the package computes them."""
    return rt.extract(RECORDING, rois, statistics=("mean",))["mean"].values


@pytest.mark.parametrize(
    "pixels",
    [
        [[[0, 0], [12, 0]]], [[[-1, 0]]], [[[1, 1], [1, 1]]], [[[1.0, 1.0]]], [[[1.5, 1]]], [[[NAN, 1]]], [[[INF, 1]]], [[[2**62, 1]]],
        [[[1, 1, 1]]], [[1, 1]], [[[None, 1]]], [[["1", "2"]]], [[[True, False]]], [[[1j, 0]]], [np.array([[2**64 - 1, 0]], np.uint64)],
        [[[1, 2], [3]]], [np.array([["2020", "2021"]], "M8[D]")], ["ab"], 5, None, "abc", [[[2**32, 2**32]]],
    ],
    ids=str,
)  # fmt: skip
def test_pixels(pixels):
    with pytest.raises(ArgumentError):
        rt.Rois.from_pixels(pixels, shape=SHAPE)


@pytest.mark.parametrize("pixels", [[], [[]], [np.zeros((0, 2), int)], [GOOD, []]])
def test_empty_sets_give_nan_and_a_reason(pixels):
    rois = rt.Rois.from_pixels(pixels, shape=SHAPE)
    result = rt.extract(RECORDING, rois, statistics=("mean",)).compute()
    for number, yx in enumerate(pixels):
        assert bool(np.isnan(result["mean"][number]).all()) == (len(yx) == 0)
        assert bool(result["status"][number] != 0) == (len(yx) == 0)


def test_pixels_in_any_order_are_the_same_roi():
    one, other = (rt.Rois.from_pixels([yx], shape=SHAPE) for yx in (GOOD, GOOD[::-1]))
    np.testing.assert_array_equal(means(one), means(other))
    np.testing.assert_array_equal(means(one)[0], VALUES[:, GOOD[:, 0], GOOD[:, 1]].mean(1))


@pytest.mark.parametrize(
    "weights",
    [[1, NAN], [1, -1], [0, 0], [1], [1, INF], [[1, 1]], ["a", "b"], [None, 1], [1j, 1], np.array(["2020", "2021"], "M8[D]"), [[1], [1, 2]]],
    ids=str,
)  # fmt: skip
def test_weights(weights):
    with pytest.raises(ArgumentError):
        rt.Rois.from_pixels([GOOD], shape=SHAPE, weights=[weights])


@pytest.mark.parametrize(
    "shape",
    [(-1, 5), (1.5, 2), (2**40, 2**40), (1, 2, 3), "ab", 7, (NAN, 1), (True, True), (12,), None],
    ids=str,
)
def test_shapes(shape):
    with pytest.raises(ArgumentError):
        rt.Rois.from_pixels([[[0, 0]]], shape=shape)


@pytest.mark.parametrize(
    "ids", [[1, 1], [1], [1.5, 2], ["a", "b"], [2**64, 1], [[1, 2]], np.array([2**63, 1], np.uint64)], ids=str
)
def test_ids(ids):
    with pytest.raises(ArgumentError):
        rt.Rois.from_pixels([GOOD, GOOD], shape=SHAPE, ids=ids)


@pytest.mark.parametrize("names", [["a", "a"], ["a"], ["", ""]])
def test_names(names):
    with pytest.raises(ArgumentError):
        rt.Rois.from_pixels([GOOD, GOOD], shape=SHAPE, names=names)


IMAGES = {
    "NaN": np.full(SHAPE, NAN), "fractions": np.eye(12) / 2, "objects": np.full(SHAPE, None, object), "texts": np.full(SHAPE, "a"),
    "negative": -np.eye(12, dtype=int), "three axes": np.ones((2, *SHAPE), int), "one axis": np.ones(12, int),
    "huge ids": np.eye(12, dtype=np.uint64) * np.uint64(2**63), "another frame": np.ones((11, 12), bool), "complex": np.eye(12) * 1j,
    "infinite": np.full(SHAPE, INF), "no pixels": np.zeros((0, 0), int),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    with pytest.raises(RoitraceError):
        means(IMAGES[name])


@pytest.mark.parametrize(
    "masks",
    [np.full((1, *SHAPE), NAN), -np.ones((1, *SHAPE)), np.full((1, *SHAPE), INF), np.ones(SHAPE), np.full((1, *SHAPE), None, object)],
    ids=["NaN", "negative", "infinite", "two axes", "objects"],
)  # fmt: skip
def test_masks(masks):
    with pytest.raises(ArgumentError):
        rt.Rois.from_masks(masks)


# -- through files --------------------------------------------------------------------------------------------------

odd = st.sampled_from(
    ["nan", "inf", "-inf", "", "x", "1.5", "1e400", "0x3", "-0", "1_0", "९", "99999999999999999999"]
)
index = st.integers(-3, 14) | st.integers(0, 11) | st.integers(0, 11) | st.integers(0, 11)


def as_numbers(rows):
    """The pairs as whole numbers, None if they are none."""
    try:
        numbers = [[float(one) for one in row] for row in rows]
        whole = [[int(one) for one in row] for row in numbers]
    except (ValueError, OverflowError):
        return None
    return np.array(whole).reshape(-1, 2) if numbers == whole else None


def judge(path, rows):
    """Read ROIs of one cell: an error, or exactly the mean of the given pixels on the frame."""
    said = []
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rois = rt.read_rois(path, recording=RECORDING, axis_order="yx")
            found = means(rois)
    except RoitraceError:
        return
    yx = as_numbers(rows)
    assert yx is not None, rows
    inside = yx[(yx >= 0).all(1) & (yx < 12).all(1)]
    assert len(np.unique(inside, axis=0)) == len(inside), (
        "pixels that are there twice were counted once, without a word"
    )
    assert len(inside) == len(yx) or any("lie off the frame" in str(one.message) for one in said)
    if len(rois):
        expected = VALUES[:, inside[:, 0], inside[:, 1]].mean(1) if len(inside) else np.full(4, NAN)
        np.testing.assert_array_equal(found[0], expected)


@settings(max_examples=60, deadline=None, database=None)
@given(rows=st.lists(st.tuples(index | odd, index | odd), min_size=1, max_size=5))
def test_csv(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text("roi,y_index,x_index\n" + "".join(f"1,{y},{x}\n" for y, x in rows))
    judge(path, rows)


number = index | st.sampled_from([1.0, 1.5, NAN, INF, 1e300, -0.0, 2**70, None, "1", [1], True])


@settings(max_examples=60, deadline=None, database=None)
@given(rows=st.lists(st.tuples(number, number), min_size=1, max_size=5))
def test_json(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps([{"coordinates": rows}]))
    if any(isinstance(one, list | str | None | bool) for row in rows for one in row):
        with pytest.raises(RoitraceError):
            rt.read_rois(path, recording=RECORDING)
        return
    judge(path, rows)


@settings(max_examples=40, deadline=None, database=None)
@given(
    rows=st.lists(st.tuples(index, index), min_size=1, max_size=5),
    dtype=st.sampled_from(["i4", "i8", "f8", "f4", "u2", "O", "U4", "c16", "?", "M8[s]"]),
    length=st.integers(0, 6),
)
def test_stat(tmp_path_factory, rows, dtype, length):
    path = tmp_path_factory.mktemp("stat") / "stat.npy"
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y, x = (np.array([row[axis] for row in rows]).astype("i8").astype(dtype) for axis in (0, 1))
    stat = np.empty(1, object)
    stat[0] = {"ypix": y, "xpix": x[:length], "lam": np.ones(len(rows))}
    np.save(path, stat)
    if dtype in {"O", "U4", "c16", "M8[s]"} or length < len(rows):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(RoitraceError):
                rt.read_rois(path, recording=RECORDING)
        return
    judge(path, list(zip(y.astype("f8").tolist(), x.astype("f8").tolist(), strict=True)))
