"""Videos written by PyAV, in every container: each frame exactly, in any order."""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import tifffile

import roitrace as rt
from roitrace.errors import FormatError, MissingDependencyError
from roitrace.formats.extras import import_extra
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened
from tests.shared_data import DATA, needs_data

RATE = 20


def write_video(path, samples, codec="ffv1", kind="gray", *, times=None, **options):
    """Encode grey frames with PyAV."""
    given = "gray16le" if samples.dtype == np.uint16 else "gray"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width = samples.shape[1:]
        stream.pix_fmt = kind
        for number, image in enumerate(samples):
            frame = av.VideoFrame.from_ndarray(image, format=given)
            frame.pts, frame.time_base = (number if times is None else times[number]), Fraction(1, RATE)
            for packet in stream.encode(frame.reformat(format=kind)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def decoded(path):
    """Every frame in order, as PyAV decodes it from the start."""
    with av.open(str(path)) as container:
        frames = []
        for frame in container.decode(video=0):
            rows = np.frombuffer(frame.planes[0], "u1").reshape(-1, frame.planes[0].line_size)
            frames.append(rows[: frame.height, : frame.width].copy())
    return np.array(frames)


@pytest.mark.parametrize(
    ("name", "codec", "kind", "dtype"),
    [
        ("a.avi", "ffv1", "gray", "uint8"),
        ("a.avi", "rawvideo", "gray", "uint8"),
        ("a.mkv", "ffv1", "gray", "uint8"),
        ("a.mkv", "ffv1", "gray16le", "uint16"),
        ("a.avi", "ffv1", "gray16le", "uint16"),
        ("a.avi", "png", "gray16be", "uint16"),
    ],
)
def test_lossless_grey_reads_exactly(tmp_path, name, codec, kind, dtype):
    samples = movie((25, 34, 50), dtype)
    source, metadata = opened(write_video(tmp_path / name, samples, codec, kind))
    check_source(source, samples)
    assert metadata.frame_rate == RATE
    assert metadata.time is None
    assert len(metadata.notes) == 1
    assert "rate of playback" in metadata.notes[0]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"g": "8", "bf": "2"}),
        ("a.mkv", "libx264", {"g": "8", "bf": "2"}),
        ("a.avi", "libx264", {"g": "8", "bf": "2"}),
        ("a.mp4", "mpeg4", {"g": "5"}),
        ("a.avi", "mjpeg", {}),
    ],
)
def test_any_frame_of_a_compressed_video_is_that_of_decoding_from_the_start(tmp_path, name, codec, options):
    kind = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / name, movie((26, 32, 48), "uint8"), codec, kind, **options)
    source, metadata = opened(path)
    expected = decoded(path)
    assert len(expected) == 26
    check_source(source, expected, max_examples=40)
    assert "luma" in metadata.notes[0]


def test_chunks_are_what_is_decoded_together(tmp_path, monkeypatch):
    samples = movie((24, 32, 48), "uint8")
    grouped, _ = opened(write_video(tmp_path / "a.mkv", samples, "ffv1", g="6"))
    assert grouped.chunks == (6, 32, 48)
    single, _ = opened(write_video(tmp_path / "b.avi", samples, "ffv1", g="1"))
    assert single.chunks == (1, 32, 48)
    monkeypatch.setattr("roitrace.formats.recordings.video.MOST_CHUNK_BYTES", 5 * 32 * 48)
    assert opened(tmp_path / "a.mkv")[0].chunks == (1, 32, 48)


def test_irregular_times_are_kept(tmp_path):
    times = [0, 1, 2, 5, 6, 7, 20]
    source, metadata = opened(write_video(tmp_path / "a.mkv", movie((7, 32, 48), "uint8"), times=times))
    assert source.shape[0] == 7
    np.testing.assert_allclose(metadata.time, np.array(times) / RATE)
    assert metadata.frame_rate == pytest.approx(RATE)


def test_a_video_becomes_a_store(tmp_path):
    samples = movie((25, 34, 50), "uint8")
    store = rt.convert(write_video(tmp_path / "a.avi", samples), tmp_path / "a.zarr", frame_rate=5)
    np.testing.assert_array_equal(store, samples)


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
def test_a_video_that_is_cut_short_is_refused(tmp_path, name):
    codec, kind = ("mpeg4", "yuv420p") if name == "a.mp4" else ("ffv1", "gray")
    path = write_video(tmp_path / name, movie((25, 34, 50), "uint8"), codec, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match=r"cut short|cannot be read as a video"):
        open_recording_file(path)


def test_colours_without_luma_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mkv", movie((3, 32, 48), "uint8"), "ffv1", "bgr0")
    with pytest.raises(FormatError, match="frames of the kind bgr0, expected 8 or 16 bit grey"):
        open_recording_file(path)


def test_a_video_without_frames_is_none(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "gray"
        container.start_encoding()
    with pytest.raises(FormatError, match="holds no frame"):
        open_recording_file(tmp_path / "a.avi")


def test_sound_is_no_recording(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(FormatError, match="holds no video stream"):
        open_recording_file(tmp_path / "a.mkv")


def test_damaged_frames_have_one_clear_error(tmp_path):
    path = write_video(tmp_path / "a.avi", movie((9, 34, 50), "uint8"), "png", "gray")
    content = bytearray(path.read_bytes())
    at = content.find(b"IDAT", len(content) // 2)
    content[at + 8 : at + 200] = bytes(192)
    path.write_bytes(bytes(content))
    source, _ = opened(path)
    with pytest.raises(FormatError, match=r"frame \d+ of .* cannot be decoded|has no frame"):
        source.read(slice(0, 9), slice(0, 34), slice(0, 50))


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", movie((3, 32, 48), "uint8"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        MissingDependencyError, match=r"a\.avi is a video, which needs the package av; .*roitrace\[video\]"
    ):
        open_recording_file(path)
    with pytest.raises(MissingDependencyError, match="this needs the package nothing_at_all"):
        import_extra("nothing_at_all.inner", "video", "this")


@needs_data
def test_the_real_miniscope_video_reads_as_its_raw_frames():
    path = DATA / "misc_formats" / "wireless_corrupted.avi"
    source, metadata = opened(path)
    assert source.shape == (60, 200, 200)
    assert metadata.frame_rate == 20
    content = path.read_bytes()
    frames, at = [], content.find(b"movi")
    for _ in range(60):
        at = content.find(b"00d", at) + 8  # the samples behind the name and length of each chunk
        frames.append(np.frombuffer(content, "u1", 40_000, at).reshape(200, 200))
        at += 40_000
    check_source(source, np.array(frames))


def write_miniscope(folder, lengths=(6, 6, 3), stamps=None, settings=None, pattern="{}.avi"):
    folder.mkdir(exist_ok=True)
    samples = movie((sum(lengths), 32, 48), "uint8")
    first = 0
    for number, frames in enumerate(lengths):
        write_video(folder / pattern.format(number), samples[first : first + frames])
        first += frames
    if stamps is not None:
        lines = ["Frame Number,Time Stamp (ms),Buffer Index", *(f"{n},{ms},0" for n, ms in enumerate(stamps))]
        (folder / "timeStamps.csv").write_text("\n".join(lines))
    if settings is not None:
        (folder / "metaData.json").write_text(json.dumps(settings))
    return samples


def test_a_miniscope_folder_is_one_acquisition_with_its_own_times(tmp_path):
    stamps = np.round(np.arange(15) * 33.4 + 7)
    samples = write_miniscope(tmp_path / "run", stamps=stamps, settings={"frameRate": "30FPS"})
    recording = rt.open_recording(tmp_path / "run")
    np.testing.assert_array_equal(recording, samples)
    np.testing.assert_allclose(recording["time"], (stamps - stamps[0]) / 1000)
    assert recording.attrs["frame_rate"] == pytest.approx(1000 / 33, rel=0.02)
    assert "session" not in recording.coords
    assert "notes" not in recording.attrs


@pytest.mark.parametrize(
    ("stamps", "message"),
    [(range(0, 140, 10), "14 for 15 frames"), ([*range(0, 140, 10), 130], "they do not increase")],
)
def test_time_stamps_that_do_not_fit_are_left_out(tmp_path, stamps, message):
    write_miniscope(tmp_path / "run", stamps=stamps, settings={"frameRate": 30.5})
    recording = open_recording_file(tmp_path / "run")
    assert recording.metadata.time is None
    assert recording.metadata.frame_rate == 30.5
    assert message in recording.metadata.notes[-1]


def test_the_older_names_and_time_stamps_are_known(tmp_path):
    write_miniscope(tmp_path / "run", lengths=(3, 2), pattern="msCam{}.avi")
    (tmp_path / "run" / "timestamp.dat").write_text(
        "camNum\tframeNum\tsysClock\tbuffer\n" + "".join(f"0\t{n + 1}\t{n * 50}\t1\n" for n in range(5))
    )
    recording = open_recording_file(tmp_path / "run")
    np.testing.assert_allclose(recording.metadata.time, np.arange(5) * 0.05)
    (tmp_path / "run" / "timestamp.dat").write_text(
        "camNum\tframeNum\tsysClock\tbuffer\n0\t1\t0\t1\n1\t1\t3\t1\n"
    )
    with pytest.raises(FormatError, match="time stamps of 2 cameras"):
        open_recording_file(tmp_path / "run")


def test_damaged_settings_are_said(tmp_path):
    write_miniscope(tmp_path / "run", lengths=(3,))
    (tmp_path / "run" / "metaData.json").write_text("{")
    with pytest.raises(FormatError, match=r"metaData\.json cannot be read as JSON"):
        open_recording_file(tmp_path / "run")


def test_a_folder_of_other_videos_is_a_series(tmp_path):
    for number in range(2):
        write_video(tmp_path / f"run{number}.avi", movie((4, 32, 48), "uint8", seed=number))
    assert open_recording_file(tmp_path).metadata.sessions == (4, 4)
    tifffile.imwrite(tmp_path / "mean.tif", np.zeros((32, 48)))
    with pytest.raises(ValueError, match="several kinds"):
        open_recording_file(tmp_path)
