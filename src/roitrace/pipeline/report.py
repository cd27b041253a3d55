"""The page that shows what a job made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from roitrace.store.places import place_of
from roitrace.view.report.report import check_report, report

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config import Config
    from roitrace.pipeline.job import Job
    from roitrace.store.places import Location

__all__ = ["check_page", "page_file", "write_page"]


def page_file(config: Config) -> Location | None:
    """Return where the page goes: the configured file, or one beside the store; None where none is wanted."""
    if config.report is None:
        return None
    return place_of(config.report.path or f"{config.output.path}.html")


def check_page(job: Job) -> None:
    """Refuse a place that is taken, before anything runs.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    """
    page = page_file(job.config)
    if page is not None:
        check_report(page, overwrite=job.replaces(page))


def write_page(job: Job, recording: xr.DataArray) -> None:
    """Write the page, from what is in the store and in the folder beside it; say so where Bokeh is missing."""
    page = page_file(job.config)
    if page is None:
        return
    if find_spec("bokeh") is None:
        job.note("no report: it needs the package bokeh; install it with: pip install 'roitrace[app]'")
        return
    section = job.config.figures
    with job.step("report"):
        report(
            job.config.output.path,
            page,
            recording=recording,
            example=None if section is None else section.example,
            overwrite=job.replaces(page),
            workers=job.config.resources.workers,
        )
