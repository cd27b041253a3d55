"""The page: panels around the image, keys, and what is told of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bokeh.models import Column, CustomJS, Row, TextInput

from roitrace.units import format_bytes
from roitrace.view.explorer.cells_panel import CellsPanel
from roitrace.view.explorer.controls_panel import ControlsPanel
from roitrace.view.explorer.export_panel import ExportPanel
from roitrace.view.explorer.image_panel import ImagePanel
from roitrace.view.explorer.look import PAGE, button, escaped, text, when
from roitrace.view.explorer.trace_panel import TracePanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

    from roitrace.view.explorer.session import Session, Topic

__all__ = ["Page"]

_KEYS = """
document.addEventListener("keydown", (event) => {
  const place = event.composedPath()[0];
  const typing = place.isContentEditable || (place.matches && place.matches("input:not([type=checkbox]):not([type=radio]), textarea"));
  // what was typed is typed: the keys are for the cells again
  if (typing && event.key === "Enter") setTimeout(() => place.blur(), 0);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!"arnpmdu ".includes(event.key)) return;
  event.preventDefault();
  keys.value = event.key + " " + performance.now();
});
"""


class Page:
    """Fills a document, and renders what changes in the session.

    Parameters
    ----------
    session : Session
        What is shown; shared by all pages.
    document : Document
        The page.
    """

    def __init__(self, session: Session, document: Document) -> None:
        self._session = session
        self._document = document
        self._changed: set[Topic] = set()
        self._waiting = False
        self.image = ImagePanel(session, document)
        self.traces = TracePanel(session)
        self.controls = ControlsPanel(session, self.image.mapper)
        self.cells = CellsPanel(session, self.image.set_hand)
        self.export = ExportPanel(session)
        self._message = text(margin=(6, 8, 4, 8), name="message")
        self._stop = button("stop", width=46, visible=False, margin=(3, 5, 3, 5))
        self._stop.on_click(session.projections.stop)
        self._lay_out()
        self.image.set_hand(session.hand)
        everything: set[Topic] = {"image", "mask", "cells", "choice", "traces", "message", "progress"}
        self._render_now(everything)
        session.listen(self._hear)
        document.on_session_destroyed(lambda _: session.unlisten(self._hear))

    @classmethod
    def open(cls, session: Session, document: Document) -> None:
        """Fill a document; the page lives as long as it."""
        cls(session, document)

    def _lay_out(self) -> None:
        session, document = self._session, self._document
        recording = session.recording
        n_frames, height, width = recording.shape
        rate = recording.attrs.get("frame_rate")
        facts = f"{n_frames:,} frames of {height} x {width}"
        facts += "" if rate is None else f", {float(rate):g} Hz"
        facts += f", {recording.dtype}, {format_bytes(recording.nbytes)}"
        # not seen, but part of the page: otherwise what is put into it goes nowhere
        keys = TextInput(visible=False)
        title = text(
            f"<b>{escaped(session.name)}</b> &nbsp; {escaped(facts)}",
            margin=(6, 8, 4, 8),
            sizing_mode="fixed",
            width=520,
        )
        head = Row(
            title,
            self._message,
            self._stop,
            keys,
            sizing_mode="stretch_width",
            height=30,
            styles={"border-bottom": "1px solid #e3e3e0", "background": "#ffffff"},
        )
        middle = Column(
            Row(self.cells.top, sizing_mode="stretch_width"),
            self.image.plot,
            self.image.controls,
            self.traces.layout,
            sizing_mode="stretch_both",
        )
        right = Column(
            self.cells.layout,
            self.export.layout,
            width=290,
            sizing_mode="stretch_height",
        )
        body = Row(self.controls.layout, middle, right, sizing_mode="stretch_both", spacing=4)
        root = Column(head, body, sizing_mode="stretch_both", styles={"height": "100vh"})
        document.template = PAGE
        document.title = f"{session.name} - roitrace explorer"
        document.add_root(root)
        when(keys, "value", lambda new: self._key(new[:1]))
        document.js_on_event("document_ready", CustomJS(args={"keys": keys}, code=_KEYS))

    def _key(self, key: str) -> None:
        session = self._session
        acts: dict[str, Callable[[], object]] = {
            "a": lambda: session.accept(accepted=True),
            "r": lambda: session.accept(accepted=False),
            "n": lambda: session.choose_next(1),
            "p": lambda: session.choose_next(-1),
            "m": session.merge,
            "d": session.remove,
            "u": session.undo,
            " ": lambda: self.image.play.update(active=not self.image.play.active),
        }
        if key in acts:
            acts[key]()

    def _hear(self, topic: Topic) -> None:
        """Gather what changes until the page has a moment."""
        self._changed.add(topic)
        if not self._waiting:
            self._waiting = True
            self._document.add_next_tick_callback(self._render)

    def _render(self) -> None:
        topics, self._changed, self._waiting = self._changed, set(), False
        self._render_now(topics)

    def _render_now(self, topics: set[Topic]) -> None:
        for panel in (self.image, self.traces, self.controls, self.cells, self.export):
            panel.render(topics)
        if topics & {"message", "progress"}:
            self._render_message()

    def _render_message(self) -> None:
        said, kind = self._session.message
        working = " · ".join(filter(None, (self._session.projections.progress, self._session.exporting)))
        colour = "#b3261e" if kind == "error" else "#444"
        parts = [f'<span style="color: #0072B2">{escaped(working)}</span>'] if working else []
        parts += [f'<span style="color: {colour}">{escaped(said)}</span>'] if said else []
        self._message.text = " &nbsp; ".join(parts)
        self._stop.visible = bool(self._session.projections.progress)
