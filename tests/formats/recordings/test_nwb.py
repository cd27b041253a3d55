"""Series written by pynwb."""

from __future__ import annotations

import datetime as dt

import h5py
import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.hdf5_source import Hdf5Source
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened

START = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)


def write_nwb(path, *series, kind="TwoPhotonSeries", plane=None):
    """Write series, each a dict of what pynwb takes, with one imaging plane."""
    import pynwb
    from pynwb import ophys

    file = pynwb.NWBFile(session_description="test", identifier="id", session_start_time=START)
    device = file.create_device(name="microscope")
    channel = ophys.OpticalChannel(name="green", description="", emission_lambda=510.0)
    described = {"imaging_rate": 15.0, "grid_spacing": [1.5e-6, 1.2e-6], "grid_spacing_unit": "meters"}
    imaging_plane = file.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP6s",
        location="V1",
        **(described if plane is None else plane),
    )
    for number, one in enumerate(series):
        given = {"name": f"series{number}", "imaging_plane": imaging_plane, "unit": "n.a."} | one
        file.add_acquisition(getattr(ophys, kind)(**given))
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def stored(samples):
    """(time, y, x) as NWB has it: (time, x, y)."""
    return samples.transpose(0, 2, 1)


@pytest.mark.parametrize("kind", ["TwoPhotonSeries", "OnePhotonSeries"])
def test_a_series_reads_with_its_metadata(tmp_path, kind):
    samples = movie()
    path = write_nwb(tmp_path / "a.nwb", {"data": stored(samples), "rate": 30.0}, kind=kind)
    source, metadata = opened(path)
    assert isinstance(source, StridedSource)
    check_source(source, samples)
    assert metadata.frame_rate == 30
    assert metadata.time is None
    assert metadata.pixel_size == pytest.approx((1.2, 1.5))
    assert metadata.acquisition_time == START.isoformat()
    assert metadata.attributes == {"indicator": "GCaMP6s", "location": "V1"}
    assert "time, x, y, as NWB says" in metadata.notes[0]
    recording = rt.open_recording(path)
    assert recording.dims == ("time", "y", "x")
    assert recording.sizes["y"] == 5
    assert recording.attrs["acquisition_time"] == START.isoformat()
    traces = rt.extract(recording, np.ones((5, 6), bool), ("mean",))
    assert traces.attrs["acquisition_time"] == START.isoformat()
    store = rt.convert(path, tmp_path / "a.zarr")
    assert store.attrs["acquisition_time"] == START.isoformat()
    assert rt.info(tmp_path / "a.zarr")["acquisition_time"] == START.isoformat()


def test_chunks_of_a_compressed_series_are_respected(tmp_path):
    from hdmf.backends.hdf5 import H5DataIO

    samples = movie()
    data = H5DataIO(stored(samples), compression="gzip", chunks=(3, 6, 2))
    source, _ = opened(write_nwb(tmp_path / "a.nwb", {"data": data, "rate": 30.0}))
    assert isinstance(source, Hdf5Source)
    assert source.chunks == (3, 2, 6)
    check_source(source, samples)


def test_images_that_were_stored_y_before_x(tmp_path):
    samples = movie()
    path = write_nwb(tmp_path / "a.nwb", {"data": samples, "rate": 30.0})
    source, metadata = opened(path, axes="tyx")
    check_source(source, samples, max_examples=5)
    assert not metadata.notes
    assert metadata.pixel_size == pytest.approx((1.2, 1.5))


def test_volumes_have_planes(tmp_path):
    samples = movie((7, 3, 5, 6))  # time, plane, y, x
    path = write_nwb(tmp_path / "a.nwb", {"data": samples.transpose(0, 3, 2, 1), "rate": 4.0})
    recording = open_recording_file(path)
    assert recording.has_plane_axis
    for plane in range(3):
        check_source(recording.sources[0][plane], samples[:, plane], max_examples=5)


def test_time_stamps_and_a_late_start_are_kept(tmp_path):
    stamps = np.array([0.5, 0.6, 0.7, 0.9, 1.0, 1.1, 1.2])
    first = write_nwb(tmp_path / "a.nwb", {"data": stored(movie()), "timestamps": stamps})
    metadata = opened(first)[1]
    np.testing.assert_array_equal(metadata.time, stamps)
    assert metadata.frame_rate == pytest.approx(10)
    second = write_nwb(tmp_path / "b.nwb", {"data": stored(movie()), "rate": 10.0, "starting_time": 2.0})
    np.testing.assert_allclose(opened(second)[1].time, 2 + np.arange(7) / 10)


def test_time_stamps_that_do_not_increase_are_left_out(tmp_path):
    path = write_nwb(
        tmp_path / "a.nwb", {"data": stored(movie()), "timestamps": np.array([0.0, 1, 2, 2, 3, 4, 5])}
    )
    metadata = opened(path)[1]
    assert metadata.time is None
    assert metadata.frame_rate is None
    assert "left out" in metadata.notes[-1]


def test_what_is_missing_stays_missing(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", {"data": stored(movie()), "rate": 30.0}, plane={})
    with h5py.File(path, "a") as file:
        del file["acquisition/series0/starting_time"]
    metadata = opened(path)[1]
    assert metadata.frame_rate is None
    assert metadata.pixel_size is None


def test_the_plane_and_the_field_of_view_stand_in(tmp_path):
    plane = {"imaging_rate": 15.0}
    one = {"data": stored(movie()), "rate": 30.0, "field_of_view": [6e-4, 5e-4]}
    path = write_nwb(tmp_path / "a.nwb", one, plane=plane)
    with h5py.File(path, "a") as file:
        del file["acquisition/series0/starting_time"]
    metadata = opened(path)[1]
    assert metadata.frame_rate == 15
    assert metadata.pixel_size == pytest.approx((100, 100))


def test_one_of_several_series_is_named(tmp_path):
    samples = movie(), movie(seed=1)
    path = write_nwb(tmp_path / "a.nwb", *({"data": stored(one), "rate": 30.0} for one in samples))
    with pytest.raises(
        ArgumentError, match=r"several recordings: series0 \(7, 6, 5\), series1 \(7, 6, 5\); name one"
    ):
        open_recording_file(path)
    for name in ("series1", "/acquisition/series1", "acquisition/series1/data"):
        check_source(opened(path, dataset=name)[0], samples[1], max_examples=3)
        check_source(opened(f"{path}::{name}")[0], samples[1], max_examples=3)
    with pytest.raises(ArgumentError, match=r"no series 'series7'; its series are: series0"):
        open_recording_file(path, dataset="series7")


def test_samples_in_other_files_are_refused(tmp_path):
    external = {
        "external_file": ["movie_1.tif", "movie_2.tif"],
        "format": "external",
        "rate": 30.0,
        "starting_frame": [0, 5],
        "num_samples": 10,
    }
    path = write_nwb(tmp_path / "a.nwb", external | {"dimension": [6, 5]})
    with pytest.raises(
        FormatError, match=r"keeps its samples in other files: movie_1\.tif, movie_2\.tif; open those"
    ):
        open_recording_file(path)


def test_a_file_without_series_says_so(tmp_path):
    path = write_nwb(tmp_path / "a.nwb")
    with pytest.raises(FormatError, match="holds no TwoPhotonSeries or OnePhotonSeries"):
        open_recording_file(path)
    with h5py.File(path, "a") as file:
        file["scratch_movie"] = movie()
    source, _ = opened(path, dataset="scratch_movie")
    check_source(source, movie(), max_examples=3)


def test_data_that_is_no_movie_is_refused(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", {"data": stored(movie()), "rate": 30.0})
    with h5py.File(path, "a") as file:
        del file["acquisition/series0/data"]
        file["acquisition/series0/data"] = np.zeros((4, 5))
    with pytest.raises(FormatError, match=r"has data of shape \(4, 5\), expected \(time, x, y\)"):
        open_recording_file(path)
