"""The parts of a report, one function each: it adds what the page draws, and returns its HTML, empty if there is nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.traces import time_axis
from roitrace.units import format_count
from roitrace.view.naming import quantity, value_unit
from roitrace.view.palette import BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILLION
from roitrace.view.pixel_grid import PixelGrid
from roitrace.view.report.agreement import compared, disagreements, pair_of
from roitrace.view.report.cells import columns_of
from roitrace.view.report.encoding import encode_trace
from roitrace.view.report.figures import Plots
from roitrace.view.report.page import definitions, rows_of_bars, section, table
from roitrace.view.report.pictures import (
    encode_images,
    encode_mask,
    encode_outlines,
    frames_fit,
    shrinking,
)
from roitrace.view.report.remarks import remarks_on
from roitrace.view.report.running import (
    flattened,
    headline,
    planned_and_measured,
    provenance,
    seconds_per_step,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from roitrace.view.report.contents import Contents, Series
    from roitrace.view.report.pixel_matrices import PixelMatrix
    from roitrace.view.report.signals import Signals

__all__ = ["Draft", "add_agreement", "add_cells", "add_maps", "add_pixels", "add_traces", "head", "told"]

_IMAGE_BYTES = 2_000_000
_LINES = (BLUE, VERMILLION, ORANGE, GREEN, PURPLE, SKY_BLUE)
_NO_RECORDING = (
    "The results hold no pixels. With the recording at hand: roitrace report RESULTS --recording FILE, "
    "or roitrace.report(..., recording=recording)."
)


@dataclass
class Draft:
    """A report in the making: its plots, and the data that the page fills them with."""

    contents: Contents
    plots: Plots = field(default_factory=Plots)
    data: dict[str, Any] = field(default_factory=dict)


def head(contents: Contents) -> str:
    """Return the title, the numbers that are wanted first, and what is to be known before they are trusted."""
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
        for value, what in headline(contents)
    )
    remarks = "".join(f"<li>{escape(one)}</li>" for one in remarks_on(contents))
    shown = f'<section id="remarks"><h2>Worth knowing</h2><ul>{remarks}</ul></section>' if remarks else ""
    return (
        f'<header><p class="kind">roitrace report</p><h1>{escape(contents.name)}</h1>'
        f'<div class="tiles">{tiles}</div></header>'
        f"<noscript><p>This page draws with JavaScript, which is switched off.</p></noscript>{shown}"
    )


def add_maps(draft: Draft) -> str:
    """Projections side by side with mask and outlines, or the cells alone."""
    contents, data = draft.contents, draft.data
    frame = contents.frame
    if frame is None or min(frame.shape) == 0:
        return ""
    factor = shrinking([image.size for image in contents.images.values()], _IMAGE_BYTES)
    data["images"] = encode_images(contents, factor)
    fits = frames_fit(contents)
    grid = PixelGrid.of(frame)
    if contents.mask is not None and fits:
        data["mask"] = encode_mask(contents.mask, factor)
    if contents.rois is not None and fits:
        y, x = grid.place(np.array([[-0.5, -0.5], [0.5, 0.5]]))[0][::-1]
        data["outlines"] = encode_outlines(contents.rois) | {
            "origin": [float(x), float(y)],
            "step": [float(grid.step[1]), float(grid.step[0])],
        }
    draft.plots.add_images(len(data["images"]), grid)
    lead = "Click a cell to see its traces; shift-click adds one. Drag to move, ctrl and scroll (or pinch) to zoom: all images move together."
    if factor > 1:
        lead += f" Images are drawn at 1/{factor} of their resolution; outlines are exact."
    if not fits:
        lead += " Cells and images are of different frames: outlines are left out."
    panels = "".join(_panel(number, image) for number, image in enumerate(data["images"]))
    panels = panels or '<figure class="map">{plot:image0}</figure>'
    return section(
        "maps", "Where the cells are", f"{_map_controls(data)}<div class='maps'>{panels}</div>", lead
    )


def _panel(number: int, image: dict[str, Any]) -> str:
    title, unit = escape(image["title"]), escape(image["unit"])
    sliders = "".join(
        f'<label>{end}<input type="range" min="0" max="1000" step="1" data-image="{number}" data-end="{end}"'
        f' aria-label="{end} end of the contrast of {title}"><output></output></label>'
        for end in ("dark", "bright")
    )
    shown = f" <small>{unit}</small>" if unit else ""
    return (
        f'<figure class="map"><figcaption>{title}{shown}</figcaption>{{plot:image{number}}}'
        f'<div class="contrast">{sliders}</div></figure>'
    )


def _map_controls(data: dict[str, Any]) -> str:
    masks = [("none", "no mask")]
    masks += [("stored", "mask of the results")] if "mask" in data else []
    masks += [("level", "mask by threshold")] if data["images"] else []
    chosen = "".join(f'<option value="{value}">{text}</option>' for value, text in masks)
    options = "".join(
        f'<option value="{number}">{escape(image["title"])}</option>'
        for number, image in enumerate(data["images"])
    )
    threshold = (
        f'<label>threshold on <select id="level-image">{options}</select></label>'
        '<label class="wide"><input type="range" id="level" min="0" max="1000" step="1" aria-label="threshold">'
        "<output></output></label>"
    )
    outlines = '<label><input type="checkbox" id="outlines" checked> outlines</label>'
    return (
        '<div class="controls">'
        + (outlines if "outlines" in data else "")
        + (f'<label>show <select id="mask">{chosen}</select></label>' if len(masks) > 1 else "")
        + (threshold if data["images"] else "")
        + "</div>"
    )


def add_traces(draft: Draft, series: list[Series], signals: Signals) -> str:
    """Traces of the selected cells: raw above, normalised beneath."""
    if not series or not signals.cells:
        return ""
    contents, plan = draft.contents, signals.plan
    draft.data["series"] = [
        {
            "title": quantity(one.name),
            "normalized": one.normalized,
            "colour": shade,
            "primary": one.name == contents.primary or (one.normalized and not one.aside),
            "aside": one.aside,
        }
        for one, shade in zip(series, _colours(series), strict=True)
    ]
    draft.data["traces"] = {
        str(cell): signals.of_cell(number, series) for number, cell in enumerate(signals.cells)
    }
    draft.data["time"] = _times(series[0].trace)
    raw = [one for one in series if not one.normalized]
    normalized = [one for one in series if one.normalized]
    units = dict.fromkeys(value_unit(one.name, one.trace.attrs) for one in raw)
    label = f"fluorescence ({', '.join(filter(None, units)) or 'counts'})"
    scales = ", ".join(dict.fromkeys(quantity(one.name) for one in normalized)) if normalized else None
    draft.plots.add_traces(_time_label(draft.data["time"]["unit"]), label, scales)
    lead = f"Every frame of {format_count(plan.n_full, 'cell')} is in this file"
    if plan.n_full < len(contents.names):
        others = plan.n_cells - plan.n_full
        lead += f"; of {others:,} others the minimum and maximum of each {plan.stretch:,} frames"
    if plan.n_cells < len(contents.names):
        lead += f"; {len(contents.names) - plan.n_cells:,} cells have no traces here, only in the results"
    lead += ". Values are rounded to a sixth of the noise. Drag to move in time, ctrl and scroll (or pinch) to zoom."
    plots = "{plot:raw}" + ("{plot:normalized}" if normalized else "")
    content = f'<p class="selected" id="selected" aria-live="polite"></p><div class="chips" id="chips"></div>{plots}'
    return section("traces", "Traces", content, lead)


def _colours(series: list[Series]) -> list[str]:
    """Return a colour for each series; those on a common scale, in a plot of their own, begin anew."""
    n_raw = sum(not one.normalized for one in series)
    places = [*range(n_raw), *range(len(series) - n_raw)]
    return [_LINES[place % len(_LINES)] for place in places]


def add_cells(draft: Draft) -> str:
    """Table of all cells."""
    if not draft.contents.names:
        return ""
    draft.data["columns"] = columns_of(draft.contents)
    controls = (
        '<div class="controls"><label>find <input type="search" id="find" placeholder="name or reason"></label>'
        '<label><input type="checkbox" id="all-columns"> all columns</label><span id="shown-rows"></span></div>'
    )
    content = f'{controls}<div class="scroll"><table id="cells-table"></table></div><button id="more" hidden>show all rows</button>'
    return section("cells", "Cells", content, "Click a heading to sort, a row to see the cell's traces.")


def add_agreement(draft: Draft, series: list[Series], signals: Signals) -> str:
    """How statistics agree: over all cells, frame by frame, and where least."""
    contents = draft.contents
    names = pair_of(contents)
    known = {one.name: one for one in series}
    if not names or names[0] not in known or not signals.cells:
        return ""
    comparison = compared(contents)
    _add_comparison(draft, names, comparison, signals)
    unit = value_unit(names[0], known[names[0]].trace.attrs)
    first, second = map(quantity, names)
    draft.plots.add_agreement((first, second), f" ({unit})" if unit else "")
    worst = disagreements(contents, comparison)
    draft.data["worst"] = [row["cell"] for row in worst]
    head = ("cell", "statistic", "correlation", "slope", "RMS difference")
    rows = (
        (
            contents.names[row["cell"]],
            quantity(row["statistic"]),
            f"{row['correlation']:.4f}",
            f"{row['slope']:.3f}",
            f"{row['rms_difference']:.4g}",
        )
        for row in worst
    )
    listed = f"<div><h3>Where they disagree most</h3>{table(head, rows, 'worst')}</div>" if worst else ""
    plots = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{{plot:{key}}}</figure>"
        for key, caption in (
            ("levels", f"{second} against {first}, a dot per cell"),
            ("follows", f"how {second} follows {first}, a dot per cell"),
            ("frames", "frames of the selected cell"),
        )
    )
    against = quantity(str((comparison.attrs.get("against") if comparison is not None else None) or names[0]))
    lead = f"Each aggregation is compared with {against}, in counts, over all frames. Dashed: no difference."
    return section(
        "agreement", "Do the aggregations agree?", f"<div class='plots'>{plots}{listed}</div>", lead
    )


def _add_comparison(
    draft: Draft, names: tuple[str, ...], comparison: xr.Dataset | None, signals: Signals
) -> None:
    """Give every cell its place in the plots of agreement; NaN is written as null."""
    count = len(draft.contents.names)
    columns: dict[str, list[float | None]] = {}
    for key, name in (("first", names[0]), ("second", names[1])):
        level = np.full(count, np.nan)
        level[signals.cells] = signals.level[name]
        columns[key] = _plain(level)
    for key in ("slope", "correlation"):
        values = np.full(count, np.nan)
        if (
            comparison is not None
            and names[1] in comparison["statistic"].values
            and comparison.sizes["roi"] == count
        ):
            values = comparison[key].sel(statistic=names[1]).values
        columns[key] = _plain(values)
    draft.data["agreement"] = columns
    noise = {name: dict(zip(signals.cells, signals.noise[name], strict=True)) for name in names}
    draft.data["pairs"] = {
        str(cell): [
            encode_trace(signals.pairs[side, place], float(noise[names[side]][cell])).to_dict()
            for side in (0, 1)
        ]
        for place, cell in enumerate(signals.cells)
    }


def add_pixels(draft: Draft, matrices: Mapping[str, PixelMatrix]) -> str:
    """Pixel matrices of a few cells, where the recording was given."""
    names = draft.contents.names
    if not names:
        return ""
    if not matrices:
        return section("pixels", "Pixels of a cell", f'<p class="lead">{escape(_NO_RECORDING)}</p>')
    places = {name: number for number, name in enumerate(names)}
    draft.data["pixels"] = {str(places[name]): one.to_dict() for name, one in matrices.items()}
    first = next(iter(matrices.values()))
    draft.plots.add_pixels(_time_label(first.unit), *first.span)
    options = "".join(f'<option value="{places[name]}">{escape(name)}</option>' for name in matrices)
    controls = f'<div class="controls"><label>cell <select id="pixel-cell">{options}</select></label></div>'
    lead = f"A row per pixel, in counts. This file holds the pixels of {format_count(len(matrices), 'cell')}"
    lead += "." if len(matrices) == len(names) else ", those with the clearest signals."
    content = f'{controls}<p class="selected" id="pixel-words" aria-live="polite"></p>{{plot:matrix}}'
    return section("pixels", "Pixels of a cell", content, lead)


def told(contents: Contents) -> str:
    """Return what was run and on what, how long it took, against the plan."""
    steps, planned = seconds_per_step(contents), planned_and_measured(contents)
    parts = ""
    if steps:
        parts += f"<div><h3>Time</h3>{rows_of_bars(steps, 's')}</div>"
    if planned:
        parts += f"<div><h3>Plan and measurement</h3>{table(('', 'planned', 'measured'), planned)}</div>"
    took = section("took", "What it took", f"<div class='halves'>{parts}</div>") if parts else ""
    where = f"<h3>Source and versions</h3>{definitions(provenance(contents))}"
    parameters = flattened(contents)
    listed = f"<h3>Parameters</h3>{definitions(parameters)}" if parameters else ""
    return took + section("run", "What was run", where + listed)


def _times(trace: xr.DataArray) -> dict[str, Any]:
    """Return the time axis as segments: first frame, its time, the interval."""
    axis = time_axis(trace)
    in_seconds = "time" in trace.coords and trace["time"].attrs.get("units") == "s"
    times = trace["time"].values if "time" in trace.coords else np.arange(trace.sizes["time"])
    segments = []
    for begin, end in zip(axis.borders[:-1].tolist(), axis.borders[1:].tolist(), strict=True):
        interval = (times[end - 1] - times[begin]) / (end - begin - 1) if end - begin > 1 else 1.0
        segments.append([begin, float(times[begin]), float(interval)])
    return {"unit": "s" if in_seconds else "frames", "count": trace.sizes["time"], "segments": segments}


def _time_label(unit: str) -> str:
    return "time (s)" if unit == "s" else "frame"


def _plain(values: Any) -> list[float | None]:
    return [float(f"{one:.6g}") if np.isfinite(one) else None for one in values.tolist()]
