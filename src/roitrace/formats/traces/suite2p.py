"""A suite2p folder, shapes and dtypes as suite2p 1.1 (Pachitariu et al. 2017, bioRxiv 061507) reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, MetadataError
from roitrace.formats.rois.suite2p import suite2p_iscell, suite2p_stat
from roitrace.formats.traces.filled import write_filled
from roitrace.formats.traces.npy import save_matrix

if TYPE_CHECKING:
    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import Trace, TraceTable

__all__ = ["write_suite2p"]

_SINGLE = np.dtype(np.float32)
# What suite2p takes where nobody says more: only its window's smoothing depends on it.
_TAU = 1.0
_NEUCOEFF = 0.7


def write_suite2p(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write ``F Fneu spks`` (roi, time) float32, ``stat`` (roi,) of dicts, ``iscell`` (roi, 2) and ``ops``, a dict.

    F is the first trace in counts, Fneu the neuropil, zeros where there is none; where F has no neuropil in it any more, ``neucoeff`` is 0. NaN stay NaN, and are told of, since suite2p's own
    baseline and deconvolution spread them.

    Returns
    -------
    tuple of str
        What the folder does not keep.

    Raises
    ------
    ArgumentError
        If there are no ROIs or no F in counts, or `spikes` has another shape.
    MetadataError
        If the frame rate is not known.
    """
    if table.rois is None or table.rois.shape is None:
        raise ArgumentError(
            "suite2p needs the pixels of the ROIs, and the results hold none",
            'give a store that holds them, as a job or the verbs write it, or both: export({"traces": traces, "rois": rois}, ...)',
        )
    if table.frame_rate is None:
        raise MetadataError(
            "suite2p needs the frame rate, and the traces have none",
            "give frame_rate= (Hz) when you open or convert the recording",
        )
    f = _first(table, "fluorescence") or _first(table, "corrected")
    if f is None:
        raise ArgumentError(
            f"suite2p needs F in counts, and {', '.join(one.name for one in table.traces)} is none",
            "name the statistic that is F with statistic=, or leave it out",
        )
    neuropil = _first(table, "neuropil")
    folder = Path(path)
    folder.mkdir()
    _save(table, f, folder / "F.npy", options)
    if neuropil is None:
        _save_zeros(table, folder / "Fneu.npy")
        options.note("Fneu.npy holds zeros: the results have no neuropil (extract(..., neuropil=))")
    else:
        _save(table, neuropil, folder / "Fneu.npy", options)
    _save_spikes(table, folder / "spks.npy", options)
    np.save(folder / "stat.npy", suite2p_stat(table.rois), allow_pickle=True)
    np.save(folder / "iscell.npy", suite2p_iscell(table.rois))
    settings: Any = _settings(table) | {"neucoeff": 0.0 if f.role == "corrected" else _NEUCOEFF}
    np.save(folder / "ops.npy", settings, allow_pickle=True)
    if table.filled:
        write_filled(table.filled, str(folder / "filled.csv"))
    _tell_of_nan(table, f, options)
    others = tuple(f"the trace {one.name}" for one in table.traces if one not in (f, neuropil))
    precision = ("digits beyond float32",) if f.dtype != _SINGLE else ()
    names = ("names of the ROIs",) if table.names != tuple(map(str, range(len(table.names)))) else ()
    return (*others, *precision, *names, *table.lost(rois=True, images=True))


def _first(table: TraceTable, role: str) -> Trace | None:
    return next((one for one in table.traces if one.role == role), None)


def _save(table: TraceTable, trace: Trace, path: Path, options: TraceOptions) -> None:
    save_matrix(table, replace(trace, dtype=_SINGLE), str(path), options)


def _save_zeros(table: TraceTable, path: Path) -> None:
    """Write zeros; the file is sparse where the file system can do it."""
    np.lib.format.open_memmap(path, mode="w+", dtype=_SINGLE, shape=table.shape).flush()


def _save_spikes(table: TraceTable, path: Path, options: TraceOptions) -> None:
    if options.spikes is None:
        _save_zeros(table, path)
        options.note("spks.npy holds zeros: nothing was deconvolved; give spikes= (roi, time)")
        return
    if options.spikes.shape != table.shape:
        raise ArgumentError(
            f"spikes has the shape {options.spikes.shape}, expected {table.shape}: one row per ROI, one column per frame"
        )
    np.save(path, options.spikes.astype(_SINGLE))


def _settings(table: TraceTable) -> dict[str, Any]:
    """Return what suite2p's loader and window look up in ops."""
    assert table.rois is not None
    assert table.rois.shape is not None
    height, width = table.rois.shape
    areas = [len(pixels) for pixels in table.rois.pixels]
    diameter = max(1, round(2 * float(np.sqrt(np.median(areas) / np.pi))))
    images = {
        "meanImg": _image(table, "mean", (height, width)),
        "max_proj": _image(table, "max", (height, width)),
    }
    return {
        "Ly": height,
        "Lx": width,
        "yrange": [0, height],
        "xrange": [0, width],
        "nframes": table.shape[1],
        "fs": float(table.frame_rate or 0.0),
        "tau": _TAU,
        "nplanes": 1,
        "nchannels": 1,
        "functional_chan": 1,
        "diameter": diameter,
        "spatscale_pix": [diameter],
        "aspect": 1.0,
        "save_path": "",
        **{name: image for name, image in images.items() if image is not None},
    }


def _image(table: TraceTable, name: str, shape: tuple[int, int]) -> Any:
    """Return a projection; the window of suite2p cannot do without the mean, so that one is zeros where it is not known."""
    if name in table.images:
        return table.images[name].values.astype(_SINGLE)
    return np.zeros(shape, _SINGLE) if name == "mean" else None


def _tell_of_nan(table: TraceTable, f: Trace, options: TraceOptions) -> None:
    missing = sum(
        int(np.isnan(np.asarray(f.values[rois])).any(axis=1).sum()) for rois in table.spans_of_rois()
    )
    if missing:
        options.note(
            f"{missing} of {len(table.names)} ROIs have NaN in F.npy, which suite2p's baseline and deconvolution spread: give "
            'fill="interpolate"'
        )
