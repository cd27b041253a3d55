"""Plain HDF5: the groups of a results store as datasets, for MATLAB, R, Julia and h5py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.formats.traces.groups import chunks_of, plain_attributes

if TYPE_CHECKING:
    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import Group, TraceTable, Variable

__all__ = ["write_hdf5"]


def write_hdf5(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write every group; axes are dimension scales, so that each dataset names its own.

    Returns
    -------
    tuple of str
        Nothing: the file keeps everything.
    """
    import h5py  # noqa: PLC0415

    with h5py.File(path, "w") as file:
        file.attrs.update(table.attrs)
        for name, group in table.groups.items():
            _write_group(file.create_group(name), table, name, group, options)
    return ()


def _write_group(place: Any, table: TraceTable, name: str, group: Group, options: TraceOptions) -> None:
    place.attrs.update(plain_attributes(group.attrs))
    for one, variable in group.coords.items():
        made = _write_variable(place, one, variable)
        if variable.dims == (one,):
            made.make_scale(one)
    for one, variable in group.variables.items():
        chunks = chunks_of(table, name, one, variable, roi_axis=options.roi_axis or 0)
        if chunks is None:
            made, dims = _write_variable(place, one, variable), variable.dims
        else:
            made, dims = place.create_dataset(one, chunks.shape, chunks.dtype), chunks.dims
            for window in options.tracked(chunks.windows):
                made[window] = chunks.read(window)
            made.attrs.update(plain_attributes(variable.attrs))
        for number, dim in enumerate(dims):
            made.dims[number].label = dim
            if dim in group.coords:
                made.dims[number].attach_scale(place[dim])


def _write_variable(place: Any, name: str, variable: Variable) -> Any:
    import h5py  # noqa: PLC0415

    if variable.values.dtype.kind in "UO":
        texts = variable.values.astype(object)
        made = place.create_dataset(name, data=texts, dtype=h5py.string_dtype())
    else:
        made = place.create_dataset(name, data=variable.values)
    made.attrs.update(plain_attributes(variable.attrs))
    return made
