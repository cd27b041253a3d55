"""What variables and their units are called where people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["quantity", "shown_name", "value_unit"]

_QUANTITIES = {
    "dff": "ΔF/F",
    "zscore": "z-score",
    "robust_zscore": "robust z-score",
    "minmax": "part of the range",
}
_ABBREVIATIONS = {"f": "F", "f0": "F0", "fneu": "Fneu", "fcorr": "Fcorr"}


def shown_name(array: xr.DataArray, otherwise: str) -> str:
    """Return the name of an array, or another one where it has none."""
    return otherwise if array.name is None else str(array.name)


def quantity(name: str) -> str:
    """Return the words for a variable: ``"trimmed mean"``, ``"ΔF/F"``, ``"max"`` for ``"projection_max"``."""
    plain = _ABBREVIATIONS.get(name, name.removeprefix("projection_").replace("_", " "))
    return _QUANTITIES.get(name, plain)


def value_unit(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the unit of a variable for a scale bar: ``"ΔF/F"``, ``"counts"``; empty for a plain number."""
    if name in _QUANTITIES:
        return _QUANTITIES[name]
    unit = str(attrs.get("units", "counts"))
    return {"1": "", "count": "counts", "count^2": "counts²"}.get(unit, unit)
