"""Folders of Scanbox, Bruker and Thorlabs microscopes.

No library writes these; the files here are the smallest that hold what the instruments' own programs write, and what is read from them is
compared with roiextractors where it reads them too.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile
from scipy.io import savemat

import roitrace as rt
from roitrace.errors import FormatError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened


def everything(source):
    return source.read(*(slice(0, size) for size in source.shape))


# -- Scanbox -------------------------------------------------------------------------------------------------


def write_scanbox(folder, samples, **changed):
    """Samples (time, y, x, channel), stored inverted with the channels side by side."""
    _, height, width, n_channels = samples.shape
    info = {
        "channels": 1 if n_channels == 2 else 2,
        "scanmode": 1,
        "recordsPerBuffer": height,
        "sz": [height, width],
        "resfreq": 7930,
        "config": {"lines": height, "wavelength": 920},
        "scanbox_version": 2,
        "otwave": [],
    } | changed
    savemat(folder / "run.mat", {"info": info})
    (np.uint16(65535) - samples).astype("<u2").tofile(folder / "run.sbx")
    return folder / "run.sbx"


def test_scanbox_reads_as_roiextractors_does(tmp_path):
    from roiextractors import SbxImagingExtractor

    samples = movie((7, 5, 6, 1))
    path = write_scanbox(tmp_path, samples)
    source, metadata = opened(path)
    check_source(source, samples[..., 0])
    assert metadata.frame_rate == pytest.approx(7930 / 5)
    np.testing.assert_array_equal(everything(source), SbxImagingExtractor(path).get_series())


def test_scanbox_channels_and_both_scan_directions(tmp_path):
    samples = movie((7, 6, 8, 2))
    path = write_scanbox(tmp_path, samples, scanmode=0, recordsPerBuffer=3)
    recording = open_recording_file(path)
    assert recording.metadata.channel_names == ("green", "red")
    assert recording.metadata.frame_rate == pytest.approx(2 * 7930 / 6)
    for channel in range(2):
        check_source(recording.sources[channel][0], samples[..., channel], max_examples=8)


def test_scanbox_planes_of_the_lens(tmp_path):
    samples = movie((11, 5, 6, 1))
    recording = open_recording_file(write_scanbox(tmp_path, samples, volscan=1, otwave=[0, 10, 20]))
    assert recording.has_plane_axis
    assert "the last volume has 2 of 3 planes" in recording.metadata.notes[0]
    for plane in range(3):
        check_source(recording.sources[0][plane], samples[plane:9:3, ..., 0], max_examples=5)
    assert recording.metadata.frame_rate == pytest.approx(7930 / 5 / 3)
    flat = open_recording_file(write_scanbox(tmp_path, samples, volscan=0, otwave=[0, 10, 20]))
    assert not flat.has_plane_axis


def test_scanbox_files_that_do_not_fit(tmp_path):
    path = write_scanbox(tmp_path, movie((7, 5, 6, 1)))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FormatError, match="are not whole frames of 1 x 5 x 6 samples"):
        open_recording_file(path)
    (tmp_path / "run.mat").write_bytes(b"MATLAB 5.0 and no more")
    with pytest.raises(FormatError, match=r"run\.mat cannot be read as Scanbox settings"):
        open_recording_file(path)
    (tmp_path / "run.mat").unlink()
    with pytest.raises(
        FormatError, match=r"named like scanbox, which needs a \.mat file of the same name beside it"
    ):
        open_recording_file(path)


# -- Bruker --------------------------------------------------------------------------------------------------

BRUKER = """<?xml version="1.0" encoding="utf-8"?>
<PVScan version="5.6.64.400" date="5/6/2024 7:08:09 AM" notes="">
  <PVStateShard>
    <PVStateValue key="framePeriod" value="0.1" />
    <PVStateValue key="micronsPerPixel">
      <IndexedValue index="XAxis" value="1.5" /><IndexedValue index="YAxis" value="1.25" /><IndexedValue index="ZAxis" value="5" />
    </PVStateValue>
  </PVStateShard>
{sequences}
</PVScan>"""


def write_bruker(folder, samples, *, multipage=False, period=0.1, names=("Green", "Red"), compression=None):
    """Samples (time, plane, channel, y, x): one image per file, or one file per channel."""
    folder.mkdir()
    n_frames, n_planes, n_channels = samples.shape[:3]
    sequences = []
    volumetric = n_planes > 1
    for time in range(n_frames):
        frames = []
        for plane in range(n_planes):
            files = []
            for channel in range(n_channels):
                number = time * n_planes + plane + 1
                name = f"{folder.name}_Ch{channel + 1}_{1 if multipage else number:06}.ome.tif"
                page = number if multipage else 1
                files.append(
                    f'<File channel="{channel + 1}" channelName="{names[channel]}" page="{page}" filename="{name}" />'
                )
                if not multipage:
                    tifffile.imwrite(
                        folder / name, samples[time, plane, channel], metadata=None, compression=compression
                    )
            moment = (time * n_planes + plane) * period
            frames.append(
                f'<Frame relativeTime="{moment}" absoluteTime="{moment + 2}" index="{plane + 1}">{"".join(files)}</Frame>'
            )
        if volumetric:
            sequences.append(
                f'<Sequence type="TSeries ZSeries Element" cycle="{time + 1}">{"".join(frames)}</Sequence>'
            )
        else:
            sequences.extend(frames)
    if not volumetric:
        sequences = [f'<Sequence type="TSeries Timed Element" cycle="1">{"".join(sequences)}</Sequence>']
    if multipage:
        for channel in range(n_channels):
            name = f"{folder.name}_Ch{channel + 1}_000001.ome.tif"
            pages = samples[:, :, channel].reshape(-1, *samples.shape[-2:])
            tifffile.imwrite(
                folder / name, pages, metadata=None, photometric="minisblack", compression=compression
            )
    (folder / f"{folder.name}.xml").write_text(BRUKER.format(sequences="\n".join(sequences)))
    return folder


@pytest.mark.parametrize("multipage", [False, True])
@pytest.mark.parametrize(("planes", "channels"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_bruker_frames_planes_and_channels(tmp_path, planes, channels, multipage):
    samples = movie((4, planes, channels, 5, 6))
    recording = open_recording_file(write_bruker(tmp_path / "TSeries-001", samples, multipage=multipage))
    assert recording.has_plane_axis == (planes > 1)
    assert recording.has_channel_axis == (channels > 1)
    assert recording.metadata.frame_rate == pytest.approx(10 / planes)
    assert recording.metadata.pixel_size == (1.25, 1.5)
    assert recording.metadata.acquisition_time == "5/6/2024 7:08:09 AM"
    assert recording.metadata.time is None
    assert recording.metadata.plane_offsets == pytest.approx(
        [0.1 * plane for plane in range(planes)] if planes > 1 else []
    )
    for channel in range(channels):
        for plane in range(planes):
            check_source(recording.sources[channel][plane], samples[:, plane, channel], max_examples=4)


def test_bruker_channels_are_those_of_roiextractors(tmp_path):
    from roiextractors.extractors.tiffimagingextractors.brukertiffimagingextractor import (
        BrukerTiffImagingExtractor,
    )

    samples = movie((6, 1, 2, 5, 6))
    folder = write_bruker(tmp_path / "TSeries-001", samples)
    recording = open_recording_file(folder)
    for channel, name in enumerate(recording.metadata.channel_names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = BrukerTiffImagingExtractor(folder, channel_name=name).get_series()
        np.testing.assert_array_equal(everything(recording.sources[channel][0]), theirs)


def test_bruker_times_that_are_not_regular_are_kept(tmp_path):
    folder = write_bruker(tmp_path / "TSeries-001", movie((4, 1, 1, 5, 6)))
    settings = folder / "TSeries-001.xml"
    settings.write_text(settings.read_text().replace('absoluteTime="2.3', 'absoluteTime="9.3'))
    metadata = opened(folder)[1]
    np.testing.assert_allclose(metadata.time, [0, 0.1, 0.2, 7.3])
    assert metadata.frame_rate == pytest.approx(10)


def test_bruker_frames_that_are_not_complete(tmp_path):
    samples = movie((4, 3, 1, 5, 6))
    folder = write_bruker(tmp_path / "TSeries-001", samples)
    settings = folder / "TSeries-001.xml"
    text = settings.read_text()
    settings.write_text(text[: text.rindex("<Frame")] + "</Sequence></PVScan>")
    recording = open_recording_file(folder)
    assert "is not complete and is left out" in recording.metadata.notes[0]
    check_source(recording.sources[0][2], samples[:3, 2, 0], max_examples=4)
    first = text.index("<Frame")
    settings.write_text(text[:first] + text[text.index("</Frame>") + 8 :])
    with pytest.raises(FormatError, match="without all channels and planes"):
        open_recording_file(folder)


def test_bruker_files_that_are_missing_or_short(tmp_path):
    folder = write_bruker(tmp_path / "TSeries-001", movie((4, 1, 1, 5, 6)))
    (folder / "TSeries-001_Ch1_000003.ome.tif").unlink()
    with pytest.raises(FormatError, match=r"TSeries-001_Ch1_000003\.ome\.tif is not beside it"):
        open_recording_file(folder)
    short = write_bruker(tmp_path / "TSeries-002", movie((4, 1, 1, 5, 6)), multipage=True)
    settings = short / "TSeries-002.xml"
    settings.write_text(settings.read_text().replace('page="4"', 'page="9"'))
    with pytest.raises(FormatError, match="has 4 pages, the settings of the scan name page 9"):
        open_recording_file(short)
    settings.write_text(settings.read_text().replace('page="9"', 'page="0"'))
    with pytest.raises(FormatError, match=r"TSeries-002\.xml is damaged: it names page 0 of"):
        open_recording_file(short)
    settings.write_text('<PVScan version="5.6"')
    with pytest.raises(FormatError, match=r"TSeries-002\.xml is damaged"):
        open_recording_file(short)
    settings.write_text('<PVScan version="5.6"><Sequence type="TSeries ZSeries Element"></Sequence></PVScan>')
    with pytest.raises(FormatError, match="names no image"):
        open_recording_file(short)


# -- Thorlabs ------------------------------------------------------------------------------------------------

THOR = """<?xml version="1.0"?>
<ThorImageExperiment>
  <Date date="05/06/2024" uTime="1714979289" />
  <Wavelengths>{names}</Wavelengths>
  <ZStage steps="{planes}" />
  <LSM pixelX="{width}" pixelY="{height}" frameRate="30" pixelSizeUM="0.75" averageMode="0" averageNum="4" {more} />
  <Streaming frames="100" zFastEnable="{fast}" flybackFrames="{flyback}" />
</ThorImageExperiment>"""


def thor_settings(folder, frame, channels=("ChanA",), planes=1, flyback=0, more=""):
    folder.mkdir(exist_ok=True)
    names = "".join(f'<Wavelength name="{name}" />' for name in channels)
    height, width = frame
    text = THOR.format(
        names=names,
        planes=planes,
        flyback=flyback,
        height=height,
        width=width,
        fast=int(planes > 1),
        more=more,
    )
    (folder / "Experiment.xml").write_text(text)
    return folder


@pytest.mark.parametrize(("planes", "flyback", "n_channels"), [(1, 0, 1), (1, 0, 2), (3, 1, 1), (3, 2, 2)])
def test_thor_raw_samples(tmp_path, planes, flyback, n_channels):
    channels = ("ChanA", "ChanB")[:n_channels]
    samples = movie((4, planes + flyback, n_channels, 5, 6))
    folder = thor_settings(tmp_path / "run", (5, 6), channels, planes, flyback)
    samples.astype("<u2").tofile(folder / "Image_001_001.raw")
    recording = open_recording_file(folder)
    assert recording.metadata.frame_rate == pytest.approx(30 / (planes + flyback))
    assert recording.metadata.pixel_size == (0.75, 0.75)
    assert recording.metadata.acquisition_time == "2024-05-06T07:08:09+00:00"
    assert recording.metadata.channel_names == (channels if n_channels > 1 else ())
    for channel in range(n_channels):
        for plane in range(planes):
            check_source(recording.sources[channel][plane], samples[:, plane, channel], max_examples=4)


def test_thor_settings_of_no_planes_are_those_of_one(tmp_path):
    folder = thor_settings(tmp_path / "run", (5, 6), planes=3, flyback=-2)
    settings = folder / "Experiment.xml"
    settings.write_text(settings.read_text().replace('steps="3"', 'steps="0"'))
    movie((8, 5, 6)).tofile(folder / "Image_001_001.raw")
    assert open_recording_file(folder).sources[0][0].shape == (8, 5, 6)


def test_thor_raw_samples_that_do_not_fit(tmp_path):
    folder = thor_settings(tmp_path / "run", (5, 6), planes=3)
    movie((8, 5, 6)).tofile(folder / "Image_001_001.raw")
    assert "the last volume has 2 of 3 frames" in open_recording_file(folder).metadata.notes[0]
    (folder / "Image_001_001.raw").write_bytes(bytes(61))
    with pytest.raises(FormatError, match="61 bytes, which are not whole frames of 1 x 5 x 6"):
        open_recording_file(folder)
    (folder / "Image_001_002.raw").write_bytes(bytes(60))
    with pytest.raises(FormatError, match="holds 2 raw files"):
        open_recording_file(folder)
    (folder / "Experiment.xml").write_text("<ThorImageExperiment/>")
    with pytest.raises(FormatError, match=r"Experiment\.xml is damaged: it has no element LSM"):
        open_recording_file(folder)


def test_thor_images_by_channel_plane_and_time(tmp_path):
    samples = movie((4, 3, 2, 5, 6))
    folder = thor_settings(tmp_path / "run", (5, 6), ("ChanA", "ChanB"))
    for time, plane, channel in np.ndindex(4, 3, 2):
        name = f"Chan{'AB'[channel]}_001_001_{plane + 1:03}_{time + 1:03}.tif"
        tifffile.imwrite(folder / name, samples[time, plane, channel])
    tifffile.imwrite(folder / "ChanA_Preview.tif", samples[0, 0, 0])
    recording = open_recording_file(folder)
    assert recording.metadata.channel_names == ("ChanA", "ChanB")
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], samples[:, plane, channel], max_examples=4)
    (folder / "ChanB_001_001_002_003.tif").unlink()
    with pytest.raises(
        FormatError, match="23 images of 2 channels, 3 planes and times 1 to 4: some are missing"
    ):
        open_recording_file(folder)


def test_thor_ome_tiff_reads_as_roiextractors_does(tmp_path):
    from roiextractors import ThorTiffImagingExtractor

    samples = movie((7, 2, 5, 6))
    folder = thor_settings(tmp_path / "run", (5, 6), ("ChanA", "ChanB"), more='averageMode2="0"')
    path = folder / "Image_001_001.ome.tif"
    tifffile.imwrite(path, samples, ome=True, metadata={"axes": "TCYX"}, photometric="minisblack")
    recording = open_recording_file(folder)
    assert recording.format == "thor"
    assert recording.metadata.frame_rate == 30
    for channel, name in enumerate(("ChanA", "ChanB")):
        theirs = ThorTiffImagingExtractor(path, channel_name=name).get_series()
        np.testing.assert_array_equal(everything(recording.sources[channel][0]), theirs)
        np.testing.assert_array_equal(theirs, samples[:, channel])


def test_an_instrument_s_folder_becomes_a_store(tmp_path):
    samples = movie((4, 3, 1, 5, 6))
    folder = write_bruker(tmp_path / "TSeries-001", samples)
    store = rt.convert(folder, tmp_path / "a.zarr")
    np.testing.assert_array_equal(store, samples[:, :, 0])
    np.testing.assert_allclose(store["time_offset"], [0, 0.1, 0.2])
