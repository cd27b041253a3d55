"""What every step of a job is given: the configuration, and how to tell people how it goes."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from roitrace.pipeline.performance import Performance
from roitrace.store.files import read_file, write_file
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config import Config
    from roitrace.store.places import Location
    from roitrace.watching import Watcher

__all__ = ["Job", "Note", "Progress", "Steps", "run_folder"]

_LOGGER = logging.getLogger("roitrace")

Progress = Callable[[str, int, int], object]
"""Takes the name of a step, its tasks done and all its tasks."""


class Steps(Protocol):
    """Is told more of each step than its tasks."""

    def step(self, name: str, /) -> Watcher:
        """Return what watches a step."""
        ...


Note = Callable[[str], object]
"""Takes a sentence."""


def _return_memory() -> None:
    """Give free memory back: graphs are cycles, and the allocator of Linux keeps what a thread freed to itself."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def run_folder(store: str | Location) -> Location:
    """Return the folder beside a store that says how it was made."""
    return place_of(f"{store}.run")


@dataclass(frozen=True, eq=False)
class Job:
    """A configuration and the way to report.

    Attributes
    ----------
    config : Config
        What is asked.
    progress : callable, Steps or None
        Told of each task that finishes.
    tell : callable or None
        Told what a person should know.
    notes : list of str
        What was told.
    seconds : dict
        How long each step took.
    begun : set of str
        Files beside the results that the interrupted job, which goes on, was to write.
    performance : Performance
        The same in detail.
    planned : dict
        What it was said to take, as plain values; empty until the recording is there.
    lines : list of str
        The log, where it is in a bucket.
    """

    config: Config
    progress: Progress | Steps | None = None
    tell: Note | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    performance: Performance = field(default_factory=Performance)
    planned: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def replaces(self, path: str | Location) -> bool:
        """Whether a file beside the results may be replaced: all may, or the interrupted job that goes on made it."""
        return self.config.output.overwrite or str(path) in self.begun

    @property
    def limits(self) -> dict[str, Any]:
        """Budget and workers, as the lazy verbs take them."""
        resources = self.config.resources
        return {"budget": resources.budget, "workers": resources.workers}

    @property
    def dark_level(self) -> float:
        """What the detector shows in the dark, counts; 0 where nobody said."""
        return 0.0 if self.config.normalize is None else self.config.normalize.offset

    def baseline_options(self, data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
        """Return how a sliding F0 is found: as configured; without a configuration and a frame rate, over everything."""
        section = self.config.normalize
        if section is not None:
            return section.model_dump(include={"percentile", "window", "smoothing"})
        known = "frame_rate" in data.attrs
        return {"percentile": 8.0, "window": 60.0 if known else None, "smoothing": 0.5 if known else None}

    def f0_options(self, data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
        """Return how dF/F finds its F0: as configured, but for the second channel of a ratio."""
        section = self.config.normalize
        if section is None:
            return self.baseline_options(data)
        return section.model_dump(
            include={"baseline", "percentile", "window", "smoothing", "first", "frames"}
        )

    @property
    def log_file(self) -> Location:
        """Where the log of the job is."""
        return run_folder(self.config.output.path) / "log.txt"

    def begin_log(self) -> None:
        """Make the folder of the log, or go on with the log that is there."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.log_file, ObjectPath):
            self.lines.append((read_file(self.log_file) or b"").decode())

    def log(self, text: str) -> None:
        """Add a line to the log, as soon as there is one; in a bucket it is put anew with each line."""
        line, file = f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n", self.log_file
        if isinstance(file, ObjectPath):
            if self.lines:
                self.lines.append(line)
                write_file(file, "".join(self.lines).encode())
        elif file.parent.is_dir():
            with file.open("a", encoding="utf-8") as lines:
                lines.write(line)

    def note(self, text: str) -> None:
        """Tell people, and keep it for the record."""
        self.notes.append(text)
        self.log(text)
        if self.tell is not None:
            self.tell(text)

    @contextmanager
    def step(self, name: str) -> Iterator[Watcher]:
        """Time a step; gives what `execute` reports to."""
        self.log(f"{name} begins")
        _LOGGER.info("%s begins", name)
        with self.performance.measured(name, self._watcher_of(name)) as record:
            yield record
        self.seconds[name] = round(self.seconds.get(name, 0.0) + record.seconds, 3)
        self.log(f"{name} ends")
        _LOGGER.info("%s ends after %.1f s", name, record.seconds)
        _return_memory()

    def _watcher_of(self, name: str) -> Watcher | Callable[[int, int], object] | None:
        if self.progress is None:
            return None
        return partial(self.progress, name) if callable(self.progress) else self.progress.step(name)
