"""What people decide about ROIs: a table that they may edit, kept when the cells are found anew."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import AlignmentError, FormatError
from roitrace.file_errors import explained
from roitrace.matching import match_rois
from roitrace.rois import Rois
from roitrace.sparse_rows import listed
from roitrace.store.files import write_file
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.store.places import Location

__all__ = [
    "Changes",
    "Decided",
    "Decision",
    "carry_over",
    "decisions_path",
    "read_decisions",
    "with_decisions",
]

_COLUMNS = ("roi", "accepted", "reason", "note")
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_BY_HAND = "by hand"
_SHOWN = 20


@dataclass(frozen=True)
class Decision:
    """One line of the table."""

    accepted: bool
    reason: str
    note: str
    line: int


@dataclass(frozen=True)
class Decided:
    """ROIs and what people decided about them.

    Attributes
    ----------
    rois : Rois
        With the decisions applied.
    notes : tuple of str
        One per ROI, for people.
    by_hand : numpy.ndarray
        Whether a person decided about each ROI.
    """

    rois: Rois
    notes: tuple[str, ...]
    by_hand: NDArray[np.bool_]

    @classmethod
    def by_nobody(cls, rois: Rois) -> Decided:
        """Take ROIs as they are."""
        return cls(rois, ("",) * len(rois), np.zeros(len(rois), dtype=np.bool_))

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Decided:
        """Read what `to_dataset` gave, or ROIs that nobody decided about."""
        rois = Rois.from_dataset(dataset)
        if "note" not in dataset or "by_hand" not in dataset:
            return cls.by_nobody(rois)
        notes = tuple(str(one) for one in dataset["note"].values)
        return cls(rois, notes, dataset["by_hand"].values.astype(np.bool_))

    def to_dataset(self) -> xr.Dataset:
        """Everything as a Dataset, for the results store."""
        notes = np.asarray(self.notes, dtype=object).astype(str) if self.notes else np.zeros(0, "U1")
        return self.rois.to_dataset().assign(note=("roi", notes), by_hand=("roi", self.by_hand))

    def edited(self, rows: Mapping[str, Decision], path: Location) -> Decided:
        """Apply the table that was written for these ROIs, as it is now.

        A line whose flag or reason is another one now is a decision by hand. Without its line, nobody decided about a ROI.

        Raises
        ------
        FormatError
            If a line is about a ROI that is not there.
        """
        for name, row in rows.items():
            if name not in self.rois.names:
                raise FormatError(
                    f"{path}, line {row.line}: there is no ROI {name!r} in the results beside it",
                    f"names are {listed(self.rois.names)}",
                )
        flags, by_hand = self.rois.accepted.copy(), self.by_hand.copy()
        reasons, notes = list(self.rois.reasons), list(self.notes)
        for number, name in enumerate(self.rois.names):
            if name not in rows:
                by_hand[number], notes[number] = False, ""
                continue
            row = rows[name]
            flipped, reworded = row.accepted != flags[number], row.reason != reasons[number]
            by_hand[number] |= flipped or reworded
            reasons[number] = _BY_HAND if flipped and not (reworded and row.reason) else row.reason
            flags[number], notes[number] = row.accepted, row.note
        rois = replace(self.rois, accepted=flags, reasons=tuple(reasons))
        return Decided(rois, tuple(notes), by_hand)

    def over(self, rois: Rois) -> Decided:
        """Put the decisions over the same ROIs, weighed or judged since: what a person decided stays."""
        flags = np.where(self.by_hand, self.rois.accepted, rois.accepted)
        reasons = tuple(
            own if by_hand else other
            for own, other, by_hand in zip(
                self.rois.reasons, rois.reasons, self.by_hand.tolist(), strict=True
            )
        )
        return replace(self, rois=replace(rois, accepted=flags, reasons=reasons))

    def write(self, path: Location) -> None:
        """Write the table, one line per ROI."""
        text = io.StringIO(newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(_COLUMNS)
        for name, flag, reason, note in zip(
            self.rois.names, self.rois.accepted.tolist(), self.rois.reasons, self.notes, strict=True
        ):
            lines.writerow((name, "yes" if flag else "no", reason, note))
        if isinstance(path, ObjectPath):
            write_file(path, text.getvalue().encode())
            return
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(text.getvalue(), encoding="utf-8")
        partial.replace(path)


@dataclass(frozen=True)
class Changes:
    """What became of the cells that were there before.

    Attributes
    ----------
    kept : int
        Cells that are still there.
    new, gone : tuple of str
        Names of cells that were not there before, and (the earlier names) of those that are not there any more.
    decisions : int
        Decisions by hand, and notes, that went on to a cell that is still there.
    lost : tuple of str
        Decisions by hand, and notes, about cells that are gone.
    """

    kept: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    decisions: int
    lost: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{self.kept} cells kept"]
        parts += [
            f"{len(names)} {what}" + (f" ({listed(names, _SHOWN)})" if names else "")
            for what, names in (("new", self.new), ("gone", self.gone))
        ]
        text = f"against the earlier results: {', '.join(parts)}"
        if self.decisions or self.lost:
            text += f"; decisions and notes kept: {self.decisions}"
        if self.lost:
            text += f", lost with their cell: {len(self.lost)} ({listed(self.lost, _SHOWN)})"
        return text


def decisions_path(store: str | Location) -> Location:
    """Return where the table of a results store is: beside it."""
    return place_of(f"{store}.rois.csv")


def read_decisions(path: Location) -> dict[str, Decision]:
    """Read a table of decisions, by name of the ROI.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with the columns ``roi, accepted, reason, note`` in any order, separated by commas, semicolons or tabs.

    Raises
    ------
    FormatError
        If it is none, naming the line and the value.
    """
    try:
        with explained(path):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is no UTF-8 text: {error.reason} at byte {error.start}", "save it as CSV in UTF-8"
        ) from None
    rows: dict[str, Decision] = {}
    try:
        for line, cells in _lines(text, path):
            name = cells["roi"]
            if name in rows:
                raise FormatError(
                    f"{path}, line {line}: ROI {name!r} stands in line {rows[name].line} already",
                    "decide once about each ROI",
                )
            flag = _FLAGS.get(cells["accepted"].strip().lower())
            if flag is None:
                raise FormatError(
                    f"{path}, line {line}: accepted is {cells['accepted']!r} for ROI {name!r}, expected yes or no"
                )
            reason, note = (" ".join(cells[one].split()) for one in ("reason", "note"))
            rows[name] = Decision(flag, reason, note, line)
    except csv.Error as error:
        raise FormatError(f"{path} is no CSV: {error}", "save it as CSV in UTF-8") from None
    return rows


def with_decisions(rois: Rois, path: str | Location) -> Rois:
    """Apply the table of decisions beside the file or store that ROIs were read from, if there is one.

    Raises
    ------
    FormatError
        If it cannot be understood, or is about other ROIs.
    """
    table = decisions_path(path)
    return Decided.by_nobody(rois).edited(read_decisions(table), table).rois if table.exists() else rois


def carry_over(earlier: Decided, found: Rois, *, iou: float = 0.5) -> tuple[Decided, Changes]:
    """Keep decisions by hand, and notes, about cells that are still there.

    Cells are the same where the one-to-one match of all ROIs, rejected ones too, has an intersection over union of at least
    `iou`. What no person decided follows `found`.

    Parameters
    ----------
    earlier : Decided
        The ROIs before, and what was decided.
    found : Rois
        The ROIs now.
    iou : float
        Above 0, at most 1.

    Raises
    ------
    AlignmentError
        If they lie on different frames.
    """
    if not earlier.rois.frame.same_as(found.frame):
        raise AlignmentError(
            f"the earlier ROIs lie on a frame of {earlier.rois.shape[0]} x {earlier.rois.shape[1]} pixels, the new ones on "
            f"{found.shape[0]} x {found.shape[1]}, or their coordinates differ: decisions cannot go over",
            "give another output, or move the table of decisions away to begin anew",
        )
    pairs = match_rois(_all_accepted(found), _all_accepted(earlier.rois), iou=iou)
    now, before = pairs["found_index"].values, pairs["truth_index"].values
    decided = np.array([bool(note) for note in earlier.notes], dtype=np.bool_) | earlier.by_hand
    flags, reasons, notes = found.accepted.copy(), list(found.reasons), [""] * len(found)
    by_hand = np.zeros(len(found), dtype=np.bool_)
    for new, old in zip(now.tolist(), before.tolist(), strict=True):
        notes[new] = earlier.notes[old]
        if earlier.by_hand[old]:
            by_hand[new], flags[new] = True, earlier.rois.accepted[old]
            reasons[new] = earlier.rois.reasons[old]
    gone = np.setdiff1d(np.arange(len(earlier.rois)), before)
    changes = Changes(
        kept=now.size,
        new=_names(found, np.setdiff1d(np.arange(len(found)), now)),
        gone=_names(earlier.rois, gone),
        decisions=int(decided[before].sum()),
        lost=_names(earlier.rois, gone[decided[gone]]),
    )
    rois = replace(found, accepted=flags, reasons=tuple(reasons))
    if by_hand.any():
        rois = rois.recorded(f"decided by hand about {listed(_names(rois, np.flatnonzero(by_hand)), 50)}")
    return Decided(rois, tuple(notes), by_hand), changes


def _lines(text: str, path: Location) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line that is not empty, and its cells by column."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = [one.strip().lower() for one in next(reader, [])]
    if sorted(header) != sorted(_COLUMNS):
        raise FormatError(
            f"{path}, line 1: the columns are {', '.join(header) or 'none'}, expected {', '.join(_COLUMNS)}",
            "write whatever else you know into note",
        )
    for cells in reader:
        if not any(one.strip() for one in cells):
            continue
        if len(cells) != len(header):
            raise FormatError(
                f"{path}, line {reader.line_num}: {len(cells)} values ({listed(cells)}), expected {len(header)}",
                'put text that holds a separator in quotes: "dim, near a vessel"',
            )
        yield reader.line_num, dict(zip(header, cells, strict=True))


def _all_accepted(rois: Rois) -> Rois:
    return replace(rois, accepted=np.ones(len(rois), dtype=np.bool_))


def _names(rois: Rois, numbers: NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(rois.names[number] for number in numbers.tolist())
