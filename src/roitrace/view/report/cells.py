"""The table of cells: what was measured of each, as columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.view.naming import quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.view.report.contents import Contents

__all__ = ["Column", "columns_of", "flag_words", "order_of_importance"]

Column = dict[str, Any]
"""``title``, ``help`` (what it is, with its unit), ``values`` (texts, or numbers and None) and ``first``: shown at once."""

_FIRST = (
    "n_pixels",
    "level",
    "noise",
    "peak_snr",
    "skewness",
    "mean_median_ratio",
    "mean_median_correlation",
    "drift",
    "overlap_fraction",
)
_DIGITS = 5
_TITLES = {
    "n_pixels": "pixels",
    "peak_snr": "peak SNR",
    "suite2p_snr": "suite2p SNR",
    "mean_median_ratio": "median / mean",
    "mean_median_correlation": "r mean, median",
    "overlap_fraction": "overlap",
    "n_outside": "pixels off frame",
    "n_neuropil_pixels": "neuropil pixels",
    "n_small_f0": "frames of small F0",
}


def columns_of(contents: Contents) -> list[Column]:
    """Return the columns of the table, the most telling ones first; every one has a value for each cell."""
    accepted = ["yes" if one else "no" for one in contents.accepted.tolist()]
    columns: list[Column] = [
        _texts("cell", "name", contents.names),
        _texts("accepted", "whether it counts as a cell", accepted),
    ]
    measured = _measured(contents)
    columns += [_numbers(name, measured[name], first=True) for name in _FIRST if name in measured]
    if any(contents.reasons):
        columns.append(_texts("reason", "why it was accepted or rejected", contents.reasons))
    flags = flag_words(contents)
    if any(flags):
        columns.append(_texts("remarks", "what is to be known of its traces", flags))
    columns += [_numbers(name, one, first=False) for name, one in measured.items() if name not in _FIRST]
    return columns


def flag_words(contents: Contents) -> list[str]:
    """Return the flags of each cell's traces in words."""
    words: list[list[str]] = [[] for _ in contents.names]
    for group in ("traces", "corrected", "normalized"):
        status = contents.groups.get(group, xr.Dataset()).get("status")
        if status is None or status.dims != ("roi",) or status.size != len(words):
            continue
        masks = np.atleast_1d(status.attrs.get("flag_masks", []))
        meanings = str(status.attrs.get("flag_meanings", "")).split()
        for row, value in zip(words, status.values.tolist(), strict=True):
            told = (
                name.replace("_", " ") for mask, name in zip(masks, meanings, strict=False) if value & mask
            )
            row += [one for one in told if one not in row]
    return [", ".join(row) for row in words]


def order_of_importance(contents: Contents, example: str | None = None) -> list[int]:
    """Return positions of the cells: the example, then accepted before rejected ones, the largest `peak_snr` first."""
    table = contents.groups.get("quality", xr.Dataset())
    score: NDArray[np.float64] = np.zeros(len(contents.names))
    if "peak_snr" in table and table.sizes.get("roi") == score.size:
        score = np.nan_to_num(table["peak_snr"].values, nan=-np.inf)
    named = np.array([name == example for name in contents.names], dtype=np.bool_)
    return [int(number) for number in np.lexsort((-score, ~contents.accepted, ~named))]


def _measured(contents: Contents) -> dict[str, xr.DataArray]:
    """Numbers of each cell: those of the quality, else the few that the traces carry."""
    found: dict[str, xr.DataArray] = {}
    for group in ("quality", "traces", "corrected", "normalized", "rois"):
        for name, one in contents.groups.get(group, xr.Dataset()).data_vars.items():
            fits = one.dims == ("roi",) and one.size == len(contents.names) and one.dtype.kind in "iuf"
            if fits and name != "status" and str(name) not in found:
                found[str(name)] = one.load()
    return found


def _texts(title: str, what: str, values: Any) -> Column:
    return {"title": title, "help": what, "values": [str(one) for one in values], "first": True}


def _numbers(name: str, measured: xr.DataArray, *, first: bool) -> Column:
    unit = str(measured.attrs.get("units", "1"))
    what = str(measured.attrs.get("long_name", quantity(name)))
    return {
        "title": _TITLES.get(name, quantity(name)),
        "help": what if unit == "1" else f"{what} ({unit})",
        "values": [_short(one) for one in measured.values.tolist()],
        "first": first,
    }


def _short(number: float) -> float | None:
    if not math.isfinite(number):
        return None
    return number if isinstance(number, int) else float(f"{number:.{_DIGITS}g}")
