"""Peak memory of an exact median image against the length of the recording, with roitrace and with plain dask.

    python -m benchmarks.memory_growth [--frames 512 1024 2048 4096] [--out benchmarks/figures/memory.png]

Each point is the largest anonymous memory of a fresh process with two threads, over the same zarr store (512 x 512 uint16, chunks of 64
whole frames, as most recordings come); the images are compared with one another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

import roitrace as rt
from benchmarks.children import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "measure"]

FRAME = (512, 512)
CHUNKS = (64, 512, 512)
BUDGET = "600 MiB"

OURS = f"""
import sys, numpy as np, roitrace as rt
recording = rt.open_recording(sys.argv[1])
image = rt.project(recording, "median", budget="{BUDGET}", workers=2).compute(scheduler="threads", num_workers=2)
np.save(sys.argv[2], image["median"].values)
"""

DASK = """
import sys, dask.array as da, numpy as np
image = da.median(da.from_zarr(sys.argv[1], component="fluorescence"), axis=0).compute(scheduler="threads", num_workers=2)
np.save(sys.argv[2], image)
"""


def measure(frames: int, folder: Path) -> dict[str, int]:
    """Return the length of a recording and the peak memory of each process, in bytes."""
    store = folder / f"{frames}.zarr"
    rng = np.random.default_rng(frames)
    # a short stretch again and again: what matters is how much there is to read
    stretch = rng.poisson(200, (min(frames, 256), *FRAME)).astype(np.uint16)
    movie = np.concatenate([stretch] * -(-frames // len(stretch)))[:frames]
    np.save(folder / "movie.npy", movie)
    rt.convert(folder / "movie.npy", store, chunks=CHUNKS)
    found = {"frames": frames, "recording": movie.nbytes}
    images = []
    for name, script in (("roitrace", OURS), ("dask", DASK)):
        image = folder / f"{name}.npy"
        found[name] = watched(script, [str(store), str(image)])
        images.append(np.load(image))
    np.testing.assert_array_equal(*images)
    return found


def draw(rows: Sequence[dict[str, int]], out: Path) -> None:
    """Draw the curves."""
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.subplots()
    length = [row["recording"] / 2**30 for row in rows]
    for name, label, style in (
        ("dask", "dask, median(axis=0)", "s--"),
        ("roitrace", f"roitrace, budget {BUDGET}", "o-"),
    ):
        axes.plot(length, [row[name] / 2**30 for row in rows], style, label=label)
    axes.plot(length, length, ":", color="0.6", label="the recording itself")
    axes.set(xlabel="recording (GiB)", ylabel="peak memory (GiB)", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_growth")
    parser.add_argument("--frames", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "memory.png")
    options = parser.parse_args(arguments)
    rows = []
    for frames in options.frames:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(frames, Path(folder)))
        print(
            json.dumps(
                {
                    name: round(value / 2**20) if name != "frames" else value
                    for name, value in rows[-1].items()
                }
            )
        )
    draw(rows, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
