"""A picture of every step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.extraction import pixel_traces
from roitrace.pipeline.recording import open_part
from roitrace.rois import Rois
from roitrace.store.places import place_of
from roitrace.traces import spread_rules, statistic_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes

    from roitrace.config import Config
    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter

    Drawings = dict[str, tuple[tuple[float, float], Callable[..., object]]]
    from roitrace.store.places import Location

__all__ = ["draw_images", "draw_traces", "figures_folder"]

_PIXEL_FRAMES = 2000
"""Frames of the pixel matrix that is drawn; all of them would be one more read of the recording."""

_TRACE_FRAMES = 10_000
"""Frames of the traces that are drawn; more could not be told apart, and would take memory."""


def figures_folder(config: Config) -> Location:
    """Return where figures go: the configured folder, or one beside the store."""
    section, output = config.figures, place_of(config.output.path)
    given = None if section is None else section.path
    return place_of(given) if given else output.with_name(f"{output.name}.figures")


def draw_images(job: Job, images: xr.Dataset, mask: xr.DataArray, rois: Rois) -> None:
    """Draw projections, mask and ROIs."""
    if job.config.figures is None:
        return
    from roitrace.view.images import plot_mask, plot_projections  # noqa: PLC0415
    from roitrace.view.maps import plot_rois  # noqa: PLC0415

    image = _background(job, images)
    wide = (4.4 * len(images.data_vars), 4.2)
    _draw(
        job,
        "draw images",
        {
            "projections": (wide, partial(plot_projections, images)),
            "mask": ((6.0, 5.2), partial(plot_mask, mask, image)),
            "rois": ((6.0, 5.6), partial(plot_rois, rois, image)),
        },
    )


def draw_traces(
    job: Job, recording: xr.DataArray, images: xr.Dataset, rois: Rois, writer: ResultsWriter
) -> None:
    """Draw the traces of many cells, and for one cell its pixels, weights and two statistics."""
    if job.config.figures is None:
        return
    from roitrace.view.agreement import plot_comparison  # noqa: PLC0415
    from roitrace.view.maps import plot_rois, plot_weights  # noqa: PLC0415
    from roitrace.view.neuropil import plot_correction, plot_neuropil  # noqa: PLC0415
    from roitrace.view.pixels import plot_pixels  # noqa: PLC0415
    from roitrace.view.quality import plot_quality  # noqa: PLC0415
    from roitrace.view.traces import plot_traces  # noqa: PLC0415

    traces = spread_rules(writer.read("traces"))
    shown = traces if job.config.normalize is None else writer.read("normalized")
    example = _example(job, rois, traces)
    first = slice(0, _TRACE_FRAMES)
    drawings: Drawings = {"traces": ((9.0, 6.5), partial(plot_traces, shown.isel(time=first)))}
    names = statistic_names(traces)
    if len(names) > 1:
        pair = (traces.attrs["primary"], next(name for name in names if name != traces.attrs["primary"]))
        drawings["comparison"] = ((11.0, 4.2), partial(plot_comparison, traces, None, pair))
        drawings["example_comparison"] = (
            (11.0, 4.2),
            partial(plot_comparison, traces.isel(time=first), example, pair),
        )
    if rois.weights is not None:
        drawings["example_weights"] = (
            (5.6, 4.8),
            partial(plot_weights, rois, example, _background(job, images)),
        )
    if job.config.quality is not None:
        drawings["quality"] = ((5.6, 4.6), partial(plot_quality, writer.read("quality").load()))
    if job.config.quality is not None and job.config.quality.rules:
        # the map that was drawn before anything was measured
        drawings["rois"] = ((6.0, 5.6), partial(plot_rois, rois, _background(job, images)))
    if job.config.neuropil_used is not None:
        rings = Rois.from_dataset(writer.read("neuropil").load())
        image = _background(job, images)
        drawings["example_neuropil"] = ((6.0, 5.6), partial(plot_neuropil, rois, rings, example, image))
        corrected = writer.read("corrected").isel(time=first)
        drawings["example_correction"] = ((9.0, 3.6), partial(plot_correction, corrected, example))
    pixels = pixel_traces(_some_frames(job, recording), rois[[example]], **job.limits)
    drawings["example_pixels"] = ((9.0, 4.2), partial(plot_pixels, pixels))
    _draw(job, "draw traces", drawings)


def _draw(job: Job, step: str, drawings: Drawings) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415

    from roitrace.view.save import save_figure  # noqa: PLC0415

    section, folder = job.config.figures, figures_folder(job.config)
    assert section is not None
    folder.mkdir(parents=True, exist_ok=True)
    with job.step(step) as progress:
        for number, (name, (size, draw)) in enumerate(drawings.items(), start=1):
            figure = Figure(figsize=size, layout="constrained")
            ax: Axes = figure.subplots()
            draw(ax=ax)
            save_figure(figure, folder / f"{name}.png", dpi=section.dpi)
            if progress is not None:
                progress(number, len(drawings))


def _background(job: Job, images: xr.Dataset) -> xr.DataArray:
    """Return the image that cells are drawn on."""
    wanted = job.config.rois.image[0]
    return images[wanted if wanted in images else next(iter(images.data_vars))]


def _some_frames(job: Job, recording: xr.DataArray) -> xr.DataArray:
    count = min(recording.sizes["time"], _PIXEL_FRAMES)
    return open_part(job.config.recording, frames=slice(0, count))


def _example(job: Job, rois: Rois, traces: xr.Dataset) -> str:
    """Choose a cell: the configured one, or among the larger half the one that varies most."""
    section = job.config.figures
    assert section is not None
    if section.example is not None:
        if section.example not in rois.names:
            raise ArgumentError(
                f"figures.example: no ROI is named {section.example!r}", f"there are {len(rois)}"
            )
        return section.example
    spread = traces[traces.attrs["primary"]].std("time").compute().values
    large = rois.accepted & (rois.n_pixels >= np.median(rois.n_pixels))
    return rois.names[int(np.argmax(np.where(large & np.isfinite(spread), spread, -1.0)))]
