"""MATLAB's older files (v7 and before), in which CNMF-E's results lie unless they are larger than 2 GB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.matlab_file import load_matlab
from roitrace.formats.rois.factorized import STACKS
from roitrace.formats.rois.footprints import footprints_of_images, footprints_of_sparse
from roitrace.formats.rois.table import RoiTable, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_matlab"]


def read_matlab(path: str, options: RoiOptions) -> RoiTable:
    """Read footprints of CNMF-E (``A``, ``options.d1, d2``) or EXTRACT (``spatial_weights``) as `factorized.read_factorized` does.

    Raises
    ------
    FormatError
        If the file is damaged, unpacks to more than 2 GiB, or holds no footprints.
    """
    with understanding(f"{path} cannot be read as MATLAB file", "save it again with: save -v7.3"):
        variables = load_matlab(path, simplify_cells=True)
        structures = {name: one for name, one in variables.items() if isinstance(one, dict)}
        if options.name is not None and options.name not in structures:
            raise ArgumentError(
                f"{path} has no structure {options.name!r}", f"it has {', '.join(structures) or 'none'}"
            )
        for name in structures if options.name is None else [options.name]:
            table = _footprints(structures[name], options.support, f"{path}: {name}")
            if table is not None:
                return table
    raise FormatError(
        f"{path} holds no footprints: no A with options.d1 (CNMF-E), no {', '.join(STACKS)} (EXTRACT)",
        "objects of classes cannot be read; in MATLAB: results = neuron.obj2struct(); save('results.mat', 'results')",
    )


def _footprints(structure: Mapping[str, Any], support: float, what: str) -> RoiTable | None:
    stack = next((name for name in STACKS if name in structure), None)
    if stack is not None:
        images = np.atleast_3d(structure[stack])
        rows = footprints_of_images(np.moveaxis(images, 2, 0), support, f"{what}.{stack}")
        return _numbered(rows, images.shape[:2])
    sizes = structure.get("options")
    if "A" not in structure or not isinstance(sizes, dict) or not {"d1", "d2"} <= sizes.keys():
        return None
    height, width = (int(whole_numbers(sizes[name], f"{what}.options.{name}")) for name in ("d1", "d2"))
    from scipy.sparse import csc_array  # noqa: PLC0415

    matrix = csc_array(structure["A"])
    if matrix.shape[0] != height * width:
        raise FormatError(
            f"{what}.A has shape {matrix.shape}, expected {height * width} rows", "copy the file again"
        )
    rows = footprints_of_sparse(
        matrix.data,
        matrix.indices.astype(np.int64),
        matrix.indptr.astype(np.int64),
        (height, width),
        support,
        f"{what}.A",
    )
    return _numbered(rows, (height, width))


def _numbered(rows: Any, shape: tuple[int, ...]) -> RoiTable:
    pixels, weights = rows
    ids = tuple(range(1, len(pixels) + 1))
    return RoiTable(tuple(map(str, ids)), ids, pixels, (shape[0], shape[1]), weights)
