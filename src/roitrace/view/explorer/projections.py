"""Projections over time, computed when they are asked for: in one read, in bounded memory, and kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from roitrace.engine.run import execute
from roitrace.projection import project
from roitrace.view.explorer.work import Newest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr
    from tornado.ioloop import IOLoop

__all__ = ["Projections"]


class Projections:
    """Images of a recording by name; those that are not there are computed together.

    Parameters
    ----------
    recording : DataArray
        ``(time, y, x)``, lazy.
    known : mapping of str to DataArray
        Images that are there already.
    budget : int
        Bytes that computing may use.

    Attributes
    ----------
    images : dict of str to DataArray
        Those that are there.
    progress : str
        What is being computed, and how much of it is done; empty if nothing is.
    """

    def __init__(self, recording: xr.DataArray, known: Mapping[str, xr.DataArray], budget: int) -> None:
        self.images: dict[str, xr.DataArray] = dict(known)
        self.progress = ""
        self._recording = recording
        self._budget = budget
        self._asked: set[str] = set()

    def start(
        self,
        loop: IOLoop,
        *,
        say: Callable[[str], object],
        moved: Callable[[], object],
        arrived: Callable[[tuple[str, ...]], object],
    ) -> None:
        """Begin to work on a loop; tell errors, progress, and the names of images that have come."""
        self._loop, self._moved, self._arrived = loop, moved, arrived
        self._work = Newest(loop, say)

    @property
    def busy(self) -> bool:
        """Whether some are being computed."""
        return self._work.busy

    def need(self, name: str) -> None:
        """Compute an image unless it is there or under way."""
        if name in self.images or name in self._asked:
            return
        self._asked.add(name)
        if not self._work.busy:
            self._begin()

    def stop(self) -> None:
        """Give up those that are not there yet."""
        self._asked.clear()
        self._work.cancel()
        self._show("")

    def _begin(self) -> None:
        names = tuple(sorted(self._asked))
        if not names:
            return
        self._show(f"{', '.join(names)} over time 0 %")

        def progress(done: int, total: int) -> None:
            self._work.check()
            self._loop.add_callback(self._advanced, names, done, total)

        def work() -> xr.Dataset:
            images: xr.Dataset
            (images,) = execute(project(self._recording, names, budget=self._budget), progress=progress)
            return images

        self._work.ask(work, partial(self._done, names), partial(self._failed, names))

    def _advanced(self, names: tuple[str, ...], done: int, total: int) -> None:
        if self._work.busy and self._asked:
            self._show(f"{', '.join(names)} over time {100 * done // max(total, 1)} %")

    def _done(self, names: tuple[str, ...], images: xr.Dataset) -> None:
        for name in names:
            self.images[name] = images[name]
        self._ended(names)
        self._arrived(names)

    def _failed(self, names: tuple[str, ...]) -> None:
        self._ended(names)

    def _ended(self, names: tuple[str, ...]) -> None:
        self._asked.difference_update(names)
        self._show("")
        if self._asked:
            self._loop.add_callback(self._begin)

    def _show(self, progress: str) -> None:
        self.progress = progress
        self._moved()
