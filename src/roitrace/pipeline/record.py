"""How a job ran: a folder beside the store, since none of it changes what was computed."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.engine.places import active_client
from roitrace.engine.run import dashboard_link
from roitrace.formats.identity import content_identity
from roitrace.pipeline.job import run_folder
from roitrace.pipeline.performance import write_performance
from roitrace.pipeline.recording import copy_path
from roitrace.pipeline.report import page_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.config import Config
    from roitrace.pipeline.job import Job
    from roitrace.store.places import Location

__all__ = ["files_beside", "files_identity", "parameters_of", "peak_memory", "recorded"]

_NOT_PARAMETERS: dict[str, Any] = {
    # what is done about motion and bad frames is part of the source's identity
    "recording": {"path", "store", "convert", "shifts", "bad_frames", "bad_pixels"},
    "rois": {"path"},
    "figures": True,
    "report": True,
    "export": True,
    "output": True,
    "resources": True,
}


def parameters_of(job: Job, **more: Any) -> dict[str, Any]:
    """Return what the results depend on: no paths, and nothing about the way of running."""
    return job.config.model_dump(mode="json", exclude=_NOT_PARAMETERS) | more


def files_identity(config: Config) -> dict[str, Any]:
    """Return digests of what the files beside the recording hold, by the key that names them."""
    paths = {"rois.path": config.rois.path}
    return {f"content of {key}": content_identity(path) for key, path in paths.items() if path is not None}


def files_beside(config: Config) -> list[str]:
    """Return the files and folders besides the results that a job writes and that must not be there before."""
    page = page_file(config)
    copy = copy_path(config)
    return [*(one.path for one in config.export), *([] if page is None else [str(page)]), str(copy)]


@contextmanager
def recorded(job: Job) -> Iterator[None]:
    """Write how the job ran when it has ended: ``run.json``, or ``failure.json`` if it failed."""
    folder = run_folder(job.config.output.path)
    job.begin_log()
    # the log keeps it; a job that is killed at its very end must not leave word that it failed
    (folder / "failure.json").unlink(missing_ok=True)
    begin = datetime.now(UTC)
    job.log("the job begins")
    try:
        yield
    except BaseException as problem:
        job.log(f"the job fails: {type(problem).__name__}: {problem}")
        _write(folder / "failure.json", job, begin, {"error": f"{type(problem).__name__}: {problem}"})
        raise
    job.log("the job ends")
    _write(folder / "run.json", job, begin, {})
    _write_performance(folder, job)


def _write(path: Location, job: Job, begin: datetime, more: dict[str, str]) -> None:
    end = datetime.now(UTC)
    record = more | {
        "started": begin.isoformat(timespec="seconds"),
        "finished": end.isoformat(timespec="seconds"),
        "seconds": round((end - begin).total_seconds(), 3),
        "seconds_per_step": job.seconds,
        "peak_memory_bytes": peak_memory(),
        # what a budget means; of a cluster the workers use it, and not this process
        "peak_anonymous_bytes": None if active_client() is not None else job.performance.peak_bytes,
        "notes": job.notes,
        "plan": job.planned,
        "configuration": job.config.model_dump(mode="json"),
        "files": files_beside(job.config),
        "host": platform.node(),
        "processors": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "roitrace": version("roitrace"),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _write_performance(folder: Location, job: Job) -> None:
    """Write how each step did, beside what was planned for it."""
    steps = job.planned.get("steps", {})
    planned = {name: step["peak_bytes"] for name, step in steps.items()}
    about = {
        "budget": job.config.resources.budget,
        "workers": max((step["workers"] for step in steps.values()), default=None),
        "dashboard": dashboard_link(),
    }
    write_performance(folder, job.performance, planned, about)


def peak_memory() -> int | None:
    """Return the largest resident memory that this process has had, bytes; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would tell of the parent's memory too: Linux keeps that figure when a program is started
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
