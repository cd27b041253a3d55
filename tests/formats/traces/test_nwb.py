"""NWB: read back by pynwb, valid, without findings of nwbinspector; added to a lab's file only if it is of the same session."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pynwb
import pytest
from nwbinspector import Importance, inspect_nwbfile

from roitrace.errors import (
    AlignmentError,
    ArgumentError,
    FormatError,
    MetadataError,
    OutputExistsError,
)
from tests.formats.traces.results import RATE, exported, lab_file, make_results

START = "2024-05-01T10:00:00+02:00"
METADATA = {
    "session_start_time": START,
    "subject": {"subject_id": "m7", "species": "Mus musculus", "sex": "F", "age": "P90D"},
    "location": "VISp",
    "indicator": "GCaMP6f",
    "excitation_lambda": 920,
    "emission_lambda": "510",
    "experimenter": "Cajal, Santiago",
}


def findings(path):
    """Everything that nwbinspector says above a suggestion."""
    grave = (Importance.CRITICAL, Importance.BEST_PRACTICE_VIOLATION, Importance.ERROR)
    return [one for one in inspect_nwbfile(nwbfile_path=str(path)) if one.importance in grave]


def check_content(path, results, names=("mean", "neuropil")):
    assert pynwb.validate(path=str(path)) == []
    assert findings(path) == []
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        module = io.read().processing["ophys"]
        for name in names:
            series = module["Fluorescence"][name]
            np.testing.assert_array_equal(series.data[:].T, results["traces"][name].values)
            assert series.rate == RATE
            assert series.starting_time == 0.0
            assert series.unit == "counts"
        np.testing.assert_array_equal(module["DfOverF"]["dff"].data[:].T, results["normalized"]["dff"].values)
        table = module["Fluorescence"]["mean"].rois.table
        rois = results["rois"]
        assert table.id[:].tolist() == rois.ids.tolist()
        assert list(table["roi_name"][:]) == list(rois.names)
        assert list(table["accepted"][:]) == rois.accepted.tolist()
        np.testing.assert_array_equal(table["status"][:], results["traces"]["status"].values)
        for number in range(len(rois)):
            pixels = table["pixel_mask"][number]
            yx = np.stack([pixels["y"], pixels["x"]], axis=1)
            np.testing.assert_array_equal(yx, rois.coordinates(number).to_yx())
            np.testing.assert_array_equal(pixels["weight"], rois.row_weights(number))
        image = module["SummaryImages"]["mean"].data[:]
        np.testing.assert_array_equal(image.T, results["projections"]["mean"].values)


def test_new_file(tmp_path):
    results = make_results(missing=0.1)
    said = exported(results, tmp_path / "a.nwb", metadata=METADATA)
    assert said == [
        "a.nwb does not keep: the group comparison, the group mask, median (name them with statistic=)"
    ]
    check_content(tmp_path / "a.nwb", results)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        file = io.read()
        assert file.session_start_time == datetime.fromisoformat(START)
        assert file.subject.subject_id == "m7"
        (plane,) = file.imaging_planes.values()
        np.testing.assert_allclose(plane.grid_spacing[:], [1.2e-6, 1.5e-6])
        assert plane.excitation_lambda == 920.0


def test_what_is_not_known_is_not_made_up(tmp_path):
    said = exported(make_results(), tmp_path / "a.nwb", metadata={"session_start_time": START})
    assert any("names no subject" in one for one in said)
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        (plane,) = io.read().imaging_planes.values()
        assert np.isnan(plane.excitation_lambda)
        assert (plane.indicator, plane.location) == ("unknown", "unknown")


def test_float32_and_filled_frames(tmp_path):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.nwb", metadata=METADATA, dtype="float32", fill="interpolate")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    assert findings(tmp_path / "a.nwb") == []
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        module = io.read().processing["ophys"]
        data = module["Fluorescence"]["mean"].data
        assert data.dtype == np.float32
        assert np.isfinite(data[:]).all()
        listed = module["filled_frames"].to_dataframe()
        listed = listed[listed["trace"] == "mean"]
        n_filled = (listed["last_frame"] - listed["first_frame"] + 1).sum()
        assert n_filled == np.isnan(results["traces"]["mean"].values).sum()


def test_uneven_times_are_written_one_by_one(tmp_path):
    results = make_results()
    times = results["traces"]["time"].values + np.where(np.arange(400) > 200, 60.0, 0.0)
    for group in ("traces", "normalized"):
        results[group] = results[group].assign_coords(time=("time", times, {"units": "s"}))
    exported(results, tmp_path / "a.nwb", metadata=METADATA)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        series = io.read().processing["ophys"]["Fluorescence"]["mean"]
        assert series.rate is None
        np.testing.assert_array_equal(series.timestamps[:], times)


# -- into a lab's file --------------------------------------------------------------------------------------------


def test_added_to_a_copy(tmp_path):
    lab, results = lab_file(tmp_path / "lab.nwb"), make_results()
    before = hashlib.sha256(lab.read_bytes()).hexdigest()
    exported(results, tmp_path / "both.nwb", into=lab)
    assert hashlib.sha256(lab.read_bytes()).hexdigest() == before
    check_content(tmp_path / "both.nwb", results)
    with pynwb.NWBHDF5IO(str(tmp_path / "both.nwb"), "r") as io:
        file = io.read()
        assert file.identifier == "id-1"
        assert file.acquisition["movie0"].data.shape == (400, 30, 20)
        table = file.processing["ophys"]["Fluorescence"]["mean"].rois.table
        assert table.imaging_plane is file.imaging_planes["plane0"]
        assert len(file.imaging_planes) == 1


def test_the_file_itself_is_changed_only_on_demand(tmp_path):
    lab, results = lab_file(tmp_path / "lab.nwb"), make_results()
    before = lab.read_bytes()
    with pytest.raises(OutputExistsError):
        exported(results, lab, into=lab)
    assert lab.read_bytes() == before
    exported(results, lab, into=lab, overwrite=True)
    check_content(lab, results)
    with pytest.raises(ArgumentError, match="holds ImageSegmentation/roitrace already"):
        exported(results, lab, into=lab, overwrite=True)
    check_content(lab, results)
    assert [one.name for one in tmp_path.iterdir()] == ["lab.nwb"]


def test_one_of_several_planes(tmp_path):
    lab, results = lab_file(tmp_path / "lab.nwb", planes=2), make_results()
    with pytest.raises(ArgumentError, match="has the imaging planes plane0, plane1"):
        exported(results, tmp_path / "a.nwb", into=lab)
    with pytest.raises(ArgumentError, match="no imaging plane 'plane7'"):
        exported(results, tmp_path / "a.nwb", into=lab, metadata={"imaging_plane": "plane7"})
    exported(results, tmp_path / "a.nwb", into=lab, metadata={"imaging_plane": "plane1"})
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        table = io.read().processing["ophys"]["Fluorescence"]["mean"].rois.table
        assert table.imaging_plane.name == "plane1"


@pytest.mark.parametrize(
    "times",
    [{"starting_time": 12.5}, {"timestamps": np.sort(np.random.default_rng(0).random(400))}],
)
def test_times_are_those_of_the_session(tmp_path, times):
    lab = lab_file(tmp_path / "lab.nwb", **times)
    exported(make_results(), tmp_path / "a.nwb", into=lab)
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        series = io.read().processing["ophys"]["DfOverF"]["dff"]
        for name, expected in times.items():
            np.testing.assert_array_equal(getattr(series, name), expected)


def test_a_file_without_a_plane_gets_one(tmp_path):
    file = pynwb.NWBFile("a lab's session", "id-1", datetime(2024, 5, 1, 8, tzinfo=UTC))
    with pynwb.NWBHDF5IO(str(tmp_path / "lab.nwb"), "w") as io:
        io.write(file)
    exported(make_results(), tmp_path / "a.nwb", into=tmp_path / "lab.nwb", metadata={"location": "VISp"})
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        (plane,) = io.read().imaging_planes.values()
        assert plane.location == "VISp"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_frames": 399}, "399 frames at 7.5 Hz of 30 x 20|movie0 with 399 frames"),
        ({"rate": 30.0}, "400 frames at 30 Hz"),
        ({"width": 31}, "of 20 x 31 pixels"),
    ],
)
def test_a_file_of_another_session(tmp_path, wrong, said):
    lab = lab_file(tmp_path / "lab.nwb", **wrong)
    with pytest.raises(AlignmentError, match=said) as error:
        exported(make_results(), tmp_path / "a.nwb", into=lab)
    assert "is of another recording" in str(error.value)
    assert "the traces have 400 frames at 7.5 Hz of 20 x 30 pixels" in str(error.value)
    assert [one.name for one in tmp_path.iterdir()] == ["lab.nwb"]


def test_a_file_that_began_at_another_time(tmp_path):
    lab = lab_file(tmp_path / "lab.nwb")
    exported(make_results(), tmp_path / "a.nwb", into=lab, metadata={"session_start_time": START})
    other = {"session_start_time": "2024-05-02T10:00:00+02:00"}
    with pytest.raises(AlignmentError, match="began at 2024-05-01T08:00:00"):
        exported(make_results(), tmp_path / "b.nwb", into=lab, metadata=other)


def test_what_is_no_nwb_file(tmp_path):
    import h5py

    with pytest.raises(ArgumentError, match="there is no file .*lab.nwb"):
        exported(make_results(), tmp_path / "a.nwb", into=tmp_path / "lab.nwb")
    (tmp_path / "lab.nwb").write_text("hello")
    with pytest.raises(FormatError, match="is no NWB file"):
        exported(make_results(), tmp_path / "a.nwb", into=tmp_path / "lab.nwb")
    with h5py.File(tmp_path / "lab.nwb", "w") as file:
        file["a"] = 1
    with pytest.raises(FormatError, match="cannot be read as NWB"):
        exported(make_results(), tmp_path / "a.nwb", into=tmp_path / "lab.nwb")
    assert [one.name for one in tmp_path.iterdir()] == ["lab.nwb"]


# -- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "error", "said"),
    [
        ({}, MetadataError, "needs to know when the session began"),
        ({"session_start_time": "yesterday"}, ArgumentError, "'yesterday' is no time with a time zone"),
        ({"session_start_time": "2024-05-01T10:00"}, ArgumentError, "is no time with a time zone"),
        ({"session_start_time": START, "mouse": 7}, ArgumentError, "metadata has 'mouse'"),
        ({"session_start_time": START, "subject": "m7"}, ArgumentError, "subject='m7', expected a mapping"),
        ({"session_start_time": START, "subject": {"name": "m7"}}, ArgumentError, "subject has 'name'"),
        (
            {"session_start_time": START, "excitation_lambda": "blue"},
            ArgumentError,
            "excitation_lambda='blue', expected a number",
        ),
    ],
)
def test_wrong_metadata(tmp_path, metadata, error, said):
    with pytest.raises(error, match=said):
        exported(make_results(), tmp_path / "a.nwb", metadata=metadata)
    assert list(tmp_path.iterdir()) == []


def test_missing_rois_and_frame_rate(tmp_path):
    results = make_results()
    with pytest.raises(ArgumentError, match="NWB needs the pixels of the ROIs"):
        exported(results["traces"], tmp_path / "a.nwb", metadata=METADATA)
    results["traces"] = results["traces"].drop_vars("time").assign_attrs(frame_rate=None)
    del results["traces"].attrs["frame_rate"], results["normalized"]
    with pytest.raises(MetadataError, match="NWB needs times in seconds"):
        exported(results, tmp_path / "a.nwb", metadata=METADATA)
