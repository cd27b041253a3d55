"""suite2p's `stat.npy`, with `iscell.npy` and `ops.npy` beside it: pixels, lam as weights, cells and non-cells.

Field names, dtypes and the order of the files follow suite2p 1.1 (Pachitariu et al. 2017, bioRxiv 061507).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.objects import read_mapping, read_objects
from roitrace.formats.rois.table import RoiTable, split_rows, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_suite2p", "suite2p_iscell", "suite2p_stat", "write_suite2p"]

STAT = "stat.npy"
ISCELL = "iscell.npy"
SETTINGS = ("ops.npy", "db.npy")


def read_suite2p(path: str, options: RoiOptions) -> RoiTable:
    """Read the ROIs of suite2p: `stat.npy`, the folder of a plane, or the folder `suite2p` where it holds one plane.

    Ids are suite2p's own, from 0 on. Non-cells are kept, not accepted. The frame is that of `ops.npy`, where it is there.

    Raises
    ------
    ArgumentError
        If the folder holds several planes, and `options.plane` names none.
    FormatError
        If a file is damaged, or the files do not belong together.
    """
    stat = _stat_file(Path(path), options.plane)
    records = read_objects(stat).ravel()
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not {"ypix", "xpix"} <= record.keys():
            raise FormatError(f"{stat}: entry {number} has no ypix and xpix", "give suite2p's stat.npy")
    pixels = tuple(_pixels(record, f"{stat}: ROI {number}") for number, record in enumerate(records))
    shape, notes = _frame_shape(stat.parent)
    return RoiTable(
        names=tuple(map(str, range(len(records)))),
        ids=tuple(range(len(records))),
        pixels=pixels,
        shape=shape,
        weights=_weights(records, pixels, stat),
        accepted=_accepted(stat.with_name(ISCELL), len(records)),
        notes=notes,
    )


def write_suite2p(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write `stat.npy` at `path`, and beside it `iscell.npy` and an `ops.npy` that holds the frame.

    Returns
    -------
    tuple of str
        What the files do not keep.

    Raises
    ------
    ArgumentError
        If the ROIs have no frame.
    """
    height, width = table.frame_for(path)
    stat = Path(path)
    np.save(stat, suite2p_stat(table), allow_pickle=True)
    np.save(stat.with_name(ISCELL), suite2p_iscell(table))
    settings: Any = {"Ly": height, "Lx": width, "yrange": [0, height], "xrange": [0, width]}
    np.save(stat.with_name(SETTINGS[0]), settings, allow_pickle=True)
    numbered = () if table.ids == tuple(range(len(table))) else ("ids (suite2p counts from 0)",)
    return (*(one for one in table.lost({"flags", "single weights"}) if one != "ids"), *numbered)


def suite2p_stat(table: RoiTable) -> NDArray[np.object_]:
    """Return one dict per ROI, as suite2p 1.1 describes it in `stat.npy`; without weights lam is 1.

    Examples
    --------
    >>> import numpy as np
    >>> stat = suite2p_stat(RoiTable(("a",), (1,), (np.array([[0, 1], [0, 2]]),), (4, 6)))
    >>> stat[0]["ypix"], stat[0]["npix"]
    (array([0, 0], dtype=int32), 2)
    """
    everything = np.concatenate([*table.pixels, np.zeros((0, 2), np.int64)])
    _, inverse, members = np.unique(everything, axis=0, return_inverse=True, return_counts=True)
    sizes = [len(yx) for yx in table.pixels]
    overlaps = split_rows(members[inverse.ravel()] > 1, sizes)
    typical = float(np.mean(sizes[:100])) if any(sizes[:100]) else 1.0
    stat = np.empty(len(table), dtype=object)
    for number, (yx, overlap) in enumerate(zip(table.pixels, overlaps, strict=True)):
        lam = np.ones(len(yx)) if table.weights is None else table.weights[number]
        stat[number] = _record(yx, lam, overlap) | {"npix_norm": len(yx) / typical}
    return stat


def suite2p_iscell(table: RoiTable) -> NDArray[np.float32]:
    """Return suite2p's ``(roi, 2)``: 1 for cells, and as its probability the same."""
    accepted = np.ones(len(table)) if table.accepted is None else np.asarray(table.accepted, dtype=np.float64)
    return np.stack([accepted, accepted], axis=1).astype(np.float32)


def _record(yx: NDArray[np.int64], lam: NDArray[np.float64], overlap: NDArray[np.bool_]) -> dict[str, Any]:
    y, x = yx.T
    major, minor = _two_sigma(yx, lam)
    centre = [float(np.median(y)), float(np.median(x))] if len(yx) else [np.nan, np.nan]
    spread = float(np.hypot(y - centre[0], x - centre[1]).mean()) if len(yx) else np.nan
    disc = 2 / 3 * np.sqrt(len(yx) / np.pi)  # mean distance from the centre of a disc of the same area
    return {
        "ypix": y.astype(np.int32),
        "xpix": x.astype(np.int32),
        "lam": lam.astype(np.float32),
        "overlap": overlap,
        "med": centre,
        "npix": len(yx),
        "npix_soma": len(yx),
        "soma_crop": np.ones(len(yx), dtype=np.bool_),
        "radius": major,
        "aspect_ratio": 2 * major / (0.01 + major + minor),
        "mrs": spread,
        "mrs0": disc,
        "compact": spread / (1e-10 + disc),
        "footprint": 0.0,
    }


def _two_sigma(yx: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Twice the standard deviations of the weighted pixels along their main axes, the larger first."""
    total = weights.sum()
    if len(yx) == 0 or total == 0:
        return 0.0, 0.0
    away = yx - (weights @ yx) / total
    variances = np.linalg.eigvalsh((away.T * weights) @ away / total)
    minor, major = (2 * np.sqrt(np.maximum(variances, 0))).tolist()
    return major, minor


def _stat_file(path: Path, plane: int | None) -> Path:
    if path.is_file():
        return path
    folder = path / "suite2p" if (path / "suite2p").is_dir() else path
    if (folder / STAT).is_file():
        return folder / STAT
    planes = sorted(folder.glob(f"plane*/{STAT}"), key=lambda file: (len(file.parent.name), file.parent.name))
    if plane is not None:
        planes = [file for file in planes if file.parent.name == f"plane{plane}"]
    if len(planes) != 1:
        found = ", ".join(file.parent.name for file in planes) or "none"
        raise ArgumentError(
            f"{folder} is a suite2p folder of several planes: {found} fit", "give the folder of one plane"
        )
    return planes[0]


def _pixels(record: dict[str, Any], what: str) -> NDArray[np.int64]:
    y, x = (whole_numbers(record[name], f"{what}: {name}").ravel() for name in ("ypix", "xpix"))
    if y.size != x.size:
        raise FormatError(f"{what} has {y.size} ypix and {x.size} xpix", "copy the file again")
    return np.stack([y, x], axis=1)


def _weights(
    records: NDArray[np.object_], pixels: tuple[NDArray[np.int64], ...], stat: Path
) -> tuple[NDArray[np.float64], ...] | None:
    """Return lam; None where it is not there, or always the same, as in ROIs that were drawn."""
    if not all("lam" in record for record in records):
        return None
    weights = []
    for number, (record, yx) in enumerate(zip(records, pixels, strict=True)):
        lam = np.asarray(record["lam"])
        if lam.dtype.kind not in "iuf" or lam.ravel().size != len(yx):
            raise FormatError(
                f"{stat}: ROI {number} has {len(yx)} pixels and {lam.size} lam of {lam.dtype}",
                "copy the file again",
            )
        weights.append(lam.ravel().astype(np.float64))
    plain = all((row == 1).all() for row in weights)
    return None if plain else tuple(weights)


def _accepted(file: Path, count: int) -> tuple[bool, ...] | None:
    if not file.is_file():
        return None
    flags = read_objects(file)
    if flags.dtype.kind not in "biuf" or flags.ndim not in {1, 2} or len(flags) != count:
        raise FormatError(
            f"{file} holds {flags.dtype} of shape {flags.shape}, {STAT} beside it {count} ROIs",
            "give files of the same run of suite2p",
        )
    first = flags if flags.ndim == 1 else flags[:, 0]
    return tuple(bool(flag) for flag in first > 0)


def _frame_shape(folder: Path) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    for name in SETTINGS:
        file = folder / name
        if not file.is_file():
            continue
        try:
            settings = read_mapping(file)
        except FormatError as problem:
            return None, (f"the size of the frame is not known: {problem}",)
        if {"Ly", "Lx"} <= settings.keys():
            height, width = (int(whole_numbers(settings[key], f"{file}: {key}")) for key in ("Ly", "Lx"))
            return (height, width), ()
    return None, ()
