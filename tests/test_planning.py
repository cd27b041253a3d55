from __future__ import annotations

import json
import time

import numpy as np
import pytest
import xarray as xr

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import ArgumentError, BudgetError
from roitrace.extraction import extract
from roitrace.planning import plan
from roitrace.projection import project
from tests.block_sources import ArraySource, FailingSource, counted_reads

LARGE = FailingSource((20_000_000, 512, 512), (1250, 64, 64), np.dtype("uint16"))
"""Ten terabytes in a million chunks; reading any of it fails."""


def recording_of(source):
    return xr.DataArray(as_dask(source), dims=("time", "y", "x"))


def squares():
    labels = np.zeros((512, 512), int)
    for number in range(1, 501):
        y, x = divmod(number - 1, 25)
        labels[20 * y : 20 * y + 10, 20 * x : 20 * x + 10] = number
    return labels


def test_ten_terabytes_are_planned_within_a_second():
    recording, labels = recording_of(LARGE), squares()
    plan(recording, labels)  # imports
    begin = time.perf_counter()
    made = plan(recording, labels, projections=("mean", "median", stat.correlation(detrend=None)))
    assert time.perf_counter() - begin < 1
    reads = made.outlook.reads
    assert [read.chunks_read for read in reads] == [1_024_000, 1_024_000]
    assert reads[1].passes == 2
    assert made.bytes_to_read == 3 * 1_024_000 * 1250 * 64 * 64 * 2


def test_chunks_without_rois_are_skipped():
    values = np.zeros((50, 30, 40), "uint16")
    mask = np.zeros((30, 40), bool)
    mask[2:4, 12:14] = True
    with counted_reads("planned") as counts:
        recording = recording_of(ArraySource(values, (20, 10, 10), "planned"))
        read = plan(recording, mask, statistics="mean").outlook.reads[0]
        assert not counts
        extract(recording, mask, "mean").compute()
        assert len(counts) == read.chunks_read == 3
    assert read.chunks_skipped == 3 * 11


def test_one_screen():
    recording = recording_of(LARGE)
    text = str(plan(recording, squares(), projections="median", budget="2 GiB", workers=2))
    assert len(text.splitlines()) < 24
    for part in (
        "20,000,000 frames of 512 x 512 uint16, 9.5 TiB, chunks of 1,250 x 64 x 64",
        "128,000 skipped, once",
        "1,024,000 chunks, 2 times",
        "would take 152.6 GiB: 2 passes count the samples' digits of 8 bits",
        "300.0 MiB reserved for the program; the budget is 2.0 GiB",
        "it fits",
    ):
        assert part in text


def test_what_does_not_fit_is_planned_and_refused():
    recording = recording_of(LARGE)
    made = plan(recording, squares(), budget="310 MiB")
    assert not made.fits
    assert made.peak_bytes > 310 * 2**20
    assert "it does not fit: one task needs" in str(made)
    with pytest.raises(BudgetError, match=r"the budget is 310\.0 MiB; give budget='[0-9]+ MiB' or more"):
        made.check()
    with pytest.raises(BudgetError):
        extract(recording, squares(), budget="310 MiB")


@pytest.mark.parametrize("asked", ["mean", "median", ("std", "median", "skewness")])
def test_the_smallest_plan_fits_its_own_peak(asked):
    recording = recording_of(LARGE)
    made = plan(recording, projections=asked, budget="1 MiB")
    assert not made.fits
    enough = plan(recording, projections=asked, budget=made.peak_bytes, workers=1)
    assert enough.check().peak_bytes <= made.peak_bytes
    project(recording, asked, budget=made.peak_bytes, workers=1)


def test_plain_values_for_json():
    made = plan(recording_of(LARGE), budget=RESERVED_BYTES + 2**28, workers=1)
    values = json.loads(json.dumps(made.to_dict()))
    assert values["fits"] is True
    assert values["problem"] is None
    assert values["peak_bytes"] <= values["budget"] == RESERVED_BYTES + 2**28
    assert values["reads"][0]["chunks_skipped"] == 0


@pytest.mark.parametrize("asked", [("mean", "max"), "median"])
def test_calibration_estimates_a_time(asked):
    values = np.random.default_rng(0).integers(0, 99, (300, 40, 50)).astype("uint16")
    recording = recording_of(ArraySource(values, (50, 40, 50)))
    assert plan(recording, projections=asked).seconds is None
    made = plan(recording, projections=asked, calibrate=True)
    assert made.seconds is not None
    assert 0 < made.seconds < 60
    assert "time         about" in str(made)


def test_a_share_of_the_free_memory():
    made = plan(recording_of(LARGE), budget="50%")
    assert made.budget > RESERVED_BYTES


@pytest.mark.parametrize("wrong", ["half", "-5%", "%"])
def test_no_amount_of_memory(wrong):
    with pytest.raises(ArgumentError, match="is no amount of memory"):
        plan(recording_of(LARGE), budget=wrong)


def test_a_file_tells_its_stored_bytes(tmp_path):
    from roitrace.recording import open_recording

    path = tmp_path / "movie.npy"
    np.save(path, np.zeros((40, 30, 20), "uint16"))
    made = plan(open_recording(path))
    assert made.outlook.stored_bytes == path.stat().st_size


def test_blocks_of_a_foreign_array_that_do_not_fit_side_by_side_are_computed_one_by_one():
    values = np.random.default_rng(0).integers(0, 99, (64, 256, 256)).astype("uint16")
    recording = xr.DataArray(values, dims=("time", "y", "x")).chunk(time=64)
    tight = RESERVED_BYTES + 80 * 2**20
    made = plan(recording, projections="mean", budget=tight, workers=8).check()
    assert made.peak_bytes <= tight
    image = project(recording, "mean", budget=tight, workers=8)["mean"].compute()
    np.testing.assert_array_equal(image, values.mean(axis=0))
