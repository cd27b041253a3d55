"""The job of many recordings: one after the other, each with all workers; a failing one does not stop the others."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from roitrace.config import Config, make_config, read_config
from roitrace.errors import ConfigError, RoitraceError
from roitrace.pipeline.recordings.fingerprint import fingerprint_of, keep_fingerprint, what_changed
from roitrace.pipeline.recordings.listing import close_to_setting, is_many
from roitrace.pipeline.recordings.outputs import OneRecording, configurations, summary_path
from roitrace.pipeline.recordings.summary import row_of, write_summary
from roitrace.pipeline.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from roitrace.pipeline.job import Note, Progress, Steps
    from roitrace.store.places import Location

__all__ = ["RecordingsSummary", "run_recordings"]


@dataclass(frozen=True)
class RecordingsSummary:
    """How the recordings of a job went.

    Attributes
    ----------
    rows : tuple of dict
        One per recording: its name, status (done, unchanged, failed), labels, cells, accepted cells, frames, seconds, medians of
        the measures of quality over accepted cells, error, output, path.
    files : tuple of Path
        The same as tables.
    """

    rows: tuple[dict[str, Any], ...]
    files: tuple[Location, ...]

    @property
    def failed(self) -> dict[str, str]:
        """Recordings that failed, and why."""
        return {row["recording"]: row["error"] for row in self.rows if row["status"] == "failed"}

    def to_dataframe(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame."""
        import pandas as pd  # noqa: PLC0415 (loads slowly)

        return pd.DataFrame(list(self.rows))


@runtime_checkable
class _Parts(Protocol):
    """Can show that steps belong to one of several recordings."""

    def within(self, title: str, number: int, count: int, /) -> AbstractContextManager[None]: ...


def run_recordings(
    config: Config | str | Path | Mapping[str, Any],
    *,
    progress: Progress | Steps | None = None,
    note: Note | None = None,
) -> RecordingsSummary:
    """Run the same job on many recordings; those whose results still hold are passed over.

    ``recording.path`` is a pattern or a table, ``output.path`` a folder or a template such as ``results/{animal}/{name}.zarr``. Each
    recording gets a results store of its own, made as `run` does, one after the other with all workers. Results are made anew where the
    configuration, the content of the recording or of the ROIs, or the table of decisions has changed, and replaced once they are
    complete.

    Parameters
    ----------
    config : Config, path or mapping
        What to do, as for `run`.
    progress : callable, optional
        Called with the name of a step, its tasks done and all its tasks.
    note : callable, optional
        Called with sentences for a person.

    Returns
    -------
    RecordingsSummary
        A row for each recording; also written to ``output.summary`` as CSV and Parquet.

    Raises
    ------
    ConfigError
        If the configuration or the table is wrong, or two recordings would share an output; before anything runs.
    OutputExistsError
        If something else lies where results would go; before anything runs.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> random = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day in ("monday", "tuesday"):
    ...         movie = random.poisson(20, (40, 32, 32))
    ...         movie[:, 8:16, 8:16] += random.poisson(60, (40, 1, 1))
    ...         np.save(f"{folder}/{day}.npy", movie.astype("uint16"))
    ...     summary = run_recordings({
    ...         "recording": {"path": f"{folder}/*.npy", "frame_rate": 10},
    ...         "rois": {"segment": {"cell_diameter": "9 px"}},
    ...         "output": {"path": f"{folder}/results"},
    ...         "figures": None,
    ...     })
    ...     [(row["recording"], row["status"], row["cells"]) for row in summary.rows]
    [('monday', 'done', 1), ('tuesday', 'done', 1)]
    """
    checked = _as_config(config)
    if not is_many(checked):
        raise ConfigError(
            "recording.path and output.path describe one recording",
            "give recording.path a pattern or a table, and output.path a folder; or call run",
        )
    jobs = configurations(checked)
    tell = note or (lambda _: None)
    for sentence in close_to_setting(jobs[0].listed.labels):
        tell(sentence)
    rows = [row_of(one, "not run") for one in jobs]
    files: list[Location] = []
    try:
        for number, one in enumerate(jobs):
            with _within(progress, one.listed.name, number + 1, len(jobs)):
                rows[number] = _one(one, progress, tell, again=checked.output.overwrite)
    finally:
        files = write_summary(rows, summary_path(checked))
    return RecordingsSummary(tuple(rows), tuple(files))


def _one(one: OneRecording, progress: Progress | Steps | None, tell: Note, *, again: bool) -> dict[str, Any]:
    """Run the job of one recording, if there is a reason; return its row."""
    begin = time.perf_counter()
    try:
        fingerprint = fingerprint_of(one.config)
        reason = what_changed(one, fingerprint) or ("asked to overwrite" if again else None)
        if reason is None:
            return row_of(one, "unchanged")
        if reason != "new":
            tell(f"{one.listed.name} is run again, {reason}")
        # these results are this job's own; what lies elsewhere is not, and only --overwrite replaces it
        output = one.config.output.model_copy(update={"overwrite": again or reason != "new"})
        keep_fingerprint(one, fingerprint, complete=False)
        run(one.config.model_copy(update={"output": output}), progress=progress, note=tell)
        keep_fingerprint(one, fingerprint, complete=True)
        return row_of(one, "done")
    except Exception as error:  # noqa: BLE001
        # whatever is wrong with one recording must not stop the others
        words = str(error) if isinstance(error, RoitraceError) else f"{type(error).__name__}: {error}"
        tell(f"{one.listed.name} failed: {words}")
        return row_of(one, "failed", error=words, seconds=time.perf_counter() - begin)


def _within(progress: object, title: str, number: int, count: int) -> AbstractContextManager[None]:
    return progress.within(title, number, count) if isinstance(progress, _Parts) else nullcontext()


def _as_config(config: Config | str | Path | Mapping[str, Any]) -> Config:
    if isinstance(config, Config):
        return config
    return read_config(config) if isinstance(config, str | Path) else make_config(config)
