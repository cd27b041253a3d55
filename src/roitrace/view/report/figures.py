"""The plots of a report: empty Bokeh models, which the page fills when it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.formats.extras import import_extra
from roitrace.view.palette import MISSING, ORANGE, YELLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.view.pixel_grid import PixelGrid

__all__ = ["Plots"]

_INK, _GRID = "#33383d", "#e6e8ea"
_GREY = tuple(f"#{level:02x}{level:02x}{level:02x}" for level in range(256))


class Plots:
    """All plots of a report, which share their sources of data, and so the selection of cells."""

    def __init__(self) -> None:
        self.models = import_extra("bokeh.models", "app", "a report")
        self.figures: dict[str, Any] = {}
        columns: dict[str, list[Any]] = {
            name: [] for name in ("xs", "ys", "name", "colour", "first", "second", "slope", "correlation")
        }
        self._cells = self.models.ColumnDataSource(columns, name="cells")
        self._mask = self._image_source("mask", np.uint8)

    def add_images(self, count: int, grid: PixelGrid) -> None:
        """Add a map of the cells for each image, linked in zoom and selection; one without an image if there is none."""
        models = self.models
        left, right, bottom, top = grid.extent
        x_range = models.Range1d(left, right, bounds=(min(left, right), max(left, right)))
        y_range = models.Range1d(bottom, top, bounds=(min(bottom, top), max(bottom, top)))
        aspect = abs((right - left) / (bottom - top)) if bottom != top else 1.0
        for number in range(max(1, count)):
            plot = self._figure(
                f"image{number}",
                x_axis_label=f"x ({grid.unit})",
                y_axis_label=f"y ({grid.unit})",
                x_range=x_range,
                y_range=y_range,
                match_aspect=True,
                sizing_mode="scale_width",
                aspect_ratio=max(0.4, min(2.5, aspect)),
                over="both",
            )
            plot.grid.visible = False
            place = {"x": left, "y": top, "dw": right - left, "dh": bottom - top}
            if count:
                mapper = models.LinearColorMapper(
                    palette=_GREY, low=0, high=1, nan_color=MISSING, name=f"contrast{number}"
                )
                plot.image(
                    "image",
                    source=self._image_source(f"pixels{number}", np.float32),
                    color_mapper=mapper,
                    **place,
                )
            over = models.LinearColorMapper(
                palette=["rgba(0, 0, 0, 0)", f"{ORANGE}80"], low=0, high=1, name=f"over{number}"
            )
            plot.image("image", source=self._mask, color_mapper=over, name=f"mask{number}", **place)
            self._add_outlines(plot, chosen=YELLOW if count else "black")

    def _add_outlines(self, plot: Any, *, chosen: str) -> None:
        lines = {"line_color": "colour", "fill_color": "colour"}
        outlines = plot.multi_polygons(
            "xs",
            "ys",
            source=self._cells,
            line_width=1.3,
            fill_alpha=0.0,
            hover_fill_alpha=0.35,
            hover_line_color="colour",
            hover_fill_color="colour",
            selection_line_width=3,
            selection_fill_alpha=0.0,
            selection_line_color=chosen,
            nonselection_line_alpha=1.0,
            nonselection_fill_alpha=0.0,
            nonselection_line_color="colour",
            name="outlines",
            **lines,
        )
        plot.add_tools(self.models.TapTool(renderers=[outlines]))
        plot.add_tools(self.models.HoverTool(renderers=[outlines], tooltips=[("cell", "@name")]))

    def add_traces(self, time_label: str, raw_label: str, normalized_label: str | None) -> None:
        """Add a plot of traces in counts and, beneath it, one of traces on a common scale, linked in time."""
        x_range = self.models.Range1d(0, 1, name="time")
        for key, label in (("raw", raw_label), ("normalized", normalized_label)):
            if label is None:
                continue
            last = normalized_label is None or key == "normalized"
            plot = self._figure(
                key,
                x_range=x_range,
                x_axis_label=time_label if last else None,
                y_axis_label=label,
                height=230 if normalized_label is not None else 320,
                sizing_mode="stretch_width",
                over="width",
                min_border_left=76,
            )
            source = self.models.ColumnDataSource({"xs": [], "ys": [], "colour": []}, name=f"{key} lines")
            plot.multi_line("xs", "ys", source=source, line_color="colour", line_width=1.2, line_join="bevel")

    def add_agreement(self, names: Sequence[str], unit: str) -> None:
        """Add the plots that compare two statistics: over all cells, and frame by frame for the selected one."""
        first, second = names
        dots = {
            "size": 7,
            "line_color": None,
            "fill_alpha": 0.75,
            "selection_fill_alpha": 1.0,
            "nonselection_fill_alpha": 0.55,
        }
        levels = self._square("levels", f"time average of {first}{unit}", f"time average of {second}{unit}")
        levels.add_layout(self.models.Slope(gradient=1, y_intercept=0, line_color="#888", line_dash="dashed"))
        follows = self._square("follows", f"slope of {second} on {first}", "correlation")
        follows.add_layout(
            self.models.Span(location=1, dimension="height", line_color="#888", line_dash="dashed")
        )
        for plot, x, y in ((levels, "first", "second"), (follows, "slope", "correlation")):
            cells = plot.scatter(
                x,
                y,
                source=self._cells,
                fill_color="colour",
                selection_fill_color="black",
                selection_line_color="black",
                **dots,
            )
            plot.add_tools(self.models.TapTool(renderers=[cells]))
            plot.add_tools(self.models.HoverTool(renderers=[cells], tooltips=[("cell", "@name")]))
        frames = self._square("frames", f"{first}{unit}", f"{second}{unit}")
        source = self.models.ColumnDataSource({"x": [], "y": []}, name="pairs")
        frames.scatter("x", "y", source=source, size=5, line_color=None, fill_color="#555", fill_alpha=0.5)
        frames.add_layout(self.models.Slope(gradient=1, y_intercept=0, line_color="#888", line_dash="dashed"))

    def add_pixels(self, time_label: str, begin: float, end: float) -> None:
        """Add the pixel matrix of a cell."""
        plot = self._figure(
            "matrix",
            x_axis_label=time_label,
            y_axis_label="pixel, row by row",
            x_range=self.models.Range1d(begin, end, bounds=(begin, end)),
            y_range=self.models.Range1d(1, 0, name="matrix rows"),
            height=300,
            sizing_mode="stretch_width",
            over="width",
            min_border_left=76,
        )
        mapper = self.models.LinearColorMapper(
            palette="Viridis256", low=0, high=1, nan_color=MISSING, name="contrast matrix"
        )
        # each cell has as many rows as pixels
        place = {"x": begin, "y": 0.0, "dw": end - begin, "dh": 1.0}
        source = self._image_source("pixels matrix", np.float32, **place)
        plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
        bar = self.models.ColorBar(color_mapper=mapper, width=10, title="counts", background_fill_alpha=0)
        plot.add_layout(bar, "right")

    def _square(self, key: str, x: str, y: str) -> Any:
        return self._figure(
            key,
            x_axis_label=x,
            y_axis_label=y,
            sizing_mode="scale_width",
            aspect_ratio=1.4,
            over="both",
        )

    def _figure(self, key: str, *, over: str, **options: Any) -> Any:
        """Make an empty plot that is dragged and zoomed over one axis or both."""
        # tools that show over a map would cover cells
        place = "right" if over == "width" else "above"
        models, plotting = self.models, import_extra("bokeh.plotting", "app", "a report")
        plot = plotting.figure(
            name=key, tools="", toolbar_location=place, toolbar_inner=place == "right", **options
        )
        # without a key, a page full of plots could not be scrolled
        zoom = models.WheelZoomTool(dimensions=over, modifiers={"ctrl": True})
        move = models.PanTool(dimensions=over)
        plot.add_tools(
            move, zoom, models.BoxZoomTool(dimensions=over), models.ResetTool(), models.SaveTool(filename=key)
        )
        plot.toolbar.active_drag, plot.toolbar.active_scroll = move, zoom
        plot.toolbar.logo = None
        plot.toolbar.autohide = True
        plot.outline_line_color = None
        plot.background_fill_color = plot.border_fill_color = "white"
        plot.grid.grid_line_color = _GRID
        plot.axis.axis_label_text_font_style = "normal"
        plot.axis.axis_label_text_color = plot.axis.major_label_text_color = _INK
        plot.axis.axis_line_color = plot.axis.major_tick_line_color = "#9aa1a8"
        plot.axis.minor_tick_line_color = None
        plot.axis.axis_label_text_font_size = "13px"
        plot.axis.major_label_text_font_size = "12px"
        self.figures[key] = plot
        return plot

    def _image_source(self, name: str, dtype: type[np.generic], **place: float) -> Any:
        """Make a source of one pixel, which the page replaces by an array of the same type."""
        columns: dict[str, Any] = {"image": [np.zeros((1, 1), dtype=dtype)]}
        return self.models.ColumnDataSource(columns | {key: [one] for key, one in place.items()}, name=name)
