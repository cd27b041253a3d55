"""The results store: what goes in comes out, whole or not at all, and the same bytes wherever it was computed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tracemalloc
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import results
from roitrace.errors import ArgumentError, FileAccessError, OutputExistsError, StoreError
from roitrace.frame import Frame
from roitrace.result_layout import write_grid
from roitrace.results import load, save, writing
from roitrace.rois import Rois


def make_traces(n_rois=70, n_frames=500, chunk=37):
    random = np.random.default_rng(n_rois)
    return xr.Dataset(
        {
            "mean": (("roi", "time"), random.normal(size=(n_rois, n_frames)), {"units": "count"}),
            "n_valid": (("roi", "time"), random.integers(0, 9, (n_rois, n_frames), dtype=np.int32)),
            "status": (
                "roi",
                np.arange(n_rois, dtype=np.uint8),
                {"flag_masks": np.array([1, 2], dtype=np.uint8)},
            ),
        },
        coords={
            "roi": [f"cell {n} µ" for n in range(n_rois)],
            "roi_id": ("roi", np.arange(n_rois)),
            "accepted": ("roi", np.arange(n_rois) % 2 == 0),
            "time": ("time", np.arange(n_frames) / 7.5, {"units": "s"}),
        },
        attrs={"primary": "mean", "frame_rate": 7.5},
    ).chunk({"time": chunk, "roi": -1})


def make_rois():
    frame = Frame((20, 30), np.arange(20.0) * 1.5, np.arange(30.0) * 1.2, "micrometer")
    labels = frame.image(np.zeros((20, 30), dtype=int))
    labels[2:5, 3:9] = 1
    labels[8:11, 3:9] = 7
    return Rois.from_labels(labels).reject("7", "too dim").with_weights(np.arange(36.0) + 1)


def digest(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_everything_comes_back(tmp_path):
    traces, rois = make_traces(), make_rois()
    images = xr.Dataset({"mean": (("y", "x"), np.arange(600.0).reshape(20, 30))})
    save({"traces": traces, "rois": rois, "projections": images, "mask": rois.to_mask()}, tmp_path / "a.zarr")
    tree = load(tmp_path / "a.zarr")
    xr.testing.assert_identical(tree["traces"].to_dataset().compute(), traces.compute())
    assert tree["traces"]["roi"].dtype.kind == "U"
    assert tree["traces"]["mean"].chunks is not None
    again = Rois.from_dataset(tree["rois"].to_dataset())
    assert again.equals(rois)
    assert again.frame.labelled
    xr.testing.assert_identical(tree["mask"]["mask"].compute(), rois.to_mask())
    xr.testing.assert_identical(tree["projections"].to_dataset().compute(), images)


def test_tree_is_saved_as_loaded(tmp_path):
    save({"traces": make_traces(), "rois": make_rois()}, tmp_path / "a.zarr")
    save(load(tmp_path / "a.zarr"), tmp_path / "b.zarr")
    first, second = digest(tmp_path / "a.zarr"), digest(tmp_path / "b.zarr")
    assert first == second


@pytest.mark.parametrize(("group", "chunks"), [("dff", {"roi": 3}), ("normalized", {"time": 999})])
def test_blocks_across_the_files_take_little_memory(tmp_path, group, chunks):
    # 40 MB that come trace by trace and are kept span by span, or the other way round
    values = np.random.default_rng(0).normal(size=(2, 96, 26_000))
    traces = xr.Dataset(
        {"mean": (("roi", "time"), values[0]), "rules": (("rule", "roi", "time"), values)},
        {"roi": [f"cell {n}" for n in range(96)]},
        {"primary": "mean"},
    )
    save({group: traces}, tmp_path / "eager.zarr", workers=2)
    lazy = traces.chunk(chunks)
    tracemalloc.start()
    save({group: lazy}, tmp_path / "a.zarr", workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6
    assert digest(tmp_path / "a.zarr") == digest(tmp_path / "eager.zarr")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zarr", "eager.zarr"]


def test_groups_are_computed_from_one_read(tmp_path):
    reads = []

    def counted(block):
        reads.append(block.shape)
        return block + 1

    lazy = make_traces(70, 9000, 1000)[["mean"]]
    lazy["mean"] = lazy["mean"].copy(data=lazy["mean"].data.map_blocks(counted, meta=np.empty((0, 0))))
    average = lazy["mean"].mean("roi").to_dataset(name="average")
    save({"traces": lazy, "again": lazy, "quality/first": average}, tmp_path / "a.zarr", workers=1)
    assert len(reads) == 9
    tree = load(tmp_path / "a.zarr")
    for group in ("traces", "again"):
        np.testing.assert_array_equal(tree[group]["mean"], make_traces(70, 9000)["mean"] + 1)


def test_opens_with_xarray_alone(tmp_path):
    save(make_traces(), tmp_path / "a.zarr")
    with xr.open_zarr(tmp_path / "a.zarr", group="traces", consolidated=False) as opened:
        np.testing.assert_array_equal(opened["mean"].values, make_traces()["mean"].values)


@settings(max_examples=25, deadline=None)
@given(n_rois=st.integers(0, 130), n_frames=st.integers(1, 600), chunk=st.integers(1, 300))
def test_shapes_and_chunks(tmp_path_factory, n_rois, n_frames, chunk):
    traces = make_traces(n_rois, n_frames, chunk)
    path = save({"traces": traces, "normalized": traces}, tmp_path_factory.mktemp("shapes") / "a.zarr")
    tree = load(path)
    for group in ("traces", "normalized"):
        for name, variable in traces.variables.items():
            np.testing.assert_array_equal(tree[group][name].values, variable.values)


@settings(max_examples=100, deadline=None)
@given(
    n_rois=st.integers(0, 100_000),
    n_frames=st.integers(1, 3_000_000),
    rows=st.booleans(),
    dtype=st.sampled_from(["float64", "uint8"]),
)
def test_grid_is_bounded_and_whole(n_rois, n_frames, rows, dtype):
    grid = write_grid(("roi", "time"), (n_rois, n_frames), np.dtype(dtype), rows=rows)
    assert all(unit % chunk == 0 for unit, chunk in zip(grid.unit, grid.chunks, strict=True))
    least = 8 * (n_frames if rows else min(n_frames, 256) * (n_rois + 64))
    assert np.prod(grid.unit, dtype=float) * 8 <= max(2 * 8 * 2**20, 2 * least)
    whole = grid.unit[1] >= n_frames if rows else grid.unit[0] >= n_rois
    assert whole


def test_grid_of_images_is_bounded():
    grid = write_grid(("y", "x"), (20_000, 30_000), np.dtype("float64"))
    assert grid.chunks == grid.unit
    assert np.prod(grid.chunks) * 8 <= 8 * 2**20


def save_here(traces, path):
    return save({"traces": traces, "rois": make_rois()}, path, parameters={"b": 1, "a": [2]}, source="digest")


def test_same_bytes_on_every_scheduler(tmp_path):
    with dask.config.set(scheduler="sync"):
        save_here(make_traces(), tmp_path / "sync.zarr")
    expected = digest(tmp_path / "sync.zarr")
    for workers in (1, 4):
        save(
            {"traces": make_traces(chunk=101), "rois": make_rois()},
            tmp_path / f"{workers}.zarr",
            parameters={"a": [2], "b": 1},
            source="digest",
            workers=workers,
        )
        assert digest(tmp_path / f"{workers}.zarr") == expected
    save_here(make_traces().compute(), tmp_path / "eager.zarr")
    assert digest(tmp_path / "eager.zarr") == expected


def test_one_task_owns_a_file(tmp_path):
    # 70 ROIs of 9,000 frames: several files, each of several blocks of the graph
    traces = make_traces(70, 9000, 777)
    with dask.config.set(scheduler="threads", num_workers=4):
        save(traces, tmp_path / "a.zarr")
    np.testing.assert_array_equal(load(tmp_path / "a.zarr")["traces"]["mean"].values, traces["mean"].values)


def test_provenance(tmp_path):
    save(make_traces(), tmp_path / "a.zarr", parameters={"method": "otsu", "k": 2}, source="digest")
    attrs = load(tmp_path / "a.zarr").attrs
    assert attrs["status"] == "complete"
    assert json.loads(attrs["parameters"]) == {"method": "otsu", "k": 2}
    assert attrs["source"] == "digest"
    assert attrs["versions"]["numpy"] == np.__version__
    assert set(attrs) == {"kind", "status", "roitrace_version", "versions", "parameters", "source"}


def test_existing_output_is_not_touched(tmp_path):
    save(make_traces(), tmp_path / "a.zarr")
    before = digest(tmp_path / "a.zarr")
    with pytest.raises(OutputExistsError, match="exists already"):
        save(make_traces(3), tmp_path / "a.zarr")
    assert digest(tmp_path / "a.zarr") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_overwrite_replaces_all_of_it(tmp_path):
    save({"traces": make_traces(), "rois": make_rois()}, tmp_path / "a.zarr")
    save(make_traces(3), tmp_path / "a.zarr", overwrite=True)
    tree = load(tmp_path / "a.zarr")
    assert tree["traces"].sizes["roi"] == 3
    assert set(tree.children) == {"traces"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("make", ["folder", "file"])
def test_overwrite_spares_what_is_no_results_store(tmp_path, make):
    place = tmp_path / "precious"
    if make == "folder":
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
    else:
        place.write_text("years of work")
    with pytest.raises(OutputExistsError, match="is no results store, so it is not overwritten"):
        save(make_traces(3), place, overwrite=True)
    assert (place / "thesis.txt" if make == "folder" else place).read_text() == "years of work"


class Stop(Exception):
    pass


def broken(_):
    raise Stop


def test_failed_job_leaves_the_old_results_and_what_it_finished(tmp_path):
    save(make_traces(3), tmp_path / "a.zarr")
    before = digest(tmp_path / "a.zarr")
    failing = make_traces().assign(
        mean=make_traces()["mean"].copy(data=make_traces()["mean"].data.map_blocks(broken, dtype=float))
    )
    with pytest.raises(Stop):
        save(failing, tmp_path / "a.zarr", overwrite=True)
    assert digest(tmp_path / "a.zarr") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.zarr.new", "a.zarr", "a.zarr.run"]
    save(make_traces(), tmp_path / "a.zarr", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_wrong_call_leaves_nothing(tmp_path):
    with pytest.raises(ArgumentError):
        with writing(tmp_path / "a.zarr") as writer:
            writer.write({"traces": make_traces(3)})
            raise ArgumentError("wrong", "next")
    assert list(tmp_path.iterdir()) == []


def test_unfinished_store_says_so(tmp_path):
    with writing(tmp_path / "a.zarr") as writer:
        writer.write({"traces": make_traces(3)})
        with pytest.raises(
            StoreError, match="is unfinished: .* finished are traces, and .* files in all are safe"
        ):
            load(tmp_path / "a.zarr")
        opened = load(tmp_path / "a.zarr", unfinished=True)
        xr.testing.assert_identical(opened["traces"].to_dataset().compute(), make_traces(3).compute())
    load(tmp_path / "a.zarr")


def test_groups_are_read_back_while_writing(tmp_path):
    traces = make_traces(3)
    with writing(tmp_path / "a.zarr") as writer:
        writer.write({"traces": traces})
        again = writer.read("traces")
        assert again["mean"].chunks is not None
        writer.write({"normalized": again[["mean"]] * 2})
    tree = load(tmp_path / "a.zarr")
    np.testing.assert_array_equal(tree["normalized"]["mean"].values, 2 * traces["mean"].values)


def test_missing_chunk_is_named(tmp_path):
    save(make_traces(70, 9000), tmp_path / "a.zarr")
    files = sorted((tmp_path / "a.zarr" / "traces" / "mean" / "c").rglob("*"))
    [path for path in files if path.is_file()][-1].unlink()
    with pytest.raises(StoreError, match=r"mean lacks roi 0 to 70, time 8192 to 9000"):
        load(tmp_path / "a.zarr")


def test_broken_metadata_is_an_error_of_ours(tmp_path):
    save(make_traces(3), tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "traces" / "mean" / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="is damaged"):
        load(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        load(tmp_path / "a.zarr")


def test_what_is_no_results_store(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        load(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match="is no results store"):
        load(tmp_path)
    xr.Dataset({"a": ("x", [1])}).to_zarr(tmp_path / "other.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match="is no results store"):
        load(tmp_path / "other.zarr")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (xr.Dataset({"a": ("x", [1])}), "does not say which group"),
        ([1, 2], "results are a list"),
        ({"traces": 3}, "group 'traces' is a int"),
    ],
)
def test_other_things_are_refused(tmp_path, given, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        save(given, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_rename_that_fails_brings_the_old_store_back(tmp_path, monkeypatch):
    save(make_traces(3), tmp_path / "a.zarr")
    before = digest(tmp_path / "a.zarr")
    rename = os.rename

    def refuse(source, target):
        if source.name == ".a.zarr.new":
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patched, pytest.raises(FileAccessError, match="permission denied"):
        patched.setattr(os, "rename", refuse)
        save(make_traces(4), tmp_path / "a.zarr", overwrite=True)
    assert digest(tmp_path / "a.zarr") == before
    save(make_traces(4), tmp_path / "a.zarr", overwrite=True)
    assert load(tmp_path / "a.zarr")["traces"].sizes["roi"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_groups_are_those_promised():
    assert results.GROUPS[:3] == ("projections", "mask", "rois")
    assert results.GROUPS[-2:] == ("normalized", "comparison")


def flip_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        (
            "mean",
            "c/0/0",
            r"mean in .*a.zarr.traces is damaged in chunk \d/0 \(roi \d+ to \d+, time 0 to 500\)",
        ),
        ("status", "c/0", r"status in .*a.zarr.traces is damaged in chunk 0 \(roi 0 to 70\)"),
        ("time", "c/0", r"time in .*a.zarr.traces is damaged in chunk 0 \(time 0 to 500\)"),
        ("roi", "c/0", r"roi in .*a.zarr.traces is damaged in chunk 0 \(roi 0 to 70\)"),
    ],
)
def test_damaged_chunk_is_named(tmp_path, name, file, said):
    save(make_traces(), tmp_path / "a.zarr")
    flip_bit(tmp_path / "a.zarr/traces" / name / file)
    with pytest.raises(StoreError, match=said):
        load(tmp_path / "a.zarr")["traces"][name].values.sum()


def test_whole_part_of_a_damaged_store_is_read(tmp_path):
    save(make_traces(), tmp_path / "a.zarr")
    flip_bit(tmp_path / "a.zarr/traces/mean/c/0/0")
    np.testing.assert_array_equal(load(tmp_path / "a.zarr")["traces"]["status"], make_traces()["status"])


def test_truncated_chunk_is_named(tmp_path):
    save(make_traces(), tmp_path / "a.zarr")
    file = tmp_path / "a.zarr/traces/mean/c/0/0"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(StoreError, match="mean in .* is damaged in chunk"):
        load(tmp_path / "a.zarr")["traces"]["mean"].values.sum()


def test_other_values_of_the_same_length_are_written(tmp_path):
    # the checksum of a file that ends in its own checksum is always the same
    traces = make_traces(8, 30)
    with writing(tmp_path / "a.zarr") as writer:
        writer.write({"traces": traces.compute()})
        file = tmp_path / "a.zarr/traces/accepted/c/0"
        before = file.read_bytes()
        writer.replace("traces", "accepted", ~traces["accepted"].values)
        assert len(file.read_bytes()) == len(before)
        assert file.read_bytes() != before
    np.testing.assert_array_equal(load(tmp_path / "a.zarr")["traces"]["accepted"], ~traces["accepted"].values)


def test_a_disk_without_room_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    lazy = make_traces().assign(
        mean=make_traces()["mean"].copy(data=make_traces()["mean"].data.map_blocks(broken, dtype=float))
    )
    with pytest.raises(
        FileAccessError, match="the results take up to .* has 9.8 KiB left: nothing of them was computed"
    ):
        save(lazy, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []
