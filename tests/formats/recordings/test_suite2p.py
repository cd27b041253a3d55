from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from roitrace.errors import FormatError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened


def write_plane(folder, samples, second=None, *, layout="old", **facts):
    """A plane as suite2p leaves it: samples as its BinaryFile writes them, metadata with numpy.save."""
    folder.mkdir(parents=True, exist_ok=True)
    samples.astype("<i2").tofile(folder / "data.bin")
    if second is not None:
        second.astype("<i2").tofile(folder / "data_chan2.bin")
    n_frames, height, width = samples.shape
    known = {"Ly": height, "Lx": width, "nframes": n_frames, "nchannels": 1 if second is None else 2} | facts
    rate = {"fs": known.pop("fs", 7.5)}
    if layout == "old":
        np.save(
            folder / "ops.npy",
            known
            | rate
            | {"date_proc": dt.datetime(2024, 5, 6, 7, 8, tzinfo=dt.UTC), "meanImg": samples.mean(0)},
        )
    else:
        np.save(folder / "db.npy", known | {"reg_file": str(folder / "data.bin")})
        np.save(folder / "settings.npy", rate | {"tau": 1.0, "registration": {"nonrigid": True}})
    return folder


@pytest.mark.parametrize("layout", ["old", "new"])
def test_a_movie_reads_with_either_metadata(tmp_path, layout):
    samples = movie(dtype="int16")
    plane = write_plane(tmp_path / "plane0", samples, layout=layout)
    for place in (plane, plane / "data.bin"):
        source, metadata = opened(place)
        check_source(source, samples, max_examples=8)
        assert source.chunks == (1, 5, 6)
        assert metadata.frame_rate == 7.5
        assert "half scale" in metadata.notes[0]


def test_channels_and_planes_of_a_whole_folder(tmp_path):
    samples = movie((2, 3, 7, 5, 6), "int16")  # channel, plane, time, y, x
    for plane in range(3):
        extra = 1 if plane < 2 else 0  # the last volume was cut off
        write_plane(
            tmp_path / f"plane{plane}", samples[0, plane, : 6 + extra], samples[1, plane, : 6 + extra]
        )
    recording = open_recording_file(tmp_path)
    assert recording.has_channel_axis
    assert recording.has_plane_axis
    assert recording.metadata.channel_names == ("0", "1")
    assert "last volume" in recording.metadata.notes[-1]
    assert len(recording.files) == 6
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], samples[channel, plane, :6], max_examples=3)


def test_a_whole_folder_of_one_plane_keeps_the_axis(tmp_path):
    write_plane(tmp_path / "plane0", movie(dtype="int16"))
    recording = open_recording_file(tmp_path)
    assert recording.has_plane_axis
    assert not recording.has_channel_axis


@pytest.mark.parametrize(
    ("lengths", "sessions"),
    [(np.array([3, 4]), (3, 4)), ([7], ()), (np.array([3, 3]), ()), ("ab", ()), ([2.5, 4.5], ())],
)
def test_folders_of_origin_are_sessions(tmp_path, lengths, sessions):
    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"), frames_per_folder=lengths)
    assert opened(plane)[1].sessions == sessions


def test_a_rate_that_is_none_stays_unknown(tmp_path):
    assert opened(write_plane(tmp_path / "plane0", movie(dtype="int16"), fs=0))[1].frame_rate is None


@pytest.mark.parametrize("change", [-1, 1, -60, 60])
def test_length_and_metadata_must_agree(tmp_path, change):
    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"))
    content = (plane / "data.bin").read_bytes()
    (plane / "data.bin").write_bytes(content[:change] if change < 0 else content + content[:change])
    with pytest.raises(FormatError, match="the metadata beside it says 7 frames of 5 x 6"):
        open_recording_file(plane)


@pytest.mark.parametrize("facts", [{"Ly": 0}, {"Lx": "wide"}, {"nframes": 2.5}, {"nframes": np.nan}])
def test_sizes_that_are_none_are_refused(tmp_path, facts):
    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"), **facts)
    with pytest.raises(FormatError, match="expected a whole number above 0"):
        open_recording_file(plane / "data.bin")


@pytest.mark.parametrize(
    ("shape", "message"), [((7, 5, 8), "of 5 x 8"), ((9, 5, 6), "has 9 frames, another plane 7")]
)
def test_planes_that_differ_are_refused(tmp_path, shape, message):
    write_plane(tmp_path / "plane0", movie(dtype="int16"))
    write_plane(tmp_path / "plane1", movie(shape, "int16"))
    with pytest.raises(FormatError, match=message):
        open_recording_file(tmp_path)


def test_metadata_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("ran",)

    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"))
    np.save(plane / "ops.npy", {"Ly": Trap()})
    with pytest.raises(FormatError, match=r"builtins\.print"):
        open_recording_file(plane)


def test_a_binary_file_alone_says_what_is_missing(tmp_path):
    movie(dtype="int16").tofile(tmp_path / "data.bin")
    with pytest.raises(FormatError, match=r"named like suite2p, which needs ops\.npy, or db\.npy beside it"):
        open_recording_file(tmp_path / "data.bin")
