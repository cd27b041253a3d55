"""Sums over time that are left for the next call, and gone on from, give the bits of a fresh read; only what is new is read."""

from __future__ import annotations

import errno
import os
from collections import Counter

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine import slab_layer
from roitrace.engine.blocks import as_dask
from roitrace.engine.carried_sums import CarriedSums
from roitrace.engine.moments import new_moments
from roitrace.engine.plan import Job, plan_slabs
from roitrace.engine.slab import SlabResult
from roitrace.engine.sums_files import read_sums, write_sums
from roitrace.errors import StoreError
from roitrace.projection import images_of, project
from roitrace.sources import SAMPLE_DTYPES
from roitrace.store import files
from tests.block_sources import READS, ArraySource

ALL = (
    *("mean", "max", "min", "sum", "std", "var", "skewness", "argmax", "difference_std", "median"),
    stat.correlation(detrend=None),
    stat.correlation(detrend="7 s", name="detrended"),
    stat.max(bin="3 s", name="binned_max"),
    stat.std(bin="5 s", name="binned_std"),
    stat.percentile(90, name="upper"),
)
MERGED = tuple(one for one in ALL if one in {"mean", "max", "min", "sum", "std", "var", "argmax"})
"""Those that several lanes of float samples may add up."""


def recording(values, chunk=32, log=""):
    source = ArraySource(values, (chunk, 4, 5), log)
    return xr.DataArray(as_dask(source), dims=("time", "y", "x"), attrs={"frame_rate": 1.0})


def movie(dtype, frames, seed=0):
    values = np.random.default_rng(seed).poisson(50, (frames, 6, 7)).astype(dtype)
    if values.dtype.kind == "f":
        values += np.random.default_rng(seed).random(values.shape).astype(dtype)
        values[frames // 3 : frames // 2, :2] = np.nan
    return values


def gone_on(values, folder, lengths, statistics, *, chunk=32, workers=2, log=""):
    """Project the recording as it grows, each time from the sums of the last; return the images of the last time."""
    known, start = None, 0
    for number, frames in enumerate(lengths):
        (folder / f"{number}").mkdir()
        made, stop = folder / f"{number}" / "sums" / "projections", frames // chunk * chunk
        about = {"frames": stop}
        carried = CarriedSums(known, start, made, stop, about) if stop else None
        grown = recording(values[:frames], chunk, f"{log}{number}" if log else "")
        asked = project_asked(grown, statistics)
        images = images_of(grown, asked, carried=carried, workers=workers)
        with dask.config.set(scheduler="sync"):
            images = images.compute()
        if start < stop:
            known, start = made, stop
            assert read_sums(made)[0] == about
    return images


def project_asked(grown, statistics):
    from roitrace.projection import asked_images

    return asked_images(grown, statistics)


def fresh(values, statistics, chunk=32, workers=1):
    with dask.config.set(scheduler="sync"):
        return project(recording(values, chunk), statistics, workers=workers).compute()


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
def test_all_projections_of_a_recording_that_grows(tmp_path, dtype):
    values = movie(dtype, 1111)
    lengths = [300, 301, 310, 352, 352, 1111]
    xr.testing.assert_identical(gone_on(values, tmp_path, lengths, ALL), fresh(values, ALL))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_several_lanes_go_on_from_the_middle_of_a_leaf(tmp_path, monkeypatch, dtype):
    values, plans = movie(dtype, 4000), []
    planned = slab_layer.SlabLayer.__init__

    def noted(self, *arguments):
        planned(self, *arguments)
        plans.append(self.plan)

    monkeypatch.setattr(slab_layer.SlabLayer, "__init__", noted)
    images = gone_on(values, tmp_path, [1000, 2333, 4000], MERGED, workers=3)
    assert [plan.bounds[0][0] for plan in plans] == [0, 992, 2304]
    assert [plan.lanes for plan in plans] == [3, 3, 3]
    assert [plan.tail for plan in plans] == [1, 1, 0]
    xr.testing.assert_identical(images, fresh(values, MERGED))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_lengths_and_chunks(tmp_path_factory, data):
    dtype = data.draw(st.sampled_from(["uint16", "int32", "float32", "float64"]))
    chunk = data.draw(st.sampled_from([1, 7, 64, 256, 300]))
    lengths = sorted(data.draw(st.lists(st.integers(6, 900), min_size=2, max_size=4)))
    statistics = data.draw(st.sampled_from([MERGED, ("std", "skewness", "difference_std", "correlation")]))
    values = movie(dtype, lengths[-1], seed=data.draw(st.integers(0, 99)))
    workers = data.draw(st.integers(1, 4))
    folder = tmp_path_factory.mktemp("sums")
    images = gone_on(values, folder, lengths, statistics, chunk=chunk, workers=workers)
    xr.testing.assert_identical(images, fresh(values, statistics, chunk=50))


def test_only_what_is_new_is_read_once(tmp_path):
    READS.update({f"grown{number}": Counter() for number in range(3)})
    gone_on(movie("uint16", 700), tmp_path, [500, 700, 700], ("mean", "correlation"), log="grown")
    tiles = {(row, column) for row in range(2) for column in range(2)}
    for number, frames in enumerate([range(22), range(15, 22), range(21, 22)]):
        read = READS[f"grown{number}"]
        expected = range(16) if number == 0 else frames
        assert set(read) == {(chunk, *tile) for chunk in expected for tile in tiles}
        assert set(read.values()) == {1}


def test_nothing_is_read_where_nothing_is_new(tmp_path):
    READS.update({f"same{number}": Counter() for number in range(2)})
    values = movie("float32", 512)
    images = gone_on(values, tmp_path, [512, 512], ("mean", "std"), log="same")
    assert not READS["same1"]
    xr.testing.assert_identical(images, fresh(values, ("mean", "std")))


def test_files_that_change_while_a_job_runs_are_an_error(tmp_path):
    values = movie("uint16", 400)
    sums = new_moments((6, 7), np.dtype("uint16"), frozenset({"total"}))
    (tmp_path / "run").mkdir()
    write_sums(tmp_path / "known", {}, sums)
    carried = CarriedSums(tmp_path / "known", 64, tmp_path / "run" / "sums" / "made", 384, {})
    grown = recording(values)
    images = images_of(grown, project_asked(grown, "sum"), carried=carried)
    (tmp_path / "known").write_bytes((tmp_path / "known").read_bytes()[:-1])
    with pytest.raises(StoreError, match="were damaged or removed while the job ran.*run the same command"):
        images.compute()


def test_names_tell_calls_apart_that_go_on_from_other_sums(tmp_path):
    grown = recording(movie("uint16", 400))
    calls = [
        None,
        *(CarriedSums(tmp_path / known, 64, tmp_path / "made", 384, {"pixels": known}) for known in "ab"),
        CarriedSums(tmp_path / "a", 64, tmp_path / "made", 384, {"pixels": "b"}),
    ]
    images = [images_of(grown, project_asked(grown, "sum"), carried=carried)["sum"] for carried in calls]
    assert len({image.data.name for image in images}) == len(calls)
    moved = CarriedSums(
        tmp_path / "a", 64, tmp_path / "made", 384, {"pixels": "b"}, "of another place", ["why"]
    )
    assert (
        images_of(grown, project_asked(grown, "sum"), carried=moved)["sum"].data.name == images[-1].data.name
    )


@pytest.mark.parametrize(("operation", "suffix"), [("write", ".partial"), ("rename", ""), ("sync", "sums")])
def test_nothing_is_left_of_sums_that_cannot_be_written(tmp_path, monkeypatch, operation, suffix):
    perform = files.perform

    def full(what, path, call, *arguments):
        refused = what == operation and path.name.endswith(suffix)
        return perform(what, path, no_space if refused else call, *arguments)

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "run" / "sums"
    folder.mkdir(parents=True)
    monkeypatch.setattr(files, "perform", full)
    carried = CarriedSums(None, 0, folder / "made", 384, {})
    carried.keep(SlabResult(moments=new_moments((6, 7), np.dtype("uint16"), frozenset({"total"}))))
    assert len(carried.refusals) == 1
    assert not list(folder.iterdir())


def test_no_sums_are_kept_of_a_store_whose_manifest_is_damaged_meanwhile(tmp_path):
    class Damaged:
        def digest(self, frames):
            raise StoreError(f"no digest of {frames}")

    (tmp_path / "run").mkdir()
    kept = tmp_path / "run" / "sums" / "made"
    carried = CarriedSums(None, 0, kept, 384, {"pixels": "a"}, Damaged())
    sums = SlabResult(moments=new_moments((6, 7), np.dtype("uint16"), frozenset({"total"})))
    assert carried.keep(sums) is sums
    assert carried.refusals == ["no digest of 384"]
    assert not kept.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"about": 0, "moments": {"class": "os"}, "arrays": []}',
        b'{"about": 0, "moments": {"array": 3}, "arrays": []}',
        b'{"about": 0, "moments": null, "arrays": [["|O", [1]]]}',
        b'{"about": 0, "moments": null, "arrays": [["<u1", [-4]]]}',
        b'{"about": 0, "moments": null, "arrays": [["<u1", [1000000000000000]]]}',
        b"\xff",
    ],
)
def test_sums_that_others_made_up_count_as_none(tmp_path, text):
    from roitrace.engine import sums_files
    from roitrace.store.checksum import crc32c

    path = tmp_path / "sums"
    head = sums_files._HEAD.pack(sums_files._MAGIC, len(text), crc32c(text))
    path.write_bytes(head + text + bytes(8) + crc32c(bytes(8)).to_bytes(4, "little"))
    assert read_sums(path) is None
    path.write_bytes(head + text + crc32c(b"").to_bytes(4, "little"))
    assert read_sums(path) is None


def test_lanes_share_what_comes_before_the_border():
    job = Job(
        (5000, 64, 64), (32, 64, 64), (0, 0, 0), 4, image_bytes=100, leaf_aligned=True, start=992, stop=4992
    )
    plan = plan_slabs(job, 2**30, 2)
    assert (plan.bounds[0][0], plan.bounds[-1]) == (992, (4992, 5000))
    assert plan.tail == 1
    assert plan.lane_ends[-1] == len(plan.bounds) - 2
    assert all(plan.bounds[end][1] % 256 == 0 for end in plan.lane_ends[:-1])
