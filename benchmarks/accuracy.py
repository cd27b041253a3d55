"""How near to the truth every choice of an extraction comes, in simulations where the truth is known.

    python -m benchmarks.accuracy --seeds 6 --output accuracy.json

Each choice (aggregation, weights, overlap rule, neuropil) is varied alone, the others as in the plain mean. For each condition and
seed a recording is simulated; scored are the true masks: median over cells of the RMSE of dF/F, without refit of scale or
level, and of Pearson's correlation with the true dF/F of each cell. From the first half of the seeds the best of each choice is
taken (lowest RMSE relative to the plain mean, averaged over conditions); the tables and the combination of the best are of the other half.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import roitrace as rt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr

__all__ = ["CONDITIONS", "FAMILIES", "PLAIN", "Choice", "choose", "run", "tables"]

CONDITIONS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "haze follows activity": {"haze": 12.0, "haze_fluctuation": 0.35, "haze_correlation": 0.9},
    "overlap": {"overlapping": 0.8, "touching": 0.2},
    "hot pixels": {"hot_pixels": 120, "hot_flicker": 1.0},
    "saturation": {
        "dtype": "uint8",
        "detector_gain": 6.0,
        "read_noise": 3.0,
        "detector_offset": 20.0,
        "brightness": 20.0,
    },
    "bleaching": {"bleaching": 0.6, "bleaching_times": (8.0, 60.0)},
    "low light": {"brightness": 2.0, "haze": 1.0, "background": 0.4},
}
"""What is changed of the simulation's defaults; see `roitrace.simulate`."""


@dataclass(frozen=True)
class Choice:
    """One way to make F."""

    aggregation: str = "mean"
    weights: str = "none"
    overlap: str = "keep"
    neuropil: str = "none"


PLAIN = Choice()

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "aggregation": (
        "mean",
        "median",
        "trimmed_mean",
        "winsorized_mean",
        "interquartile_mean",
        "huber",
    ),
    "weights": (
        "none",
        "brightness",
        "proximity",
        "edge",
        "brightness * proximity",
        "snr",
        "correlation",
        "inverse_variance",
        "footprint",
    ),
    "overlap": ("keep", "exclude", "nearest", "split", "least_squares"),
    "neuropil": (
        "none",
        "suite2p 0.7",
        "suite2p fit",
        "suite2p cross_validated",
        "allen 0.7",
        "allen cross_validated",
    ),
}

NOT_CHOSEN = frozenset({"footprint"})  # the truth itself


@dataclass(frozen=True)
class Scene:
    """A simulated recording in memory, its truth, and what choices share."""

    recording: xr.DataArray
    rois: rt.Rois
    dff: xr.DataArray
    image: xr.DataArray
    offset: float


def simulate(condition: str, seed: int, shape: tuple[int, int, int], n_rois: int) -> Scene:
    """Simulate a scene at 10 Hz."""
    options = dict(CONDITIONS[condition])
    with tempfile.TemporaryDirectory() as folder:
        path = rt.simulate(
            Path(folder) / "scene.zarr", shape=shape, n_rois=n_rois, seed=seed, frame_rate=10.0, **options
        )
        truth = rt.load_truth(path)
        recording = rt.open_recording(path).compute()
        dff = truth.traces["dff"].load()
    image = rt.project(recording, "mean").compute()["mean"]
    return Scene(recording, truth.rois, dff, image, float(options.get("detector_offset", 100.0)))


def fluorescence(scene: Scene, choice: Choice) -> xr.DataArray:
    """F, or Fcorr, of a choice ``(roi, time)``."""
    rois = scene.rois
    if choice.weights == "none":
        rois = rois.with_weights(None)
    elif choice.weights != "footprint":
        sample = scene.recording.isel(time=slice(0, scene.recording.sizes["time"] // 2))
        background = float(np.percentile(scene.image, 1))
        rois = rt.pixel_weights(
            rois.with_weights(None), choice.weights, image=scene.image, background=background, frames=sample
        )
    statistic = choice.aggregation if choice.weights == "none" else "weighted_mean"
    rule, _, ratio = choice.neuropil.partition(" ")
    rings = rt.neuropil(rois, rule=rule) if ratio else None
    traces = rt.extract(scene.recording, rois, statistic, overlap=choice.overlap, neuropil=rings).compute()
    if rings is None:
        return traces[statistic]
    given = float(ratio) if ratio[0].isdigit() else ratio
    return rt.correct_neuropil(traces, r=given, offset=scene.offset)["fcorr"]


def score(scene: Scene, choice: Choice) -> dict[str, float]:
    """Median RMSE of dF/F and median correlation over cells; a cell without a trace counts as a flat one."""
    dff = rt.normalize(fluorescence(scene, choice), offset=scene.offset, window=30.0)["dff"].values
    truth = scene.dff.values
    error = np.where(np.isfinite(dff), dff, 0.0) - truth
    correlations = [
        np.corrcoef(own[np.isfinite(own)], true[np.isfinite(own)])[0, 1]
        if np.isfinite(own).sum() > 2 and np.ptp(own[np.isfinite(own)]) > 0 and np.ptp(true) > 0
        else 0.0
        for own, true in zip(dff, truth, strict=True)
    ]
    return {
        "rmse": float(np.median(np.sqrt(np.mean(error**2, axis=1)))),
        "correlation": float(np.median(np.nan_to_num(correlations))),
    }


def variations() -> dict[str, Choice]:
    """Every choice that differs from the plain mean in one thing, by ``family: name``."""
    return {
        f"{family}: {name}": replace(PLAIN, **{family: name})
        for family, names in FAMILIES.items()
        for name in names
    }


def choose(scores: Mapping[str, Mapping[str, Sequence[dict[str, float]]]]) -> Choice:
    """Take the best of each family: the lowest RMSE relative to the plain mean, averaged over conditions and seeds."""
    best = {}
    for family, names in FAMILIES.items():
        relative = {
            name: _relative(scores[f"{family}: {name}"], scores["aggregation: mean"])
            for name in names
            if name not in NOT_CHOSEN
        }
        best[family] = min(relative, key=lambda name: relative[name])
    # weights take the place of an aggregation, and pixels in parts need a mean
    weighted = _relative(scores[f"weights: {best['weights']}"], scores["aggregation: mean"])
    plain = _relative(scores[f"aggregation: {best['aggregation']}"], scores["aggregation: mean"])
    if best["weights"] != "none" and weighted <= plain:
        best["aggregation"] = "mean"
    else:
        best["weights"] = "none"
    if best["overlap"] in {"split", "least_squares"} and best["aggregation"] != "mean":
        best["overlap"] = "exclude"
    return Choice(**best)


def _relative(
    scores: Mapping[str, Sequence[dict[str, float]]], plain: Mapping[str, Sequence[dict[str, float]]]
) -> float:
    ratios = [
        own["rmse"] / base["rmse"]
        for condition in scores
        for own, base in zip(scores[condition], plain[condition], strict=True)
    ]
    return float(np.exp(np.mean(np.log(ratios))))


def evaluate(
    choices: Mapping[str, Choice],
    conditions: Iterable[str],
    seeds: Iterable[int],
    shape: tuple[int, int, int],
    n_rois: int,
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Score choices: name, condition, one entry per seed."""
    scores: dict[str, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for condition, seed in itertools.product(conditions, seeds):
        scene = simulate(condition, seed, shape, n_rois)
        for name, choice in choices.items():
            scores[name][condition].append(score(scene, choice))
    return {name: dict(rows) for name, rows in scores.items()}


def run(
    *,
    seeds: int = 6,
    shape: tuple[int, int, int] = (900, 96, 96),
    n_rois: int = 16,
    conditions: Sequence[str] = tuple(CONDITIONS),
) -> dict[str, Any]:
    """Choose on the first half of the seeds, report on the second."""
    first, second = range(seeds // 2), range(seeds // 2, seeds)
    choices = variations()
    chosen = choose(evaluate(choices, conditions, first, shape, n_rois))
    scores = evaluate(choices | {"chosen": chosen}, conditions, second, shape, n_rois)
    means = {
        name: {
            condition: {key: float(np.mean([one[key] for one in rows])) for key in ("rmse", "correlation")}
            for condition, rows in by_condition.items()
        }
        for name, by_condition in scores.items()
    }
    return {
        "chosen": asdict(chosen),
        "seeds": {"chosen on": list(first), "reported on": list(second)},
        "shape": list(shape),
        "n_rois": n_rois,
        "scores": means,
    }


def tables(results: Mapping[str, Any]) -> str:
    """Markdown: one table of RMSE and correlation; the best of each family and condition in bold."""
    scores = results["scores"]
    conditions = list(next(iter(scores.values())))
    lines = ["| | " + " | ".join(conditions) + " |", "|---" * (len(conditions) + 1) + "|"]
    for name, row in scores.items():
        family = name.partition(":")[0]
        rivals = [scores[other] for other in scores if other.partition(":")[0] == family]
        cells = []
        for condition in conditions:
            own = row[condition]
            text = f"{own['rmse']:.3f} / {own['correlation']:.2f}"
            best = min(rival[condition]["rmse"] for rival in rivals)
            cells.append(f"**{text}**" if own["rmse"] == best and len(rivals) > 1 else text)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="half of them to choose, half to report")
    parser.add_argument("--quick", action="store_true", help="two small conditions, two seeds")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    options = parser.parse_args()
    quick: dict[str, Any] = {
        "seeds": 2,
        "shape": (300, 64, 64),
        "n_rois": 6,
        "conditions": ("plain", "overlap"),
    }
    results = run(**quick) if options.quick else run(seeds=options.seeds)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))
    print(f"\nchosen on seeds {results['seeds']['chosen on']}: {results['chosen']}")


if __name__ == "__main__":
    main()
