"""Options that several verbs share: declared once, as groups, and read into what the library expects."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path  # noqa: TC003 (typer reads the annotation)
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from roitrace.cli.completion import SCHEDULERS, setting_keys, words
from roitrace.cli.reporting import LogFormat, reporting
from roitrace.cli.schedulers import scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from roitrace.cli.reporting import Reporter
    from roitrace.engine.statistics import Statistic
    from roitrace.frame import Frame
    from roitrace.rois import Rois

__all__ = [
    "BaselineOptions",
    "Cluster",
    "ConfigFile",
    "JobOptions",
    "Json",
    "OptionalOutput",
    "Output",
    "Overwrite",
    "ReaderOptions",
    "RecordingOptions",
    "RecordingPath",
    "ReportOptions",
    "RoiFileOptions",
    "Scheduler",
    "Settings",
    "config_settings",
    "parse_numbers",
    "parse_settings",
    "parse_statistics",
    "with_groups",
]

RecordingPath = Annotated[
    str, typer.Argument(metavar="RECORDING", help="File, folder or store of a recording.")
]
Output = Annotated[
    str, typer.Argument(metavar="OUTPUT", help="The results store to write, by custom *.zarr.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that is there, once the new one is complete.")
]
OptionalOutput = Annotated[
    str | None, typer.Argument(metavar="[OUTPUT]", help="The results store to write; none if not given.")
]
ConfigFile = Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file; see roitrace init.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value, such as recording.path=movie.tif. Can be repeated.",
        autocompletion=setting_keys,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        help="threads, sync, processes, or tcp://host:port of a dask cluster; by default that of "
        "$DASK_SCHEDULER_ADDRESS, else threads.",
        autocompletion=words(*SCHEDULERS),
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="Start a cluster for this job: local (processes of this machine), or a YAML file such as configs/slurm.yaml.",
    ),
]
Span = Annotated[str | None, typer.Option(metavar="A:B")]


@dataclass(frozen=True)
class ReaderOptions:
    """What a user says about a recording file besides its path."""

    frame_rate: Annotated[
        float | None, typer.Option(metavar="HZ", help="Frames per second; wins over what the file says.")
    ] = None
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM", help="Micrometres: 1.3, or 1.3,1.2 for height and width; wins over the file."
        ),
    ] = None
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array in a file that holds several.")
    ] = None
    axes: Annotated[
        str | None, typer.Option(metavar="TYX", help="Order of the axes, where the file does not say it.")
    ] = None

    continuous: Annotated[
        bool, typer.Option("--continuous", help="Several files were recorded in one go: no sessions.")
    ] = False

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `open_recording` and `convert`."""
        given = {"dataset": self.dataset, "axes": self.axes, "continuous": self.continuous or None}
        return {
            "frame_rate": self.frame_rate,
            "pixel_size": _parse_pixel_size(self.pixel_size),
            **{name: value for name, value in given.items() if value is not None},
        }


@dataclass(frozen=True)
class RecordingOptions(ReaderOptions):
    """Which part of a recording is meant."""

    time: Annotated[str | None, typer.Option(metavar="A:B", help="Frames, such as 0:1000.")] = None
    y: Annotated[str | None, typer.Option(metavar="A:B", help="Rows.")] = None
    x: Annotated[str | None, typer.Option(metavar="A:B", help="Columns.")] = None
    channel: Annotated[str | None, typer.Option(metavar="N", help="Number or name of the channel.")] = None
    plane: Annotated[int | None, typer.Option(metavar="N", min=0, help="Number of the plane.")] = None
    shifts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Move frames by what suite2p, CaImAn or a CSV (frame, dy, dx) says."
        ),
    ] = None
    bad_frames: Annotated[
        str | None, typer.Option(metavar="FILE", help="Frames to leave out: a CSV, npy, ops.npy, or 3,17,20.")
    ] = None
    bad_frame_policy: Annotated[
        str, typer.Option(metavar="HOW", help="What becomes of them: nan, skip or interpolate.")
    ] = "nan"
    bad_pixels: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Pixels to leave out: a CSV (y, x) or a bool image (npy)."),
    ] = None

    def everything(self) -> dict[str, Any]:
        """Keyword arguments for `open_recording`, the part among them."""
        parts: dict[str, Any] = {
            axis: _parse_span(text) for axis, text in (("time", self.time), ("y", self.y), ("x", self.x))
        }
        channel = int(self.channel) if self.channel is not None and self.channel.isdecimal() else self.channel
        return {**self.arguments(), **parts, "channel": channel, "plane": self.plane}

    def corrections(self) -> dict[str, Any]:
        """Corrections as the section ``recording`` of a configuration says them; none where nothing is corrected."""
        from pathlib import Path

        bad = _parse_bad_frames(self.bad_frames)
        files = {"shifts": self.shifts, "bad_frames": bad, "bad_pixels": self.bad_pixels}
        given: dict[str, Any] = {
            name: str(Path(one).expanduser().absolute()) if isinstance(one, str) else list(one)
            for name, one in files.items()
            if one is not None
        }
        return given | ({"bad_frame_policy": self.bad_frame_policy} if bad is not None else {})

    def open(self, path: str) -> xr.DataArray:
        """Open the recording lazily."""
        from roitrace.recording import open_recording

        recording = open_recording(path, **self.everything())
        if (self.shifts, self.bad_frames, self.bad_pixels) == (None, None, None):
            return recording
        from roitrace.pipeline.corrections import Corrections, corrected_part

        bad = _parse_bad_frames(self.bad_frames)
        return corrected_part(
            Corrections(self.shifts, bad, self.bad_frame_policy, self.bad_pixels), recording
        )


@dataclass(frozen=True)
class RoiFileOptions:
    """What a user says about a file of ROIs besides its path."""

    axis_order: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            help="Which index of a pixel the file has first: yx, xy, or auto, which asks the frame and the image.",
        ),
    ] = "auto"
    support: Annotated[
        float,
        typer.Option(
            metavar="PART", help="Footprints with tails end where they fall below this part of their maximum."
        ),
    ] = 0.2

    def read(
        self,
        path: str,
        drawn_on: xr.DataArray | Frame | None,
        plane: int | None = None,
        *,
        as_mask: bool = False,
    ) -> Rois:
        """Read the ROIs."""
        from roitrace.roi_files import read_rois

        return read_rois(
            path,
            recording=drawn_on,
            axis_order=self.axis_order,
            support=self.support,
            plane=plane,
            as_mask=as_mask,
        )


@dataclass(frozen=True)
class ResourceOptions:
    """Where a job runs, and what it may use."""

    budget: Annotated[str, typer.Option(metavar="SIZE", help="Memory that the program may use.")] = "1 GiB"
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tasks at once; by default one per processor.")
    ] = None
    scheduler: Scheduler = None
    cluster: Cluster = None

    def limits(self) -> dict[str, Any]:
        """Budget and workers, as the lazy verbs take them."""
        return {"budget": self.budget, "workers": self.workers}


@dataclass(frozen=True)
class ReportOptions:
    """What is said while a verb works, and where to."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notes.")] = False
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Say more: each step as it begins and ends, and its tasks."),
    ] = False
    log: Annotated[
        LogFormat,
        typer.Option(metavar="FORMAT", help="text, or json: one object per line, on standard error."),
    ] = LogFormat.text
    log_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the log to a file instead; the screen stays as it is."),
    ] = None

    @contextmanager
    def reporting(self) -> Iterator[Reporter]:
        """Show how the work of a block goes on."""
        if self.quiet and self.verbose:
            raise typer.BadParameter("--quiet and --verbose say opposite things; give one")
        with reporting(
            quiet=self.quiet, verbose=self.verbose, log=self.log, log_file=self.log_file
        ) as reporter:
            yield reporter

    @contextmanager
    def running_on(self, where: str | None, workers: int | None, cluster: str | None) -> Iterator[Reporter]:
        """Set the scheduler for the time of a block, and show how its work goes on."""
        with self.reporting() as reporter, scheduler(where, workers, cluster):
            yield reporter


@dataclass(frozen=True)
class JobOptions(ReportOptions, ResourceOptions):
    """Where and how a job runs, and what it says."""

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Set the scheduler for the time of a block, and show how its work goes on."""
        with self.running_on(self.scheduler, self.workers, self.cluster) as reporter:
            yield reporter


@dataclass(frozen=True)
class BaselineOptions:
    """How a sliding F0 is found."""

    percentile: Annotated[
        float, typer.Option(metavar="P", help="Of the smoothed trace, for the baseline.")
    ] = 8.0
    window: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Of the baseline: such as '60 s' or '1800 frames'; all for everything."
        ),
    ] = "60 s"
    smoothing: Annotated[
        str, typer.Option(metavar="DURATION", help="Sigma of the Gaussian before it; 0 for none.")
    ] = "0.5 s"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the library's verbs."""
        return {
            "percentile": self.percentile,
            "window": None if self.window == "all" else self.window,
            "smoothing": None if self.smoothing == "0" else self.smoothing,
        }


def with_groups(verb: Callable[..., None]) -> Callable[..., None]:
    """Let typer see the options of a group in place of the parameter that is annotated with it."""
    seen = inspect.signature(verb, eval_str=True)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in seen.parameters.items() if is_dataclass(one.annotation)
    }
    parameters = [one for name, one in seen.parameters.items() if name not in groups]
    for group in groups.values():
        hints = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
            )
            for one in fields(group)
        ]

    @wraps(verb)
    def expanded(**typed: Any) -> None:
        made = {
            name: group(**{one.name: typed.pop(one.name) for one in fields(group)})
            for name, group in groups.items()
        }
        verb(**typed, **made)

    expanded.__signature__ = seen.replace(parameters=parameters)  # type: ignore[attr-defined]
    return expanded


def config_settings(
    settings: list[str] | None, budget: str | None, workers: int | None, *, overwrite: bool = False
) -> list[str]:
    """Return what replaces values of a configuration: the settings, and the options that stand for one."""
    more = list(settings or ())
    more += ["output.overwrite=true"] if overwrite else []
    more += [f"resources.budget={budget}"] if budget is not None else []
    return more + ([f"resources.workers={workers}"] if workers is not None else [])


def parse_numbers(text: str | None, count: int) -> tuple[int, ...]:
    """Read ``1000,256,256``; nothing gives nothing."""
    if text is None:
        return ()
    parts = text.split(",")
    if len(parts) != count or not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"{text!r}, expected {count} whole numbers with commas between")
    return tuple(int(part) for part in parts)


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Read several ``key=value`` and ``section.key=value``."""
    from roitrace.config.file import apply_settings

    values: dict[str, Any] = {}
    apply_settings(values, settings or ())
    return values


def parse_statistics(text: str, *, proportion_to_cut: float = 0.1) -> tuple[Statistic, ...]:
    """Read ``mean,median`` or ``mean,{percentile: {q: 90}}``."""
    from roitrace.config.file import parse_yaml
    from roitrace.config.statistics import make_statistics

    values = parse_yaml(f"[{text}]", "--statistics")
    return make_statistics(
        values if isinstance(values, list) else [values], proportion_to_cut=proportion_to_cut
    )


def _parse_span(text: str | None) -> slice | None:
    """Read ``100:200``, ``100:`` or ``:200``; None stays None."""
    if text is None:
        return None
    start, colon, stop = text.partition(":")
    if not colon or not all(not part.strip() or part.strip().isdecimal() for part in (start, stop)):
        raise typer.BadParameter(f"{text!r}, expected a span such as 100:200, 100: or :200")
    return slice(int(start) if start.strip() else None, int(stop) if stop.strip() else None)


def _parse_bad_frames(text: str | None) -> str | tuple[int, ...] | None:
    """Read ``3,17,20``; anything else is a file."""
    if text is None or not all(part.strip().isdecimal() for part in text.split(",")):
        return text
    return tuple(int(part) for part in text.split(","))


def _parse_pixel_size(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in {1, 2}:
        raise typer.BadParameter(
            f"{text!r}, expected a pixel size such as 1.3, or 1.3,1.2 for height and width"
        )
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])
