"""Files of what was made by hand: mask, ROIs, traces, and the configuration that gives the same on the command line."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from roitrace.errors import ArgumentError, OutputExistsError
from roitrace.export import export
from roitrace.extraction import extract
from roitrace.normalization import normalize
from roitrace.results import save
from roitrace.roi_files import write_rois
from roitrace.view.explorer.chosen_traces import with_weights
from roitrace.view.explorer.reproduction import configuration, to_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray as xr

    from roitrace.config.sections import RoisSection
    from roitrace.decisions import Decided
    from roitrace.rois import Rois

__all__ = ["ROI_FILES", "WHAT", "Export"]

WHAT = {"mask": "mask", "rois": "ROIs", "traces": "traces", "config": "configuration"}
"""What can be exported, by what the page calls it."""
ROI_FILES = {
    "ImageJ (zip)": ("RoiSet.zip", None),
    "suite2p": ("suite2p", "suite2p"),
    "label image (tif)": ("labels.tif", None),
    "pixels (csv)": ("rois.csv", None),
    "Neurofinder (json)": ("regions.json", None),
}
"""Formats of ROIs for other programs: what the file is called, and the name of its format where the suffix does not say it."""
_NAME = re.compile(r"[^\W.][\w .+-]{0,99}")


@dataclass(frozen=True)
class Export:
    """All that an export needs, as it was when it was asked for.

    Attributes
    ----------
    folder : Path
        Where the files go.
    name : str
        How their names begin.
    what : tuple of str
        Keys of `WHAT`.
    rois_format : str
        A key of `ROI_FILES`, beside the results store that keeps everything of the ROIs.
    overwrite : bool
        Whether files that are there may be replaced.
    recipe : RoisSection or None
        What gives these ROIs; None where hands went beyond it.
    """

    folder: Path
    name: str
    what: tuple[str, ...]
    rois_format: str
    overwrite: bool
    recording: xr.DataArray
    told: Mapping[str, Any]
    decided: Decided
    mask: xr.DataArray
    recipe: RoisSection | None
    statistics: tuple[str, ...]
    normalize: Mapping[str, Any] | None
    weigh_by: xr.DataArray | None
    budget: int

    def write(self, progress: Callable[[str, int, int], object]) -> tuple[str, ...]:
        """Write the files, and return their names.

        Raises
        ------
        ArgumentError
            If the name is none, or nothing is asked for.
        OutputExistsError
            If one of the files is there; before any is written.
        """
        if not _NAME.fullmatch(self.name):
            raise ArgumentError(
                f"{self.name!r} is no name for files",
                "use letters, numbers, spaces, dots, dashes; no folders",
            )
        if not self.what:
            raise ArgumentError(
                "nothing is chosen for the export", f"choose among {', '.join(WHAT.values())}"
            )
        if not len(self.decided.rois):
            raise ArgumentError("there are no cells to export", "find, import or draw some first")
        files = self._files()
        for file in () if self.overwrite else files.values():
            if file.exists():
                raise OutputExistsError(
                    f"{file.name} is in {file.parent} already", "choose another name, or allow to replace"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        if "mask" in files:
            tifffile.imwrite(files["mask"], np.where(self.mask.values, 255, 0).astype(np.uint8))
        if "kept" in files:
            save(
                {"rois": self.decided.to_dataset(), "mask": self.mask},
                files["kept"],
                overwrite=self.overwrite,
            )
        if "rois" in files:
            write_rois(
                self.decided.rois,
                files["rois"],
                format=ROI_FILES[self.rois_format][1],
                overwrite=self.overwrite,
            )
        if "traces" in files:
            self._write_traces(files, progress)
        if "config" in files:
            files["config"].write_text(self._yaml(files), encoding="utf-8")
        return tuple(str(file.name) for file in files.values())

    def _files(self) -> dict[str, Path]:
        """Say what is written where."""
        names: dict[str, str] = {}
        if "mask" in self.what:
            names["mask"] = f"{self.name}.mask.tif"
        if "rois" in self.what or ("config" in self.what and self.recipe is None):
            names["kept"] = f"{self.name}.rois.zarr"
        if "rois" in self.what:
            names["rois"] = f"{self.name}.{ROI_FILES[self.rois_format][0]}"
        if "traces" in self.what:
            names |= {"store": f"{self.name}.traces.zarr", "traces": f"{self.name}.traces.csv"}
        if "config" in self.what:
            names["config"] = f"{self.name}.yaml"
        return {kind: self.folder / name for kind, name in names.items()}

    def _write_traces(self, files: Mapping[str, Path], progress: Callable[[str, int, int], object]) -> None:
        """Stream the traces of all cells into a store, and F, or what it is normalised to, into a table."""
        rois = _weighted(self.decided.rois, self.statistics, self.weigh_by)
        traces = extract(self.recording, rois, self.statistics, budget=self.budget)
        traces = traces.assign_attrs(primary=self.statistics[0])
        groups: dict[str, Any] = {"mask": self.mask, "rois": rois, "traces": traces}
        save(
            groups,
            files["store"],
            overwrite=self.overwrite,
            progress=lambda done, total: progress("traces", done, total),
        )
        if self.normalize is None:
            export(
                files["store"],
                files["traces"],
                statistic=self.statistics[0],
                overwrite=self.overwrite,
                budget=self.budget,
            )
            return
        from roitrace.results import load  # noqa: PLC0415

        kept = load(files["store"])["traces"].to_dataset()
        scaled = normalize(kept, budget=self.budget, **self.normalize)
        export(
            {"traces": kept, "normalized": scaled, "rois": rois},
            files["traces"],
            statistic=self.normalize["method"],
            overwrite=self.overwrite,
            budget=self.budget,
        )

    def _yaml(self, files: Mapping[str, Path]) -> str:
        values = configuration(
            self.told,
            files["kept"] if self.recipe is None else self.recipe,
            statistics=self.statistics,
            normalize=self.normalize,
            output=self.folder / f"{self.name}.results.zarr",
        )
        return to_yaml(values, f"roitrace run {shlex.quote(str(files['config']))}")


def _weighted(rois: Rois, statistics: tuple[str, ...], image: xr.DataArray | None) -> Rois:
    """Give weights by brightness to ROIs that have none, where a weighted mean is asked."""
    if "weighted_mean" not in statistics:
        return rois
    weighted = with_weights(rois, image)
    if weighted.weights is None:
        raise ArgumentError(
            "the weighted mean needs weights, and without the mean over time there are none",
            "compute the mean image first",
        )
    return weighted
