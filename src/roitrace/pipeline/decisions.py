"""The table of decisions beside a results store: read before the cells are found, written with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.decisions import Decided, carry_over, decisions_path, read_decisions
from roitrace.errors import ArgumentError
from roitrace.results import is_results_store, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from roitrace.rois import Rois

__all__ = ["decide", "earlier_decisions", "stored_rois", "write_decisions"]


def earlier_decisions(store: str) -> Decided | None:
    """Return the ROIs of a store that will be replaced, and what is decided about them; None where there is no table.

    Raises
    ------
    ArgumentError
        If there is a table, but no results beside it that it is about.
    FormatError
        If the table cannot be understood.
    """
    table = decisions_path(store)
    if not table.exists():
        return None
    rows = read_decisions(table)
    if not is_results_store(store) or "rois" not in load(store).children:
        raise ArgumentError(
            f"{table} is a table of decisions about the cells of {store}, but these are not there",
            "bring the results back, or move the table away to begin anew",
        )
    return _stored(store).edited(rows, table)


def stored_rois(store: str) -> Rois:
    """Read the ROIs of a results store, with the decisions in the table beside it, if there is one."""
    table, stored = decisions_path(store), _stored(store)
    return stored.edited(read_decisions(table), table).rois if table.exists() else stored.rois


def decide(found: Rois, earlier: Decided | None, note: Callable[[str], object]) -> Decided:
    """Apply what was decided about cells that are still there, and tell what changed."""
    if earlier is None:
        return Decided.by_nobody(found)
    decided, changes = carry_over(earlier, found)
    note(str(changes))
    return decided


def write_decisions(
    store: str, decided: Decided, earlier: Decided | None, note: Callable[[str], object]
) -> Path:
    """Write the table beside a store that is complete; an earlier one whose decisions are not all in it is kept."""
    table = decisions_path(store)
    if earlier is not None and _lost(earlier, decided):
        kept = Path(f"{store}.rois.earlier.csv")
        earlier.write(kept)
        note(f"the earlier table is kept in {kept}")
    decided.write(table)
    return table


def _stored(store: str) -> Decided:
    tree = load(store)
    if "rois" not in tree.children:
        raise ArgumentError(f"{store} holds no ROIs", "give the store that segment, or a job, wrote")
    return Decided.from_dataset(tree["rois"].to_dataset().load())


def _lost(earlier: Decided, decided: Decided) -> bool:
    """Whether there are fewer decisions by hand or notes than before."""
    before = int(earlier.by_hand.sum()), sum(map(bool, earlier.notes))
    now = int(decided.by_hand.sum()), sum(map(bool, decided.notes))
    return now[0] < before[0] or now[1] < before[1]
