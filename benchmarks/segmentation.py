"""How well cells are found, by the recipe and by thresholds, in simulations with a known truth and in a real recording.

    python -m benchmarks.segmentation --figure benchmarks/figures/segmentation.png

For each condition and seed a recording is simulated, projected and segmented; found are cells that overlap a true one by an IoU of at
least 0.5, one to one. The recipe has its defaults. The thresholds get what a user would give them: the mean, smoothed by 0.12 cell
diameters, in blocks of 3 diameters; then an opening, holes filled, components from 0.3 to 3 cell areas, touching ones split by their
shape. Their one parameter is chosen on the first half of the seeds (best mean F1 over all conditions); the table is of the other half.
The real recording is the hand-labelled one in the folder that ROITRACE_DATA names, `../shared/data` if not given; it takes no part
in any choice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from matplotlib.figure import Figure

import roitrace as rt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr

__all__ = ["CONDITIONS", "GRIDS", "RECIPES", "Method", "choose", "draw", "real_scene", "run", "table"]

CONDITIONS: Mapping[str, dict[str, Any]] = {
    "30 cells": {},
    "70 cells": {"n_rois": 70},
    "overlap": {"overlapping": 0.8, "touching": 0.2},
    "low light": {"brightness": 2.5, "haze": 1.5, "background": 0.5},
    "haze": {"haze": 14.0, "haze_fluctuation": 0.3, "haze_correlation": 0.8},
    "grain": {"texture": 0.3, "texture_scale": "4 um", "brightness": 6.0},
}
"""What is changed of 30 cells in 144 x 144 pixels and 600 frames; see `roitrace.simulate`."""

STATISTICS = ("mean", "max", "std", "correlation", "skewness")
RECIPES: tuple[tuple[str, ...], ...] = (
    ("mean",),
    ("max",),
    ("std",),
    ("correlation",),
    ("mean", "correlation"),
    ("mean", "std", "skewness"),
)
GRIDS: Mapping[str, tuple[float, ...]] = {
    "otsu": (0.0,),
    "local_mean": (-0.25, -0.5, -1.0),
    "local_gaussian": (-0.25, -0.5, -1.0),
    "local_median": (-0.25, -0.5, -1.0),
    "niblack": (-0.5, -1.0, -1.5),
    "sauvola": (-0.05, -0.1, -0.2),
}
"""Thresholds and what is tried for each: the offset in standard deviations of the image, or k."""

_DIAMETER = 10  # pixels, of the simulated cells and of the labelled neurons


@dataclass(frozen=True)
class Method:
    """One way to find cells: the recipe on some images, or a threshold of the mean with its parameter."""

    name: str
    on: tuple[str, ...] = ()
    parameter: float = 0.0

    def find(self, images: xr.Dataset) -> rt.Rois:
        """Find cells of 10 px."""
        if self.on:
            return rt.segment(images, on=self.on, cell_diameter=_DIAMETER)
        image = images["mean"].copy(data=scipy.ndimage.gaussian_filter(images["mean"], 0.12 * _DIAMETER))
        options: dict[str, Any] = {} if self.name == "otsu" else {"block_size": 3 * _DIAMETER + 1}
        if self.name in {"niblack", "sauvola"}:
            options["k"] = self.parameter
        elif self.name != "otsu":
            options["offset"] = self.parameter * float(image.std())
        area = np.pi / 4 * _DIAMETER**2
        mask = rt.clean_mask(
            rt.threshold(image, self.name, **options),
            opening=1,
            fill_holes=int(0.3 * area),
            min_pixels=int(0.3 * area),
        )
        cells = rt.label_rois(mask, split="distance", min_distance=_DIAMETER // 2)
        return cells.where((cells.n_pixels >= 0.3 * area) & (cells.n_pixels <= 3 * area))


@dataclass(frozen=True)
class Scene:
    """Projections and true cells."""

    images: xr.Dataset
    truth: rt.Rois


def simulate(condition: str, seed: int, shape: tuple[int, int, int]) -> Scene:
    """Simulate a recording at 10 Hz and project it."""
    options = {"n_rois": 30} | CONDITIONS[condition]
    options["n_rois"] = max(3, round(options["n_rois"] * shape[1] * shape[2] / 144**2))
    with tempfile.TemporaryDirectory() as folder:
        path = rt.simulate(Path(folder) / "scene.zarr", shape=shape, seed=seed, frame_rate=10.0, **options)
        truth = rt.load_truth(path).rois
        images = rt.project(rt.open_recording(path), STATISTICS).compute()
    return Scene(images, truth)


def real_scene() -> tuple[Scene, rt.Rois] | None:
    """Return the recording with 111 neurons labelled by hand, and what suite2p found; None where the data are not there."""
    data = Path(os.environ.get("ROITRACE_DATA", "../shared/data")) / "neurofinder_neuhof"
    if not (data / "regions_crop.json").exists():
        return None
    recording = rt.open_recording(data / "movie_600x240x240_u16.tif", frame_rate=7.5)
    images = rt.project(recording, STATISTICS).compute()
    regions = json.loads((data / "regions_crop.json").read_text())
    truth = rt.Rois.from_pixels([one["coordinates"] for one in regions], frame=images["mean"])
    with np.load(data / "reference" / "suite2p_extraction.npz") as other:
        yx = np.stack([other["ypix"], other["xpix"]], axis=1).astype(np.int64)
        pixels = [yx[other["roi"] == one] for one in np.unique(other["roi"])]
    return Scene(images, truth), rt.Rois.from_pixels(pixels, frame=images["mean"])


def score(found: rt.Rois, truth: rt.Rois) -> dict[str, int]:
    """Count found and true cells, and the pairs among them."""
    right = rt.match_rois(found, truth).sizes["pair"]
    return {"right": right, "found": len(found), "true": len(truth)}


def evaluate(
    methods: Iterable[Method], scenes: Mapping[str, Sequence[Scene]]
) -> dict[Method, dict[str, dict[str, int]]]:
    """Score methods: condition, counts summed over its scenes."""
    scores: dict[Method, dict[str, dict[str, int]]] = defaultdict(dict)
    for method, (condition, several) in itertools.product(methods, scenes.items()):
        counts = [score(method.find(scene.images), scene.truth) for scene in several]
        scores[method][condition] = {key: sum(one[key] for one in counts) for key in counts[0]}
    return dict(scores)


def f1(counts: Mapping[str, int]) -> float:
    """Harmonic mean of precision and recall."""
    return 2 * counts["right"] / max(1, counts["found"] + counts["true"])


def choose(scores: Mapping[Method, Mapping[str, Mapping[str, int]]]) -> list[Method]:
    """Take the parameter of each threshold with the best mean F1 over conditions."""
    best: dict[str, tuple[float, Method]] = {}
    for method, by_condition in scores.items():
        mean = float(np.mean([f1(counts) for counts in by_condition.values()]))
        if method.name not in best or mean > best[method.name][0]:
            best[method.name] = mean, method
    return [method for _, method in best.values()]


def run(
    *,
    seeds: int = 4,
    shape: tuple[int, int, int] = (600, 144, 144),
    conditions: Sequence[str] = tuple(CONDITIONS),
) -> dict[str, Any]:
    """Choose on the first half of the seeds, report on the second and on the real recording."""
    tried = [Method(name, parameter=one) for name, grid in GRIDS.items() for one in grid]

    def scenes(some: range) -> dict[str, list[Scene]]:
        return {condition: [simulate(condition, seed, shape) for seed in some] for condition in conditions}

    chosen = choose(evaluate(tried, scenes(range(seeds // 2))))
    methods = [Method(f"segment on {' + '.join(on)}", on) for on in RECIPES] + chosen
    held_out = scenes(range(seeds // 2, seeds))
    real = real_scene()
    if real is not None:
        held_out["real"] = [real[0]]
    scores = {method.name: row for method, row in evaluate(methods, held_out).items()}
    if real is not None:
        scores["suite2p"] = {"real": score(real[1], real[0].truth)}
    return {
        "parameters": {method.name: method.parameter for method in chosen},
        "seeds": {"chosen on": list(range(seeds // 2)), "reported on": list(range(seeds // 2, seeds))},
        "scores": scores,
    }


def table(results: Mapping[str, Any]) -> str:
    """Markdown: precision / recall of each method and condition; found cells that are right, of all found, in the real one."""
    scores = results["scores"]
    conditions = list(next(iter(scores.values())))
    heads = [
        f"real, {next(iter(scores.values()))[one]['true']} neurons" if one == "real" else one
        for one in conditions
    ]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(conditions) + 1) + "|"]
    for name, row in scores.items():
        lines.append(f"| {name} | " + " | ".join(_cell(one, row.get(one)) for one in conditions) + " |")
    return "\n".join(lines)


def _cell(condition: str, counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return "-"
    if condition == "real":
        return f"{counts['right']} of {counts['found']} found"
    return f"{counts['right'] / max(1, counts['found']):.2f} / {counts['right'] / counts['true']:.2f}"


def draw(path: Path, chosen: Mapping[str, float]) -> bool:
    """Draw precision and recall in the real recording against the overlap asked for; False where the data are not there."""
    real = real_scene()
    if real is None:
        return False
    scene, suite2p = real
    methods = [Method(f"segment on {' + '.join(on)}", on) for on in (("mean",), ("mean", "std", "skewness"))]
    methods += [Method("local_gaussian", parameter=chosen["local_gaussian"]), Method("otsu")]
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    found = {method.name: method.find(scene.images) for method in methods} | {"suite2p": suite2p}
    rt.plot_detection(found, scene.truth, ax=figure.subplots())
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="half of them to choose, half to report")
    parser.add_argument("--quick", action="store_true", help="two small conditions, two seeds")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    parser.add_argument("--figure", type=Path, help="PNG file for precision and recall in the real recording")
    options = parser.parse_args()
    quick: dict[str, Any] = {"seeds": 2, "shape": (200, 72, 72), "conditions": ("30 cells", "haze")}
    results = run(**quick) if options.quick else run(seeds=options.seeds)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    print(f"\nchosen on seeds {results['seeds']['chosen on']}: {results['parameters']}")
    if options.figure and not draw(options.figure, results["parameters"]):
        print("no figure: the labelled recording is not there; set ROITRACE_DATA")


if __name__ == "__main__":
    main()
