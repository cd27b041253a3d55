"""What a person wants to know when a job has ended, as plain values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.judging import broken_rules
from roitrace.labelled_traces import STATUS_FLAGS
from roitrace.neuropil import MIN_NEUROPIL_PIXELS
from roitrace.pipeline.figures import figures_folder
from roitrace.pipeline.job import run_folder
from roitrace.pipeline.report import page_file
from roitrace.pipeline.truth import FOUND, TRUE
from roitrace.traces import spread_rules
from roitrace.units import format_count

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config import Config

__all__ = ["summarize"]

_NO_TRACE = ("empty", "off_frame", "excluded", "all_nan", "not_separable")


def summarize(config: Config, tree: xr.DataTree) -> dict[str, Any]:
    """Say how many cells there are, how well they and their traces fit the truth, where all is, and what it took.

    Returns
    -------
    dict
        Numbers, texts and lists: ``output``, ``report``, ``figures``, ``exports`` (files for other tools), ``cells``, ``rejected`` (how many cells, by measure), ``untraced`` (how many cells have no trace, by reason), ``neuropil`` (a sentence),
        ``small_f0`` (cells with frames whose F0 is not above the noise; None without dF/F), ``frames``, ``truth`` (None for
        recordings that are not simulated), ``statistics`` (one dict each), ``seconds``, ``peak_memory_bytes`` (with the files that are mapped into memory),
        ``peak_anonymous_bytes`` (what a budget means; None on a cluster), ``budget``.
    """
    record = json.loads((run_folder(config.output.path) / "run.json").read_text(encoding="utf-8"))
    page = page_file(config)
    traces = tree["traces"] if "traces" in tree.children else None
    return {
        "output": config.output.path,
        "report": None if page is None or not page.exists() else str(page),
        "figures": None if config.figures is None else str(figures_folder(config)),
        "exports": [one.path for one in config.export] if traces is not None else [],
        "cells": tree["rois"].sizes["roi"],
        "rejected": _rejected(tree),
        "untraced": {} if traces is None else _untraced(traces.to_dataset()),
        "neuropil": None if traces is None else _neuropil(config, tree),
        "small_f0": _small_f0(tree),
        "frames": None if traces is None else traces.sizes["time"],
        "truth": _truth(tree),
        "statistics": _statistics(tree),
        "seconds": record["seconds"],
        "peak_memory_bytes": record["peak_memory_bytes"],
        "peak_anonymous_bytes": record["peak_anonymous_bytes"],
        "budget": config.resources.budget,
    }


def _rejected(tree: xr.DataTree) -> dict[str, Any]:
    """How many cells the rules rejected, and how many each measure did."""
    rois = tree["rois"].to_dataset()
    reasons = rois["reason"].values.astype(str)[~rois["accepted"].values.astype(bool)].tolist()
    return {"cells": len(reasons), "by": broken_rules(reasons) if "quality" in tree.children else {}}


def _untraced(traces: xr.Dataset) -> dict[str, int]:
    """Count the cells whose traces are NaN throughout, by the flag that says why; of several overlap rules by the first."""
    status = spread_rules(traces)["status"].values
    counts = {name: int(((status & STATUS_FLAGS[name]) > 0).sum()) for name in _NO_TRACE}
    return {name: count for name, count in counts.items() if count}


def _neuropil(config: Config, tree: xr.DataTree) -> str:
    section = config.neuropil_used
    if section is None:
        return f"none: {config.no_neuropil_because}"
    counts = tree["traces"].to_dataset()["n_neuropil_pixels"].values
    r = tree["corrected"].to_dataset()["r"].values
    few = int((counts < MIN_NEUROPIL_PIXELS).sum())
    r = r[np.isfinite(r)]
    text = f"{section.rule}, median {np.median(counts):.0f} pixels"
    text += f", median r {np.median(r):.2f}" if r.size else ""
    return text + (f"; {format_count(few, 'cell')} with too few pixels for Fcorr" if few else "")


def _small_f0(tree: xr.DataTree) -> int | None:
    if "normalized" not in tree.children or "n_small_f0" not in tree["normalized"]:
        return None
    return int((tree["normalized"].to_dataset()["n_small_f0"].values > 0).sum())


def _truth(tree: xr.DataTree) -> dict[str, Any] | None:
    if "truth" not in tree.children:
        return None
    cells = tree["truth/cells"]
    return {
        "cells": int(cells["n_truth"]),
        "matched": cells.sizes["pair"],
        "precision": float(cells["precision"]),
        "recall": float(cells["recall"]),
    }


def _statistics(tree: xr.DataTree) -> list[dict[str, Any]]:
    """Medians over cells for each statistic: against the truth where there is one, else against the primary one."""
    rows: dict[str, dict[str, Any]] = {}
    for masks, group in (("true masks", TRUE), ("found masks", FOUND)):
        if f"/{group}" not in tree.groups:
            continue
        scores = tree[group].to_dataset()
        for name in scores["statistic"].values:
            row = rows.setdefault(str(name), {"statistic": str(name)})
            chosen = scores.sel(statistic=name)
            row[f"{masks}: correlation"] = float(chosen["median_correlation"])
            row[f"{masks}: RMSE of dF/F"] = float(chosen["median_rmse"])
    if not rows and "comparison" in tree.children:
        medians = (
            tree["comparison"]
            .to_dataset()[["slope", "offset", "correlation", "peak_snr"]]
            .median("roi")
            .load()
        )
        for name in medians["statistic"].values:
            numbers = medians.sel(statistic=name)
            rows[str(name)] = {"statistic": str(name)} | {
                str(one): float(numbers[one]) for one in medians.data_vars
            }
    return list(rows.values())
