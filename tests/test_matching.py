from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from roitrace.errors import AlignmentError, ArgumentError
from roitrace.matching import match_rois
from roitrace.rois import Rois


def random_masks(rng, n_rois, shape, spread):
    """Rectangles of random size around a few places, so that many overlap."""
    masks = np.zeros((n_rois, *shape), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, spread, 2)
        height, width = rng.integers(2, 7, 2)
        mask[y : y + height, x : x + width] = True
    return masks


def iou_matrix(found, truth):
    found, truth = (masks.reshape(len(masks), -1).astype(int) for masks in (found, truth))
    shared = found @ truth.T
    return shared / (found.sum(axis=1)[:, None] + truth.sum(axis=1)[None] - shared)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 1.0))
def test_pairs_are_the_best_assignment(seed, n_found, n_truth, threshold):
    rng = np.random.default_rng(seed)
    found, truth = (random_masks(rng, count, (12, 12), 5) for count in (n_found, n_truth))
    iou = iou_matrix(found, truth)
    pairs = match_rois(Rois.from_masks(found), Rois.from_masks(truth), iou=threshold)
    rows, columns = pairs["found_index"].values, pairs["truth_index"].values
    assert np.unique(rows).size == np.unique(columns).size == rows.size
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(pairs["iou"], iou[rows, columns])
    assert (pairs["iou"].values >= threshold).all()
    allowed = np.where(iou >= threshold, iou, 0.0)
    best = allowed[linear_sum_assignment(allowed, maximize=True)].sum()
    assert pairs["iou"].values.sum() == pytest.approx(best)
    assert pairs["precision"].item() == rows.size / n_found
    assert pairs["recall"].item() == rows.size / n_truth


def test_a_cell_matches_itself_and_half_an_overlap_is_enough():
    truth = Rois.from_labels(np.array([[1, 1, 0, 2, 2, 3]]))
    same = match_rois(truth, truth)
    assert same["iou"].values.tolist() == [1.0, 1.0, 1.0]
    assert (same["precision"].item(), same["recall"].item()) == (1.0, 1.0)
    half = match_rois(Rois.from_labels(np.array([[1, 0, 0, 0, 0, 0]])), truth)
    assert half["iou"].values.tolist() == [0.5]
    assert half["found"].values.tolist() == ["1"]
    assert half["recall"].item() == pytest.approx(1 / 3)


def test_the_total_overlap_decides_not_the_first_come():
    truth = Rois.from_pixels([[(0, x) for x in range(10)], [(0, x) for x in range(3, 15)]], shape=(1, 20))
    found = Rois.from_pixels([[(0, x) for x in range(2, 13)], [(0, x) for x in range(9)]], shape=(1, 20))
    pairs = match_rois(found, truth)
    assert pairs["truth_index"].values.tolist() == [1, 0]


def test_order_and_names_follow_the_rois():
    rng = np.random.default_rng(3)
    found, truth = (Rois.from_masks(random_masks(rng, 12, (30, 30), 24)) for _ in range(2))
    pairs = match_rois(found, truth, iou=0.1)
    order = rng.permutation(12)
    again = match_rois(found[order.tolist()], truth, iou=0.1)
    together = dict(zip(pairs["found"].values.tolist(), pairs["truth"].values.tolist(), strict=True))
    assert dict(zip(again["found"].values.tolist(), again["truth"].values.tolist(), strict=True)) == together
    assert len(together) > 1
    for index, name in zip(again["found_index"].values, again["found"].values, strict=True):
        assert found[order.tolist()].names[index] == name


def test_rejected_rois_take_no_part():
    truth = Rois.from_labels(np.array([[1, 1, 2, 2]]))
    pairs = match_rois(truth.reject("1"), truth)
    assert pairs["found"].values.tolist() == ["2"]
    assert (pairs["precision"].item(), pairs["recall"].item()) == (1.0, 0.5)


def test_nothing_found_has_no_precision_and_no_truth_no_recall():
    some = Rois.from_labels(np.array([[1, 1, 2, 2]]))
    none = some.where(np.zeros(2, dtype=bool))
    pairs = match_rois(none, some)
    assert np.isnan(pairs["precision"])
    assert (pairs["recall"].item(), pairs.sizes["pair"], pairs["n_truth"].item()) == (0.0, 0, 2)
    assert np.isnan(match_rois(some, none)["recall"])
    apart = Rois.from_labels(np.array([[0, 0, 0, 1]]))
    assert match_rois(apart, some[:1])["precision"].item() == 0.0


def test_thousands_of_cells_are_matched():
    rng = np.random.default_rng(4)
    corners = rng.integers(0, 990, (4000, 2))
    square = np.stack(np.divmod(np.arange(64), 8), axis=1)
    truth = Rois.from_pixels([square + corner for corner in corners], shape=(1000, 1000))
    moved = corners + rng.integers(-1, 2, corners.shape)
    found = Rois.from_pixels([square + corner for corner in moved], shape=(1000, 1000), off_frame="drop")
    pairs = match_rois(found, truth)
    assert pairs["recall"].item() > 0.99


def test_other_frames_and_thresholds_are_refused():
    rois = Rois.from_labels(np.array([[1, 1, 2, 2]]))
    with pytest.raises(AlignmentError, match="1 x 4 pixels, the true ones of 1 x 3"):
        match_rois(rois, Rois.from_labels(np.array([[1, 1, 2]])))
    image = xr.DataArray([[1, 1, 2, 2]], dims=("y", "x"), coords={"y": [0.0], "x": np.arange(4.0)})
    with pytest.raises(AlignmentError, match="coordinates differ"):
        match_rois(Rois.from_labels(image), Rois.from_labels(image.assign_coords(y=[5.0])))
    for wrong in (0, -0.5, 1.1, np.nan):
        with pytest.raises(ArgumentError, match="iou="):
            match_rois(rois, rois, iou=wrong)
