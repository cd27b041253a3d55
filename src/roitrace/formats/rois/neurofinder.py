"""Neurofinder's JSON: a list of regions, each with its pixels as pairs of row and column.

Layout: https://github.com/codeneuro/neurofinder, ``regions.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.bounded_json import read_json
from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.rois.table import RoiTable, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_neurofinder", "write_neurofinder"]


def read_neurofinder(path: str, options: RoiOptions) -> RoiTable:  # noqa: ARG001
    """Read regions. Ids that are whole numbers are kept, others are names; without ids regions count from 1.

    Raises
    ------
    FormatError
        If the file is no list of regions with whole numbers as coordinates.
    """
    regions = read_json(path)
    if not isinstance(regions, list) or not all(
        isinstance(one, dict) and "coordinates" in one for one in regions
    ):
        raise FormatError(
            f"{path} is no list of regions with coordinates", "give a file of Neurofinder's layout"
        )
    given = [one.get("id") for one in regions]
    numbered = all(isinstance(one, int) and not isinstance(one, bool) and abs(one) < 2**63 for one in given)
    ids = tuple(given) if numbered else tuple(range(1, len(regions) + 1))
    return RoiTable(
        names=tuple(str(number if one is None else one) for one, number in zip(given, ids, strict=True)),
        ids=ids,
        pixels=tuple(_pixels(one["coordinates"], f"{path}: region {n}") for n, one in enumerate(regions)),
    )


def write_neurofinder(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write regions.

    Returns
    -------
    tuple of str
        What the file does not keep.
    """
    regions = [
        {"id": number, "coordinates": yx.tolist()} for number, yx in zip(table.ids, table.pixels, strict=True)
    ]
    Path(path).write_text(json.dumps(regions), encoding="utf-8")
    return table.lost({"ids"})


def _pixels(coordinates: Any, what: str) -> NDArray[np.int64]:
    with understanding(f"{what} has coordinates that are no pairs of row and column"):
        yx = np.asarray(coordinates)
    if yx.size == 0:
        return np.zeros((0, 2), np.int64)
    if yx.ndim != 2 or yx.shape[1] != 2:
        raise FormatError(f"{what} has coordinates of shape {yx.shape}, expected pairs of row and column")
    if any(isinstance(one, bool) for pair in coordinates for one in pair):
        raise FormatError(f"{what} has true or false as a coordinate, expected whole numbers")
    return whole_numbers(yx, what)
