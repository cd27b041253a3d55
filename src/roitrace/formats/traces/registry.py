"""Which formats traces are written to, and which one is meant.

Another package adds a format with an entry point that names a `TraceFormat`, in the group ``roitrace.traces``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError
from roitrace.formats.registry import formats_of_others
from roitrace.formats.traces.format import TraceFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TRACE_FORMATS", "choose_format", "trace_formats"]

GROUP = "roitrace.traces"
TRACES = "roitrace.formats.traces"
ROI_AXIS = frozenset({"roi_axis"})

TRACE_FORMATS = (
    TraceFormat("netcdf", (".nc", ".nc4"), f"{TRACES}.netcdf:write_netcdf", options=ROI_AXIS),
    TraceFormat("hdf5", (".h5", ".hdf5"), f"{TRACES}.hdf5:write_hdf5", options=ROI_AXIS),
    TraceFormat(
        "csv",
        (".csv",),
        f"{TRACES}.csv:write_csv",
        options=frozenset({"roi_axis", "layout"}),
        keeps_filled=False,
    ),
    TraceFormat(
        "parquet",
        (".parquet", ".pq"),
        f"{TRACES}.parquet:write_parquet",
        options=frozenset({"layout"}),
        needs=("pyarrow", "parquet"),
    ),
    TraceFormat("npy", (".npy",), f"{TRACES}.npy:write_npy", options=ROI_AXIS, keeps_filled=False),
    TraceFormat(
        "nwb",
        (".nwb",),
        f"{TRACES}.nwb:write_nwb",
        options=frozenset({"into", "metadata"}),
        needs=("pynwb", "nwb"),
        checks=f"{TRACES}.nwb_session:check_session",
    ),
    TraceFormat(
        "suite2p",
        (),
        f"{TRACES}.suite2p:write_suite2p",
        folder=("F.npy", "Fneu.npy", "spks.npy", "stat.npy", "iscell.npy", "ops.npy", "filled.csv"),
        options=frozenset({"spikes"}),
    ),
)


def trace_formats() -> tuple[TraceFormat, ...]:
    """Return all trace formats of this package, then those of others.

    Raises
    ------
    MissingDependencyError
        If another package's format cannot be imported.
    FormatError
        If another package's entry point names something else.
    """
    return (*TRACE_FORMATS, *formats_of_others(GROUP, TraceFormat))


def choose_format(path: Path, name: str | None, formats: Sequence[TraceFormat]) -> TraceFormat:
    """Return the format of a name; without one, that of the suffix.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if name is not None:
        known = next((one for one in formats if one.name == name.lower()), None)
        if known is None:
            raise ArgumentError(
                f"no format is named {name!r}", f"choose one of {', '.join(one.name for one in formats)}"
            )
        return known
    suffix = path.suffix.lower()
    known = next((one for one in formats if suffix in one.suffixes), None)
    if known is None:
        suffixes = ", ".join(f"{' '.join(one.suffixes)} ({one.name})" for one in formats if one.suffixes)
        unnamed = ", ".join(one.name for one in formats if not one.suffixes)
        raise ArgumentError(
            f"{path.name!r} does not say which format is meant",
            f"choose one of the suffixes {suffixes}, or name the format: {unnamed} is a folder",
        )
    return known
