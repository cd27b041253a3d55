"""Files for other tools, from the results that a job has completed."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from roitrace.export import check_export, export
from roitrace.formats.traces.format import TraceOptions
from roitrace.results import load
from roitrace.store.places import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.config.sections import ExportSection
    from roitrace.pipeline.job import Job

__all__ = ["check_exports", "exporting"]


def check_exports(job: Job) -> None:
    """Refuse exports that can be known to fail before the job begins.

    Raises
    ------
    ArgumentError, MissingDependencyError, OutputExistsError
        As `roitrace.export`.
    """
    for section in job.config.export:
        options = TraceOptions(
            roi_axis=section.roi_axis, layout=section.layout, into=section.into, metadata=section.metadata
        )
        check_export(place_of(section.path), section.format, options, overwrite=job.replaces(section.path))


@contextmanager
def exporting(job: Job) -> Iterator[None]:
    """Export when the block has completed the results store."""
    yield
    if not job.config.export:
        return
    tree = load(job.config.output.path)
    if "traces" not in tree.children:
        job.note("nothing was exported: there are no cells")
        return
    for section in job.config.export:
        _export_one(job, tree, section)


def _export_one(job: Job, tree: Any, section: ExportSection) -> None:
    name = place_of(section.path).name
    with job.step(f"export {name}") as progress, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        export(
            tree,
            **section.model_dump(),
            overwrite=job.replaces(section.path),
            progress=lambda _, done, total: progress(done, total),
            **job.limits,
        )
    for one in said:
        job.note(str(one.message))
