"""The image: frame or projection, what lies over it, and hands on it; the slider of time under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import DoubleTap, SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CustomJS,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    Row,
    Slider,
    Toggle,
    WheelZoomTool,
)
from bokeh.palettes import gray, viridis
from bokeh.plotting import figure

from roitrace.view.explorer.frames import on_screen
from roitrace.view.explorer.layers import mask_layer, outline_columns, overlap_layer, weights_layer
from roitrace.view.explorer.look import PLOT, escaped, field, text, when
from roitrace.view.explorer.session import FRAME
from roitrace.view.palette import GREEN, MISSING, ORANGE, PURPLE, REJECTED_ON_IMAGE, YELLOW, colour

if TYPE_CHECKING:
    from bokeh.document import Document
    from bokeh.events import Event
    from numpy.typing import NDArray

    from roitrace.view.explorer.session import Session, Topic

__all__ = ["ImagePanel"]

_CLEAR = "rgba(0, 0, 0, 0)"
_PLAY_MILLISECONDS = 100
# pixels are square on the screen, whatever the window's shape is
_SQUARE = """
const wide = plot.inner_width, high = plot.inner_height;
if (wide > 0 && high > 0) {
  const [left, right, bottom, top] = extent;
  const scale = Math.min(wide / Math.abs(right - left), high / Math.abs(bottom - top));
  const x = (left + right) / 2, y = (bottom + top) / 2;
  const dx = Math.sign(right - left) * wide / scale / 2, dy = Math.sign(bottom - top) * high / scale / 2;
  plot.x_range.setv({start: x - dx, end: x + dx, reset_start: x - dx, reset_end: x + dx});
  plot.y_range.setv({start: y + dy, end: y - dy, reset_start: y + dy, reset_end: y - dy});
}
"""


class ImagePanel:
    """Draws the session's image and layers, and hears clicks, boxes and outlines.

    Parameters
    ----------
    session : Session
        What is shown.
    document : Document
        Of the page; plays frames.
    """

    def __init__(self, session: Session, document: Document) -> None:
        self._session = session
        self._document = document
        self._playing: Any = None
        left, right, bottom, top = session.grid.extent
        self._extent = (left, right, bottom, top)
        self.mapper = LinearColorMapper(palette=gray(256), low=0, high=1, nan_color=MISSING)
        self._tools = {
            "box": BoxSelectTool(persistent=False),
            "outline": LassoSelectTool(continuous=False, persistent=False),
            "pan": PanTool(),
        }
        self.plot = self._figure()
        self._sources = {
            name: ColumnDataSource({"image": []}) for name in ("image", "mask", "weights", "overlap")
        }
        self._lines = {
            name: ColumnDataSource({"xs": [], "ys": [], "colour": []})
            for name in ("accepted", "rejected", "chosen")
        }
        self._draw()
        last = session.recording.sizes["time"] - 1
        self.time = field(
            Slider(
                start=0,
                end=max(last, 1),
                value=session.frame_number,
                step=1,
                title="frame",
                sizing_mode="stretch_width",
            )
        )
        self.play = field(Toggle(label="▶ play", width=70, margin=(12, 5, 5, 5)))
        self._when = text(width=110, sizing_mode="fixed", margin=(16, 5, 5, 5))
        when(self.time, "value", self._move)
        when(self.play, "active", self._play)
        self.controls = Row(self.play, self.time, self._when, sizing_mode="stretch_width")

    def render(self, topics: set[Topic]) -> None:
        """Show what has changed."""
        if "image" in topics:
            self._render_image()
        if topics & {"mask", "cells", "choice"}:
            self._render_layers(topics)

    def set_hand(self, hand: str) -> None:
        """Let drags choose, draw or move the image."""
        drag = {"choose": "box", "box": "box", "outline": "outline"}.get(hand, "pan")
        self.plot.toolbar.active_drag = self._tools[drag]

    def _figure(self) -> Any:
        left, right, bottom, top = self._extent
        unit = self._session.grid.unit
        plot = figure(
            x_range=Range1d(left, right),
            y_range=Range1d(bottom, top),
            tools=[*self._tools.values(), (zoom := WheelZoomTool()), ResetTool()],
            toolbar_location="right",
            x_axis_label=f"x ({unit})",
            y_axis_label=f"y ({unit})",
            sizing_mode="stretch_both",
            min_height=200,
            min_border=0,
            background_fill_color="#f0f0ee",
            border_fill_color="#fbfbfa",
            outline_line_color=None,
            stylesheets=[PLOT],
            name="image",
        )
        plot.toolbar.active_scroll = zoom
        plot.toolbar.logo = None
        plot.grid.visible = False
        for axis in (plot.xaxis, plot.yaxis):
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font_size = "11px"
            axis.major_label_text_font_size = "10px"
            axis.minor_tick_line_color = None
            axis.axis_line_color = "#bbbbbb"
        square = CustomJS(args={"plot": plot, "extent": list(self._extent)}, code=_SQUARE)
        plot.js_on_change("inner_width", square)
        plot.js_on_change("inner_height", square)
        # two clicks in quick succession, on cells apart, are a double tap to Bokeh
        plot.on_event(Tap, self._tapped)
        plot.on_event(DoubleTap, self._tapped)
        plot.on_event(SelectionGeometry, self._enclosed)
        return plot

    def _draw(self) -> None:
        left, right, bottom, top = self._extent
        place = {"x": left, "y": top, "dw": right - left, "dh": bottom - top}
        one = {"low": 0.5, "high": 1.5, "low_color": _CLEAR, "nan_color": _CLEAR}
        mappers = {
            "image": self.mapper,
            "mask": LinearColorMapper(palette=[GREEN], **one),
            "weights": LinearColorMapper(palette=viridis(64), low=0, high=1, nan_color=_CLEAR),
            "overlap": LinearColorMapper(palette=[PURPLE], **one),
        }
        alpha = {"image": 1.0, "mask": 0.3, "weights": 0.8, "overlap": 0.9}
        self._renderers = {
            name: self.plot.image(
                "image",
                source=self._sources[name],
                color_mapper=mappers[name],
                global_alpha=alpha[name],
                **place,
            )
            for name in self._sources
        }
        del self._renderers["image"]
        outlines = [
            self.plot.multi_line(
                "xs", "ys", source=self._lines[name], line_color="colour", line_width=width, line_dash=dash
            )
            for name, width, dash in (
                ("rejected", 1.2, [4, 3]),
                ("accepted", 1.3, "solid"),
                ("chosen", 2.6, "solid"),
            )
        ]
        self._outlines = outlines[:2]

    def _render_image(self) -> None:
        session = self._session
        values = session.image
        if values is not None:
            self._sources["image"].data = {"image": [on_screen(values)]}
        if self.time.value != session.frame_number:
            self.time.value = session.frame_number
        self._when.text = escaped(session.time_of(session.frame_number))

    def _render_layers(self, topics: set[Topic]) -> None:
        session = self._session
        rois = session.cells.rois
        if "mask" in topics:
            shown = [] if session.mask is None else [mask_layer(session.mask.values)]
            self._sources["mask"].data = {"image": shown}
        for one_line in self._outlines:
            one_line.visible = "outlines" in session.layers
        for name, renderer in self._renderers.items():
            renderer.visible = name in session.layers
        lines = outline_columns(rois, session.grid, session.chosen)
        palette = {"accepted": YELLOW, "rejected": REJECTED_ON_IMAGE}
        for kind, columns in lines.items():
            count = len(columns["xs"])
            several = count > 1
            columns["colour"] = (
                [palette[kind]] * count
                if kind in palette
                else [colour(session.chosen.index(name)) if several else ORANGE for name in columns["names"]]
            )
            del columns["names"]
            self._lines[kind].data = columns
        if "cells" in topics:
            for name, drawn in self._drawn().items():
                self._sources[name].data = {"image": drawn}

    def _drawn(self) -> dict[str, list[NDArray[Any]]]:
        """Return the layers that take time to draw, where they are wanted."""
        session = self._session
        wanted = session.layers if len(session.cells.rois) else frozenset()
        return {
            "weights": [weights_layer(session.weighted())] if "weights" in wanted else [],
            "overlap": [overlap_layer(session.cells.rois)] if "overlap" in wanted else [],
        }

    def _move(self, number: int) -> None:
        session = self._session
        if number == session.frame_number:
            return
        if session.shown != FRAME:
            session.show(FRAME)
        session.show_frame(number)

    def _play(self, on: bool) -> None:
        self.play.label = "❚❚ pause" if on else "▶ play"
        if on and self._playing is None:
            self._playing = self._document.add_periodic_callback(self._step, _PLAY_MILLISECONDS)
        elif not on and self._playing is not None:
            self._document.remove_periodic_callback(self._playing)
            self._playing = None

    def _step(self) -> None:
        session = self._session
        if session.reading:
            return
        rate = session.recording.attrs.get("frame_rate", 1000 / _PLAY_MILLISECONDS)
        step = max(1, round(float(rate) * _PLAY_MILLISECONDS / 1000))
        self._move((session.frame_number + step) % session.recording.sizes["time"])

    def _tapped(self, event: Event) -> None:
        y, x = self._pixel(event.x, event.y)
        modifiers = getattr(event, "modifiers", None) or {}
        self._session.click(y, x, more=bool(modifiers.get("shift") or modifiers.get("ctrl")))

    def _enclosed(self, event: Event) -> None:
        if event.final:
            self._session.enclose(event.geometry)

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        grid = self._session.grid
        return (
            int(np.floor((y - grid.origin[0]) / grid.step[0] + 0.5)),
            int(np.floor((x - grid.origin[1]) / grid.step[1] + 0.5)),
        )
