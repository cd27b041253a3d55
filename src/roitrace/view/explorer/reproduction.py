"""The configuration that does on the command line what was done by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from roitrace.config import make_config
from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from roitrace.config.sections import RoisSection

__all__ = ["configuration", "recording_section", "to_yaml"]


def recording_section(path: str | Path, options: Mapping[str, Any], opened: xr.DataArray) -> dict[str, Any]:
    """Return the section ``recording`` of a configuration that opens the same part.

    Parameters
    ----------
    path : path
        Where the recording lies.
    options : mapping
        As for `open_recording`.
    opened : DataArray
        What that gave.
    """
    section: dict[str, Any] = {"path": os.path.abspath(path)}  # noqa: PTH100 - takes out .. as configurations do
    for name, value in options.items():
        if isinstance(value, slice):
            first = value.start or 0
            section[name] = [first, first + opened.sizes[name]]
        elif value is not None and value is not False:
            section[name] = list(value) if isinstance(value, tuple) else value
    return section


def configuration(
    told: Mapping[str, Any],
    rois: RoisSection | Path,
    *,
    statistics: Sequence[str],
    normalize: Mapping[str, Any] | None,
    output: Path,
) -> dict[str, Any]:
    """Return the values of a configuration whose job gives the same mask and ROIs, and their traces.

    Parameters
    ----------
    told : mapping
        The section ``recording``: the path and what was said about it.
    rois : RoisSection or Path
        The recipe, or the file of ROIs where hands went beyond it.
    statistics : sequence of str
        The aggregations; the first is the primary one.
    normalize : mapping or None
        Options of the section ``normalize``; None for none.
    output : Path
        The results store.

    Raises
    ------
    ArgumentError
        If the recording has no path, as one that was computed in Python.
    """
    if "path" not in told:
        raise ArgumentError(
            "a recording that was made in Python has no path that a configuration could name",
            "open the explorer with the path of a recording",
        )
    values: dict[str, Any] = {"recording": dict(told)}
    if isinstance(rois, Path):
        values["rois"] = {"path": str(rois)}
    else:
        section = rois.model_dump(mode="json", exclude_defaults=True)
        if rois.threshold is not None:
            # said although it is the default: without a threshold another recipe is meant
            section["threshold"] = {"method": rois.threshold.method} | section.get("threshold", {})
        values |= {"projections": {"statistics": list(rois.image)}, "rois": section}
    values |= {
        "extract": {"statistics": list(statistics), "primary": statistics[0]},
        "normalize": None if normalize is None else dict(normalize),
        "output": {"path": str(output)},
    }
    make_config(values)
    return values


def to_yaml(values: Mapping[str, Any], command: str) -> str:
    """Write a configuration as text, with the command that runs it on top."""
    return f"# {command}\n" + yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
