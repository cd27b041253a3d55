"""NWB: PlaneSegmentation, Fluorescence, DfOverF and images, in a new file or added to one of the same session.

Images and pixels have x before y, as the NWB schema has them. Files are read and written by pynwb.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, MetadataError
from roitrace.formats.damage import understanding
from roitrace.formats.rois.nwb import plane_segmentation
from roitrace.formats.traces.nwb_session import check_same_session, new_session
from roitrace.formats.traces.nwb_tables import filled_table, roi_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import Trace, TraceTable

__all__ = ["write_nwb"]

MODULE = "ophys"
SEGMENTATION = "roitrace"
IMAGES = "SummaryImages"
_GZIP = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
# As h5py chooses for rows that are appended: about a megabyte.
_CHUNK_BYTES = 2**20


def write_nwb(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write a new NWB file, or a copy of an existing one with the results added.

    F, its neuropil and other statistics are RoiResponseSeries of Fluorescence, dF/F one of DfOverF; other normalised traces are
    in Fluorescence too, with their units. Projections are the Images ``SummaryImages``. Names, flags and numbers per ROI are
    columns of the PlaneSegmentation. In an existing file the traces take the times of its images: their clock is the session's.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    MetadataError
        If the frame rate is not known.
    ArgumentError
        If there are no ROIs, or the file holds results of that name.
    AlignmentError
        If the existing file is of another recording.
    FormatError
        If it is no NWB file.
    """
    if table.rois is None:
        raise ArgumentError(
            "NWB needs the pixels of the ROIs, and the results hold none",
            'give a store that holds them, as a job or the verbs write it, or both: export({"traces": traces, "rois": rois}, ...)',
        )
    if table.time_units != "s":
        raise MetadataError(
            "NWB needs times in seconds, and the traces count frames",
            "give frame_rate= (Hz) when you open or convert the recording",
        )
    from pynwb import NWBHDF5IO  # noqa: PLC0415

    metadata = dict(options.metadata or {})
    if options.into is None:
        if "subject" not in metadata:
            options.note(
                "the NWB file names no subject, which archives want: metadata={'subject': {'subject_id': ..., 'species': "
                "'Mus musculus', 'sex': 'F', 'age': 'P90D'}}"
            )
        file, plane = new_session(table, metadata)
        _add_results(file, table, plane, options, _times(table))
        with NWBHDF5IO(path, "w") as io:
            io.write(file)
    else:
        shutil.copyfile(options.into, path)
        with understanding(f"{options.into} cannot be read as NWB"), NWBHDF5IO(path, "a") as io:
            file = io.read()
            plane, recorded = check_same_session(file, table, metadata, options.into)
            _add_results(file, table, plane, options, _times_of(recorded) or _times(table))
            io.write(file)
    return _lost(table)


def _add_results(
    file: Any, table: TraceTable, plane: Any, options: TraceOptions, times: dict[str, Any]
) -> None:
    """Put everything into the processing module of optical physiology."""
    from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation  # noqa: PLC0415

    module = file.processing.get(MODULE)
    if module is None:
        module = file.create_processing_module(name=MODULE, description="traces of cells, by roitrace")
    assert table.rois is not None
    segmentation = plane_segmentation(
        table.rois, plane, name=SEGMENTATION, description="regions of interest; x and y count pixels from 0"
    )
    roi_columns(table, segmentation)
    _add(_container(module, ImageSegmentation), "plane_segmentations", segmentation)
    for trace in table.traces:
        kind = DfOverF if trace.role == "dff" else Fluorescence
        series = _series(table, trace, segmentation, options, times)
        _add(_container(module, kind), "roi_response_series", series)
    if table.images:
        module.add(_images(table, "roitrace_images" if IMAGES in module.data_interfaces else IMAGES))
    if table.filled:
        module.add(filled_table(table))


def _container(module: Any, kind: Any) -> Any:
    """Return the container of a kind: the one that the file has, or a new one."""
    found = [one for one in module.data_interfaces.values() if type(one) is kind]
    if found:
        return found[0]
    made = kind()
    module.add(made)
    return made


def _add(container: Any, children: str, child: Any) -> None:
    if child.name in getattr(container, children):
        raise ArgumentError(
            f"the NWB file holds {container.name}/{child.name} already",
            "add other traces with statistic=, or give the file as it was before",
        )
    getattr(
        container, f"add_{children.removesuffix('s') if children != 'roi_response_series' else children}"
    )(child)


def _series(
    table: TraceTable, trace: Trace, segmentation: Any, options: TraceOptions, times: dict[str, Any]
) -> Any:
    from hdmf.backends.hdf5.h5_utils import H5DataIO  # noqa: PLC0415
    from hdmf.data_utils import DataChunkIterator  # noqa: PLC0415
    from pynwb.ophys import RoiResponseSeries  # noqa: PLC0415

    n_rois, n_frames = table.shape
    rows = DataChunkIterator(
        data=_frames(table, trace, options), maxshape=(n_frames, n_rois), dtype=trace.dtype, buffer_size=512
    )
    frames = max(1, min(n_frames, _CHUNK_BYTES // (trace.dtype.itemsize * n_rois)))
    region = segmentation.create_roi_table_region(
        region=list(range(n_rois)), description="all ROIs, in order"
    )
    return RoiResponseSeries(
        name=trace.name.replace("/", "_"),
        data=H5DataIO(rows, chunks=(frames, n_rois), **_GZIP),
        unit=_unit(trace),
        rois=region,
        description=str(trace.attrs.get("definition", trace.attrs.get("long_name", trace.name))),
        comments=f"roitrace {version('roitrace')}; source {table.attrs.get('source', 'unknown')}; parameters "
        f"{table.attrs.get('parameters', 'unknown')}",
        **times,
    )


def _frames(table: TraceTable, trace: Trace, options: TraceOptions) -> Iterator[NDArray[Any]]:
    for time in options.tracked(table.spans_of_time()):
        yield from np.ascontiguousarray(trace.block(slice(None), time).T)


def _unit(trace: Trace) -> str:
    unit = str(trace.attrs.get("units", "n.a."))
    return {"count": "counts", "1": "n.a."}.get(unit, unit)


def _times(table: TraceTable) -> dict[str, Any]:
    """Say when frames are: by a rate where they are evenly spaced, else one by one."""
    times = table.time
    if table.frame_rate is not None:
        even = times[0] + np.arange(times.size) / table.frame_rate
        if np.abs(times - even).max() < 0.01 / table.frame_rate:
            return {"starting_time": float(times[0]), "rate": float(table.frame_rate)}
    return {"timestamps": times}


def _times_of(recorded: Any | None) -> dict[str, Any]:
    """Say when frames are: when the images in the file are, whose clock is that of the session."""
    if recorded is None:
        return {}
    if recorded.timestamps is not None:
        return {"timestamps": recorded}
    return {"starting_time": recorded.starting_time, "rate": recorded.rate} if recorded.rate else {}


def _images(table: TraceTable, name: str) -> Any:
    from pynwb.base import Images  # noqa: PLC0415
    from pynwb.image import GrayscaleImage  # noqa: PLC0415

    images = [
        GrayscaleImage(name=one, data=image.values.T, description=f"{one} over time of every pixel")
        for one, image in table.images.items()
    ]
    return Images(name=name, images=images, description="projections of the recording, (x, y)")


def _lost(table: TraceTable) -> tuple[str, ...]:
    kept = {"rois", "projections", "filled"} | {one.group for one in table.traces}
    others = sorted(set(table.groups) - kept)
    assert table.rois is not None
    lost = table.rois.lost({"names", "ids", "flags", "single weights"})
    return (*lost, *(f"the group {name}" for name in others))
