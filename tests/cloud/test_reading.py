"""Recordings at a URL: the bytes of the same recording on disk, by few requests, for the needed ranges only."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

import roitrace as rt
from roitrace.engine.blocks import source_of
from tests.cloud.copies import copy_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cloud.servers import Server

FRAMES, SIDE = 520, 192


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording store: three shards of nine chunks."""
    folder = tmp_path_factory.mktemp("movie")
    samples = np.random.default_rng(1).integers(0, 4000, (FRAMES, SIDE, SIDE)).astype("uint16")
    np.save(folder / "movie.npy", samples)
    rt.convert(folder / "movie.npy", folder / "movie.zarr", frame_rate=10, chunks=(256, 64, 64))
    return folder / "movie.zarr"


@pytest.fixture
def remote(movie: Path, bucket: str, s3: Server) -> str:
    """The same store in a bucket."""
    url = copy_to(movie, f"{bucket}/2026/movie.zarr")
    s3.log.clear()
    return url


def one_pixel() -> rt.Rois:
    return rt.Rois.from_pixels([np.array([[70, 130]])], shape=(SIDE, SIDE))


def test_the_recording_is_the_one_on_disk(movie: Path, remote: str) -> None:
    local, there = rt.open_recording(movie), rt.open_recording(remote)
    assert there.attrs == local.attrs
    assert_array_equal(there["time"], local["time"])
    assert source_of(there.data).identity() == source_of(local.data).identity()
    assert_array_equal(there.values, local.values)
    part = {"time": slice(250, 300), "y": slice(60, 70), "x": slice(3, 192)}
    assert_array_equal(rt.open_recording(remote, **part).values, rt.open_recording(movie, **part).values)


def test_a_source_travels_as_its_url(remote: str) -> None:
    source = source_of(rt.open_recording(remote).data)
    sent = pickle.dumps(source)
    assert len(sent) < 4000
    assert b"roitrace-secret" not in sent
    window = slice(0, 3), slice(0, 9), slice(0, 9)
    assert_array_equal(pickle.loads(sent).read(*window), source.read(*window))


def test_traces_and_images_are_those_of_the_disk(movie: Path, remote: str) -> None:
    rois = rt.Rois.from_labels(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 1000)
    names = ("mean", "median")
    asked = {"statistics": names, "projections": ("mean", "max", "median")}
    expected = rt.extract(rt.open_recording(movie), rois, **asked).compute()
    found = rt.extract(rt.open_recording(remote), rois, **asked).compute()
    for name in expected.data_vars:
        assert_array_equal(found[name], expected[name], err_msg=str(name))


def test_one_pixel_costs_the_index_and_one_chunk_of_each_shard(movie: Path, remote: str, s3: Server) -> None:
    recording = rt.open_recording(remote)
    traces = rt.extract(recording, one_pixel(), statistics=("mean",))
    s3.log.clear()
    found = traces["mean"].compute()
    shards = [one for one in s3.log.requests if "/fluorescence/c/" in one.path]
    assert len(shards) == 2 * 3
    assert all(one.method == "GET" and one.span for one in shards)
    largest = max(file.stat().st_size for file in (movie / "fluorescence").rglob("*") if file.is_file())
    assert s3.log.sent < 3 * largest / 9 + 50_000
    assert_array_equal(found[0], rt.open_recording(movie)[:, 70, 130])


def test_chunks_are_fetched_together(remote: str, s3: Server) -> None:
    source = source_of(rt.open_recording(remote).data)
    s3.log.clear()
    s3.log.delay = 0.05
    source.read(slice(0, 256), slice(0, SIDE), slice(0, SIDE))
    # neighbours that fit into one request are one
    assert len([one for one in s3.log.requests if "/fluorescence/c/" in one.path]) <= 1 + 3


def test_nothing_is_fetched_before_it_is_asked_for(remote: str, s3: Server) -> None:
    recording = rt.open_recording(remote)
    rt.extract(recording, one_pixel(), statistics=("mean",), projections=("mean",))
    assert not [
        one
        for one in s3.log.requests
        if one.method == "GET" and "/fluorescence/c/" in one.path and not one.span
    ]


def variants() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("v2", {"zarr_format": 2, "chunks": (100, 64, 64)}),
        ("v3", {"zarr_format": 3, "chunks": (100, 64, 64)}),
        ("sharded", {"zarr_format": 3, "chunks": (50, 64, 64), "shards": (100, 192, 192)}),
        ("through zarr", {"zarr_format": 2, "chunks": (100, 64, 64), "filters": [zarr_delta()]}),
    ]


def zarr_delta() -> Any:
    from numcodecs import Delta

    return Delta(dtype="<u2")


@pytest.mark.parametrize(("kind", "options"), variants(), ids=[name for name, _ in variants()])
def test_stores_of_others(kind: str, options: dict[str, Any], bucket: str, tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(0, 900, (230, 192, 192)).astype("uint16")
    samples[100:200, :64, :64] = 0
    array = zarr.create_array(tmp_path / "a.zarr", shape=samples.shape, dtype="<u2", **options)
    array[:] = samples
    url = copy_to(tmp_path / "a.zarr", f"{bucket}/a.zarr")
    there = rt.open_recording(url)
    assert (source_of(there.data).layout is None) == (kind == "through zarr")
    assert (
        source_of(there.data).identity() == source_of(rt.open_recording(tmp_path / "a.zarr").data).identity()
    )
    assert_array_equal(there.values, samples)


def test_a_web_server_is_read(movie: Path, web: tuple[Path, Server]) -> None:
    folder, server = web
    shutil.copytree(movie, folder / "movie.zarr")
    there = rt.open_recording(f"{server.address}/movie.zarr")
    found = rt.extract(there, one_pixel(), statistics=("mean",))["mean"].compute()
    assert_array_equal(found[0], rt.open_recording(movie)[:, 70, 130])
    assert all(one.span for one in server.log.requests if "/fluorescence/c/" in one.path)


def test_googles_store_is_read(movie: Path, remote: str, google_bucket: str) -> None:
    url = remote.replace("s3://", "gs://")
    assert url.startswith(google_bucket)
    found = rt.open_recording(url)[:, 70, 130].values
    assert_array_equal(found, rt.open_recording(movie)[:, 70, 130])
