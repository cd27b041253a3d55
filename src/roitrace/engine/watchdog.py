"""Wait for tasks on a cluster with an eye on their progress, so that a job whose workers are gone ends instead of waiting for ever."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
from dask.utils import format_time, parse_timedelta

from roitrace.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RESUME", "Pulse", "Vigil", "wait_for"]

RESUME = "run the same command again: what is finished is kept"
_WITHOUT_WORKERS = "roitrace.patience-without-workers"
_WITHOUT_PROGRESS = "roitrace.patience-without-progress"
_LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Pulse:
    """What the scheduler says of its work: workers that are connected, and seconds that finished tasks have taken so far."""

    workers: int
    computed: float


class Vigil:
    """Decides from one pulse after another whether the job still moves.

    Attributes
    ----------
    without_workers, without_progress : float
        How long to wait, s: with no worker connected once there was one; and with no task finished, whatever the workers are.
    """

    def __init__(self, without_workers: float, without_progress: float, now: float) -> None:
        self.without_workers = without_workers
        self.without_progress = without_progress
        self._computed = 0.0
        self._moved = self._staffed = now
        self._had_workers = False

    def look(self, pulse: Pulse, now: float) -> None:
        """Take note of a pulse.

        Raises
        ------
        JobError
            If nothing has moved for too long.
        """
        if pulse.computed != self._computed:
            self._computed, self._moved = pulse.computed, now
        if pulse.workers:
            self._had_workers, self._staffed = True, now
        if self._had_workers and now - self._staffed > self.without_workers:
            raise JobError(
                f"the cluster has had no worker for {format_time(now - self._staffed)}; all that were there are gone",
                f"{RESUME}; the dask setting {_WITHOUT_WORKERS} says how long to wait",
            )
        if now - self._moved > self.without_progress:
            raise JobError(
                f"no task has finished for {format_time(now - self._moved)} on {pulse.workers} workers",
                f"look at their logs and {RESUME}; the dask setting {_WITHOUT_PROGRESS} says how long to wait",
            )


def wait_for(client: Any, futures: Sequence[Any], tell: Callable[[], object] | None = None) -> None:
    """Wait until all futures have ended or one has failed; those that are left are cancelled if this raises.

    Parameters
    ----------
    client : distributed.Client
        Whose they are.
    futures : sequence of distributed.Future
        What to wait for.
    tell : callable, optional
        Called about twice a second.

    Raises
    ------
    JobError
        If the scheduler is gone, if no worker is left, if no task finishes for very long, or if the tasks kill their workers. How
        long is said by the dask settings ``roitrace.patience-without-workers`` (1 minute) and
        ``roitrace.patience-without-progress`` (30 minutes).
    """
    vigil = Vigil(
        parse_timedelta(dask.config.get(_WITHOUT_WORKERS, "1 minute")),
        parse_timedelta(dask.config.get(_WITHOUT_PROGRESS, "30 minutes")),
        time.monotonic(),
    )
    try:
        while not _ended(futures, _LOOK_EVERY):
            if tell is not None:
                tell()
            vigil.look(_pulse(client), time.monotonic())
        _raise_deaths(futures)
    except BaseException:
        # without this, workers would go on writing for a job that has ended
        if client.status == "running":
            client.cancel(list(futures), asynchronous=False)
        raise


def _ended(futures: Sequence[Any], timeout: float) -> bool:
    from distributed import wait  # noqa: PLC0415 - loads slowly

    try:
        wait(futures, timeout=timeout)
    except TimeoutError:
        return any(future.status in {"error", "cancelled", "lost"} for future in futures)
    except CancelledError:
        pass
    return True


def _pulse(client: Any) -> Pulse:
    """Ask the scheduler; the function travels by value, since the scheduler may not have this package."""

    def ask(dask_scheduler: Any) -> tuple[int, float]:
        done = sum(sum(one.all_durations.values()) for one in dask_scheduler.task_prefixes.values())
        return len(dask_scheduler.workers), done

    try:
        return Pulse(*client.run_on_scheduler(ask))
    except (OSError, TimeoutError, CancelledError) as error:
        raise JobError(f"the scheduler of the cluster does not answer: {error}", RESUME) from error


def _raise_deaths(futures: Sequence[Any]) -> None:
    """Say what killed workers or cancelled tasks; errors of the tasks themselves come out where their results are asked for."""
    from distributed import KilledWorker  # noqa: PLC0415

    for future in futures:
        if future.status in {"cancelled", "lost"}:
            raise JobError(
                "the cluster has lost the job's tasks: its scheduler ended or someone cancelled them", RESUME
            )
        if future.status != "error":
            continue
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise JobError(
                f"{error.allowed_failures + 1} workers died while they ran the same task (out of memory, or killed by the system)",
                f"give each worker more memory or the job a smaller budget, and {RESUME}",
            ) from error
