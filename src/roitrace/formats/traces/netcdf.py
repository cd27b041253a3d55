"""NetCDF-4: the groups of a results store, for xarray and every NetCDF reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.formats.traces.groups import Chunks, chunks_of, plain_attributes

if TYPE_CHECKING:
    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import Group, TraceTable, Variable

__all__ = ["write_netcdf"]


def write_netcdf(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write every group; ``xarray.open_datatree(path, engine="h5netcdf")`` opens them as `roitrace.load` opens a store.

    Returns
    -------
    tuple of str
        Nothing: the file keeps everything.
    """
    import h5netcdf  # noqa: PLC0415

    with h5netcdf.File(path, "w") as file:
        file.attrs.update(table.attrs)
        for name, group in table.groups.items():
            _write_group(file.create_group(name), table, name, group, options)
    return ()


def _write_group(place: Any, table: TraceTable, name: str, group: Group, options: TraceOptions) -> None:
    place.dimensions = group.sizes()
    place.attrs.update(plain_attributes(group.attrs))
    auxiliary = " ".join(one for one, coord in group.coords.items() if coord.dims != (one,))
    for one, variable in group.coords.items():
        _write_variable(place, one, variable, {})
    for one, variable in group.variables.items():
        chunks = chunks_of(table, name, one, variable, roi_axis=options.roi_axis or 0)
        attrs = {"coordinates": auxiliary} if auxiliary else {}
        if chunks is None:
            _write_variable(place, one, variable, attrs)
        else:
            _write_chunks(place, one, chunks, variable.attrs | attrs, options)


def _write_variable(place: Any, name: str, variable: Variable, attrs: dict[str, Any]) -> None:
    import h5py  # noqa: PLC0415

    values, attrs = variable.values, variable.attrs | attrs
    if values.dtype.kind == "b":  # NetCDF has no bool: as xarray writes it
        values, attrs = values.astype(np.int8), attrs | {"dtype": "bool"}
    if values.dtype.kind in "UO":
        made = place.create_variable(name, variable.dims, h5py.string_dtype())
        made[...] = values.astype(object)
    else:
        made = place.create_variable(name, variable.dims, values.dtype, data=values)
    made.attrs.update(plain_attributes(attrs))


def _write_chunks(
    place: Any, name: str, chunks: Chunks, attrs: dict[str, Any], options: TraceOptions
) -> None:
    fill = {"fillvalue": np.nan} if chunks.dtype.kind == "f" else {}
    made = place.create_variable(name, chunks.dims, chunks.dtype, **fill)
    for window in options.tracked(chunks.windows):
        made[window] = chunks.read(window)
    made.attrs.update(plain_attributes(attrs))
