"""``check``: does a recording move, and which frames and pixels are no good."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import JobOptions, Json, Overwrite, RecordingOptions, RecordingPath, with_groups
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from roitrace.motion import MotionSummary

__all__ = ["check", "motion_facts"]


@with_groups
def check(
    path: RecordingPath,
    *,
    frames_to: Annotated[
        str | None, typer.Option("--save-bad-frames", metavar="CSV", help="Write the bad frames: frame, why.")
    ] = None,
    pixels_to: Annotated[
        str | None, typer.Option("--save-bad-pixels", metavar="CSV", help="Write the bad pixels: y, x.")
    ] = None,
    saturation: Annotated[
        float | None,
        typer.Option(metavar="COUNTS", help="Largest value of the detector; that of the dtype if not given."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    part: RecordingOptions,
    job: JobOptions,
) -> None:
    """Look for motion, for bad frames and for bad pixels.

    Reads the recording twice. What it writes may be edited; extract --bad-frames, and recording.bad_frames of a
    configuration, take it.

    For example::

        roitrace check movie.tif --save-bad-frames bad.csv
    """
    if part.bad_frames is not None and part.bad_frame_policy == "skip":
        raise typer.BadParameter(
            "check counts frames of the file: give --bad-frame-policy nan with --bad-frames"
        )
    with job.running() as reporter:
        import numpy as np

        from roitrace.engine.run import execute
        from roitrace.errors import ArgumentError, OutputExistsError
        from roitrace.frame_checks import FRAME_FLAGS, find_bad_frames, find_bad_pixels
        from roitrace.motion import residual_motion, summarize_motion
        from roitrace.projection import project
        from roitrace.urls import is_url

        for output in (frames_to, pixels_to):
            if is_url(output):
                raise ArgumentError(
                    f"{output} is no file on disk", "give the name of a file, such as bad.csv"
                )
            if output is not None and Path(output).exists() and not overwrite:
                raise OutputExistsError(f"{output} exists already", "choose another name, or --overwrite")
        recording = part.open(path)
        (motion,) = execute(
            residual_motion(recording, **job.limits()), workers=job.workers, progress=reporter.step("motion")
        )
        (frames,) = execute(
            find_bad_frames(recording, saturation=saturation, **job.limits()),
            workers=job.workers,
            progress=reporter.step("frames"),
        )
        (images,) = execute(
            project(recording, "mean", **job.limits()), workers=job.workers, progress=reporter.step("pixels")
        )
        first = _firsts(part)
        reasons = frames["reason"].values
        bad = [
            (
                int(frame) + first["time"],
                " ".join(name for name, bit in FRAME_FLAGS.items() if reasons[frame] & bit),
            )
            for frame in np.flatnonzero(reasons)
        ]
        pixels = np.add(np.argwhere(find_bad_pixels(images["mean"]).values), [first["y"], first["x"]])
        if frames_to is not None:
            _write(frames_to, ("frame", "why"), bad)
        if pixels_to is not None:
            _write(pixels_to, ("y", "x"), pixels.tolist())
    summary = summarize_motion(motion)
    facts = {
        "path": path,
        **motion_facts(summary),
        **_counts(reasons, FRAME_FLAGS),
        "bad_pixels": len(pixels),
    }
    print_facts(facts, as_json=as_json)
    if summary.warning is not None and not as_json:
        typer.echo(summary.warning)


def motion_facts(summary: MotionSummary) -> dict[str, Any]:
    """Return what there is to say about motion."""
    return {
        "sampled_frames": summary.samples,
        "displacement_median_px": round(summary.median, 2),
        "displacement_95_percentile_px": round(summary.percentile_95, 2),
        "displacement_largest_px": round(summary.largest, 2),
    }


def _counts(reasons: NDArray[Any], flags: dict[str, int]) -> dict[str, int]:
    counts = {f"bad_frames_{name}": int((reasons & bit > 0).sum()) for name, bit in flags.items()}
    return {"bad_frames": int((reasons > 0).sum())} | {name: count for name, count in counts.items() if count}


def _firsts(part: RecordingOptions) -> dict[str, int]:
    """Return where the part begins in the file: what is written counts frames and pixels of the file."""
    spans = {"time": part.time, "y": part.y, "x": part.x}
    return {axis: int((span or "").partition(":")[0].strip() or 0) for axis, span in spans.items()}


def _write(path: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
