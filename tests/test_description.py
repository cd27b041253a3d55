from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.description import DESCRIBED, describe
from roitrace.errors import AlignmentError, LazyInputError
from roitrace.frame import Frame
from roitrace.judging import judge
from roitrace.rois import Rois
from tests.strategies import roi_sets

SHAPE = (40, 50)


def disc(y, x, radius):
    rows, columns = np.indices(SHAPE)
    return np.hypot(rows - y, columns - x) <= radius


def two_cells():
    masks = np.stack([disc(12, 12, 5), disc(0, 30, 6)])
    random = np.random.default_rng(0)
    return Rois.from_masks(masks), 100 + 50.0 * masks.any(axis=0) + random.normal(0, 2, SHAPE)


def test_a_disc_and_one_cut_by_the_border():
    rois, image = two_cells()
    table = describe(rois, image)
    assert list(table) == [
        "area_px", "diameter_px", "aspect", "solidity", "level", "surround", "contrast", "contrast_ratio",
        "border_px", "overlap_fraction",
    ]  # fmt: skip
    assert table["area_px"].values.tolist() == rois.n_pixels.tolist()
    assert table["diameter_px"].values[0] == pytest.approx(10, abs=0.3)
    assert table["aspect"].values == pytest.approx([1, 1.75], abs=0.1)
    assert (table["solidity"].values > 0.9).all()
    assert table["border_px"].values.tolist() == [0, 13]
    assert table["overlap_fraction"].values.tolist() == [0, 0]
    assert table["level"].values == pytest.approx([150, 150], abs=1)
    assert table["surround"].values == pytest.approx([100, 100], abs=1)
    assert table["contrast_ratio"].values == pytest.approx([25, 25], rel=0.25)
    assert table["roi"].values.tolist() == ["1", "2"]
    for name, column in table.data_vars.items():
        assert column.attrs == {"long_name": DESCRIBED[name][0], "units": DESCRIBED[name][1]}


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(5, 14), st.integers(5, 14))
def test_numbers_are_those_of_numpy(data, height, width):
    rois = data.draw(roi_sets((height, width)))
    image = (
        np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 100, (height, width)).astype(float)
    )
    image[data.draw(st.integers(0, height - 1)), 0] = np.nan
    table = describe(rois, image)
    taken = rois.to_mask().values
    for number in range(len(rois)):
        mask = rois[number].to_mask().values
        row = table.isel(roi=number)
        if not mask.any():
            assert all(np.isnan(row[name]) for name in ("area_px", "aspect", "level", "contrast_ratio"))
            continue
        inside = image[mask][np.isfinite(image[mask])]
        reach = 1 + max(2.0, np.sqrt(mask.sum() / np.pi))
        distance = scipy.ndimage.distance_transform_edt(~mask)
        around = image[~taken & np.isfinite(image) & (distance > 1) & (distance <= reach)]
        level = inside.mean() if inside.size else np.nan
        surround = around.mean() if inside.size and around.size >= 10 else np.nan
        np.testing.assert_allclose(row["level"], level)
        np.testing.assert_allclose(row["surround"], surround)
        np.testing.assert_allclose(row["contrast"], level - surround)
        assert row["aspect"] >= 1
        assert 0 < row["solidity"] <= 1
        edge = np.pad(np.zeros((height - 2, width - 2), bool), 1, constant_values=True)
        assert row["border_px"] == (mask & edge).sum()


def test_gain_and_offset_leave_ratios_and_shapes():
    rois, image = two_cells()
    one, other = describe(rois, image), describe(rois, 7 * image - 30)
    for name in ("contrast_ratio", "aspect", "solidity", "area_px"):
        np.testing.assert_allclose(one[name], other[name])
    np.testing.assert_allclose(7 * one["contrast"], other["contrast"])


def test_micrometres_where_they_are_known():
    rois, image = two_cells()
    frame = Frame(SHAPE, 2.0 * np.arange(SHAPE[0]), 1.0 * np.arange(SHAPE[1]), "micrometer")
    labelled = Rois.from_masks(rois.to_masks().values)
    labelled = Rois.from_pixels([rois.coordinates(n).to_yx() for n in range(2)], frame=frame)
    table = describe(labelled, frame.image(image, "mean", units="photons"))
    assert table["area_um2"].values.tolist() == (2.0 * rois.n_pixels).tolist()
    assert table["diameter_um"].values[0] == pytest.approx(10 * np.sqrt(2), rel=0.05)
    assert table["aspect"].values[0] == pytest.approx(2, rel=0.05)
    assert table["contrast"].attrs["units"] == "photons"


def test_threads_and_single_pixels():
    rois = Rois.from_pixels([[(1, 1)], [(3, x) for x in range(5)]], shape=SHAPE)
    table = describe(rois, np.ones(SHAPE))
    assert table["aspect"].values.tolist() == [1, np.inf]
    assert table["solidity"].values.tolist() == [1, 1]
    assert np.isnan(table["contrast_ratio"].values).all()  # a flat surround has no spread


def test_activity_from_an_image_and_from_traces():
    rois, image = two_cells()
    std = np.random.default_rng(1).normal(10, 1, SHAPE) + 20 * disc(12, 12, 5)
    random = np.random.default_rng(2).normal(0, 1, (2, 400))
    random[0, ::40] += 30
    traces = xr.DataArray(100 + random, dims=("roi", "time"), coords={"roi": ["1", "2"]}, name="mean")
    table = describe(rois, image, activity=std, traces=traces)
    assert table["activity"].values[0] > 10
    assert abs(table["activity"].values[1]) < 2
    assert table["peak_snr"].values[0] > 3 * table["peak_snr"].values[1]
    timed = traces.assign_coords(time=np.arange(400) / 10).assign_attrs(frame_rate=10.0)
    assert np.isfinite(describe(rois, image, traces=timed)["peak_snr"]).all()
    judged = judge(rois, table, ["activity >= 5", "border_px < 1"])
    assert judged.accepted.tolist() == [True, False]
    assert judged.history == ("rejected 2: not activity >= 5", "rejected 2: not border_px < 1")


def test_what_does_not_fit_is_refused():
    rois, image = two_cells()
    with pytest.raises(AlignmentError, match="the image has 39 x 50 pixels, the ROIs lie on 40 x 50"):
        describe(rois, image[1:])
    with pytest.raises(AlignmentError, match="the image of activity has 40 x 49 pixels"):
        describe(rois, image, activity=image[:, 1:])
    with pytest.raises(LazyInputError):
        describe(rois, xr.DataArray(image, dims=("y", "x")).chunk())
    traces = xr.DataArray(np.ones((2, 9)), dims=("roi", "time"), coords={"roi": ["1", "3"]}, name="mean")
    with pytest.raises(AlignmentError, match="2 ROIs and 2 traces, or their names differ"):
        describe(rois, image, traces=traces)
    with pytest.raises(AlignmentError, match="2 ROIs and 1 traces"):
        describe(rois, image, traces=traces[:1].drop_vars("roi"))


def test_no_rois_give_an_empty_table():
    table = describe(Rois.from_labels(np.zeros(SHAPE, int)), np.ones(SHAPE))
    assert table.sizes["roi"] == 0
    assert set(table) >= {"area_px", "contrast_ratio"}
