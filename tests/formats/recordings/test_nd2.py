"""No library writes nd2: the package nd2 is replaced at its boundary by one that holds an array."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened

OUTER = "TPZ"


def stand_in(axes, samples, *, rgb=False, loops=(), names=()):
    """What ND2File gives for an array with named axes."""

    class ND2File:
        def __init__(self, path):
            if not str(path).endswith(".nd2"):
                raise ValueError(path)
            self.sizes = dict(zip(axes, samples.shape, strict=True))
            self.dtype, self.is_rgb = samples.dtype, rgb
            self.experiment, self.text_info = loops, {"date": "9/28/2021  9:41:27 AM"}
            self.metadata = SimpleNamespace(
                channels=[SimpleNamespace(channel=SimpleNamespace(name=name)) for name in names]
            )

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def voxel_size(self):
            return SimpleNamespace(x=0.5, y=0.25, z=5.0)

        def read_frame(self, number):
            count = sum(axis in OUTER for axis in axes)
            return samples.reshape(-1, *samples.shape[count:])[number]

    return SimpleNamespace(ND2File=ND2File)


@pytest.fixture
def nd2_file(tmp_path, monkeypatch):
    path = tmp_path / "run.nd2"
    path.write_bytes(b"\xda\xce\xbe\n" + bytes(100))

    def install(*arguments, **options):
        monkeypatch.setitem(sys.modules, "nd2", stand_in(*arguments, **options))
        return path

    return install


def time_loop(**parameters):
    return SimpleNamespace(type="TimeLoop", parameters=SimpleNamespace(**parameters))


def test_a_planar_file(nd2_file):
    samples = movie()
    source, metadata = opened(nd2_file("TYX", samples, loops=[time_loop(periodMs=50.0)]))
    check_source(source, samples)
    assert metadata.frame_rate == 20
    assert metadata.pixel_size == (0.25, 0.5)
    assert metadata.acquisition_time == "9/28/2021  9:41:27 AM"


def test_planes_and_channels(nd2_file):
    samples = movie((4, 3, 2, 5, 6))
    path = nd2_file("TZCYX", samples, names=("GFP", "RFP"))
    recording = open_recording_file(path)
    assert recording.metadata.channel_names == ("GFP", "RFP")
    assert recording.metadata.frame_rate is None
    for plane in range(3):
        for channel in range(2):
            check_source(recording.sources[channel][plane], samples[:, plane, channel], max_examples=4)


def test_a_stack_of_slices_is_taken_as_frames(nd2_file):
    source, metadata = opened(nd2_file("ZYX", movie()))
    check_source(source, movie(), max_examples=4)
    assert "slices are taken as frames" in metadata.notes[0]


def test_the_measured_period_wins(nd2_file):
    loop = time_loop(periodMs=0.0, periodDiff=SimpleNamespace(avg=40.0))
    assert opened(nd2_file("TYX", movie(), loops=[loop]))[1].frame_rate == 25


def test_one_of_several_positions_is_chosen(nd2_file):
    samples = movie((4, 3, 5, 6))
    path = nd2_file("TPYX", samples)
    check_source(opened(path, dataset="1")[0], samples[:, 1], max_examples=4)
    for wrong in (None, "3", "left"):
        with pytest.raises(ArgumentError, match="holds 3 stage positions"):
            open_recording_file(path, dataset=wrong)


@pytest.mark.parametrize(
    ("axes", "shape", "rgb", "message"),
    [("TYX", (7, 5, 6), True, "colours"), ("YX", (5, 6), False, "one image")],
)
def test_what_is_no_recording_is_refused(nd2_file, axes, shape, rgb, message):
    path = nd2_file(axes, movie(shape), rgb=rgb)
    with pytest.raises(FormatError, match=message):
        open_recording_file(path)


def test_a_damaged_file_has_one_clear_error_from_the_real_package(tmp_path):
    path = tmp_path / "run.nd2"
    path.write_bytes(b"\xda\xce\xbe\n" + bytes(100))
    with pytest.raises(FormatError, match=r"run\.nd2 cannot be read as nd2"):
        open_recording_file(path)


def test_frames_that_are_not_in_the_file_are_no_zeros(nd2_file):
    samples = movie()
    samples[5:] = 0
    source, _ = opened(nd2_file("TYX", samples))
    np.testing.assert_array_equal(source.read(slice(0, 5), slice(0, 5), slice(0, 6)), samples[:5])
    with pytest.raises(FormatError, match="frame 5 of .* is not in the file"):
        source.read(slice(3, 7), slice(0, 2), slice(0, 2))


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "run.nd2").write_bytes(b"\xda\xce\xbe\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "nd2", None)
    with pytest.raises(MissingDependencyError, match=r"needs the package nd2; .*roitrace\[nd2\]"):
        open_recording_file(tmp_path / "run.nd2")
