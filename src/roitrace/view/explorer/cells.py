"""The cells in work: found, imported or drawn, and what a person decided about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.decisions import Decided, carry_over
from roitrace.rois import Rois

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.frame import Frame

__all__ = ["Cells"]

_DRAWN = "drawn "


@dataclass(frozen=True)
class Cells:
    """ROIs and who made them what they are; every change gives new ones, so that all can be undone.

    Attributes
    ----------
    decided : Decided
        The ROIs, with the decisions.
    drawn : tuple of str
        Names of those that a person drew.
    by_hand : bool
        Whether the recipe alone does not give these ROIs any more.
    """

    decided: Decided
    drawn: tuple[str, ...] = ()
    by_hand: bool = False

    @classmethod
    def none(cls, frame: Frame) -> Cells:
        """Begin without any."""
        return cls(Decided.by_nobody(Rois.from_pixels([], frame=frame)))

    @classmethod
    def of(cls, rois: Rois) -> Cells:
        """Take ROIs as they are."""
        return cls(Decided.by_nobody(rois))

    @property
    def rois(self) -> Rois:
        """All of them, rejected ones too."""
        return self.decided.rois

    def found_again(self, found: Rois) -> tuple[Cells, str]:
        """Take what a changed recipe finds; decisions about cells that are still there stay, and so does what was drawn.

        Returns
        -------
        tuple
            The cells, and what became of the decisions in words; nothing where there were none.
        """
        if not self.by_hand:
            return Cells.of(found), ""
        earlier = self._without(self.drawn)
        decided, changes = carry_over(earlier, found)
        cells = Cells(decided, by_hand=bool(decided.by_hand.any()))
        for name in self.drawn:
            width = found.shape[1]
            cells = cells.with_drawn(np.stack(np.divmod(self.rois[name].row(0), width), axis=1), name)
        said = f"{changes.decisions} decisions kept" + (
            f", {len(changes.lost)} lost with their cell" if changes.lost else ""
        )
        return cells, said if changes.decisions or changes.lost else ""

    def with_drawn(self, pixels: NDArray[np.int64], name: str | None = None) -> Cells:
        """Add a ROI of these pixels ``(n, 2)``."""
        name = name or self._free_name()
        rois = _with_row(self.rois, pixels, name)
        decided = Decided(rois, (*self.decided.notes, ""), np.append(self.decided.by_hand, False))
        return Cells(decided, (*self.drawn, name), by_hand=True)

    def accepting(self, names: Sequence[str], *, accepted: bool) -> Cells:
        """Decide about some."""
        if not names:
            return self
        reason = "by hand"
        rois = self.rois.accept(names, reason) if accepted else self.rois.reject(names, reason)
        by_hand = self.decided.by_hand | np.isin(self.rois.names, names)
        return replace(self, decided=replace(self.decided, rois=rois, by_hand=by_hand), by_hand=True)

    def without(self, names: Sequence[str]) -> Cells:
        """Take some away altogether."""
        if not names:
            return self
        return Cells(self._without(names), tuple(one for one in self.drawn if one not in names), by_hand=True)

    def merged(self, names: Sequence[str]) -> Cells:
        """Make one of several."""
        rois = self.rois.merge(list(names))
        place = {name: number for number, name in enumerate(self.rois.names)}
        kept = [place[name] for name in rois.names]
        notes = tuple(self.decided.notes[number] for number in kept)
        by_hand = self.decided.by_hand[kept].copy()
        first = rois.names.index(names[0])
        by_hand[first] = True
        return Cells(
            Decided(rois, notes, by_hand), tuple(one for one in self.drawn if one in rois.names), by_hand=True
        )

    def _without(self, names: Sequence[str]) -> Decided:
        keep = ~np.isin(np.asarray(self.rois.names, dtype=object).astype(str), list(names))
        notes = tuple(note for note, kept in zip(self.decided.notes, keep.tolist(), strict=True) if kept)
        return Decided(
            self.rois.drop(list(names)) if len(names) else self.rois, notes, self.decided.by_hand[keep]
        )

    def _free_name(self) -> str:
        number = 1
        while f"{_DRAWN}{number}" in self.rois.names:
            number += 1
        return f"{_DRAWN}{number}"


def _with_row(rois: Rois, pixels: NDArray[np.int64], name: str) -> Rois:
    """Add a row; where the others have weights, each of its pixels weighs 1."""
    width = rois.shape[1]
    rows = [np.stack(np.divmod(rois.row(number), width), axis=1) for number in range(len(rois))]
    weights = None
    if rois.weights is not None:
        weights = [*(rois.row_weights(number) for number in range(len(rois))), np.ones(len(pixels))]
    longer = Rois.from_pixels(
        [*rows, pixels],
        frame=rois.frame,
        weights=weights,
        names=[*rois.names, name],
        ids=[*rois.ids.tolist(), int(rois.ids.max(initial=0)) + 1],
        accepted=[*rois.accepted.tolist(), True],
    )
    return replace(
        longer,
        reasons=(*rois.reasons, ""),
        n_outside=np.append(rois.n_outside, 0),
        attrs=rois.attrs,
        history=(*rois.history, f"drew {name}"),
    )
