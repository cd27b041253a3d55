"""What motion does to F and dF/F in simulations, and what moving the frames back repairs.

    python -m benchmarks.motion --seeds 4

First row: how much a shift by one pixel changes F of the true masks (noise-free; median over cells of the mean over frames), and what is left after
the shift back. Other rows: RMSE of dF/F and its correlation with the true one, median over cells, of the plain mean: on still tissue, under jitter of
1 pixel (standard deviation, correlated over 0.5 s), and under the same jitter with the frames moved back by the true shifts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import roitrace as rt
from benchmarks.accuracy import Scene, score
from roitrace.simulation import SimulatedSource

__all__ = ["dff_errors", "f_changes", "main"]

SHAPE = (600, 128, 128)
N_ROIS = 20


def f_changes(
    seed: int, *, shape: tuple[int, int, int] = (60, 160, 160), n_rois: int = 25
) -> tuple[float, float]:
    """Change of F by a shift of one pixel, and what is left of it after the shift back; fractions."""
    source = SimulatedSource(
        shape=shape, n_rois=n_rois, seed=seed, noise=False, hot_pixels=0, dtype=np.dtype(np.float64)
    )
    everything = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    frames = source.read(*everything).astype(np.float64) - source.detector_offset
    movie = xr.DataArray(frames, dims=("time", "y", "x"))
    rois = source.scene().rois.with_weights(None)
    f = rt.extract(movie, rois, "mean")["mean"].values
    moved = rt.shift(movie, np.tile([1, 0], (shape[0], 1)))
    back = rt.shift(moved, np.tile([-1, 0], (shape[0], 1)))
    changes = [
        np.nanmedian(np.abs(rt.extract(one, rois, "mean")["mean"].values / f - 1).mean(axis=1))
        for one in (moved, back)
    ]
    return float(changes[0]), float(changes[1])


def dff_errors(
    seed: int, *, shape: tuple[int, int, int] = SHAPE, n_rois: int = N_ROIS
) -> dict[str, dict[str, float]]:
    """Score the plain mean on still tissue, under jitter, and under jitter with the frames moved back."""
    scores: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, jitter in (("still", 0.0), ("jitter", 1.0)):
            path = rt.simulate(
                Path(folder) / f"{name}.zarr",
                shape=shape,
                n_rois=n_rois,
                seed=seed,
                frame_rate=10.0,
                jitter=jitter,
                jitter_time=0.5,
            )
            truth = rt.load_truth(path)
            recording = rt.open_recording(path)
            scenes = {name: recording}
            if jitter:
                moves = -np.stack([truth.traces["motion_y"].values, truth.traces["motion_x"].values], axis=1)
                scenes["jitter, moved back"] = rt.shift(recording, moves)
            for label, one in scenes.items():
                image: Any = rt.project(one, "mean").compute()["mean"]
                scene = Scene(one, truth.rois, truth.traces["dff"].load(), image, 100.0)
                f = rt.extract(one, truth.rois.with_weights(None), "mean").compute()["mean"]
                scores[label] = score(scene, f)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    seeds = range(parser.parse_args().seeds)
    changes = np.mean([f_changes(seed) for seed in seeds], axis=0)
    print(f"F after a shift by 1 pixel: {changes[0]:.1%} off; after the shift back: {changes[1]:.2%}")
    rows = [dff_errors(seed) for seed in seeds]
    print("| | RMSE of dF/F | correlation |\n|---|---|---|")
    for name in rows[0]:
        rmse, correlation = (np.mean([row[name][key] for row in rows]) for key in ("rmse", "correlation"))
        print(f"| {name} | {rmse:.3f} | {correlation:.2f} |")


if __name__ == "__main__":
    main()
