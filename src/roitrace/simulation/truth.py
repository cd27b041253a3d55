"""What a simulated recording really shows, kept beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import StoreError
from roitrace.rois import Rois
from roitrace.simulation.scene import bleaching_curve
from roitrace.store.mark import MARK, marked
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.rooted import zarr_store

if TYPE_CHECKING:
    from pathlib import Path

    import scipy.sparse
    from numpy.typing import NDArray

    from roitrace.simulation.source import SimulatedSource
    from roitrace.store.places import Location

__all__ = ["Truth", "load_truth", "truth_path", "write_truth"]

_KIND = "roitrace truth"
_CODECS = [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}, {"name": "crc32c"}]
_BLOCK = 2**20  # samples (roi, time) that are computed at once


@dataclass(frozen=True, eq=False)
class Truth:
    """The cells of a simulated recording and what they did.

    Attributes
    ----------
    rois : Rois
        True masks: the pixels where a footprint is at least 0.2 of its maximum. The weights are the footprint, 1 at its
        maximum; beyond the mask it is 0. Ids count from 1 in raster order of the first pixel.
    traces : Dataset
        All float64 and free of noise; read from disk when first used.

        ``spikes (roi, time)``
            Spikes in each frame.
        ``dff (roi, time)``
            dF/F of the cell's own fluorescence, a fraction: 0 at rest, untouched by bleaching. What a perfect correction
            for background, neuropil and neighbours gives.
        ``visible_dff (roi, time)``
            The cell's own change over everything under its mask when all cells rest and the haze is at its mean. What
            the plain mean over the mask gives when no more than the detector offset is subtracted: `dff` times a factor
            below 1 per cell. Fluctuating haze, active neighbours and a baseline that is not the resting level count as error.
        ``own (roi, time)``
            Mean over the mask of the light of the cell itself, counts, without the detector offset.
        ``neuropil (roi, time)``
            The same for background and haze.
        ``total (roi, time)``
            Mean over the mask of the expected recording, counts: detector offset, own, neuropil, other cells. The mean
            trace of the recording is this plus noise, but for hot pixels, rounding and saturation.
        ``motion_y, motion_x (time)``
            Pixels by which the tissue moved down and to the right; all else here is of the still tissue. The shifts that move it back are
            ``-motion_y``, ``-motion_x``.
        ``bad_frame (time)``
            Dropped and saturated frames.
        ``brightness, amplitude, rise, decay, event_rate (roi)``
            Parameters of each cell: photons at rest, peak dF/F of a spike, s, s, Hz.
    parameters : dict
        ``SimulatedSource(**parameters)`` is the recording.
    """

    rois: Rois
    traces: xr.Dataset
    parameters: dict[str, Any]


def load_truth(path: str | Location) -> Truth:
    """Open the truth of a simulated recording.

    Parameters
    ----------
    path : path
        The recording, or the truth itself.

    Returns
    -------
    Truth
        ROIs in memory; traces are read when first used.

    Raises
    ------
    StoreError
        If there is no truth, or it is unfinished.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from roitrace.simulation import simulate
    >>> path = simulate(pathlib.Path(tempfile.mkdtemp()) / "demo.zarr", shape=(50, 48, 48), n_rois=3, seed=0)
    >>> dict(load_truth(path).traces["dff"].sizes)
    {'roi': 3, 'time': 50}
    """
    place = truth_path(path)
    store: Any = zarr_store(place) if isinstance(place, ObjectPath) else place
    if not place.is_dir():
        raise StoreError(f"there is no truth at {place}", "only simulated recordings have one, beside them")
    try:
        root = xr.open_zarr(store, chunks=None, consolidated=False)
        if root.attrs.get("kind") != _KIND:
            raise StoreError(f"{place} is no finished truth of a simulation", "simulate the recording again")
        rois = Rois.from_dataset(xr.open_zarr(store, group="rois", chunks=None, consolidated=False).load())
        traces = xr.open_zarr(store, group="traces", chunks=None, consolidated=False)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise StoreError(f"the truth {place} is damaged: {error}", "simulate the recording again") from error
    return Truth(rois, traces.assign_coords(rois.coords()), json.loads(root.attrs["parameters"]))


def truth_path(path: str | Location) -> Location:
    """Return where the truth of a recording is: ``demo.truth.zarr`` beside ``demo.zarr``."""
    given = place_of(path)
    return given if given.name.endswith(".truth.zarr") else given.with_name(f"{given.stem}.truth.zarr")


def write_truth(source: SimulatedSource, path: Path) -> None:
    """Write the truth of a recording, some frames at a time; the mark that it is whole comes last."""
    rois = source.scene().rois
    table = rois.to_dataset()
    for name in ("roi", "reason"):
        table[name] = table[name].astype(object)  # zarr specifies strings of any length, not of fixed length
    mark = {MARK: marked("truth", "traces/dff")}
    xr.Dataset(attrs=mark).to_zarr(path, mode="a", zarr_format=3, consolidated=False)
    codecs = {"compressors": _CODECS}
    table.to_zarr(
        path,
        group="rois",
        mode="a",
        zarr_format=3,
        consolidated=False,
        encoding={str(name): codecs for name in table.variables},
        write_empty_chunks=True,
    )
    mixture = _mix(source)
    n_frames = source.shape[0]
    block = max(1, min(n_frames, _BLOCK // max(len(rois), 1)))
    for start in range(0, n_frames, block):
        traces = _traces(source, mixture, start, min(start + block, n_frames))
        if start:
            traces.to_zarr(
                path, group="traces", append_dim="time", consolidated=False, write_empty_chunks=True
            )
            continue
        chunks = {"chunks": (max(len(rois), 1), block)}
        first = traces.merge(_cell_parameters(source))
        encoding = {
            str(name): codecs | (chunks if variable.ndim == 2 else {})
            for name, variable in first.variables.items()
        }
        first.to_zarr(
            path,
            group="traces",
            mode="a",
            zarr_format=3,
            consolidated=False,
            encoding=encoding,
            write_empty_chunks=True,
        )
    attrs = mark | {
        "kind": _KIND,
        "identity": source.identity(),
        "parameters": json.dumps(source.parameters()),
    }
    xr.Dataset(attrs=attrs).to_zarr(path, mode="a", zarr_format=3, consolidated=False)


@dataclass(frozen=True, eq=False)
class _Mixture:
    """What falls on each mask, as means over its pixels under the illumination.

    `cells` (roi, roi) is the footprint of another cell, `own` (roi) its own, `background` (roi) photons, `haze` (roi, knot)
    the part of each knot of the haze.
    """

    cells: scipy.sparse.csr_array
    own: NDArray[np.float64]
    background: NDArray[np.float64]
    haze: scipy.sparse.csr_array


def _mix(source: SimulatedSource) -> _Mixture:
    from scipy.sparse import csr_array  # noqa: PLC0415

    scene = source.scene()
    rois, light, basis = scene.rois, scene.still.light, scene.still.basis
    n_pixels = rois.shape[0] * rois.shape[1]
    y, x = np.divmod(rois.pixels, rois.shape[1])
    share = (light.rows[y] + light.columns[x]) / np.repeat(rois.n_pixels, rois.n_pixels)
    texture = light.texture[y, x].astype(np.float64)
    footprint = np.zeros(0) if rois.weights is None else rois.weights
    masks = csr_array((share, rois.pixels, rois.indptr), shape=(len(rois), n_pixels))
    footprints = csr_array((footprint, rois.pixels, rois.indptr), shape=(len(rois), n_pixels))
    cells = csr_array(masks @ footprints.T)
    background = source.background * share * texture
    rows = np.repeat(np.arange(len(rois)), rois.n_pixels)
    n_knots = len(basis.rows), len(basis.columns)
    haze = np.zeros((len(rois), n_knots[0] * n_knots[1]))
    for number in range(len(rois)):
        own = slice(rois.indptr[number], rois.indptr[number + 1])
        under = basis.rows[:, y[own]] * (share * texture)[own] @ basis.columns[:, x[own]].T
        haze[number] = under.ravel()
    return _Mixture(
        cells=cells,
        own=np.asarray(cells.diagonal(), dtype=np.float64),
        background=np.bincount(rows, background, minlength=len(rois)).astype(np.float64),
        haze=csr_array(haze),
    )


def _traces(source: SimulatedSource, mixture: _Mixture, start: int, stop: int) -> xr.Dataset:
    """Compute what changes over the frames `start` to `stop`."""
    scene = source.scene()
    activity, brightness = scene.activity, scene.brightness
    dff = activity.dff(start, stop, np.arange(brightness.size)).T
    gain = source.detector_gain * bleaching_curve(source, start, stop)
    own = gain * (mixture.own * brightness)[:, None] * (1 + dff)
    cells = gain * (mixture.cells @ (brightness[:, None] * (1 + dff)))
    knots = scene.haze.coefficients(start, stop).reshape(stop - start, -1)
    neuropil = gain * (mixture.background[:, None] + mixture.haze @ knots.T)
    rest = mixture.cells @ brightness + mixture.background + source.haze * mixture.haze.sum(axis=1)
    visible = np.divide(mixture.own * brightness, rest, out=np.zeros_like(rest), where=rest > 0)
    counts, fraction = {"units": "count"}, {"units": "1"}
    return xr.Dataset(
        {
            "spikes": (("roi", "time"), activity.spike_counts(start, stop).T.astype(np.uint16), fraction),
            "dff": (("roi", "time"), dff, fraction),
            "visible_dff": (("roi", "time"), visible[:, None] * dff, fraction),
            "own": (("roi", "time"), own, counts),
            "neuropil": (("roi", "time"), neuropil, counts),
            "total": (("roi", "time"), source.detector_offset + neuropil + cells, counts),
            "motion_y": ("time", scene.motion[0, start:stop], {"units": "pixel"}),
            "motion_x": ("time", scene.motion[1, start:stop], {"units": "pixel"}),
            "bad_frame": ("time", scene.faults[start:stop] > 0),
        },
        coords={"time": ("time", np.arange(start, stop) / source.frame_rate, {"units": "s"})},
        attrs={"frame_rate": source.frame_rate},
    )


def _cell_parameters(source: SimulatedSource) -> xr.Dataset:
    scene = source.scene()
    return xr.Dataset(
        {
            "brightness": ("roi", scene.brightness, {"units": "photon"}),
            "amplitude": ("roi", scene.activity.amplitude, {"units": "1"}),
            "rise": ("roi", scene.activity.rise, {"units": "s"}),
            "decay": ("roi", scene.activity.decay, {"units": "s"}),
            "event_rate": ("roi", scene.activity.event_rate, {"units": "Hz"}),
        }
    )
