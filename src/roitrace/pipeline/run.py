"""The job as a whole: one step after the other."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.config import Config, make_config, read_config
from roitrace.file_errors import explained
from roitrace.pipeline.cells import NO_CELLS, find_cells, rois_identity, weigh_cells
from roitrace.pipeline.checks import check_early
from roitrace.pipeline.corrections import look_at_motion
from roitrace.pipeline.decisions import check_decisions, deciding
from roitrace.pipeline.exports import check_exports, exporting
from roitrace.pipeline.figures import draw_images, draw_traces
from roitrace.pipeline.job import Job, Note, Progress, Steps
from roitrace.pipeline.planning import plan_job
from roitrace.pipeline.projections import project_recording
from roitrace.pipeline.quality import judge_cells
from roitrace.pipeline.record import files_beside, files_identity, parameters_of, recorded
from roitrace.pipeline.recording import find_recording, identity_of, open_part, simulated_truth
from roitrace.pipeline.recordings.listing import check_single
from roitrace.pipeline.report import check_page, write_page
from roitrace.pipeline.traces import (
    compare_traces,
    correct_traces,
    normalize_traces,
    rings_of,
    valid_area,
    write_reference,
    write_traces,
)
from roitrace.pipeline.truth import match_cells, score
from roitrace.results import begun_files, check_output, load, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from roitrace.pipeline.decisions import Deciding
    from roitrace.results import ResultsWriter

__all__ = ["run"]


def run(
    config: Config | str | Path | Mapping[str, Any],
    *,
    progress: Progress | Steps | None = None,
    note: Note | None = None,
) -> xr.DataTree:
    """Run a whole job: from a recording to one labelled trace per cell, in bounded memory.

    Simulate the recording (if asked), project it, find the cells, weigh their pixels, draw rings of neuropil around them (if asked),
    extract traces by every statistic and overlap rule, subtract the neuropil, measure and judge the cells, normalize and compare
    the traces, draw figures, and write a page to look at it all. The recording is read twice. All results are in one store; a job that was stopped goes on where it was when
    the same job is run again, and ends with the same bytes. How the job ran is told in ``run.json`` in the folder ``<store>.run`` beside it. The table
    ``<store>.rois.csv`` beside it (roi, accepted, reason, note) may be edited: when the job runs again and overwrites the store, what
    was decided there about cells that are still there stays, and what changed is told.

    Parameters
    ----------
    config : Config, path or mapping
        What to do: a configuration, a YAML file (relative paths start at its folder) or its content.
    progress : callable or Steps, optional
        Called with the name of a step, its tasks done and all its tasks; or an object whose `step` gives a watcher for each.
    note : callable, optional
        Called with sentences for a person.

    Returns
    -------
    DataTree
        The results store, opened lazily, with the groups ``projections``, ``mask``, ``rois``, ``motion`` and, if there are cells,
        ``traces``, ``quality``, ``normalized``, ``comparison``; where neuropil is subtracted ``neuropil`` (the rings) and ``corrected``
        (F, Fneu, Fcorr, r), for ratios ``reference``; for a simulated recording also ``truth``.

    Raises
    ------
    ConfigError
        If the configuration is wrong; before anything runs.
    OutputExistsError
        If the output is there and may not be overwritten; nothing is touched.
    BudgetError
        If a step does not fit the memory that it may use.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tree = run({
    ...         "simulate": {"shape": [300, 64, 64], "n_rois": 6, "seed": 1},
    ...         "recording": {"path": f"{folder}/recording.zarr"},
    ...         "output": {"path": f"{folder}/results.zarr"},
    ...         "figures": None,
    ...     })
    ...     sorted(tree.children)
    ['comparison', 'mask', 'motion', 'normalized', 'projections', 'quality', 'rois', 'traces', 'truth']
    """
    job = Job(_as_config(config), progress, note)
    check_single(job.config)
    output = job.config.output
    check_output(output.path, overwrite=output.overwrite)
    job.begun.update(begun_files(output.path))
    check_exports(job)
    check_page(job)
    check_decisions(output.path)
    with explained(), ExitStack() as until_all_is_written:
        with recorded(job):
            recording = find_recording(job)
            check_early(job, recording)
            job.planned.update(plan_job(job.config).to_dict())
            source = identity_of(open_part(job.config.recording))
            parameters = parameters_of(job)
            writer = until_all_is_written.enter_context(
                writing(
                    output.path,
                    overwrite=output.overwrite,
                    parameters=parameters,
                    source=source,
                    more=files_identity(job.config),
                    files=files_beside(job.config),
                )
            )
            with exporting(job), deciding(output.path, job.note) as decisions:
                _fill(job, recording, writer, decisions, source)
                writer.complete()
        # the page tells how the job ran
        write_page(job, recording)
    return load(output.path)


def _fill(job: Job, recording: xr.DataArray, writer: ResultsWriter, decisions: Deciding, source: str) -> None:
    """Take all steps; what an interrupted job has finished is read from the store."""
    look_at_motion(job, recording, writer)
    images = project_recording(job, recording, writer)
    mask, rois = find_cells(job, recording, images)
    rois = decisions.update(weigh_cells(job, recording, decisions.apply(rois), images))
    valid = valid_area(images)
    rings = rings_of(job.config.neuropil_used, rois, valid) if len(rois) else None
    writer.describe(
        parameters=parameters_of(job, rois_identity=rois_identity(rois)),
        source=source,
    )
    writer.write({"mask": mask, "rois": decisions.to_dataset()})
    if rings is not None:
        writer.write({"neuropil": rings})
    draw_images(job, images, mask, rois)

    truth = simulated_truth(job)
    pairs = None if truth is None else match_cells(rois, truth, writer)
    if len(rois):
        cells = {"traces": rois} | ({} if truth is None else {"truth/traces": truth.rois})
        write_traces(job, recording, cells, valid, writer)
        write_reference(job, rois, writer)
        correct_traces(job, writer)
        rois = judge_cells(job, rois, writer, decisions)
        normalize_traces(job, writer)
        compare_traces(job, writer)
        if truth is not None and pairs is not None:
            score(job, truth, pairs, writer)
        draw_traces(job, recording, images, rois, writer)
    else:
        job.note(f"{NO_CELLS}; projections and an empty mask are saved")


def _as_config(config: Config | str | Path | Mapping[str, Any]) -> Config:
    if not isinstance(config, Config):
        config = read_config(config) if isinstance(config, str | Path) else make_config(config)
    if config.output.extend:
        replacing = config.output.model_copy(update={"overwrite": True})
        return config.model_copy(update={"output": replacing})
    return config
