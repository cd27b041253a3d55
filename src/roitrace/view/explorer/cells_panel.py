"""The list of cells, what a hand does on the image, and what is decided about the chosen ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import (
    Column,
    ColumnDataSource,
    CustomJS,
    DataTable,
    NumberFormatter,
    RadioButtonGroup,
    Row,
    StringFormatter,
    TableColumn,
    TextInput,
)

from roitrace.view.explorer.look import TABLE, button, field, heading, text, when

if TYPE_CHECKING:
    from collections.abc import Callable

    from roitrace.view.explorer.session import Session, Topic

__all__ = ["CellsPanel"]

HANDS = {"choose": "choose", "add": "add cell", "box": "draw box", "outline": "draw outline", "move": "move"}
"""What clicks and drags on the image do, by what the page calls it."""
_HELP = (
    "<b>a</b> accept &nbsp; <b>r</b> reject &nbsp; <b>n</b> <b>p</b> next, previous &nbsp; <b>m</b> merge &nbsp; <b>d</b> delete "
    "&nbsp; <b>u</b> undo &nbsp; <b>space</b> play &nbsp; shift-click chooses several"
)


class CellsPanel:
    """Shows the session's ROIs as a table.

    Parameters
    ----------
    session : Session
        What is shown.
    set_hand : callable
        Told what clicks and drags do from now on.
    """

    def __init__(self, session: Session, set_hand: Callable[[str], None]) -> None:
        self._session = session
        self._set_hand = set_hand
        self._filling = False
        self.source = ColumnDataSource({"name": [], "pixels": [], "shared": [], "cell": [], "reason": []})
        words = StringFormatter()
        columns = [
            TableColumn(field="name", title="cell", width=70, formatter=words),
            TableColumn(
                field="pixels",
                title="pixels",
                width=50,
                formatter=NumberFormatter(format="0,0", text_align="right"),
            ),
            TableColumn(
                field="shared",
                title="shared",
                width=55,
                formatter=NumberFormatter(format="0 %", text_align="right"),
            ),
            TableColumn(field="cell", title="accepted", width=60, formatter=words),
        ]
        self.table = DataTable(
            source=self.source,
            columns=columns,
            index_position=None,
            sortable=True,
            reorderable=False,
            stylesheets=[TABLE],
            selectable=True,
            row_height=22,
            sizing_mode="stretch_both",
            min_height=120,
            margin=(2, 5, 2, 5),
            name="cells",
        )
        redraw = CustomJS(args={"table": self.table}, code="Bokeh.index.find_one(table)?.updateGrid()")
        # of itself the table draws other values only where there are more or fewer of them
        self.source.js_on_change("data", redraw)
        self.hand = field(
            RadioButtonGroup(
                labels=list(HANDS.values()),
                active=list(HANDS).index(session.hand),
                sizing_mode="stretch_width",
                margin=(2, 5, 2, 5),
            )
        )
        self.path = field(
            TextInput(
                placeholder="RoiSet.zip, stat.npy, cells.zarr, …",
                sizing_mode="stretch_width",
                margin=(2, 3, 2, 5),
            )
        )
        read = button("import", width=60)
        when(self.hand, "active", lambda new: self._take_hand(list(HANDS)[new]))
        when(self.source.selected, "indices", self._choose)
        read.on_click(self._bring_in)
        acts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("accept", lambda: session.accept(accepted=True)),
            ("reject", lambda: session.accept(accepted=False)),
            ("merge", session.merge),
            ("delete", session.remove),
            ("undo", session.undo),
        )
        buttons = []
        for label, act in acts:
            one = button(label, sizing_mode="stretch_width", margin=(2, 2, 2, 2))
            one.on_click(act)
            buttons.append(one)
        self.top = self.hand
        self.layout = Column(
            heading("cells"),
            self.table,
            Row(*buttons, sizing_mode="stretch_width"),
            text(_HELP, margin=(2, 5, 2, 5)),
            heading("bring in"),
            Row(self.path, read, sizing_mode="stretch_width"),
            sizing_mode="stretch_both",
        )

    def render(self, topics: set[Topic]) -> None:
        """Show what has changed."""
        if "cells" in topics:
            rois = self._session.cells.rois
            self._filling = True
            self.source.selected.indices = []
            self.source.data = {
                "name": list(rois.names),
                "pixels": rois.n_pixels.tolist(),
                "shared": np.nan_to_num(rois.overlap_fraction() if len(rois) else np.zeros(0)).tolist(),
                "cell": ["yes" if one else "no" for one in rois.accepted.tolist()],
                "reason": list(rois.reasons),
            }
            self._filling = False
        if topics & {"cells", "choice"}:
            place = {name: number for number, name in enumerate(self._session.cells.rois.names)}
            indices = [place[name] for name in self._session.chosen if name in place]
            if sorted(self.source.selected.indices) != sorted(indices):
                self._filling = True
                self.source.selected.indices = indices
                self._filling = False

    def _choose(self, indices: list[int]) -> None:
        if not self._filling:
            names = self._session.cells.rois.names
            self._session.choose([names[number] for number in indices if number < len(names)])

    def _take_hand(self, hand: str) -> None:
        self._session.hand = hand
        self._set_hand(hand)

    def _bring_in(self) -> None:
        path = self.path.value.strip().strip("'\"")
        if path:
            self._session.bring_in(path)
        else:
            self._session.say("say which file holds the ROIs: its path", "error")
