"""How near to the truth every choice of an extraction comes, in simulations where the truth is known.

    python -m benchmarks.accuracy --seeds 6 --output accuracy.json

Each choice (aggregation, weights, overlap rule, neuropil) is varied alone, the others as in the plain mean. For each condition and
seed a recording is simulated; scored are the true masks: median over cells of the RMSE of dF/F, without refit of scale or
level, and of Pearson's correlation with the true dF/F of each cell. From the first half of the seeds the best of each choice is
taken (lowest RMSE relative to the plain mean, averaged over conditions); the tables, the combination of the best and the default for
two-photon recordings are of the other half.

With ``--data FOLDER`` (by default ``$ROITRACE_DATA``, else ``../shared/data``, if it is there) every choice is also made on a real
two-photon recording with labelled neurons: the noise of dF/F, and how well two random halves of each cell's pixels agree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
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

__all__ = ["CONDITIONS", "DEFAULT", "FAMILIES", "PLAIN", "Choice", "choose", "run", "tables"]

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
    "jitter": {"jitter": 0.8},
    "low light": {"brightness": 2.0, "haze": 1.0, "background": 0.4},
}
"""What is changed of the simulation's defaults; see `roitrace.simulate`."""

WHY_WORSE: Mapping[str, str] = {
    "low light": "what is left after subtracting the neuropil is little above the noise, so the same noise is more dF/F",
    "saturation": "the brightest frames are cut off, more so where less is left beneath them",
    "bleaching": "the surroundings bleach otherwise than the cell",
}
"""Why the default may lose to the plain mean under a condition."""


@dataclass(frozen=True)
class Choice:
    """One way to make F."""

    aggregation: str = "mean"
    weights: str = "none"
    overlap: str = "keep"
    neuropil: str = "none"


PLAIN = Choice()
DEFAULT = Choice(neuropil="suite2p 0.7")
"""What a job does with a two-photon recording unless told otherwise."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "aggregation": (
        "mean",
        "median",
        "trimmed_mean",
        "winsorized_mean",
        "interquartile_mean",
        "huber",
        "weighted_median",
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
    dff: xr.DataArray | None
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


def fluorescences(scene: Scene, choices: Mapping[str, Choice]) -> dict[str, xr.DataArray]:
    """F, or Fcorr, of each choice ``(roi, time)``; choices that share weights, overlap rule and rings share a read."""
    shared: dict[tuple[str, str, str], dict[str, Choice]] = defaultdict(dict)
    for name, choice in choices.items():
        shared[_weights_of(choice), choice.overlap, choice.neuropil.partition(" ")[0]][name] = choice
    found = {}
    for (weights, overlap, rule), same in shared.items():
        rois = _weighed(scene, weights)
        rings = None if rule == "none" else rt.neuropil(rois, rule=rule)
        statistics = sorted({_statistic_of(one) for one in same.values()})
        traces = rt.extract(scene.recording, rois, statistics, overlap=overlap, neuropil=rings).compute()
        for name, choice in same.items():
            statistic, ratio = _statistic_of(choice), choice.neuropil.partition(" ")[2]
            if rings is None:
                found[name] = traces[statistic]
                continue
            given = float(ratio) if ratio[0].isdigit() else ratio
            found[name] = rt.correct_neuropil(traces, r=given, offset=scene.offset, statistic=statistic)[
                "fcorr"
            ]
    return found


def _weights_of(choice: Choice) -> str:
    return "brightness" if choice.aggregation == "weighted_median" else choice.weights


def _statistic_of(choice: Choice) -> str:
    return choice.aggregation if choice.weights == "none" else "weighted_mean"


def _weighed(scene: Scene, weights: str) -> rt.Rois:
    if weights == "footprint":
        return scene.rois
    plain = scene.rois.with_weights(None)
    if weights == "none":
        return plain
    sample = scene.recording.isel(time=slice(0, scene.recording.sizes["time"] // 2))
    background = float(np.percentile(scene.image, 1))
    return rt.pixel_weights(plain, weights, image=scene.image, background=background, frames=sample)


def score(scene: Scene, trace: xr.DataArray) -> dict[str, float]:
    """Median RMSE of dF/F and median correlation over cells; a cell without a trace counts as a flat one."""
    dff = rt.normalize(trace, offset=scene.offset, window=30.0)["dff"].values
    assert scene.dff is not None
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
        for name, trace in fluorescences(scene, choices).items():
            scores[name][condition].append(score(scene, trace))
    return {name: dict(scores[name]) for name in choices}


def run(
    *,
    seeds: int = 6,
    shape: tuple[int, int, int] = (900, 96, 96),
    n_rois: int = 16,
    conditions: Sequence[str] = tuple(CONDITIONS),
    data: Path | None = None,
) -> dict[str, Any]:
    """Choose on the first half of the seeds, report on the second; look at a real recording in `data` too."""
    first, second = range(seeds // 2), range(seeds // 2, seeds)
    choices = variations()
    chosen = choose(evaluate(choices, conditions, first, shape, n_rois))
    rows = choices | {"chosen": chosen, "default": DEFAULT}
    scores = evaluate(rows, conditions, second, shape, n_rois)
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
        "real": None if data is None else real_recording(data, rows),
        "default loses": {
            condition: WHY_WORSE.get(condition, "not explained")
            for condition in conditions
            if means["default"][condition]["rmse"] >= means["aggregation: mean"][condition]["rmse"]
        },
    }


def real_recording(data: Path, choices: Mapping[str, Choice]) -> dict[str, dict[str, float]]:
    """Median over labelled neurons of the noise of dF/F, and of the reliability of F from two random halves of the pixels."""
    folder = data / "neurofinder_neuhof"
    recording = rt.open_recording(folder / "movie_600x240x240_u16.tif", frame_rate=7.5).compute()
    regions = json.loads((folder / "regions_crop.json").read_text())
    rois = rt.Rois.from_pixels([one["coordinates"] for one in regions], frame=recording)
    image = rt.project(recording, "mean").compute()["mean"]
    own = {name: one for name, one in choices.items() if one.weights != "footprint"}
    whole = fluorescences(Scene(recording, rois, None, image, 0.0), own)
    halves = [fluorescences(Scene(recording, half, None, image, 0.0), own) for half in _halves(rois)]
    found = {}
    for name, trace in whole.items():
        noise = rt.noise(rt.normalize(trace, window=60.0)["dff"]).values
        pairs = zip(halves[0][name].values, halves[1][name].values, strict=True)
        r = np.array([np.corrcoef(a, b)[0, 1] if np.isfinite(a + b).all() else np.nan for a, b in pairs])
        found[name] = {
            "noise": float(np.nanmedian(noise)),
            "reliability": float(np.nanmedian(2 * r / (1 + r))),
        }
    return found


def _halves(rois: rt.Rois) -> tuple[rt.Rois, rt.Rois]:
    """Split the pixels of every ROI at random."""
    random = np.random.default_rng(0)
    rows = [random.permutation(rois.coordinates(number).to_yx()) for number in range(len(rois))]
    sides = [row[: len(row) // 2] for row in rows], [row[len(row) // 2 :] for row in rows]
    return tuple(rt.Rois.from_pixels(side, frame=rois.frame, names=rois.names) for side in sides)  # type: ignore[return-value]


def tables(results: Mapping[str, Any]) -> str:
    """Markdown: one table of RMSE and correlation; the best of each family and condition in bold."""
    scores = results["scores"]
    conditions = list(next(iter(scores.values())))
    real = results.get("real") or {}
    heads = conditions + (["real: noise of dF/F / reliability"] if real else [])
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, row in scores.items():
        family = name.partition(":")[0]
        rivals = [scores[other] for other in scores if other.partition(":")[0] == family]
        cells = []
        for condition in conditions:
            own = row[condition]
            text = f"{own['rmse']:.3f} / {own['correlation']:.2f}"
            best = min(rival[condition]["rmse"] for rival in rivals)
            cells.append(f"**{text}**" if own["rmse"] == best and len(rivals) > 1 else text)
        if real:
            own = real.get(name)
            cells.append("" if own is None else f"{own['noise']:.3f} / {own['reliability']:.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _default_data() -> Path | None:
    given = Path(
        os.environ.get("ROITRACE_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data")
    )
    return given if given.is_dir() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="half of them to choose, half to report")
    parser.add_argument("--quick", action="store_true", help="two small conditions, two seeds")
    parser.add_argument("--data", type=Path, default=_default_data(), help="folder of real recordings")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    options = parser.parse_args()
    quick: dict[str, Any] = {
        "seeds": 2,
        "shape": (300, 64, 64),
        "n_rois": 6,
        "conditions": ("plain", "overlap"),
    }
    data = options.data if options.data is not None and options.data.is_dir() else None
    results = run(**quick) if options.quick else run(seeds=options.seeds, data=data)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))
    print(f"\nchosen on seeds {results['seeds']['chosen on']}: {results['chosen']}")
    for condition, reason in results["default loses"].items():
        print(f"the default loses to the plain mean under {condition}: {reason}")


if __name__ == "__main__":
    main()
