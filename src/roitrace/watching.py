"""How far a computation is, as whoever watches it is told; light, so that the command line may know it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NO_WORK", "Standing", "TaskTime", "Watcher", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a task reads or writes.

    Attributes
    ----------
    frames : float
        Frames; a part of the frame counts as that part.
    nbytes : int
        Decoded bytes.
    """

    frames: float = 0.0
    nbytes: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], frame: Sequence[int], itemsize: int, *, passes: int = 1) -> Work:
        """Return what reading a box ``(time, y, x)`` out of frames ``(y, x)`` is, so many times."""
        nbytes = math.prod(shape) * itemsize * passes
        return cls(passes * shape[0] * math.prod(shape[1:]) / max(1, math.prod(frame)), nbytes)

    def __add__(self, other: Work) -> Work:
        return Work(self.frames + other.frames, self.nbytes + other.nbytes)


NO_WORK = Work()


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a computation is.

    Attributes
    ----------
    tasks, all_tasks : int
        Tasks done, and all.
    done, whole : Work
        What the finished tasks worked on, and what all do; nothing where no task declares its work.
    """

    tasks: int
    all_tasks: int
    done: Work = NO_WORK
    whole: Work = NO_WORK

    @property
    def ended(self) -> bool:
        """Whether all tasks are done; those that put results together come after all bytes."""
        return self.tasks >= self.all_tasks

    @property
    def part(self) -> float:
        """Part of the work that is done, 0 to 1: of the bytes if they are known, else of the tasks."""
        done, whole = (
            (self.done.nbytes, self.whole.nbytes) if self.whole.nbytes else (self.tasks, self.all_tasks)
        )
        return min(1.0, done / whole) if whole else 1.0


@dataclass(frozen=True, slots=True)
class TaskTime:
    """When and where one task ran.

    Attributes
    ----------
    kind : str
        What tasks of its kind are called, such as ``slabs``.
    begin, seconds : float
        Seconds since 1970, and how long it took, from when it was given to a worker.
    worker : str
        Which worker ran it.
    work : Work
        What it worked on.
    """

    kind: str
    begin: float
    seconds: float
    worker: str
    work: Work = NO_WORK


class Watcher(ABC):
    """Is told how a computation goes on; stands wherever a callable ``(tasks done, all tasks)`` is expected."""

    def __call__(self, done: int, total: int) -> None:
        """Take what a verb reports that knows tasks only."""
        self.watch(Standing(done, total))

    @abstractmethod
    def watch(self, standing: Standing) -> None:
        """Take how far the computation is."""

    def time_tasks(self, times: Sequence[TaskTime]) -> None:  # noqa: B027 (nothing, by default)
        """Take how long tasks took, once the computation has ended, if `wants_times`."""

    @property
    def wants_times(self) -> bool:
        """Whether `time_tasks` is to be called."""
        return False
