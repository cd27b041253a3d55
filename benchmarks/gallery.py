"""Draw every figure of the package from one simulated recording, and photograph the report.

python -m benchmarks.gallery              writes docs/figures/*.png and docs/figures.md (a minute)
python -m benchmarks.gallery --report     also photographs the report in headless Chromium: docs/figures/report.png
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import roitrace as rt

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """# Figures

Every function takes `ax=`, gives matplotlib axes back, and is drawn as vectors: `rt.save_figure(axes, "figure.pdf")` keeps text as text, in
`.svg` and `.pdf`. Colours are those of Okabe and Ito, which every eye can tell apart; scale bars come from the pixel size, time axes are in seconds.
`python -m benchmarks.gallery` made all pictures on this page, from a simulated recording.
"""


@dataclass(frozen=True)
class Picture:
    """A figure: how it is called, its size in inches, and what draws it on axes."""

    call: str
    size: tuple[float, float]
    draw: Callable[[Any], object]

    @property
    def name(self) -> str:
        return self.call.partition("(")[0]


def pictures(folder: Path) -> list[Picture]:
    scene: dict[str, Any] = {"shape": (1500, 128, 128), "n_rois": 16, "frame_rate": 15, "pixel_size": 1.2}
    recording = rt.open_recording(rt.simulate(folder / "a.zarr", seed=7, **scene))
    truth = rt.load_truth(folder / "a.zarr").rois
    images = rt.project(recording, ("mean", "max", "std")).compute()
    rois = rt.segment(images["mean"], cell_diameter="12 um")
    rois = rt.pixel_weights(rois, by="brightness", image=images["mean"])
    rings = rt.neuropil(rois)
    traces = rt.extract(recording, rois, neuropil=rings).compute()
    corrected = rt.correct_neuropil(traces)
    table = rt.quality(traces, rois, offset=100)
    example = rois.names[int(np.nanargmax(table["peak_snr"].values))]
    mask = rt.threshold(images["mean"], "otsu")
    dff = rt.normalize(traces, offset=100, window="30 s")
    smoothed = recording.rolling(time=3, center=True, min_periods=1).mean().transpose("time", "y", "x")
    versions = rt.compare_recordings({"raw": recording, "smoothed": smoothed}, rois, against="raw")
    pixels = rt.pixel_traces(recording.isel(time=slice(0, 600)), rois[[example]])
    mean = images["mean"]
    return [
        Picture("plot_projections(images)", (11, 3.4), lambda ax: rt.plot_projections(images, ax=ax)),
        Picture('plot_mask(mask, images["mean"])', (5.6, 4.6), lambda ax: rt.plot_mask(mask, mean, ax=ax)),
        Picture('plot_rois(rois, images["mean"])', (5, 5), lambda ax: rt.plot_rois(rois, mean, ax=ax)),
        Picture(
            'plot_weights(rois, "cell", images["mean"])',
            (5.2, 4.2),
            lambda ax: rt.plot_weights(rois, example, mean, ax=ax),
        ),
        Picture(
            'plot_neuropil(rois, rings, "cell", images["mean"])',
            (5, 4.8),
            lambda ax: rt.plot_neuropil(rois, rings, example, mean, ax=ax),
        ),
        Picture("plot_traces(dff)", (8, 4.8), lambda ax: rt.plot_traces(dff, ax=ax)),
        Picture("plot_pixels(pixels)", (8, 3.4), lambda ax: rt.plot_pixels(pixels, ax=ax)),
        Picture(
            'plot_comparison(traces, "cell", ("mean", "median"))',
            (9.5, 3.6),
            lambda ax: rt.plot_comparison(traces, example, ("mean", "median"), ax=ax),
        ),
        Picture(
            'plot_correction(corrected, "cell")',
            (8, 3.2),
            lambda ax: rt.plot_correction(corrected, example, ax=ax),
        ),
        Picture("plot_quality(table)", (5, 4), lambda ax: rt.plot_quality(table, ax=ax)),
        Picture("plot_detection(found, truth)", (8, 3.2), lambda ax: rt.plot_detection(rois, truth, ax=ax)),
        Picture("plot_recordings(comparison)", (9, 3.2), lambda ax: rt.plot_recordings(versions, ax=ax)),
    ]


def first_line(name: str) -> str:
    return (getattr(rt, name).__doc__ or "").partition("\n")[0]


def write_gallery(folder: Path) -> None:
    parts = [HEAD]
    for picture in pictures(folder):
        figure = Figure(figsize=picture.size, layout="constrained")
        picture.draw(figure.subplots())
        file = DOCS / "figures" / f"{picture.name}.png"
        rt.save_figure(figure, file, dpi=110)
        shrink(file)
        parts.append(
            f"## {picture.name}\n\n{first_line(picture.name)}\n\n`rt.{picture.call}`\n\n![{picture.name}](figures/{file.name})\n"
        )
    (DOCS / "figures.md").write_text("\n".join(parts), encoding="utf-8")


def shrink(file: Path) -> None:
    """Keep the colours that there are, at most 256 of them."""
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def photograph_report(folder: Path) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (a photograph alone needs it)

    settings = {
        "simulate": {"shape": [6000, 256, 256], "n_rois": 60, "seed": 1, "frame_rate": 15, "pixel_size": 1.2},
        "recording": {"path": str(folder / "b.zarr"), "modality": "two_photon"},
        "rois": {"segment": {"cell_diameter": "12 um"}},
        "normalize": {"offset": 100},
        "figures": None,
        "output": {"path": str(folder / "two-photon session.zarr")},
    }
    rt.run(settings)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 1150})
        page.goto((folder / "two-photon session.zarr.html").as_uri())
        page.wait_for_selector("body[data-ready]")
        page.wait_for_timeout(500)
        page.screenshot(path=DOCS / "figures" / "report.png")
        chromium.close()
    shrink(DOCS / "figures" / "report.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", action="store_true", help="photograph the report too")
    asked = parser.parse_args()
    mpl.use("agg")
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_gallery(Path(folder))
        if asked.report:
            photograph_report(Path(folder))


if __name__ == "__main__":
    main()
