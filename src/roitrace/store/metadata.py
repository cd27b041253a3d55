"""Root attributes of a recording store: what it holds, and OME-Zarr 0.5 so that viewers open it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.store.layout import FLUORESCENCE
from roitrace.store.mark import MARK, marked

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["recording_attributes"]

_OME_TYPES = {"time": "time", "channel": "channel", "plane": "space", "y": "space", "x": "space"}
_OME_UNITS = {"s": "second", "micrometer": "micrometer"}


def recording_attributes(recording: xr.DataArray, dims: tuple[str, ...]) -> dict[str, Any]:
    """Return the root attributes of a store for a labelled recording."""
    attributes: dict[str, Any] = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in recording.attrs.items()
        if isinstance(value, str | int | float | np.number)
        and key not in {"long_name", "units", "notes", "coordinates"}
    }
    if "session" in recording.coords:
        attributes["coordinates"] = (
            "session"  # as CF says which variables along another's dimension are labels
        )
    return attributes | {
        MARK: marked("recording", FLUORESCENCE, version=version("roitrace"), finished=True),
        "ome": {"version": "0.5", "multiscales": [_multiscale(recording, dims)]},
    }


def _multiscale(recording: xr.DataArray, dims: tuple[str, ...]) -> dict[str, Any]:
    axes, scale = [], []
    for dim in dims:
        axis = {"name": dim, "type": _OME_TYPES[dim]}
        coord = recording.coords.get(dim)
        unit = None if coord is None else _OME_UNITS.get(str(coord.attrs.get("units")))
        if unit is not None:
            axis["unit"] = unit
        axes.append(axis)
        scale.append(_interval(coord) if dim in {"time", "y", "x"} else 1.0)
    transformations = [{"type": "scale", "scale": scale}]
    origin = [_origin(recording.coords.get(dim)) if dim in {"time", "y", "x"} else 0.0 for dim in dims]
    if any(origin):
        transformations.append({"type": "translation", "translation": origin})
    return {
        "name": FLUORESCENCE,
        "axes": axes,
        "datasets": [{"path": FLUORESCENCE, "coordinateTransformations": transformations}],
    }


def _interval(coord: xr.DataArray | None) -> float:
    if coord is None or coord.size < 2:
        return 1.0
    return float(np.median(np.diff(coord.values)))


def _origin(coord: xr.DataArray | None) -> float:
    return 0.0 if coord is None or not coord.size else float(coord.values[0])
