"""What the manifest of a recording store proves of its frames, and when it proves nothing."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

import roitrace as rt
from roitrace.engine.blocks import source_of
from roitrace.sources import Window
from roitrace.store import extending
from roitrace.store.evidence import Evidence
from roitrace.store.finishing import finish_group
from roitrace.store.manifest import FileFacts
from roitrace.store.mark import marked

MOVIE = np.random.default_rng(0).poisson(50, (100, 12, 14)).astype("uint16")


def source(path, **part):
    return source_of(rt.open_recording(path, **part).data)


def evidence(path, **part):
    return Evidence.of(source(path, **part))


def converted(folder, values=MOVIE, name="movie", **options):
    np.save(folder / f"{name}.npy", values)
    given = {"chunks": (16, 4, 8), "overwrite": True} | options
    rt.convert(folder / f"{name}.npy", folder / f"{name}.zarr", **given)
    return folder / f"{name}.zarr"


def test_an_append_changes_nothing_before_the_border(tmp_path):
    store = converted(tmp_path)
    before = evidence(store)
    assert before.border == 96
    known = before.digest(96)
    np.save(tmp_path / "more.npy", MOVIE[:50])
    rt.append(tmp_path / "more.npy", store)
    now = evidence(store)
    assert (now.border, now.digest(96)) == (144, known)
    assert len({now.digest(frames) for frames in range(16, 145, 16)}) == 9


@pytest.mark.parametrize("frames", [-16, 0, 1, 95, 97, 112])
def test_only_whole_files_are_evidence(tmp_path, frames):
    assert evidence(converted(tmp_path)).digest(frames) is None


@pytest.mark.parametrize("place", [(0, 0, 0), (95, 11, 13), (40, 5, 9)])
def test_a_sample_more_or_less_is_noticed(tmp_path, place):
    known = evidence(converted(tmp_path)).digest(96)
    values = MOVIE.copy()
    values[place] += 1
    assert evidence(converted(tmp_path, values)).digest(96) != known
    assert evidence(converted(tmp_path)).digest(96) == known
    values = MOVIE.copy()
    values[96:] += 1
    assert evidence(converted(tmp_path, values)).digest(96) == known


def test_what_is_read_of_the_files_counts(tmp_path):
    store = converted(tmp_path)
    parts = [{}, {"y": slice(0, 11)}, {"y": slice(1, 12)}, {"x": slice(0, 3)}, {"time": slice(16, 100)}]
    known = {evidence(store, **part).digest(80) for part in parts}
    assert len(known) == len(parts)
    assert None not in known
    assert evidence(converted(tmp_path, MOVIE.view("int16"), "signed")).digest(80) not in known
    assert evidence(converted(tmp_path, chunks=(16, 12, 14))).digest(80) not in known


def test_windows_end_with_a_file_wherever_they_begin(tmp_path):
    store = converted(tmp_path)
    for part, border in (((5, 100), 91), ((5, 97), 91), ((5, 95), 75), ((5, 16), 11), ((5, 15), 0)):
        there = evidence(store, time=slice(*part))
        assert there.border == border
        assert (there.digest(border) is None) == (border == 0)
        assert there.digest(16) is None
    inner = Window(source(store, time=slice(5, 100)), (11, 0, 0), (80, 12, 14))
    assert Evidence.of(inner).digest(80) == evidence(store, time=slice(16, 96)).digest(80)


def test_one_channel_knows_nothing_of_the_other(tmp_path):
    values = np.stack([MOVIE, MOVIE + 1], axis=1)
    store = converted(tmp_path, values, axes="tcyx")
    known = [evidence(store, channel=number).digest(96) for number in range(2)]
    values[10, 1] += 1
    store = converted(tmp_path, values, axes="tcyx")
    assert evidence(store, channel=0).digest(96) == known[0]
    assert evidence(store, channel=1).digest(96) != known[1]


def written_by_zarr(path, values, *codecs):
    """Return what a finished recording store proves whose files are single chunks."""
    mark = {"roitrace": marked("recording", "fluorescence")}
    array = zarr.create_group(path, zarr_format=3, attributes=mark).create_array(
        "fluorescence",
        shape=values.shape,
        dtype="uint16",
        chunks=(16, 4, 8),
        compressors=[ZstdCodec(level=0), *codecs],
        dimension_names=("time", "y", "x"),
    )
    array[:] = values
    finish_group(path, {})
    return evidence(path)


def test_files_of_single_chunks(tmp_path):
    one = written_by_zarr(tmp_path / "one.zarr", MOVIE, Crc32cCodec())
    longer = np.concatenate([MOVIE[:99], MOVIE])
    other = written_by_zarr(tmp_path / "other.zarr", longer, Crc32cCodec())
    assert (one.border, other.border) == (96, 192)
    assert one.digest(96) == other.digest(96) != one.digest(80)
    assert written_by_zarr(tmp_path / "unchecked.zarr", MOVIE) is None


def test_others_prove_nothing(tmp_path):
    store = converted(tmp_path)
    zarr.save_array(tmp_path / "plain.zarr", MOVIE)
    recording = rt.open_recording(store)
    assert evidence(tmp_path / "plain.zarr") is None
    assert evidence(tmp_path / "movie.npy") is None
    assert Evidence.of(source_of(rt.exclude(recording, frames=[3]).data)) is None
    (store / "fluorescence" / "manifest").unlink()
    assert evidence(store, unfinished=True) is None


def test_files_that_may_be_one_of_two_prove_nothing(tmp_path, monkeypatch):
    store = converted(tmp_path)
    np.save(tmp_path / "more.npy", MOVIE)

    class Killed(BaseException):
        """The process is gone."""

    move = extending.move

    def stopped(old, new):
        if old.name.endswith(".next"):
            raise Killed
        move(old, new)

    monkeypatch.setattr(extending, "move", stopped)
    with pytest.raises(Killed):
        rt.append(tmp_path / "more.npy", store)
    there = evidence(store)
    assert there.border == 192
    assert there.digest(96) is not None
    assert there.digest(112) is None


@pytest.mark.parametrize("known", [[], [FileFacts("fluorescence/c/0/0/0", 9, 9, np.zeros(0, np.uint32))]])
def test_files_of_which_the_manifest_knows_no_chunk_prove_nothing(tmp_path, monkeypatch, known):
    there = evidence(converted(tmp_path))
    monkeypatch.setattr("roitrace.store.known.KnownFiles.of", lambda *_: known)
    assert there.digest(96) is None
