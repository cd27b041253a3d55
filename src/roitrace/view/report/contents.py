"""What there is to report on: the groups of results, whichever are there, and how their job ran."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.frame import Frame, frame_of
from roitrace.result_groups import as_dataset, as_groups
from roitrace.results import load
from roitrace.rois import Rois
from roitrace.store.places import ObjectPath, place_of
from roitrace.traces import spread_rules, statistic_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.store.places import Location

__all__ = ["Contents", "Series", "contents_of", "is_level"]

_PROJECTION = "projection_"
_NO_LEVELS = frozenset({"count", "max", "min", "std", "sum", "var"})
"""Statistics that differ from a cell's level whatever its pixels do."""


@dataclass(frozen=True, eq=False)
class Series:
    """Traces of all cells by one way of making them.

    Attributes
    ----------
    name : str
        Of the variable.
    trace : DataArray
        ``(roi, time)``, lazy or in memory.
    normalized : bool
        Whether it is on a common scale, such as dF/F, rather than in counts.
    aside : bool
        Whether it is shown only when it is asked for: another overlap rule, half of the pixels, an extreme.
    """

    name: str
    trace: xr.DataArray
    normalized: bool = False
    aside: bool = False


@dataclass(frozen=True, eq=False)
class Contents:
    """Results as a report takes them; everything but the name may be missing.

    Attributes
    ----------
    name : str
        Of the results.
    groups : dict
        Name of a group to its Dataset.
    attributes : dict
        Provenance: parameters, source, versions.
    run : dict
        What ``run.json``, or ``failure.json``, tells of the job; under ``performance`` what ``performance.json`` does.
    images : dict
        Projections ``(y, x)`` by name, in memory.
    mask : DataArray or None
        Boolean ``(y, x)``, in memory.
    rois : Rois or None
        The cells.
    """

    name: str
    groups: Mapping[str, xr.Dataset]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, xr.DataArray] = field(default_factory=dict)
    mask: xr.DataArray | None = None
    rois: Rois | None = None

    @property
    def traces(self) -> xr.Dataset | None:
        """Traces of every statistic and overlap rule, side by side; None without any."""
        traces = self.groups.get("traces")
        return None if traces is None else spread_rules(traces)

    @property
    def primary(self) -> str | None:
        """Name of the statistic that is F."""
        traces = self.traces
        if traces is None:
            return None
        names = statistic_names(traces)
        given = traces.attrs.get("primary")
        return given if given in names else next(iter(names), None)

    @property
    def frame(self) -> Frame | None:
        """The pixel grid of the cells, or of the images where there are none."""
        if self.rois is not None:
            return self.rois.frame
        image = next(iter(self.images.values()), self.mask)
        return None if image is None else frame_of(image)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cells."""
        if self.rois is not None:
            return self.rois.names
        table = self._by_cell
        if table is None:
            return ()
        if "roi" not in table.coords:
            return tuple(str(number) for number in range(table.sizes["roi"]))
        return tuple(str(name) for name in table["roi"].values)

    @property
    def accepted(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of them count as cells; all where nobody said."""
        if self.rois is not None:
            return self.rois.accepted
        table = self._by_cell
        if table is None or "accepted" not in table.coords:
            return np.ones(len(self.names), dtype=np.bool_)
        return table["accepted"].values.astype(np.bool_)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each was accepted or rejected."""
        return ("",) * len(self.names) if self.rois is None else self.rois.reasons

    def series(self) -> list[Series]:
        """Everything that is a trace of each cell: in counts, neuropil included, then on a common scale."""
        found = []
        traces, count = self.traces, len(self.names)
        if traces is not None:
            names = [*statistic_names(traces), *(["neuropil"] if "neuropil" in traces else [])]
            found += [
                Series(name, traces[name], aside=name != self.primary and _is_aside(name)) for name in names
            ]
        if "corrected" in self.groups and "fcorr" in self.groups["corrected"]:
            found.append(Series("fcorr", self.groups["corrected"]["fcorr"]))
        if "reference" in self.groups:
            reference = spread_rules(self.groups["reference"])
            found += [Series(f"reference {name}", reference[name]) for name in statistic_names(reference)]
        if "normalized" in self.groups:
            normalized = spread_rules(self.groups["normalized"])
            names = [name for name in statistic_names(normalized) if not name.startswith("f0")]
            aside = len(names) > 1
            found += [
                Series(
                    name,
                    normalized[name],
                    normalized=True,
                    aside=aside and name != self.primary and _is_aside(name),
                )
                for name in names
            ]
        whole = [one for one in found if one.trace.sizes["roi"] == count and one.trace.sizes["time"]]
        # F first; what is aside gets no colour that others need
        return sorted(whole, key=lambda one: (one.normalized, one.aside, one.name != self.primary))

    @property
    def _by_cell(self) -> xr.Dataset | None:
        """A group that has a row for each cell, where there are no pixels of them."""
        for name in ("traces", "normalized", "corrected", "quality"):
            if name in self.groups and "roi" in self.groups[name].dims:
                return self.groups[name]
        return None


def is_level(name: str) -> bool:
    """Whether a statistic, by whatever overlap rule, says how bright all of a cell is; halves, extremes and spreads do not."""
    statistic = name.partition(" (")[0]
    return statistic not in _NO_LEVELS and not statistic.startswith("half_")


def _is_aside(name: str) -> bool:
    return " (" in name or not is_level(name)


def contents_of(results: object) -> Contents:
    """Take a results store, what `load` gives, or a mapping of groups.

    Raises
    ------
    StoreError
        If the store is unfinished, damaged or no results store.
    ArgumentError
        If there is nothing in it.
    """
    run: dict[str, Any] = {}
    if isinstance(results, str | Path | ObjectPath):
        run = _told(place_of(f"{place_of(results)}.run"))
        results = load(results)
    attributes = (
        {str(key): one for key, one in results.attrs.items()} if isinstance(results, xr.DataTree) else {}
    )
    name = str(results.name or "results") if isinstance(results, xr.DataTree) else "results"
    groups = {key: as_dataset(one, key) for key, one in as_groups(results).items()}
    if not groups:
        raise ArgumentError("the results hold no groups", "give what save, or a job, wrote")
    rois = Rois.from_dataset(groups["rois"].load()) if "rois" in groups else None
    return Contents(name, groups, attributes, run, _images(groups), _mask(groups), rois)


def _images(groups: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Projections, and the images that were made beside traces."""
    found = dict(groups.get("projections", xr.Dataset()).data_vars)
    found |= {
        str(name).removeprefix(_PROJECTION): image
        for name, image in groups.get("traces", xr.Dataset()).data_vars.items()
        if str(name).startswith(_PROJECTION)
    }
    wanted = {str(name): image for name, image in found.items() if image.dims == ("y", "x") and image.size}
    return {name: image.load() for name, image in wanted.items() if image.dtype.kind in "iufb"}


def _mask(groups: Mapping[str, xr.Dataset]) -> xr.DataArray | None:
    images = groups.get("mask", xr.Dataset()).data_vars.values()
    return next((image.load() for image in images if image.dims == ("y", "x") and image.dtype == bool), None)


def _told(folder: Location) -> dict[str, Any]:
    """Read how the job ran; what is missing or no longer JSON is left out, since the results do not depend on it."""
    run = _read(folder / "run.json") or _read(folder / "failure.json")
    return run | {"performance": _read(folder / "performance.json")} if run else {}


def _read(path: Location) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
