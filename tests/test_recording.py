from __future__ import annotations

import itertools
import json
import re
import warnings
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import yaozarrs
import zarr

from roitrace.conversion import convert
from roitrace.engine.blocks import as_dask, source_of
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import (
    ArgumentError,
    BudgetError,
    FileAccessError,
    FormatError,
    OutputExistsError,
    RoitraceError,
    StoreError,
)
from roitrace.extraction import extract, pixel_traces
from roitrace.projection import project
from roitrace.recording import check_recording, frame_rate_of, open_recording
from roitrace.rois import Rois
from roitrace.sources import SAMPLE_DTYPES, RecordingFile, RecordingMetadata, Window
from roitrace.units import parse_bytes
from tests.block_sources import ArraySource, FailingSource, GeneratedSource, counted_reads, recording_file
from tests.trace_strategies import nothing_computed

MOVIE = np.random.default_rng(3).integers(0, 2**16, (40, 10, 12), dtype=np.uint16)


@pytest.fixture
def movie_file(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, MOVIE)
    return path


def labelled(values, **coords) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords)


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


# -- open ---------------------------------------------------------------------------------------------------------


def test_a_recording_is_labelled_and_lazy(movie_file):
    with nothing_computed():
        recording = open_recording(movie_file, frame_rate=8, pixel_size=0.5)
    assert recording.name == "fluorescence"
    assert recording.dims == ("time", "y", "x")
    assert recording.dtype == np.uint16
    assert recording.chunks is not None
    assert recording.attrs["frame_rate"] == 8.0
    np.testing.assert_array_equal(recording["time"], np.arange(40) / 8)
    np.testing.assert_array_equal(recording["x"], np.arange(12) * 0.5)
    assert [recording[axis].attrs["units"] for axis in ("time", "y", "x")] == [
        "s",
        "micrometer",
        "micrometer",
    ]
    np.testing.assert_array_equal(recording, MOVIE)


def test_nothing_is_assumed_where_nothing_is_known(movie_file):
    recording = open_recording(movie_file)
    assert [recording[axis].attrs["units"] for axis in ("time", "y", "x")] == ["1", "1", "1"]
    np.testing.assert_array_equal(recording["y"], np.arange(10))
    assert "frame_rate" not in recording.attrs
    assert open_recording(movie_file, pixel_size=(2, 3))["y"].values.tolist() == [2.0 * n for n in range(10)]


def test_a_part_keeps_its_place_and_the_direct_path(movie_file):
    part = open_recording(
        movie_file, time=slice(5, None), y=slice(2, -1), x=slice(-4, None), frame_rate=10, pixel_size=2
    )
    np.testing.assert_array_equal(part, MOVIE[5:, 2:-1, -4:])
    assert part["time"][0] == 0.5
    assert part["y"].values.tolist() == [4.0 + 2 * n for n in range(7)]
    assert part["x"].values.tolist() == [16.0, 18.0, 20.0, 22.0]
    assert isinstance(source_of(part.data), Window)
    rois = Rois.from_pixels([[[3, 9], [0, 0]]], frame=open_recording(movie_file, pixel_size=2))
    np.testing.assert_array_equal(extract(part, rois, "sum").compute()["sum"][0], MOVIE[5:, 3, 9])


def test_the_name_changes_with_the_file(movie_file):
    before = open_recording(movie_file).data.name
    assert open_recording(movie_file).data.name == before
    np.save(movie_file, MOVIE[:39])
    assert open_recording(movie_file).data.name != before


def test_times_of_the_file_win_over_its_frame_rate_and_the_callers_over_both():
    times = np.array([0.0, 0.1, 0.25, 0.3])
    file = recording_file(
        ArraySource(MOVIE[:4], (4, 10, 12)), frame_rate=7.0, time=times, pixel_size=(1.5, 2.0)
    )
    from roitrace.recording import label

    recording = label(file, None, None, "", {}, None, None)
    np.testing.assert_array_equal(recording["time"], times)
    assert recording["x"][1] == 2.0
    recording = label(file, 20.0, 3.0, "", {}, None, None)
    np.testing.assert_array_equal(recording["time"], np.arange(4) / 20)
    assert recording["x"][1] == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"time": slice(0, None, 2)},
            r"time=slice\(0, None, 2\) has step 2, expected 1; use recording.isel\(time=",
        ),
        ({"time": slice(50, 60)}, "selects nothing of 40"),
        ({"y": 3}, "y=3, expected a slice"),
        ({"x": slice(0.5, 2)}, "expected whole numbers: indices"),
        ({"channel": 1}, "channel=1 is not there; the recording has 1"),
        ({"channel": "GCaMP"}, "there is no channel 'GCaMP'"),
        ({"plane": -2}, "plane=-2 is not there"),
        ({"frame_rate": 0}, "frame_rate=0, expected frames per second above 0"),
        ({"frame_rate": float("nan")}, "frame_rate=nan"),
        ({"pixel_size": -1}, "pixel_size=-1, expected micrometres above 0"),
        ({"pixel_size": (1, float("inf"))}, "expected micrometres above 0"),
    ],
)
def test_parts_and_scales_that_are_refused(movie_file, options, message):
    with pytest.raises(ArgumentError, match=message):
        open_recording(movie_file, **options)


def test_channels_and_planes_are_opened_whole_or_one_at_a_time(tmp_path):
    store = tmp_path / "two.zarr"
    convert(two_channels(), store)
    whole = open_recording(store)
    assert whole.dims == ("time", "channel", "plane", "y", "x")
    assert whole["channel"].values.tolist() == ["green", "red"]
    red = open_recording(store, channel="red", plane=2)
    assert red.dims == ("time", "y", "x")
    assert source_of(red.data) is not None
    np.testing.assert_array_equal(red, MOVIE + np.uint16(12))
    np.testing.assert_array_equal(open_recording(store, channel=-1)[:, 1], MOVIE + np.uint16(11))
    with pytest.raises(ArgumentError, match="there is no channel 'blue'; there are green, red"):
        open_recording(store, channel="blue")
    with pytest.raises(ArgumentError, match=r"isel\(channel=0\)"):
        extract(whole, np.ones((10, 12), bool))


def two_channels() -> RecordingFile:
    sources = tuple(
        tuple(ArraySource(MOVIE + np.uint16(10 * channel + plane), (7, 5, 5)) for plane in range(3))
        for channel in range(2)
    )
    metadata = RecordingMetadata(frame_rate=5.0, channel_names=("green", "red"))
    return RecordingFile("test", sources, has_channel_axis=True, has_plane_axis=True, metadata=metadata)


# -- a transformed recording never yields raw data ----------------------------------------------------------------

TRANSFORMED = {
    "arithmetic": lambda r: (r - 3) * 2,
    "later frames": lambda r: r.isel(time=slice(3, None)),
    "crop": lambda r: r.isel(y=slice(2, 9), x=slice(1, None)),
    "every second": lambda r: r[::2],
    "backwards": lambda r: r[::-1],
    "chosen frames": lambda r: r.isel(time=[3, 3, 1]),
    "other data": lambda r: r.copy(data=da.from_array(np.asarray(r.values) + np.uint16(1), chunks=7)),
    "other data in memory": lambda r: r.copy(data=r.values[::-1].copy()),
    "other dtype": lambda r: r.astype("uint8"),
    "persisted": lambda r: (r + 1).persist(),
    "computed": lambda r: r.compute() * 3,
    "where": lambda r: r.where(r > 1000, 0).astype("int32"),
    "clip": lambda r: r.clip(100, 5000),
    "rolled": lambda r: r.roll(time=2),
    "diff": lambda r: r.astype("int32").diff("time"),
    "binned": lambda r: r.coarsen(time=4).mean(),
    "rechunked": lambda r: r.chunk({"time": 3}) + 1,
    "through a dataset": lambda r: (r * 2).to_dataset(name="fluorescence")["fluorescence"],
    "with its attributes": lambda r: xr.DataArray(
        r.data * 5, dims=r.dims, coords=r.coords, attrs=r.attrs, name=r.name
    ),
    "with its encoding": lambda r: encoded_as(r * 5, r),
    "assigned": lambda r: assigned(r.copy()),
    "map_blocks": lambda r: r.copy(
        data=da.asarray(r.data).map_blocks(lambda block: block // 2, dtype=r.dtype)
    ),
    "sorted": lambda r: r.sortby("time", ascending=False),
}


def encoded_as(array, other):
    array.encoding = dict(other.encoding)
    return array.assign_attrs(other.attrs)


def assigned(array):
    array[2] = 0
    return array


@pytest.mark.filterwarnings("ignore:.*chunks:UserWarning")
@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformed_recording_never_yields_raw_data(movie_file, tmp_path, name):
    recording = open_recording(movie_file, frame_rate=8, pixel_size=0.5)
    with dask.config.set(scheduler="sync"):
        transformed = TRANSFORMED[name](recording)
        expected = np.asarray(TRANSFORMED[name](recording.compute()))
        assert not np.array_equal(expected, MOVIE)
        mask = np.zeros(expected.shape[1:], bool)
        mask[1, 2] = mask[4, 7] = True
        traces = extract(transformed, mask, ("sum", "max"), projections=("sum",)).compute()
        np.testing.assert_array_equal(traces["sum"][0], expected[:, mask].sum(axis=1, dtype=float))
        np.testing.assert_array_equal(traces["max"][0], expected[:, mask].max(axis=1))
        np.testing.assert_allclose(traces["projection_sum"], expected.sum(axis=0, dtype=float), rtol=1e-12)
        np.testing.assert_array_equal(project(transformed, "max").compute()["max"], expected.max(axis=0))
        np.testing.assert_array_equal(pixel_traces(transformed, mask), expected[:, mask].T)
        np.testing.assert_array_equal(convert(transformed, tmp_path / "new.zarr"), expected)


def test_a_persisted_recording_is_the_same(movie_file):
    recording = open_recording(movie_file)
    mask = np.ones((10, 12), bool)
    kept = extract(recording.persist(scheduler="sync"), mask, "mean", projections="std")
    xr.testing.assert_identical(kept.compute(), extract(recording, mask, "mean", projections="std").compute())


def test_a_transposed_recording_is_refused(movie_file, tmp_path):
    recording = open_recording(movie_file).transpose("y", "x", "time")
    for call in (
        lambda: extract(recording, np.ones((10, 12), bool)),
        lambda: project(recording),
        lambda: pixel_traces(recording, np.ones((10, 12), bool)),
        lambda: convert(recording, tmp_path / "no.zarr"),
    ):
        with pytest.raises(ArgumentError, match=r"dims \('y', 'x', 'time'\), expected \('time', 'y', 'x'\)"):
            call()
    assert not (tmp_path / "no.zarr").exists()


def test_the_frame_rate_follows_the_times(movie_file):
    recording = open_recording(movie_file, frame_rate=8)
    assert frame_rate_of(recording) == 8.0
    assert frame_rate_of(recording[::2]) == pytest.approx(4.0)
    assert extract(recording[::2], np.ones((10, 12), bool), "mean").attrs["frame_rate"] == pytest.approx(4.0)
    assert frame_rate_of(recording.drop_vars("time")) == 8.0
    assert frame_rate_of(open_recording(movie_file)) is None
    assert frame_rate_of(labelled(MOVIE, time=("time", np.arange(40) / 5, {"units": "s"}))) == pytest.approx(
        5.0
    )


def test_recordings_that_are_not_chunked_are_cut_and_not_loaded(tmp_path):
    convert(labelled(MOVIE), tmp_path / "a.zarr", chunks=(8, 5, 6))
    lazy = xr.open_zarr(tmp_path / "a.zarr", chunks=None)["fluorescence"]
    traces = extract(lazy, np.ones((10, 12), bool), "mean")
    assert not lazy._in_memory
    assert traces["mean"].data.numblocks[1] >= 1
    np.testing.assert_array_equal(traces["mean"][0], MOVIE.sum(axis=(1, 2), dtype=float) / 120)


def test_what_a_recording_is():
    good = labelled(MOVIE)
    assert check_recording(good) is good
    for bad in (good.rename(time="t"), good.isel(time=0), good[:, :, :0]):
        with pytest.raises(ArgumentError):
            check_recording(bad)
    for dtype in ("int64", "uint64", "float16", "bool", "complex128"):
        with pytest.raises(FormatError, match="expected one of uint8"):
            check_recording(labelled(np.ones((2, 2, 2), dtype)))


# -- convert ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*SAMPLE_DTYPES, ">u2", ">f8"])
def test_what_is_converted_comes_back(tmp_path, dtype):
    values = (MOVIE % 120).astype(dtype)
    for number, source in enumerate(
        (
            recording_file(ArraySource(values, (16, 5, 5))),
            labelled(da.from_array(values, chunks=(9, 10, 7))),
            labelled(values),
        )
    ):
        store = tmp_path / f"{number}.zarr"
        recording = convert(source, store, chunks=(16, 4, 5))
        assert recording.dtype == np.dtype(dtype).newbyteorder("=")
        assert source_of(recording.data) is not None
        np.testing.assert_array_equal(recording, values)
        np.testing.assert_array_equal(zarr.open_array(store, path="fluorescence", mode="r")[:], values)
    assert content(tmp_path / "0.zarr") == content(tmp_path / "1.zarr") == content(tmp_path / "2.zarr")


@pytest.mark.parametrize("chunks", [None, (1, 10, 12), (7, 3, 5), (64, 64, 64), (40, 1, 1)])
def test_any_chunks(tmp_path, chunks):
    store = tmp_path / "a.zarr"
    np.testing.assert_array_equal(
        convert(recording_file(ArraySource(MOVIE, (16, 5, 5))), store, chunks=chunks), MOVIE
    )
    array = zarr.open_array(store, path="fluorescence", mode="r")
    assert chunks is None or array.chunks == chunks
    np.testing.assert_array_equal(array[:], MOVIE)


def full_recording() -> xr.DataArray:
    time = ("time", 3.0 + np.arange(40) / 5, {"units": "s"})
    y, x = (
        ("y", 2 + np.arange(10) * 0.5, {"units": "micrometer"}),
        ("x", np.arange(12) * 0.75, {"units": "micrometer"}),
    )
    attrs = {"frame_rate": 5.0, "indicator": "GCaMP6f", "long_name": "fluorescence", "units": "count"}
    return labelled(MOVIE, time=time, y=y, x=x).assign_attrs(attrs)


def test_a_store_opens_with_xarray_without_a_warning(tmp_path):
    recording = full_recording()
    convert(recording, tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(tmp_path / "a.zarr")
    assert dataset["fluorescence"].dims == ("time", "y", "x")
    for axis in ("time", "y", "x"):
        np.testing.assert_array_equal(dataset[axis], recording[axis])
        assert dataset[axis].attrs["units"] == recording[axis].attrs["units"]
    np.testing.assert_array_equal(dataset["fluorescence"], MOVIE)
    assert dataset["fluorescence"].attrs["units"] == "count"
    assert dataset.attrs["frame_rate"] == 5.0
    assert dataset.attrs["indicator"] == "GCaMP6f"
    assert dataset.attrs["roitrace"]["finished"] is True


def test_a_store_opens_as_what_was_converted(tmp_path):
    recording = full_recording()
    again = convert(recording, tmp_path / "a.zarr")
    xr.testing.assert_equal(again.compute().drop_attrs(), recording.rename("fluorescence").drop_attrs())
    assert again.attrs["frame_rate"] == 5.0
    assert again.attrs["indicator"] == "GCaMP6f"
    third = convert(again, tmp_path / "b.zarr")
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")
    xr.testing.assert_identical(third.compute(), again.compute())


def test_scales_that_are_given_win(tmp_path):
    again = convert(full_recording(), tmp_path / "a.zarr", frame_rate=10, pixel_size=(1, 2))
    np.testing.assert_array_equal(again["time"], np.arange(40) / 10)
    np.testing.assert_array_equal(again["x"], np.arange(12) * 2.0)
    assert again.attrs["frame_rate"] == 10.0


@pytest.mark.parametrize("make", [full_recording, lambda: labelled(MOVIE), two_channels])
def test_stores_are_valid_ome_zarr(tmp_path, make):
    store = tmp_path / "a.zarr"
    convert(make(), store)
    group = yaozarrs.validate_zarr_store(str(store))
    image = group.ome_metadata()
    assert image.version == "0.5"
    dims = zarr.open_array(store, path="fluorescence", mode="r").metadata.dimension_names
    assert tuple(axis.name for axis in image.multiscales[0].axes) == dims


def test_ome_scales_and_origins(tmp_path):
    convert(full_recording(), tmp_path / "a.zarr")
    ome = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    scale, translation = ome["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == pytest.approx([0.2, 0.5, 0.75])
    assert translation["translation"] == [3.0, 2.0, 0.0]
    assert [axis.get("unit") for axis in ome["axes"]] == ["second", "micrometer", "micrometer"]


def test_channels_and_planes_are_stored(tmp_path):
    store = tmp_path / "two.zarr"
    convert(two_channels(), store)
    array = zarr.open_array(store, path="fluorescence", mode="r")
    assert array.shape == (40, 2, 3, 10, 12)
    for channel, plane in itertools.product(range(2), range(3)):
        np.testing.assert_array_equal(array[:, channel, plane], MOVIE + np.uint16(10 * channel + plane))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(store)["channel"].values.tolist() == ["green", "red"]
    four = open_recording(store)
    again = convert(four, tmp_path / "again.zarr")
    np.testing.assert_array_equal(again, four)
    assert content(store) == content(tmp_path / "again.zarr")


def test_a_file_is_converted(movie_file, tmp_path):
    again = convert(movie_file, tmp_path / "a.zarr", frame_rate=5)
    np.testing.assert_array_equal(again, MOVIE)
    assert again["time"].attrs["units"] == "s"


def test_durations_become_seconds(tmp_path):
    times = np.arange(40) * np.timedelta64(250, "ms")
    again = convert(labelled(MOVIE, time=times.astype("timedelta64[ns]")), tmp_path / "a.zarr")
    np.testing.assert_array_equal(again["time"], np.arange(40) / 4)
    assert again["time"].attrs["units"] == "s"
    assert again.attrs["frame_rate"] == pytest.approx(4.0)


def test_the_bytes_do_not_depend_on_workers_or_blocks(tmp_path):
    # Chunks of a mebibyte: Blosc's own threads, which change the bytes, would be used for these.
    values = np.random.default_rng(0).integers(0, 3000, (300, 70, 130), dtype=np.uint16)
    sources = {
        "one": (recording_file(ArraySource(values, (64, 70, 130))), {"workers": 1}),
        "four": (recording_file(ArraySource(values, (10, 32, 9))), {"workers": 4}),
        "dask": (labelled(da.from_array(values, chunks=(77, 70, 31))), {"workers": 4, "budget": "2 GiB"}),
    }
    for name, (source, options) in sources.items():
        convert(source, tmp_path / f"{name}.zarr", chunks=(64, 64, 128), **options)
    first = content(tmp_path / "one.zarr")
    assert len(first) > 5
    assert content(tmp_path / "four.zarr") == first
    assert content(tmp_path / "dask.zarr") == first
    assert not any(b"/tmp" in data for name, data in first.items() if name.endswith(".json"))


def test_converting_reads_every_chunk_once_where_the_grids_meet(tmp_path):
    with counted_reads("convert") as reads:
        convert(
            recording_file(ArraySource(MOVIE, (8, 5, 12), "convert")), tmp_path / "a.zarr", chunks=(8, 5, 6)
        )
        assert set(reads.values()) == {1}
        assert len(reads) == 10


def test_progress_is_told(tmp_path):
    told = []
    source = recording_file(GeneratedSource((100, 8, 8), (10, 8, 8), np.dtype("uint8")))
    convert(
        source,
        tmp_path / "a.zarr",
        chunks=(10, 8, 8),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] >= 10
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# -- convert: what goes wrong -------------------------------------------------------------------------------------


def test_an_existing_store_is_not_touched(tmp_path):
    store = tmp_path / "a.zarr"
    convert(labelled(MOVIE), store)
    before, times = content(store), {file: file.stat().st_mtime_ns for file in store.rglob("*")}
    with counted_reads("exists") as reads:
        with pytest.raises(
            OutputExistsError, match=r"a\.zarr exists already; choose another name, or ask to overwrite it"
        ):
            convert(recording_file(ArraySource(MOVIE, (8, 5, 6), "exists")), store)
        assert not reads
    assert content(store) == before
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*")} == times
    assert list(tmp_path.iterdir()) == [store]


def test_overwriting_replaces_the_store(tmp_path):
    store = tmp_path / "a.zarr"
    convert(labelled(MOVIE), store)
    (tmp_path / ".a.zarr.old").mkdir()  # left by a job that was killed
    (tmp_path / ".a.zarr.old" / "x").touch()
    again = convert(
        open_recording(store) + np.uint16(1), store, overwrite=True
    )  # reads the store that it replaces
    np.testing.assert_array_equal(again, MOVIE + np.uint16(1))
    assert list(tmp_path.iterdir()) == [store]


@pytest.mark.parametrize("foreign", [False, True])
def test_the_old_store_stays_when_the_new_one_fails_midway(tmp_path, foreign):
    store = tmp_path / "a.zarr"
    convert(labelled(MOVIE), store)
    before = content(store)
    failing = FailingSource((100, 8, 8), (10, 8, 8), np.dtype("uint8"), good_frames=60)
    source = labelled(as_dask(failing) + np.uint8(1)) if foreign else recording_file(failing)
    with pytest.raises(StoreError, match="frame 60 cannot be read"):
        convert(source, store, chunks=(10, 8, 8), overwrite=True, workers=1)
    assert content(store) == before
    np.testing.assert_array_equal(convert(labelled(MOVIE[::2]), store, overwrite=True), MOVIE[::2])
    assert list(tmp_path.iterdir()) == [store]


def test_a_store_that_was_not_finished_says_so_and_gives_what_is_whole(tmp_path):
    store = tmp_path / "a.zarr"
    failing = FailingSource((100, 8, 8), (10, 8, 8), np.dtype("uint8"), good_frames=60)
    with pytest.raises(StoreError, match="frame 60 cannot be read"):
        convert(recording_file(failing), store, chunks=(10, 8, 8), workers=1)
    with pytest.raises(StoreError, match=r"a\.zarr is unfinished: \d+ of 100 frames"):
        open_recording(store)
    part = open_recording(store, unfinished=True)
    assert part.sizes["time"] == 60
    np.testing.assert_array_equal(part[:, 2, 0], np.arange(part.sizes["time"]) + 2)
    with pytest.raises(StoreError, match="was begun by another job: chunks were .*; another source content"):
        convert(labelled(MOVIE), store)
    np.testing.assert_array_equal(convert(labelled(MOVIE), store, overwrite=True), MOVIE)


def test_what_is_no_store_is_never_removed(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    file = tmp_path / "file.zarr"
    file.write_text("a file")
    for target in (folder, file):
        with pytest.raises(StoreError, match="is no zarr store, it will not be overwritten"):
            convert(labelled(MOVIE), target, overwrite=True)
    assert (folder / "chapter.txt").read_text() == "years of work"
    assert file.read_text() == "a file"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileAccessError, match="file is in the way; choose another place"):
        convert(labelled(MOVIE), tmp_path / "file" / "a.zarr")


def refusal(call) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("source", "at_once"),
    [
        (recording_file(GeneratedSource((300, 512, 512), (1, 512, 512), np.dtype("uint16"))), 256 * 64 * 512),
        (
            recording_file(GeneratedSource((300, 64, 64), (300, 2048, 2048), np.dtype("uint16"))),
            300 * 2048**2,
        ),
        (labelled(da.zeros((300, 512, 512), chunks=(100, 512, 512), dtype="uint16")), 256 * 512**2),
        (labelled(da.zeros((3000, 64, 64), chunks=(3000, 64, 64), dtype="uint16")), 3000 * 64**2),
    ],
    ids=["frames", "huge chunks of the file", "foreign", "huge blocks"],
)
def test_a_budget_that_is_too_small_is_refused_with_one_that_is_enough(tmp_path, source, at_once):
    error = refusal(lambda: convert(source, tmp_path / "a.zarr", budget="310 MiB"))
    assert "per task and 300.0 MiB for the program itself, the budget is 310.0 MiB" in error.problem
    assert not (tmp_path / "a.zarr").exists()
    enough = parse_bytes(re.search("budget='([^']+)'", error.next_step)[1])
    assert enough - RESERVED_BYTES > 2 * at_once
    refusal(lambda: convert(source, tmp_path / "a.zarr", budget=enough - 2**20))
    if enough < 2**30:
        small = source[:2] if isinstance(source, xr.DataArray) else source
        convert(small, tmp_path / "a.zarr", budget=enough)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: labelled(MOVIE).rename(time="t"), r"dims \('t', 'y', 'x'\)"),
        (lambda: labelled(MOVIE)[0], r"dims \('y', 'x'\)"),
        (lambda: labelled(MOVIE)[:0], "the recording is empty"),
        (lambda: labelled(MOVIE).expand_dims(trial=2), r"dims \('trial', 'time', 'y', 'x'\)"),
        (lambda: labelled(MOVIE.astype("int64")), "int64 samples"),
        (
            lambda: labelled(MOVIE, time=np.datetime64("2024-01-01", "ns") + np.arange(40)),
            "coordinate time holds datetime64",
        ),
        (lambda: labelled(MOVIE, y=list("abcdefghij")), "coordinate y holds <U1 values, expected numbers"),
        (lambda: Path("nothing/here.tif"), "there is no file"),
    ],
)
def test_sources_that_are_refused(tmp_path, make, message):
    with pytest.raises(RoitraceError, match=message):
        convert(make(), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (MOVIE, "the recording is a ndarray, with a ndarray where a path is expected"),
        (labelled(MOVIE), "the recording is a DataArray, with a DataArray where a path is expected"),
        (["a.tif", 3], "the recording is a list, with a int where a path is expected"),
        (3, "the recording is a int, expected a path or several"),
        (None, "the recording is a NoneType, expected a path or several"),
    ],
)
def test_what_is_no_path_is_not_opened(given, message):
    with pytest.raises(ArgumentError, match=message):
        open_recording(given)


def test_several_paths_may_be_of_any_kind(tmp_path):
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", MOVIE)
    paths = sorted(tmp_path.glob("*.npy"))
    for given in (paths, tuple(paths), iter(paths), np.array([str(path) for path in paths])):
        assert open_recording(given).sizes["time"] == 2 * len(MOVIE)


def test_chunks_that_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"chunks=\(0, 4, 4\), expected three positive numbers"):
        convert(labelled(MOVIE), tmp_path / "a.zarr", chunks=(0, 4, 4))
