from __future__ import annotations

import os
from itertools import pairwise

import h5py
import numpy as np
import pytest
import tifffile

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.parts import JoinedSource, join
from roitrace.formats.recordings.series import natural_key
from roitrace.formats.registry import open_recording_file
from roitrace.sources import BlockSource
from tests.formats.reading import check_source, movie, opened


def write_frames(folder, samples, pattern="frame{}.tif", first=1, **options):
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(samples, start=first):
        tifffile.imwrite(folder / pattern.format(number), frame, **options)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}, {"imagej": True}])
def test_numbered_images_in_natural_order(tmp_path, options):
    samples = movie((12, 5, 6))  # frame10 comes behind frame9
    write_frames(tmp_path / "run", samples, **options)
    files = [tmp_path / "run" / f"frame{number}.tif" for number in range(1, 13)]
    for place in (
        tmp_path / "run",
        str(tmp_path / "run" / "frame*.tif"),
        files,
        [str(file) for file in files],
    ):
        source, metadata = opened(place)
        check_source(source, samples, max_examples=8)
        assert metadata.notes == ()
        assert source.chunks == (1, 5, 6)


def test_a_list_keeps_its_order(tmp_path):
    samples = movie((3, 5, 6))
    write_frames(tmp_path, samples)
    files = [tmp_path / f"frame{number}.tif" for number in (3, 1, 2)]
    check_source(opened(files)[0], samples[[2, 0, 1]], max_examples=3)


@pytest.mark.parametrize("lengths", [(4, 4, 2), (1, 5, 3), (6, 1, 1)])
def test_stacks_of_several_files(tmp_path, lengths):
    samples = movie((sum(lengths), 5, 6))
    cuts = np.cumsum([0, *lengths])
    for number, (start, stop) in enumerate(pairwise(cuts)):
        options = {} if number % 2 else {"compression": "zlib"}
        tifffile.imwrite(
            tmp_path / f"s_{number}.tif", samples[start:stop], photometric="minisblack", **options
        )
    check_source(opened(tmp_path)[0], samples)


def test_stacks_with_channels(tmp_path):
    samples = movie((8, 2, 5, 6))
    for number in range(2):
        tifffile.imwrite(
            tmp_path / f"{number}.tif",
            samples[4 * number : 4 * number + 4],
            imagej=True,
            metadata={"axes": "TCYX"},
        )
    recording = open_recording_file(tmp_path)
    for channel in range(2):
        check_source(recording.sources[channel][0], samples[:, channel], max_examples=3)


@pytest.mark.parametrize("save", ["npy", "npy images", "h5"])
def test_other_formats_join_too(tmp_path, save):
    samples = movie((8, 5, 6))
    parts = list(samples) if save == "npy images" else [samples[:5], samples[5:]]
    for number, part in enumerate(parts):
        if save == "h5":
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file.create_dataset("data", data=part, chunks=(3, 5, 6))
        else:
            np.save(tmp_path / f"{number}.npy", part)
    source, _ = opened(tmp_path)
    check_source(source, samples)
    assert source.chunks[0] == 1


def test_chunks_of_parts_that_line_up(tmp_path):
    for number, frames in enumerate((6, 4, 5)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("data", data=movie((frames, 5, 6)), chunks=(2, 3, 6))
    assert opened(tmp_path)[0].chunks == (2, 3, 6)


def test_a_part_is_opened_once_for_successive_reads(tmp_path, monkeypatch):
    write_frames(tmp_path, movie((4, 5, 6)))
    source, _ = opened(tmp_path)
    opens = []
    kind = type(source.parts[0])
    original = kind.open
    monkeypatch.setattr(kind, "open", lambda self: opens.append(self.path) or original(self))
    with source.open() as reader:
        for column in range(6):
            reader.read(slice(2, 3), slice(0, 5), slice(column, column + 1))
    assert len(opens) == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((5, 7), "uint16"), "frames of 5 x 7 uint16"),
        (np.zeros((5, 6), "uint8"), "frames of 5 x 6 uint8"),
        (np.zeros((4, 2, 5, 6), "uint16"), "in 2 channels and 1 planes"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, other, message):
    write_frames(tmp_path, movie((3, 5, 6)))
    axes = {"axes": "TCYX"} if other.ndim == 4 else {}
    tifffile.imwrite(tmp_path / "frame4.tif", other, photometric="minisblack", metadata=axes)
    with pytest.raises(FormatError, match=rf"frame4\.tif has {message}|frame4\.tif has .*{message}"):
        open_recording_file(tmp_path)


def test_what_files_differ_in_is_noted(tmp_path):
    for number, interval in enumerate((0.1, 0.1, 0.2), start=1):
        tifffile.imwrite(
            tmp_path / f"f{number * number}.tif",
            movie(),
            imagej=True,
            metadata={"axes": "TYX", "finterval": interval, "unit": "um"},
            resolution=(number, number),
        )
    _, metadata = opened(tmp_path)
    assert metadata.frame_rate == pytest.approx(10)
    assert metadata.notes[:-1] == (
        "the files differ in frame rate; that of the first is taken",
        "the files differ in pixel size; that of the first is taken",
        "the numbers of the files jump from 1 to 4: files may be missing",
    )


def test_folders_of_several_kinds(tmp_path):
    write_frames(tmp_path, movie((3, 5, 6)))
    tifffile.imwrite(tmp_path / "mean.tif", movie()[0])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.tif").write_text("x")
    with pytest.raises(ArgumentError, match=r"several kinds: frame\*\.tif, mean\.tif"):
        open_recording_file(tmp_path)
    assert opened(tmp_path / "frame*.tif")[0].shape == (3, 5, 6)


def test_nothing_there(tmp_path):
    with pytest.raises(ArgumentError, match="holds no recording"):
        open_recording_file(tmp_path)
    with pytest.raises(ArgumentError, match="there is no file"):
        open_recording_file(tmp_path / "x*.tif")
    with pytest.raises(ArgumentError, match="there is no file"):
        open_recording_file(tmp_path / "x.tif")
    with pytest.raises(ArgumentError, match="list of files is empty"):
        open_recording_file([])
    np.save(tmp_path / "a.npy", movie())
    with pytest.raises(ArgumentError, match=r"no file .*b\.npy \(1 of 2 are missing\)"):
        open_recording_file([tmp_path / "a.npy", tmp_path / "b.npy"])


def test_natural_order():
    names = ["a10b2.tif", "a2b10.tif", "a2b9.tif", "a2.tif", "b1.tif"]
    assert sorted(names, key=natural_key) == ["a2.tif", "a2b9.tif", "a2b10.tif", "a10b2.tif", "b1.tif"]


def test_join_refuses_other_frames(tmp_path):
    np.save(tmp_path / "a.npy", movie())
    np.save(tmp_path / "b.npy", movie((7, 5, 7)))
    one, other = (opened(tmp_path / name)[0] for name in ("a.npy", "b.npy"))
    assert join([one], ["a"]) is one
    assert isinstance(join([one, one], ["a", "a"]), JoinedSource)
    assert isinstance(join([one, one], ["a", "a"]), BlockSource)
    with pytest.raises(FormatError, match="b has frames of 5 x 7 uint16, a of 5 x 6 uint16"):
        join([one, other], ["a", "b"])


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    np.save(tmp_path / "a.npy", movie())
    assert opened("~/a.npy")[0].shape == (7, 5, 6)
