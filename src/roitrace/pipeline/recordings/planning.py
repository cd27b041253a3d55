"""What a job over many recordings will take: a row for each, and the totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roitrace.errors import RoitraceError
from roitrace.pipeline.planning import plan_job
from roitrace.pipeline.recordings.fingerprint import fingerprint_of, what_changed
from roitrace.pipeline.recordings.listing import close_to_setting
from roitrace.pipeline.recordings.outputs import OneRecording, configurations

if TYPE_CHECKING:
    from roitrace.config import Config

__all__ = ["RecordingsPlan", "plan_recordings"]


@dataclass(frozen=True)
class RecordingsPlan:
    """What the recordings of a job take.

    Attributes
    ----------
    rows : tuple of dict
        ``recording``; ``to_do`` (new, unchanged, changed, error: what is wrong); ``frames``, ``recording_bytes``, ``bytes_to_read``,
        ``disk_bytes``, ``peak_bytes``, ``seconds`` and ``fits``, None where it cannot be opened.
    notes : tuple of str
        What a person should know.
    """

    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()

    def totals(self) -> dict[str, Any]:
        """Return sums over the recordings that are to be done, and the largest peak."""
        busy = [row for row in self.rows if row["to_do"] != "unchanged" and row["frames"] is not None]
        seconds = [row["seconds"] for row in busy]
        return {
            "recordings": len(self.rows),
            "to_do": len(busy),
            "cannot_be_opened": sum(row["frames"] is None for row in self.rows),
            "frames": sum(row["frames"] for row in busy),
            "recording_bytes": sum(row["recording_bytes"] for row in busy),
            "bytes_to_read": sum(row["bytes_to_read"] for row in busy),
            "disk_bytes": sum(row["disk_bytes"] for row in busy),
            "peak_bytes": max((row["peak_bytes"] for row in busy), default=0),
            "seconds": sum(seconds) if seconds and None not in seconds else None,
            "fits": all(row["fits"] for row in busy),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"recordings": list(self.rows), "totals": self.totals(), "notes": list(self.notes)}


def plan_recordings(config: Config, *, calibrate: bool = False) -> RecordingsPlan:
    """Say what `run_recordings` will take with a configuration; one that cannot be opened says so in its row."""
    again, jobs = config.output.overwrite, configurations(config)
    rows = tuple(_row(one, again=again, calibrate=calibrate) for one in jobs)
    return RecordingsPlan(rows, tuple(close_to_setting(jobs[0].listed.labels)))


def _row(one: OneRecording, *, again: bool, calibrate: bool) -> dict[str, Any]:
    nothing = ("frames", "recording_bytes", "bytes_to_read", "disk_bytes", "peak_bytes", "seconds", "fits")
    row = {"recording": one.listed.name, **one.listed.labels}
    try:
        to_do = what_changed(one, fingerprint_of(one.config)) or ("overwrite" if again else "unchanged")
        job = plan_job(one.config, calibrate=calibrate)
    except RoitraceError as error:
        return row | {"to_do": f"error: {error}"} | dict.fromkeys(nothing)
    steps = list(job.steps.values())
    seconds = [step.seconds for step in steps if step.seconds is not None]
    return row | {
        "to_do": to_do,
        "frames": steps[0].recording["shape"][0],
        "recording_bytes": steps[0].recording["bytes"],
        "bytes_to_read": sum(step.bytes_to_read for step in steps),
        "disk_bytes": job.disk_bytes,
        "peak_bytes": max(step.peak_bytes for step in steps),
        "seconds": sum(seconds) if seconds else None,
        "fits": all(step.fits for step in steps),
    }
