"""The recording formats of this package, in the order in which they are asked whether a file is theirs."""

from __future__ import annotations

from roitrace.formats.recordings.caiman import is_caiman
from roitrace.formats.recordings.folders import is_bruker, is_miniscope, is_thor
from roitrace.formats.recordings.format import RecordingFormat
from roitrace.formats.recordings.scanbox import is_scanbox
from roitrace.formats.recordings.signatures import is_hdf5, is_nd2, is_npy, is_tiff, is_video, is_zarr
from roitrace.formats.recordings.suite2p import is_suite2p

__all__ = ["RECORDING_FORMATS"]

HERE = "roitrace.formats.recordings"

RECORDING_FORMATS = (
    RecordingFormat("zarr", (".zarr",), is_zarr, f"{HERE}.zarr_store:open_zarr"),
    RecordingFormat("tiff", (".tif", ".tiff", ".btf", ".tf8"), is_tiff, f"{HERE}.tiff:open_tiff"),
    RecordingFormat("hdf5", (".h5", ".hdf5", ".hdf", ".nwb", ".nc"), is_hdf5, f"{HERE}.hdf5:open_hdf5"),
    RecordingFormat("npy", (".npy",), is_npy, f"{HERE}.npy:open_npy", takes=("axes",)),
    RecordingFormat(
        "suite2p",
        (".bin",),
        is_suite2p,
        f"{HERE}.suite2p:open_suite2p",
        beside="ops.npy, or db.npy",
        takes=(),
    ),
    RecordingFormat(
        "video", (".avi", ".mp4", ".mkv", ".mov"), is_video, f"{HERE}.video:open_video", takes=()
    ),
    RecordingFormat("miniscope", (), is_miniscope, f"{HERE}.miniscope:open_miniscope", takes=()),
    RecordingFormat("nd2", (".nd2",), is_nd2, f"{HERE}.nd2:open_nd2", takes=("dataset",)),
    RecordingFormat(
        "scanbox",
        (".sbx",),
        is_scanbox,
        f"{HERE}.scanbox:open_scanbox",
        takes=(),
        beside="a .mat file of the same name",
    ),
    RecordingFormat("bruker", (), is_bruker, f"{HERE}.bruker:open_bruker", takes=()),
    RecordingFormat("thor", (), is_thor, f"{HERE}.thor:open_thor", takes=()),
    RecordingFormat("caiman", (".mmap",), is_caiman, f"{HERE}.caiman:open_caiman", takes=()),
)
