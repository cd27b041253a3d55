"""Traces of the chosen cells under the image: aggregations beside one another, raw or normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import RangesUpdate, Tap
from bokeh.models import CheckboxButtonGroup, Column, ColumnDataSource, RadioButtonGroup, Range1d, Row, Span
from bokeh.plotting import figure

from roitrace.view.explorer.chosen_traces import AGGREGATIONS, MOST, NORMALIZATIONS, line_columns
from roitrace.view.explorer.look import PLOT, escaped, field, text, when
from roitrace.view.palette import BLUE, GREEN, ORANGE, PURPLE, colour

if TYPE_CHECKING:
    from bokeh.events import Event

    from roitrace.view.explorer.session import Session, Topic

__all__ = ["TracePanel"]

_COLOURS = {"mean": BLUE, "median": ORANGE, "trimmed_mean": GREEN, "weighted_mean": PURPLE}
_DASHES = {"mean": "solid", "median": "dashed", "trimmed_mean": "dotted", "weighted_mean": "dotdash"}
_STROKES = {"mean": "—", "median": "- -", "trimmed_mean": "···", "weighted_mean": "-·-"}
_UNITS = {
    "raw": "F (counts)",
    "dff": "ΔF/F",
    "zscore": "z-score",
    "robust_zscore": "robust z-score",
    "minmax": "part of range",
}


class TracePanel:
    """Draws the session's traces.

    Parameters
    ----------
    session : Session
        What is shown.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._span: tuple[float, float] | None = None
        self._source = ColumnDataSource({"xs": [], "ys": [], "colour": [], "dash": [], "width": []})
        times = session.times
        first, last = float(times.values[0]), float(times.values[-1])
        self._whole = (first, last if last > first else first + 1)
        self.plot = figure(
            x_range=Range1d(*self._whole, bounds=self._whole),
            y_range=Range1d(0, 1),
            tools="xpan,xwheel_zoom,reset",
            active_drag="xpan",
            active_scroll="xwheel_zoom",
            toolbar_location="right",
            x_axis_label=times.label,
            y_axis_label="F (counts)",
            sizing_mode="stretch_width",
            height=170,
            min_border=0,
            border_fill_color="#fbfbfa",
            outline_line_color=None,
            stylesheets=[PLOT],
            name="traces",
        )
        self._style()
        self.plot.multi_line(
            "xs",
            "ys",
            source=self._source,
            line_color="colour",
            line_dash="dash",
            line_width="width",
            line_join="bevel",
        )
        self._now = Span(dimension="height", location=self._time_now(), line_color="#888888", line_width=1)
        self.plot.add_layout(self._now)
        self.plot.on_event(RangesUpdate, self._zoomed)
        self.plot.on_event(Tap, self._tapped)
        self.which = field(
            CheckboxButtonGroup(
                labels=list(AGGREGATIONS.values()), active=self._active(), margin=(2, 8, 2, 5)
            )
        )
        self.scale = field(
            RadioButtonGroup(
                labels=list(NORMALIZATIONS.values()),
                active=list(NORMALIZATIONS).index(session.traces.scale),
                margin=(2, 8, 2, 5),
            )
        )
        when(self.which, "active", lambda _: self._asked())
        when(self.scale, "active", lambda _: self._asked())
        self._legend = text(margin=(1, 5, 1, 5), min_height=17)
        self.layout = Column(
            # on a narrow screen the second group stands under the first
            Row(self.which, self.scale, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}),
            self._legend,
            self.plot,
            sizing_mode="stretch_width",
        )

    def render(self, topics: set[Topic]) -> None:
        """Show what has changed."""
        if "image" in topics:
            self._now.location = self._time_now()
        if topics & {"traces", "choice"}:
            self._render()

    def _style(self) -> None:
        self.plot.toolbar.logo = None
        self.plot.xgrid.visible = False
        self.plot.ygrid.grid_line_color = "#eeeeec"
        self.plot.yaxis.ticker.desired_num_ticks = 4
        for axis in (self.plot.xaxis, self.plot.yaxis):
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font_size = "11px"
            axis.major_label_text_font_size = "10px"
            axis.minor_tick_line_color = None
            axis.axis_line_color = "#bbbbbb"

    def _render(self) -> None:
        session = self._session
        lines = line_columns(session.traces.shown, session.times.values, self._span)
        shown = list(dict.fromkeys(name for name, *_ in lines))
        several = len(shown) > 1
        first = next(iter(session.traces.shown), None)
        columns: dict[str, Any] = {"xs": [], "ys": [], "colour": [], "dash": [], "width": []}
        for name, statistic, x, y in lines:
            columns["xs"].append(x)
            columns["ys"].append(y)
            columns["colour"].append(colour(shown.index(name)) if several else _COLOURS[statistic])
            columns["dash"].append(_DASHES[statistic] if several else "solid")
            # the first is wider, so that it shows beneath others where they agree
            columns["width"].append(2.6 if statistic == first and len(session.traces.shown) > 1 else 1.1)
        self._source.data = columns
        self._fit([y for *_, y in lines])
        self.plot.yaxis.axis_label = _UNITS[session.traces.scale]
        self._legend.text = self._words(shown, several=several)

    def _fit(self, values: list[Any]) -> None:
        """Let the axis hold what is in view, and a little more."""
        finite = np.concatenate([one[np.isfinite(one)] for one in values]) if values else np.zeros(0)
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
            rim = 0.05 * (high - low) or 0.5
            self.plot.y_range.update(start=low - rim, end=high + rim)

    def _words(self, shown: list[str], *, several: bool) -> str:
        """Say which line is which."""
        session = self._session
        if not session.chosen:
            return "click on a cell to see its trace"
        if not shown:
            return "reading …"
        if not several:
            kinds = [
                f'<span style="color: {_COLOURS[one]}">■</span> {AGGREGATIONS[one]}'
                for one in session.traces.shown
            ]
            return " &nbsp; ".join([f"cell <b>{escaped(shown[0])}</b>", *(kinds if len(kinds) > 1 else [])])
        parts = [f'<span style="color: {colour(n)}">■</span> {escaped(name)}' for n, name in enumerate(shown)]
        if len(session.traces.shown) > 1:
            parts += [f"{_STROKES[one]} {AGGREGATIONS[one]}" for one in session.traces.shown]
        if len(session.chosen) > MOST:
            parts.append(f"the first {MOST} of {len(session.chosen)}")
        return " &nbsp; ".join(parts)

    def _active(self) -> list[int]:
        return [number for number, name in enumerate(AGGREGATIONS) if name in self._session.traces.statistics]

    def _asked(self) -> None:
        names = list(AGGREGATIONS)
        statistics = [names[number] for number in sorted(self.which.active)]
        self._session.show_traces(statistics or ["mean"], list(NORMALIZATIONS)[self.scale.active])
        if not statistics:
            self.which.active = [0]

    def _time_now(self) -> float:
        return float(self._session.times.values[self._session.frame_number])

    def _zoomed(self, event: Event) -> None:
        span = (float(event.x0), float(event.x1))
        self._span = None if span == self._whole else span
        self._render()

    def _tapped(self, event: Event) -> None:
        self._session.show_time(float(event.x))
