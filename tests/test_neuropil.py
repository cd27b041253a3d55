from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.neuropil import neuropil
from roitrace.rois import Rois


def discs(*centres, radius=3, shape=(60, 70), weights=False):
    y, x = np.ogrid[: shape[0], : shape[1]]
    squared = np.stack([(y - row) ** 2 + (x - column) ** 2 for row, column in centres])
    inside = squared <= radius**2
    return Rois.from_masks(np.where(inside, 1.0 / (1 + squared), 0.0) if weights else inside)


def whole_frame(rois, number, rule, *, gap, min_pixels=350, reach=13, free=None):
    """The same rings by dilating images of the whole frame."""
    masks = rois.to_masks().values > 0
    free = ~masks.any(axis=0) if free is None else free
    if rule == "allen":
        square = np.ones((3, 3), dtype=bool)
        inner = binary_dilation(masks[number], square, iterations=gap) if gap else masks[number]
        return binary_dilation(masks[number], square, iterations=reach) & free & ~inner
    inner = binary_dilation(masks[number], iterations=gap) if gap else masks[number]
    y, x = np.nonzero(inner)
    top, bottom, left, right = y.min(), y.max(), x.min(), x.max()
    ring = np.zeros_like(inner)
    for _ in range(100):
        top, left, bottom, right = top - 5, left - 5, bottom + 5, right + 5
        ring[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
        if np.count_nonzero(ring & free & ~inner) > min_pixels:
            break
    return ring & free & ~inner


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 49)), min_size=1, max_size=8, unique=True),
    st.sampled_from(["suite2p", "allen"]),
    st.integers(0, 3),
    st.sampled_from([10, 350, 5000]),
)
def test_rings_are_those_of_whole_images(centres, rule, gap, min_pixels):
    rois = discs(*centres, shape=(40, 50))
    rings = neuropil(rois, rule=rule, gap=gap, min_pixels=min_pixels, reach=6)
    for number in range(len(rois)):
        expected = whole_frame(rois, number, rule, gap=gap, min_pixels=min_pixels, reach=6)
        np.testing.assert_array_equal(rings.row(number), np.flatnonzero(expected))


def test_names_ids_and_flags_stay_and_rejected_rois_are_no_neuropil():
    rois = discs((20, 20), (20, 28), (40, 50)).reject(1, "dark")
    rings = neuropil(rois)
    assert rings.names == rois.names
    assert rings.accepted.tolist() == [True, False, True]
    assert rings.reasons == rois.reasons
    assert rings.weights is None
    assert rings.attrs["neuropil_rule"] == "suite2p"
    assert not np.isin(rings.pixels, rois.pixels).any()
    assert (rings.n_pixels > 350).all()


def test_a_gap_keeps_the_neighbours_of_the_cell_out():
    rois = discs((30, 30))
    near = np.flatnonzero(binary_dilation(rois.to_mask().values, iterations=2))
    assert not np.isin(neuropil(rois).pixels, near).any()
    assert np.isin(neuropil(rois, gap=0).pixels, near).any()


def test_pixels_that_are_not_valid_are_left_out():
    rois = discs((30, 5))
    valid = np.ones(rois.shape, dtype=bool)
    valid[:, :4] = False
    rings = neuropil(rois, valid=valid)
    assert (rings.pixels % rois.shape[1] >= 4).all()
    assert (rings.n_pixels > 350).all()
    assert (neuropil(rois).pixels % rois.shape[1] < 4).any()


def test_dim_pixels_of_cells_may_count_as_neuropil():
    rois = discs((30, 30), (30, 40), radius=5, weights=True)
    every, bright = neuropil(rois), neuropil(rois, weight_percentile=95)
    assert not np.isin(every.pixels, rois.pixels).any()
    assert np.isin(bright.row(0), rois.row(1)).any()


def test_a_roi_without_pixels_has_no_neuropil_and_a_full_frame_none_at_all():
    rois = Rois.from_masks(np.stack([np.zeros((9, 9), dtype=bool), np.ones((9, 9), dtype=bool)]))
    assert neuropil(rois).n_pixels.tolist() == [0, 0]
    assert len(neuropil(rois[[]])) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "fissa"}, "rule='fissa', expected one of suite2p, allen"),
        ({"gap": -1}, "gap=-1, expected a whole number"),
        ({"gap": 1.5}, r"gap=1\.5"),
        ({"min_pixels": 0}, "min_pixels=0"),
        ({"reach": 0}, "reach=0"),
        ({"rule": "allen", "gap": 13}, "gap=13 leaves nothing of reach=13"),
        ({"weight_percentile": 101}, "weight_percentile=101"),
        ({"weight_percentile": 50}, "weight_percentile=50 needs weights"),
        ({"valid": np.ones((60, 70))}, "valid has dtype float64, expected bool"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        neuropil(discs((30, 30)), **options)


def test_the_valid_area_is_of_the_same_frame_and_computed():
    with pytest.raises(AlignmentError, match=r"valid has the frame \(3, 3\)"):
        neuropil(discs((30, 30)), valid=np.ones((3, 3), dtype=bool))
    lazy = xr.DataArray(np.ones((60, 70), dtype=bool), dims=("y", "x")).chunk()
    with pytest.raises(LazyInputError, match="valid is lazy"):
        neuropil(discs((30, 30)), valid=lazy)
