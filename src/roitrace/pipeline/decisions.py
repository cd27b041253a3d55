"""The table of decisions beside a results store: read before the cells are found, written when the store is complete."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.decisions import Decided, carry_over, decisions_path, read_decisions
from roitrace.errors import ArgumentError, StoreError
from roitrace.results import is_results_store, load_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from roitrace.rois import Rois
    from roitrace.store.places import Location

__all__ = ["Deciding", "check_decisions", "deciding"]


class Deciding:
    """What people decided before, put over the cells that are found now; `deciding` begins and ends it.

    Attributes
    ----------
    table : path
        Where the table is.
    """

    def __init__(self, store: str, note: Callable[[str], object]) -> None:
        self.table = decisions_path(store)
        self._note = note
        self._earlier = _earlier(store, self.table)
        self._decided: Decided | None = None

    def apply(self, found: Rois) -> Rois:
        """Take the ROIs that were found, decide about those that were there before, and tell what changed."""
        if self._earlier is None:
            self._decided = Decided.by_nobody(found)
        else:
            self._decided, changes = carry_over(self._earlier, found)
            self._note(str(changes))
        return self._decided.rois

    def update(self, rois: Rois) -> Rois:
        """Take the same ROIs, weighed or judged since; what a person decided stays."""
        assert self._decided is not None
        self._decided = self._decided.over(rois)
        return self._decided.rois

    def to_dataset(self) -> xr.Dataset:
        """ROIs, notes and whose decision it was, for the results store."""
        assert self._decided is not None
        return self._decided.to_dataset()

    def write(self) -> None:
        """Write the table; an earlier one whose decisions are not all in it is kept beside it."""
        if self._decided is None:
            return
        if self._earlier is not None and _is_less(self._decided, self._earlier):
            kept = self.table.with_suffix(".earlier.csv")
            self._earlier.write(kept)
            self._note(f"the earlier table is kept in {kept}")
        self._decided.write(self.table)


def check_decisions(store: str) -> None:
    """Refuse a table beside a store that cannot be understood, before the recording is looked at.

    Raises
    ------
    FormatError
        Then.
    """
    table = decisions_path(store)
    if table.exists():
        read_decisions(table)


@contextmanager
def deciding(store: str, note: Callable[[str], object]) -> Iterator[Deciding]:
    """Read the table beside a store that will be replaced; write the new one when the block has ended well.

    Raises
    ------
    ArgumentError
        If there is a table, but no results beside it that it is about.
    FormatError
        If the table cannot be understood.
    StoreError
        If the cells that it is about are damaged.
    """
    decisions = Deciding(store, note)
    yield decisions
    decisions.write()


def _earlier(store: str, table: Location) -> Decided | None:
    if not table.exists():
        return None
    rows = read_decisions(table)
    try:
        cells = load_group(store, "rois") if is_results_store(store) else None
    except StoreError as error:
        raise StoreError(
            f"{table} is a table of decisions about the cells of {store}, which cannot be read: {error.problem}",
            "bring back a copy of the results, or move the table away to begin anew",
        ) from error
    if cells is None:
        raise ArgumentError(
            f"{table} is a table of decisions about the cells of {store}, but these are not there",
            "bring the results back, or move the table away to begin anew",
        )
    return Decided.from_dataset(cells).edited(rows, table)


def _is_less(decided: Decided, earlier: Decided) -> bool:
    """Whether decisions by hand or notes are lost."""
    before = int(earlier.by_hand.sum()), sum(map(bool, earlier.notes))
    now = int(decided.by_hand.sum()), sum(map(bool, decided.notes))
    return now[0] < before[0] or now[1] < before[1]
