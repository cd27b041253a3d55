"""What is written into files, under which name, and the command that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bokeh.models import CheckboxGroup, Column, Row, Select, TextInput

from roitrace.view.explorer.exporting import ROI_FILES, WHAT
from roitrace.view.explorer.look import button, escaped, field, heading, text

if TYPE_CHECKING:
    from roitrace.view.explorer.session import Session, Topic

__all__ = ["ExportPanel"]


class ExportPanel:
    """Asks the session to write files.

    Parameters
    ----------
    session : Session
        What is exported.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        small = {"sizing_mode": "stretch_width", "margin": (2, 5, 2, 5)}
        self.name = field(TextInput(title="name", value=session.name, **small))
        self.format = field(
            Select(title="ROIs also as", options=list(ROI_FILES), value=next(iter(ROI_FILES)), **small)
        )
        self.what = field(
            CheckboxGroup(
                labels=list(WHAT.values()), active=list(range(len(WHAT))), inline=True, margin=(4, 5, 2, 5)
            )
        )
        self.replace = field(
            CheckboxGroup(labels=["replace files"], active=[], inline=True, margin=(6, 5, 2, 5))
        )
        self.write = button("export", width=90, button_type="primary", name="export")
        self.write.on_click(self._export)
        self.said = text(name="exported")
        self.layout = Column(
            heading("export"),
            Row(self.name, self.format, sizing_mode="stretch_width"),
            self.what,
            Row(self.write, self.replace, sizing_mode="stretch_width"),
            self.said,
            sizing_mode="stretch_width",
        )

    def render(self, topics: set[Topic]) -> None:
        """Show what was written."""
        if "progress" in topics or "message" in topics:
            session = self._session
            files = ", ".join(escaped(one) for one in session.exported)
            self.said.text = f"into {escaped(session.folder)}" + (f": {files}" if files else "")

    def _export(self) -> None:
        names = list(WHAT)
        self._session.export(
            self.name.value.strip(),
            [names[number] for number in sorted(self.what.active)],
            self.format.value,
            overwrite=bool(self.replace.active),
        )
