"""Places in object stores answer as paths do."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from roitrace.config import make_config
from roitrace.errors import ArgumentError, OutputExistsError
from roitrace.formats.identity import content_identity
from roitrace.pipeline.recordings.fingerprint import fingerprint_of, keep_fingerprint, what_changed
from roitrace.pipeline.recordings.outputs import configurations, summary_path
from roitrace.store.places import ObjectPath, place_of
from tests.cloud.memory import memory_bucket

PARTS = ("name", "stem", "suffix")


@pytest.mark.parametrize("key", ["movie.zarr", "2026/movie.zarr", "2026/a.b/c", "x/zarr.json"])
def test_parts_are_those_of_a_path(key):
    place, path = place_of(f"s3://lab/{key}"), Path("/lab", key)
    assert isinstance(place, ObjectPath)
    assert [getattr(place, one) for one in PARTS] == [getattr(path, one) for one in PARTS]
    assert str(place.parent) == f"s3:/{path.parent}"
    assert [str(one) for one in place.parents] == [f"s3:/{one}" for one in path.parents[:-1]]
    assert str(place.with_name("other")) == f"s3:/{path.with_name('other')}"
    assert str(place.with_suffix(".run")) == f"s3:/{path.with_suffix('.run')}"
    assert (place / "a/b").relative_to(place).as_posix() == "a/b"
    assert pickle.loads(pickle.dumps(place)) == place
    assert {place, place_of(str(place))} == {place}


def test_paths_stay_paths_and_places_are_no_paths():
    assert place_of("movies/a.zarr") == Path("movies/a.zarr")
    assert place_of(Path("s3://lab/a.zarr")) == place_of("s3://lab/a.zarr")  # pathlib takes one slash away
    with pytest.raises(TypeError):
        os.fspath(place_of("s3://lab/a.zarr"))
    with pytest.raises(
        ArgumentError, match=r"s3://lab is a whole bucket; name a place in it, such as s3://lab/movie.zarr"
    ):
        place_of("s3://lab").with_name("run")
    with pytest.raises(ArgumentError, match="leads upwards"):
        place_of("s3://lab/a") / "../b"


def test_objects_are_read_and_written_as_files_are(bucket):
    folder = place_of(bucket) / "a"
    assert isinstance(folder, ObjectPath)
    assert not folder.exists()
    for name in ("one", "b/two", "b/c/three"):
        (folder / name).write_text(name)
    assert [one.name for one in folder.iterdir()] == ["b", "one"]
    assert folder.lengths() == {"b/c/three": 9, "b/two": 5, "one": 3}
    assert [(folder / name).is_dir() for name in ("b", "one", "none")] == [True, False, False]
    assert [(folder / name).is_file() for name in ("b", "one", "none")] == [False, True, False]
    assert folder.read_each(["one", "none", "b/two"]) == [b"one", None, b"b/two"]
    assert (folder / "one").read_text() == "one"
    assert (folder / "one").stat().st_size == 3
    assert (folder / "one").tag() != (folder / "b/two").tag() is not None
    missing = folder / "none"
    assert missing.tag() is None
    for call in (missing.read_bytes, missing.stat, missing.open, missing.unlink):
        with pytest.raises(FileNotFoundError, match="there is no object s3://"):
            call()
    missing.unlink(missing_ok=True)
    (folder / "one").copy_to(folder / "four")
    folder.remove("one", "b/two", "never")
    assert list(folder.lengths()) == ["b/c/three", "four"]


def test_only_one_of_many_puts_a_new_object(bucket):
    place = place_of(f"{bucket}/lock")
    assert isinstance(place, ObjectPath)
    assert place.write_new(b"first")
    assert not place.write_new(b"second")
    assert place.write_new(b"first")  # an answer that was lost on the way
    assert place.read_bytes() == b"first"


def test_an_opened_object_is_read_in_pieces(bucket, s3):
    place = place_of(f"{bucket}/long")
    assert isinstance(place, ObjectPath)
    data = bytes(range(256)) * 8
    place.write_bytes(data)
    s3.log.clear()
    with place.open("rb", buffering=0) as file:
        assert file.read(100) == data[:100]
        assert file.seek(-4, io.SEEK_END) == len(data) - 4
        assert file.read(100) == data[-4:]
        assert file.read(100) == b""
        assert file.seek(2, io.SEEK_CUR) == file.tell() == len(data) + 2
    assert sum(one.sent for one in s3.log.of("long")) == 104
    with pytest.raises(ValueError, match="only read in pieces"):
        place.open("r+b")


def test_the_content_of_a_folder_of_objects_is_told_from_another():
    with memory_bucket() as bucket:
        assert content_identity("s3://memory/cells.zarr") == ""
        bucket.contents |= {"cells.zarr/zarr.json": b"1", "cells.zarr/c/0": b"2"}
        first = content_identity("s3://memory/cells.zarr")
        assert first == content_identity(place_of("s3://memory/cells.zarr")) != ""
        bucket.contents["cells.zarr/c/0"] = b"3"
        assert content_identity("s3://memory/cells.zarr") != first


def test_outputs_of_many_recordings_lie_in_a_bucket(tmp_path):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.zeros((4, 8, 8), "uint16"))
    config = {
        "recording": {"path": str(tmp_path / "*.npy"), "frame_rate": 5},
        "output": {"path": "s3://memory/lab"},
    }
    with memory_bucket() as bucket:
        jobs = configurations(make_config(config))
        assert [one.config.output.path for one in jobs] == [f"s3://memory/lab/{name}.zarr" for name in "ab"]
        assert [what_changed(one, {}) for one in jobs] == ["new", "new"]
        assert str(summary_path(make_config(config))) == "s3://memory/lab/summary"
        keep_fingerprint(jobs[0], fingerprint_of(jobs[0].config), complete=True)
        assert list(bucket.contents) == [f"lab/a.zarr.run/{jobs[0].fingerprint.name}"]
        bucket.contents["lab/b.zarr/other"] = b""
        with pytest.raises(OutputExistsError, match=r"s3://memory/lab/b\.zarr exist already"):
            configurations(make_config(config))
