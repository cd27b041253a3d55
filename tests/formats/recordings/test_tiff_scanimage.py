"""Files with ScanImage's header, written by tifffile."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import roitrace as rt
from roitrace.errors import FormatError
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.tif"


def header(**facts):
    """ScanImage's header of a planar recording of channel 1, changed by facts such as `hStackManager_numSlices`."""
    known = {
        "VERSION_MAJOR": 2020,
        "hChannels_channelSave": "1",
        "hChannels_channelName": "{'green' 'red' 'far red' 'none'}",
        "hRoiManager_scanFrameRate": 30.0,
        "hRoiManager_scanVolumeRate": 30.0,
        "hFastZ_enable": "false",
        "hStackManager_enable": "false",
        "hStackManager_numSlices": 1,
        "hStackManager_framesPerSlice": 1,
        "hStackManager_numFramesPerVolume": 1,
        "hStackManager_numFramesPerVolumeWithFlyback": 1,
        "hScan2D_logAverageFactor": 1,
    } | facts
    return "\n".join(f"SI.{name.replace('_', '.')} = {value}" for name, value in known.items())


def volumes(planes, flyback=0, repeats=1, **facts):
    whole = planes * repeats
    return header(
        hFastZ_enable="true",
        hStackManager_enable="true",
        hStackManager_numSlices=planes,
        hStackManager_framesPerSlice=repeats,
        hStackManager_numFramesPerVolume=whole,
        hStackManager_numFramesPerVolumeWithFlyback=whole + flyback,
        hRoiManager_scanVolumeRate=30 / (whole + flyback),
        **facts,
    )


def write(path, pages, software, first=1, **options):
    description = f"frameNumbers = {first}\nepoch = [2023  4  5 16 7 8.25]"
    shaped = pages.reshape(-1, *pages.shape[-2:])
    tifffile.imwrite(
        path,
        shaped,
        photometric="minisblack",
        metadata=None,
        software=software,
        description=description,
        **options,
    )
    return path


def test_channels_follow_each_other(path):
    samples = movie((4, 2, 5, 6), "int16")
    recording = open_recording_file(write(path, samples, header(hChannels_channelSave="[1;3]")))
    assert recording.metadata.frame_rate == 30
    assert recording.metadata.channel_names == ("green", "far red")
    assert recording.metadata.acquisition_time == "2023-04-05T16:07:08.250"
    for channel in range(2):
        check_source(recording.sources[channel][0], samples[:, channel], max_examples=3)


def test_a_single_channel_and_a_lost_page(path):
    check_source(opened(write(path, movie(), header()))[0], movie(), max_examples=3)
    recording = open_recording_file(write(path, movie(), header(hChannels_channelSave="[1;2]")))
    assert "the last frame has 1 of 2 channels and is left out" in recording.metadata.notes[0]
    check_source(recording.sources[1][0], movie()[1:6:2], max_examples=3)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize(("flyback", "channels"), [(0, "1"), (2, "1"), (1, "[1;2]")])
def test_volumes_have_planes_and_no_flyback(path, flyback, channels, options):
    n_channels = len(channels.strip("[]").split(";"))
    samples = movie((4, 3 + flyback, n_channels, 5, 6), "int16")  # volume, frame of volume, channel, y, x
    write(path, samples, volumes(3, flyback, hChannels_channelSave=channels), **options)
    recording = open_recording_file(path)
    assert recording.has_plane_axis
    assert recording.has_channel_axis == (n_channels > 1)
    assert recording.metadata.frame_rate == pytest.approx(30 / (3 + flyback))
    assert recording.metadata.plane_offsets == pytest.approx((0, 1 / 30, 2 / 30))
    assert any("flew back" in note for note in recording.metadata.notes) == bool(flyback)
    for channel in range(n_channels):
        for plane in range(3):
            source = recording.sources[channel][plane]
            check_source(source, samples[:, plane, channel], max_examples=5)
            assert isinstance(source, StridedSource) == (not options)


def test_planes_carry_when_they_were_scanned(path, tmp_path):
    samples = movie((4, 4, 5, 6), "int16")
    recording = rt.open_recording(write(path, samples, volumes(3, 1)))
    assert dict(recording.sizes) == {"time": 4, "plane": 3, "y": 5, "x": 6}
    np.testing.assert_allclose(recording["time_offset"], np.arange(3) / 30)
    assert recording["time_offset"].dims == ("plane",)
    assert recording["time_offset"].attrs["units"] == "s"
    store = rt.convert(path, tmp_path / "movie.zarr")
    np.testing.assert_allclose(store["time_offset"], np.arange(3) / 30)
    np.testing.assert_array_equal(store, samples[:, :3])
    assert "time_offset" not in rt.open_recording(path, plane=1).coords


def test_a_volume_that_is_not_complete_is_left_out(path):
    samples = movie((11, 5, 6), "int16")
    recording = open_recording_file(write(path, samples, volumes(3, 1)))
    assert "the last volume has 3 of 4 pages and is left out" in recording.metadata.notes[0]
    check_source(recording.sources[0][2], samples[2:8:4], max_examples=3)


def test_a_slow_stack_has_time_within_planes(path):
    samples = movie((3, 4, 5, 6), "int16")  # plane, repeat, y, x
    recording = open_recording_file(write(path, samples, volumes(3, repeats=4)))
    for plane in range(3):
        check_source(recording.sources[0][plane], samples[plane], max_examples=3)
    assert recording.metadata.plane_offsets == ()
    assert recording.metadata.frame_rate == 30
    write(path, movie((24, 5, 6), "int16"), volumes(3, repeats=4))
    with pytest.raises(FormatError, match="holds 2 volumes with 4 frames of each plane"):
        open_recording_file(path)


def test_averaged_frames_count_once(path):
    software = volumes(3, repeats=4, hScan2D_logAverageFactor=4)
    recording = open_recording_file(write(path, movie((6, 5, 6), "int16"), software))
    assert recording.sources[0][0].shape == (2, 5, 6)
    assert recording.metadata.frame_rate == pytest.approx(7.5 / 3)


def test_pixel_size_from_the_corners_of_the_field(path):
    corners = "[-30 -20;30 -20;30 20;-30 20]"
    assert opened(write(path, movie(), header(hRoiManager_imagingFovUm=corners)))[1].pixel_size == (8, 10)
    assert opened(write(path, movie(), header()))[1].pixel_size is None
    assert opened(write(path, movie(), header(hRoiManager_imagingFovUm="[1 2 3]")))[1].pixel_size is None


def test_files_that_split_volumes_are_refused(tmp_path):
    samples = movie((24, 5, 6), "int16")
    whole = [
        write(tmp_path / f"a_{n}.tif", samples[12 * n : 12 * n + 12], volumes(3, 1), first=12 * n + 1)
        for n in (0, 1)
    ]
    recording = open_recording_file(whole, continuous=True)
    check_source(recording.sources[0][1], samples[1::4], max_examples=5)
    split = [
        write(tmp_path / "b_1.tif", samples[:10], volumes(3, 1)),
        write(tmp_path / "b_2.tif", samples[10:], volumes(3, 1), first=11),
    ]
    with pytest.raises(
        FormatError, match="begins with frame 11 of its acquisition, inside a volume of 4 frames"
    ):
        open_recording_file(split)


def test_volumes_of_old_versions_are_refused(path):
    text = "scanimage.SI4.stackNumSlices = 5\nscanimage.SI4.fastZEnable = 1\nscanimage.SI4.channelsSave = 1"
    tifffile.imwrite(path, movie(), photometric="minisblack", metadata=None, description=text)
    with pytest.raises(FormatError, match="volumes of 5 planes of an old ScanImage"):
        open_recording_file(path)


def test_old_scanimage(path):
    samples = movie((4, 2, 5, 6))
    description = "state.acq.numberOfChannelsSave=2\rstate.acq.frameRate=3.5\r"
    tifffile.imwrite(
        path, samples.reshape(8, 5, 6), photometric="minisblack", metadata=None, description=description
    )
    recording = open_recording_file(path)
    assert recording.metadata.frame_rate == 3.5
    check_source(recording.sources[1][0], samples[:, 1], max_examples=3)
