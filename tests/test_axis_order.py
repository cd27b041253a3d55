from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import roitrace as rt
from roitrace.axis_order import contrasts, judge_axis_order
from roitrace.errors import ArgumentError
from roitrace.formats.registry import write_roi_table
from roitrace.formats.rois.table import RoiTable
from roitrace.frame import Frame


def scene(seed, shape=(48, 48), count=12):
    """Discs of a radius of 2 pixels, their table, and an image in which they are bright in front of smooth haze and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([rng.integers(4, side - 4, count) for side in shape], axis=1)
    discs = [np.argwhere((y - one[0]) ** 2 + (x - one[1]) ** 2 <= 4) for one in centres]
    image = 100 + 30 * gaussian_filter(rng.normal(size=shape), 8) + rng.normal(size=shape)
    for disc in discs:
        image[tuple(disc.T)] += 20
    ids = tuple(range(1, count + 1))
    return RoiTable(tuple(map(str, ids)), ids, tuple(discs), None), image


def never():
    raise AssertionError("no image was needed")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), swapped=st.booleans(), order=st.sampled_from(["yx", "xy"]))
def test_the_image_tells(seed, swapped, order):
    table, image = scene(seed)
    given_table = RoiTable(table.names, table.ids, table.pixels, axis_order=order)
    if swapped:
        given_table = RoiTable(
            table.names, table.ids, tuple(yx[:, ::-1] for yx in table.pixels), axis_order=order
        )
    judgement = judge_axis_order(given_table, "auto", image.shape, lambda: image)
    assert [yx.tolist() for yx in judgement.table.pixels] == [yx.tolist() for yx in table.pixels]
    taken = order[::-1] if swapped else order
    assert (judgement.table.axis_order, judgement.unexpected) == (taken, swapped)
    assert judgement.reason == f"both orders fit the frame; the image shows the ROIs at {taken}"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["none", "dark", "constant", "nan"]))
def test_an_image_that_shows_nothing_changes_nothing(seed, kind):
    """Cells darker than their surround, and no image at all leave the order as the format says."""
    table, image = scene(seed)
    shown = {
        "none": None,
        "dark": -image,
        "constant": np.ones(image.shape),
        "nan": np.full(image.shape, np.nan),
    }[kind]
    judgement = judge_axis_order(table, "auto", image.shape, lambda: shown)
    assert judgement.table is table
    assert not judgement.unexpected
    assert "the format says yx" in judgement.reason


def test_noise_changes_nothing():
    noise = [np.random.default_rng(seed).normal(size=(48, 48)) for seed in range(60)]
    judgements = [
        judge_axis_order(scene(n)[0], "auto", (48, 48), lambda image=image: image)
        for n, image in enumerate(noise)
    ]
    assert not any(one.unexpected for one in judgements)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), swapped=st.booleans())
def test_the_frame_decides_first(seed, swapped):
    shape = (30, 60)
    table, _ = scene(seed, shape, count=40)
    assert max(yx[:, 1].max() for yx in table.pixels) >= 30
    judgement = judge_axis_order(table.transposed() if swapped else table, "auto", shape, never)
    assert [yx.tolist() for yx in judgement.table.pixels] == [yx.tolist() for yx in table.pixels]
    assert judgement.unexpected == swapped
    assert "fits the frame of 30 x 60" in judgement.reason


def test_what_is_said_counts():
    table, image = scene(1)
    for wanted in ("yx", "xy"):
        judgement = judge_axis_order(table, wanted, (8, 8), never)
        assert (judgement.table.axis_order, judgement.reason, judgement.unexpected) == (
            wanted,
            "asked for",
            False,
        )
    with pytest.raises(ArgumentError, match="axis_order='yz', expected one of auto, yx, xy"):
        judge_axis_order(table, "yz", image.shape, never)
    assert judge_axis_order(table, "auto", None, never).reason == "the format says so"
    settled = RoiTable(table.names, table.ids, table.pixels, settled=True)
    assert judge_axis_order(settled, "auto", (48, 8), never).table is settled
    assert "neither order fits" in judge_axis_order(table, "auto", (8, 8), never).reason


def test_label_images_that_lie_on_their_side(tmp_path):
    labels = np.zeros((6, 9), int)
    labels[1:3, 5:9] = 4
    np.save(tmp_path / "a.npy", labels.T)
    with pytest.warns(UserWarning, match="rows and columns were exchanged: only xy fits the frame of 6 x 9"):
        rois = rt.read_rois(tmp_path / "a.npy", recording=labels)
    np.testing.assert_array_equal(rois.to_labels(), labels)


def test_few_rois_prove_nothing():
    table, image = scene(2, count=4)
    assert (
        "does not tell them apart"
        in judge_axis_order(table.transposed(), "auto", image.shape, lambda: image).reason
    )
    assert np.isnan(contrasts(RoiTable(("a",), (1,), (np.zeros((0, 2), int),)), image)).all()


def test_a_frame_shows_nothing(tmp_path):
    table, image = scene(3)
    write_roi_table(table, tmp_path / "a.json")
    rois = rt.read_rois(tmp_path / "a.json", recording=Frame((48, 48)))
    assert rois.attrs["axis_order_reason"] == "both orders fit the frame; the format says yx"
    assert "the image shows" in rt.read_rois(tmp_path / "a.json", recording=image).attrs["axis_order_reason"]


def test_a_lazy_recording_is_read_only_where_it_must(tmp_path):
    """Only the first frames, and only where the frame alone does not tell."""
    table, image = scene(3)
    read = []

    def frames(block_info=None):
        first, last = block_info[None]["array-location"][0]
        read.append((first, last))
        return np.broadcast_to(image, (last - first, *image.shape)).astype("float32")

    movie = da.map_blocks(frames, dtype="float32", chunks=((128,) * 8, (48,), (48,)))
    recording = xr.DataArray(movie, dims=("time", "y", "x"))
    write_roi_table(table.transposed(), tmp_path / "a.json")
    rt.read_rois(tmp_path / "a.json", recording=recording, axis_order="xy")
    write_roi_table(table, tmp_path / "a.csv")
    rt.read_rois(tmp_path / "a.csv", recording=recording)  # names its columns
    assert read == []
    with pytest.warns(UserWarning, match="the image shows the ROIs at xy"):
        rois = rt.read_rois(tmp_path / "a.json", recording=recording)
    assert rois.coordinates(0).to_yx().tolist() == table.pixels[0].tolist()
    assert set(read) == {(0, 128), (128, 256)}
