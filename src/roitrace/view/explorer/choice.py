"""The traces of the chosen cells: read when the choice changes, put on another scale when that changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from roitrace.view.explorer.chosen_traces import (
    MOST,
    compile_kernels,
    extract_chosen,
    normalize_options,
    scaled,
)
from roitrace.view.explorer.work import Newest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from tornado.ioloop import IOLoop

    from roitrace.rois import Rois

__all__ = ["ChosenTraces"]


class ChosenTraces:
    """Traces of a few ROIs, off the event loop.

    Parameters
    ----------
    recording : DataArray
        ``(time, y, x)``, lazy.
    budget : int
        Bytes that extracting may use.

    Attributes
    ----------
    extracted : Dataset or None
        By every aggregation, in counts; None where nothing is chosen.
    shown : dict of str to DataArray
        Those that are shown, on the scale that is shown, ``(roi, time)``.
    statistics : tuple of str
        The aggregations that are shown.
    scale : str
        ``"raw"``, or a method of `roitrace.normalize`.
    """

    def __init__(self, recording: xr.DataArray, budget: int) -> None:
        self.extracted: xr.Dataset | None = None
        self.shown: dict[str, xr.DataArray] = {}
        self.statistics: tuple[str, ...] = ("mean",)
        self.scale = "raw"
        self._recording = recording
        self._budget = budget
        self._wanted = ""

    def start(self, loop: IOLoop, *, say: Callable[[str], object], changed: Callable[[], object]) -> None:
        """Begin to work on a loop; tell errors, and that there are other traces."""
        self._changed = changed
        self._extracting, self._scaling = Newest(loop, say), Newest(loop, say)
        self._extracting.ask(partial(compile_kernels, self._recording), lambda _: None)

    @property
    def busy(self) -> bool:
        """Whether traces are on their way."""
        return self._extracting.busy or self._scaling.busy

    def of(self, rois: Rois, names: Sequence[str], mean: xr.DataArray | None) -> None:
        """Extract the traces of others; the image weighs their pixels where they have no weights."""
        few = list(names[:MOST])
        wanted = _identity(rois, few)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self.extracted, self.shown = None, {}
        self._changed()
        if few:
            chosen = rois[few]
            self._extracting.ask(
                lambda: (wanted, extract_chosen(self._recording, chosen, mean, budget=self._budget)),
                self._there,
            )

    def show(self, statistics: Sequence[str], scale: str) -> None:
        """Show other aggregations, or on another scale."""
        self.statistics, self.scale = tuple(statistics), scale
        traces = self.extracted
        if traces is None:
            self._changed()
        else:
            self._scaling.ask(lambda: (traces, scaled(traces, self.options, self.statistics)), self._scaled)

    @property
    def options(self) -> dict[str, object] | None:
        """Options of `roitrace.normalize` for the scale; None for raw traces."""
        return None if self.scale == "raw" else normalize_options(self.scale, self._recording)

    def _there(self, there: tuple[str, xr.Dataset]) -> None:
        of, traces = there
        if of == self._wanted:
            self.extracted = traces
            self.show(self.statistics, self.scale)

    def _scaled(self, there: tuple[xr.Dataset, dict[str, xr.DataArray]]) -> None:
        traces, shown = there
        if traces is self.extracted:
            self.shown = shown
            self._changed()


def _identity(rois: Rois, names: Sequence[str]) -> str:
    """Return what tells apart sets of pixels and weights, those of the same names too."""
    parts = []
    for name in names:
        one = rois[name]
        weights = None if one.weights is None else hash(one.weights.tobytes())
        parts.append((name, hash(one.pixels.tobytes()), weights))
    return repr(parts) if parts else ""
