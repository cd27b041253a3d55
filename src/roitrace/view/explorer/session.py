"""What the explorer knows: it lives in the server, so that a page that is loaded again finds everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from roitrace.config.sections import CleanSection, RoisSection, ThresholdSection
from roitrace.engine.blocks import block_source
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import RoitraceError
from roitrace.frame import frame_of
from roitrace.recipes import segment_images
from roitrace.roi_files import read_rois
from roitrace.view.explorer.cells import Cells
from roitrace.view.explorer.choice import ChosenTraces
from roitrace.view.explorer.chosen_traces import (
    with_weights,
)
from roitrace.view.explorer.drawing import cell_at, pixels_of_shape
from roitrace.view.explorer.exporting import Export
from roitrace.view.explorer.frames import FrameCache
from roitrace.view.explorer.layers import rois_at, rois_within
from roitrace.view.explorer.projections import Projections
from roitrace.view.explorer.work import Newest, with_notes
from roitrace.view.pixel_grid import PixelGrid
from roitrace.view.selection import frame_times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray
    from tornado.ioloop import IOLoop

    from roitrace.rois import Rois

__all__ = ["FRAME", "Origin", "Session", "Topic"]

Topic = Literal["image", "mask", "cells", "choice", "traces", "message", "progress"]
Origin = Literal["threshold", "segment", "file"]
FRAME = "frame"
"""What is shown in place of a projection: one frame."""

_AT_ONCE = 16 * 2**30
"""Recordings up to this size are projected without being asked."""
_PARTS = {"frames": 0.25, "projections": 0.45, "traces": 0.3}
"""How what the budget leaves is shared."""


@dataclass(frozen=True)
class _Work:
    """What undo brings back."""

    origin: Origin
    recipe: RoisSection
    found_by: RoisSection | None
    cells: Cells
    mask: xr.DataArray | None


class Session:
    """A recording, what was made of it, and what is looked at; all of it is touched on the server's thread alone.

    Parameters
    ----------
    recording : DataArray
        ``(time, y, x)``, lazy.
    told : mapping
        The section ``recording`` of a configuration that opens it; without a path for a recording made in Python.
    images : mapping of str to DataArray
        Projections that are known already.
    rois : Rois or None
        ROIs to begin with.
    folder : Path
        Where exports go.
    name : str
        What they are called, and the page.
    budget : int
        Bytes that the program may use.
    """

    def __init__(
        self,
        recording: xr.DataArray,
        *,
        told: Mapping[str, Any],
        images: Mapping[str, xr.DataArray],
        rois: Rois | None,
        folder: Path,
        name: str,
        budget: int,
    ) -> None:
        self.recording = recording
        self.told = dict(told)
        self.frame = frame_of(recording)
        self.grid = PixelGrid.of(self.frame)
        self.times = frame_times(recording)
        self.folder, self.name = folder, name
        room = max(0, budget - RESERVED_BYTES)
        self.budgets = {part: RESERVED_BYTES + int(share * room) for part, share in _PARTS.items()}
        self.frames = FrameCache(block_source(recording.data), max(8 * 2**20, int(_PARTS["frames"] * room)))
        self.projections = Projections(recording, images, self.budgets["projections"])
        self.traces = ChosenTraces(recording, self.budgets["traces"])
        self.recipe = self._first_recipe()
        self.origin: Origin = "threshold" if rois is None else "file"
        self.cells = Cells.none(self.frame) if rois is None else Cells.of(rois)
        self.mask: xr.DataArray | None = None if rois is None else rois.to_mask()
        self.shown = self.recipe.image[0] if self.recipe.image[0] in self.images else FRAME
        self.frame_number = 0
        self.frame_values: NDArray[Any] | None = None
        self.chosen: tuple[str, ...] = ()
        self.layers = frozenset({"mask", "outlines"})
        self.contrast: dict[str, tuple[float, float]] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.hand = "choose"
        self.message = ("", "note")
        self.exporting = ""
        self.exported: tuple[str, ...] = ()
        self._found_by: RoisSection | None = None
        self._undone: list[_Work] = []
        self._listeners: list[Callable[[Topic], object]] = []

    def start(self, loop: IOLoop) -> None:
        """Begin to work, on the server's loop."""
        say = partial(self.say, kind="error")
        self._reading, self._finding, self._exporting, self._importing = (Newest(loop, say) for _ in range(4))
        self._loop = loop
        self.projections.start(loop, say=say, moved=lambda: self.changed("progress"), arrived=self._arrived)
        self.traces.start(loop, say=say, changed=lambda: self.changed("traces"))
        self.show_frame(0)
        if self.recipe.image[0] in self.images:
            self._find()
        elif self.recording.nbytes <= _AT_ONCE:
            self.need_image(self.recipe.image[0])

    @property
    def busy(self) -> bool:
        """Whether anything is being read or computed."""
        kinds = (self._reading, self._finding, self._exporting, self._importing)
        return any(one.busy for one in (*kinds, self.projections, self.traces))

    # -- who looks ----------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[Topic], object]) -> None:
        """Tell someone of every change, by its topic."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Topic], object]) -> None:
        """Do not any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def changed(self, *topics: Topic) -> None:
        """Tell all."""
        for topic in topics:
            for listener in tuple(self._listeners):
                listener(topic)

    def say(self, text: str, kind: str = "note") -> None:
        """Show a sentence."""
        self.message = (text, kind)
        self.changed("message")

    # -- the image ----------------------------------------------------------------------------------------------

    @property
    def reading(self) -> bool:
        """Whether a frame is on its way."""
        return self._reading.busy

    def time_of(self, number: int) -> str:
        """Say when a frame was taken."""
        return f"{self.times.values[number]:.2f} s" if self.times.unit == "s" else f"frame {number}"

    def show_time(self, time: float) -> None:
        """Show the frame that was taken nearest to a time."""
        self.shown = FRAME
        self.show_frame(int(np.abs(self.times.values - time).argmin()))

    def show_layers(self, layers: frozenset[str]) -> None:
        """Show other layers over the image."""
        self.layers = layers
        self.changed("cells", "mask")

    def show_frame(self, number: int) -> None:
        """Read a frame, and show it where frames are shown."""
        self.frame_number = int(np.clip(number, 0, self.recording.sizes["time"] - 1))
        self._reading.ask(partial(self.frames.read, self.frame_number), self._frame_there)

    def show(self, what: str) -> None:
        """Show a projection, or the frames."""
        self.shown = what
        if what != FRAME:
            self.need_image(what)
        self.changed("image")

    @property
    def image(self) -> NDArray[Any] | None:
        """What is shown; None as long as it is not there."""
        if self.shown == FRAME:
            return self.frame_values
        return self.images[self.shown].values if self.shown in self.images else self.frame_values

    @property
    def images(self) -> dict[str, xr.DataArray]:
        """The projections that are there."""
        return self.projections.images

    def need_image(self, name: str) -> None:
        """Compute a projection unless it is there or under way."""
        self.projections.need(name)

    def _arrived(self, names: tuple[str, ...]) -> None:
        if self.shown == FRAME and len(self.images) == len(names):
            self.shown = names[0]
        self.changed("image")
        if self.recipe.image[0] in names:
            self._find()

    def _frame_there(self, values: NDArray[Any]) -> None:
        self.frame_values = values
        if self.shown == FRAME or self.shown not in self.images:
            self.changed("image")

    def _first_recipe(self) -> RoisSection:
        """Begin with Otsu's threshold on the mean; specks much smaller than a cell of 12 micrometres go."""
        image = "mean" if "mean" in self.images or not self.images else next(iter(self.images))
        size = self.frame.pixel_size
        area = 100.0 if size is None else np.pi * 36.0 / abs(size[0] * size[1])
        clean = CleanSection(fill_holes=True, min_pixels=max(3, round(0.3 * area)))
        return RoisSection(image=(image,), threshold=ThresholdSection(), clean=clean)

    # -- finding cells ------------------------------------------------------------------------------------------

    def find_by(self, recipe: RoisSection) -> None:
        """Take another recipe, and find cells by it."""
        self.recipe = recipe
        self.origin = "segment" if recipe.threshold is None else "threshold"
        self.need_image(recipe.image[0])
        self._find()

    def take_file(self) -> None:
        """Leave the recipe: the cells as they are, and what is drawn or imported."""
        self._remember()
        self.origin = "file"
        self._cells_are(self.cells)

    def _find(self) -> None:
        if self.origin == "file" or self.recipe.image[0] not in self.images:
            return
        import xarray as xr  # noqa: PLC0415 - typing only above

        recipe = self.recipe
        images = xr.Dataset({name: self.images[name] for name in recipe.image})
        self._finding.ask(partial(segment_images, recipe, images), partial(self._found, recipe))

    def _found(self, recipe: RoisSection, found: tuple[xr.DataArray, Rois]) -> None:
        if recipe is not self.recipe or self.origin == "file":
            return
        self._found_by = recipe
        self.mask, rois = found
        self.cells, said = self.cells.found_again(rois)
        self.say(said)
        self._forget_gone()
        self.changed("mask", "cells", "choice")

    def weighted(self) -> Rois:
        """Return the cells with the weights of the weighted mean: their own, or by brightness once the mean is there."""
        return with_weights(self.cells.rois, self.images.get("mean"))

    # -- curation -----------------------------------------------------------------------------------------------

    def choose(self, names: Sequence[str], *, more: bool = False) -> None:
        """Choose ROIs, or change the choice of some, and extract their traces."""
        if more:
            names = [
                *(one for one in self.chosen if one not in names),
                *(one for one in names if one not in self.chosen),
            ]
        known = set(self.cells.rois.names)
        chosen = tuple(one for one in names if one in known)
        if chosen != self.chosen:
            self.chosen = chosen
            self.changed("choice")
            self._extract()

    def choose_next(self, step: int) -> None:
        """Choose the next ROI, or the one before."""
        names = self.cells.rois.names
        if names:
            here = names.index(self.chosen[-1]) if self.chosen else -1 if step > 0 else 0
            self.choose([names[(here + step) % len(names)]])

    def click(self, y: int, x: int, *, more: bool) -> None:
        """Choose the ROI at a pixel; or make one of the bright piece there, where that is what the hand does."""
        if self.hand != "add":
            at = rois_at(self.cells.rois, y, x)
            # a second click on shared pixels goes to the next of the ROIs there
            after = at.index(self.chosen[0]) + 1 if len(self.chosen) == 1 and self.chosen[0] in at else 0
            self.choose(at[after % len(at) : after % len(at) + 1] if at else (), more=more)
            return
        image = self.images.get(self.recipe.image[0])
        values = np.asarray(self.frame_values if image is None else image.values, dtype=np.float64)
        self._draw(lambda: cell_at(values, y, x, self._diameter()))

    def enclose(self, geometry: dict[str, Any]) -> None:
        """Choose the ROIs in a box; or make one of the box or the outline, where that is what the hand does."""
        if self.hand == "choose":
            try:
                self.choose(rois_within(self.cells.rois, pixels_of_shape(geometry, self.grid)))
            except RoitraceError:
                self.choose(())
        else:
            self._draw(lambda: pixels_of_shape(geometry, self.grid))

    def accept(self, *, accepted: bool) -> None:
        """Decide about the chosen ROIs."""
        if self._any_chosen():
            self._edit(self.cells.accepting(self.chosen, accepted=accepted))

    def remove(self) -> None:
        """Take the chosen ROIs away."""
        if self._any_chosen():
            self._edit(self.cells.without(self.chosen))

    def merge(self) -> None:
        """Make one of the chosen ROIs."""
        if len(self.chosen) < 2:
            self.say("choose two or more cells to merge", "error")
            return
        chosen = self.chosen
        self._edit(self.cells.merged(chosen))
        self.choose(chosen[:1])

    def undo(self) -> None:
        """Go back to before the last change by hand."""
        if not self._undone:
            self.say("there is nothing to undo")
            return
        before = self._undone.pop()
        self.origin, self.recipe, self._found_by = before.origin, before.recipe, before.found_by
        self.cells, self.mask = before.cells, before.mask
        self._forget_gone()
        self.changed("mask", "cells", "choice")

    def bring_in(self, path: str) -> None:
        """Read ROIs from a file, in place of those that are there."""
        read = partial(read_rois, path, recording=self.recording)
        self._importing.ask(partial(with_notes, read), partial(self._brought, path))

    def _brought(self, path: str, there: tuple[Rois, tuple[str, ...]]) -> None:
        rois, notes = there
        self._remember()
        self.origin, self.chosen = "file", ()
        self._cells_are(Cells.of(rois))
        self.say("; ".join([f"{len(rois)} ROIs from {path}", *notes]))

    def _draw(self, pixels: Callable[[], NDArray[np.int64]]) -> None:
        try:
            drawn = self.cells.with_drawn(pixels())
        except RoitraceError as problem:
            self.say(str(problem), "error")
            return
        self._edit(drawn)
        self.choose([drawn.drawn[-1]])

    def _edit(self, cells: Cells) -> None:
        self._remember()
        self._cells_are(cells)

    def _cells_are(self, cells: Cells) -> None:
        self.cells = cells
        if self.origin == "file":
            self.mask = cells.rois.to_mask()
        self._forget_gone()
        self.changed("mask", "cells", "choice")

    def _remember(self) -> None:
        self._undone = [
            *self._undone[-49:],
            _Work(self.origin, self.recipe, self._found_by, self.cells, self.mask),
        ]

    def _forget_gone(self) -> None:
        known = set(self.cells.rois.names)
        self.chosen = tuple(one for one in self.chosen if one in known)
        self._extract()

    def _any_chosen(self) -> bool:
        if not self.chosen:
            self.say("choose cells first: click on them, or draw a box around them", "error")
        return bool(self.chosen)

    def _diameter(self) -> float:
        """Diameter of a cell in pixels: of those that are there, else 12 micrometres, else 12 pixels."""
        sizes = self.cells.rois.n_pixels
        if sizes.size:
            return float(2 * np.sqrt(np.median(sizes) / np.pi))
        size = self.frame.pixel_size
        return 12.0 if size is None else 12.0 / float(np.mean(np.abs(size)))

    # -- traces -------------------------------------------------------------------------------------------------

    def show_traces(self, statistics: Sequence[str], scale: str) -> None:
        """Show other aggregations, or on another scale."""
        self.traces.show(statistics, scale)

    def _extract(self) -> None:
        self.traces.of(self.cells.rois, self.chosen, self.images.get("mean"))

    # -- export -------------------------------------------------------------------------------------------------

    def export(self, name: str, what: Sequence[str], rois_format: str, *, overwrite: bool) -> None:
        """Write mask, ROIs, traces, and the configuration that gives them."""
        if self._finding.busy or self._exporting.busy:
            self.say("something is still being computed: try again when it is done", "error")
            return
        by_recipe = self.origin != "file" and not self.cells.by_hand
        if by_recipe and self._found_by is not self.recipe:
            self.say("these cells are not yet those of the recipe: compute its image, or mend it", "error")
            return
        export = Export(
            folder=self.folder,
            name=name,
            what=tuple(what),
            rois_format=rois_format,
            overwrite=overwrite,
            recording=self.recording,
            told=self.told,
            decided=self.cells.decided,
            mask=self.cells.rois.to_mask() if self.mask is None or self.cells.by_hand else self.mask,
            recipe=self.recipe if by_recipe else None,
            statistics=self.traces.statistics or ("mean",),
            normalize=self.traces.options,
            weigh_by=self.images.get("mean"),
            budget=self.budgets["projections"],
        )

        def progress(step: str, done: int, total: int) -> None:
            self._exporting.check()
            self._loop.add_callback(self._report, step, done, total)

        self._show_export("exporting")
        self._exporting.ask(
            partial(with_notes, partial(export.write, progress)), self._exported, self._not_exported
        )

    def _exported(self, there: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        written, notes = there
        self.exported = written
        self._show_export("")
        self.say("; ".join([f"wrote {', '.join(written)}", *notes]))

    def _not_exported(self) -> None:
        self._show_export("")

    def _report(self, step: str, done: int, total: int) -> None:
        if self._exporting.busy:
            self._show_export(f"exporting {step} {100 * done // max(total, 1)} %")

    def _show_export(self, progress: str) -> None:
        self.exporting = progress
        self.changed("progress")
