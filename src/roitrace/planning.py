"""What a job will take, said before it begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.outlook import Outlook, ReadOutlook, look_ahead, seconds_of
from roitrace.engine.places import limits_of, worker_processes
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.regions import RoiTable
from roitrace.engine.request import Request
from roitrace.engine.statistics import Statistic, moments_needed, resolve
from roitrace.engine.time_parameters import bins_of, in_frames, periods_of
from roitrace.extraction import requested
from roitrace.markup import facts_table
from roitrace.recording import blocks_of, check_recording
from roitrace.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xarray as xr
    from numpy.typing import ArrayLike

    from roitrace.rois import Rois

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """What a call of `extract` or `project` will take; `print` it, `check` it, or read its numbers.

    Attributes
    ----------
    recording : dict
        ``shape`` (time, y, x), ``dtype``, ``bytes``, and ``chunks``: what is decoded together.
    outlook : Outlook
        Reads, chunks, passes, tasks and memory.
    output_bytes : int
        Size of the results, uncompressed: what they take in memory, and at most on disk.
    budget, workers, processes : int
        What the job may use: bytes and tasks at once of a process, worker processes (1 without a cluster).
    seconds : float or None
        Estimated time, if about a second of the recording was read for it.
    """

    recording: dict[str, Any]
    outlook: Outlook
    output_bytes: int
    budget: int
    workers: int
    processes: int = 1
    seconds: float | None = None

    @property
    def bytes_to_read(self) -> int:
        """Decoded bytes of all passes."""
        return sum(read.bytes_decoded for read in self.outlook.reads)

    @property
    def peak_bytes(self) -> int:
        """Projected peak of anonymous memory, imports (`RESERVED_BYTES`) included."""
        return self.outlook.peak_bytes

    @property
    def fits(self) -> bool:
        """Whether the job stays within the budget."""
        return self.outlook.problem is None

    def check(self) -> Plan:
        """Return the plan if it fits.

        Raises
        ------
        BudgetError
            If it does not, with the numbers and the ways out.
        """
        if self.outlook.problem is not None:
            raise self.outlook.problem
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        reads = [asdict(read) for read in self.outlook.reads]
        return {
            "recording": self.recording,
            "bytes_to_read": self.bytes_to_read,
            "stored_bytes_to_read": self.outlook.stored_bytes,
            "reads": reads,
            "tasks": sum(read.tasks for read in self.outlook.reads),
            "workers": self.workers,
            "processes": self.processes,
            "reserved_bytes": RESERVED_BYTES,
            "peak_bytes": self.peak_bytes,
            "budget": self.budget,
            "fits": self.fits,
            "problem": None if self.outlook.problem is None else str(self.outlook.problem),
            "output_bytes": self.output_bytes,
            "seconds": self.seconds,
        }

    def _repr_html_(self) -> str:
        time, y, x = self.recording["shape"]
        facts = [
            ("recording", f"{time:,} frames of {y:,} by {x:,} {self.recording['dtype']}"),
            ("size", format_bytes(self.recording["bytes"])),
        ]
        facts += [
            (read.what, "; ".join(line.strip() for line in _paragraph(read)[1:]))
            for read in self.outlook.reads
        ]
        facts += [
            ("peak memory", f"{format_bytes(self.peak_bytes)} of a budget of {format_bytes(self.budget)}"),
            ("workers", f"{self.workers}"),
            ("results", format_bytes(self.output_bytes)),
        ]
        if self.seconds is not None:
            facts.append(("time", f"about {self.seconds:.0f} s"))
        return facts_table("Plan: it fits" if self.fits else f"Plan: {self.outlook.problem}", facts)

    def __str__(self) -> str:
        outlook, lines = self.outlook, [_headline(self.recording, direct=self.outlook.direct)]
        for read in outlook.reads:
            lines += _paragraph(read)
        if outlook.stored_bytes is not None:
            lines.append(f"from files   {format_bytes(outlook.stored_bytes)}")
        reserved = f"of it {format_bytes(RESERVED_BYTES)} reserved for the program"
        lines.append(
            f"peak memory  {format_bytes(self.peak_bytes)}, {reserved}; the budget is {format_bytes(self.budget)}"
        )
        if self.processes > 1:
            lines.append(
                f"on each of    {self.processes} workers of the cluster, {format_count(self.workers, 'thread')}"
            )
        lines.append(f"results      {format_bytes(self.output_bytes)}, and as much disk space at most")
        if self.seconds is not None:
            lines.append(f"time         about {self.seconds:.0f} s")
        lines.append("it fits" if self.fits else f"it does not fit: {outlook.problem}")
        return "\n".join(lines)


def _headline(known: dict[str, Any], *, direct: bool) -> str:
    time, y, x = known["shape"]
    chunks = " x ".join(f"{size:,}" for size in known["chunks"])
    size, where = (
        format_bytes(known["bytes"]),
        "read from its storage" if direct else "computed block by block",
    )
    return (
        f"recording    {time:,} frames of {y:,} x {x:,} {known['dtype']}, {size}, chunks of {chunks}, {where}"
    )


def _paragraph(read: ReadOutlook) -> list[str]:
    skipped = f", {read.chunks_skipped:,} skipped" if read.chunks_skipped else ""
    chunks = f"{format_count(read.chunks_read, 'chunk')}{skipped}"
    times = "once" if read.passes == 1 else f"{read.passes} times"
    tasks = f"{format_count(read.tasks, 'task')}, {min(read.workers, read.tasks)} at once"
    lines = [read.what, f"  reads      {format_bytes(read.bytes_decoded)} decoded: {chunks}, {times}"]
    lines.append(f"  runs       {tasks}, {format_bytes(read.task_bytes)} each")
    return [*lines, f"  because    {read.why}"] if read.why else lines


def plan(
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike | None = None,
    *,
    statistics: Statistic | str | Iterable[Statistic | str] | None = None,
    projections: Statistic | str | Iterable[Statistic | str] | None = None,
    overlap: str | Sequence[str] = "keep",
    neuropil: Rois | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    calibrate: bool = False,
) -> Plan:
    """Say what extracting traces, or projecting, will take, from metadata only.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    rois : Rois, DataArray or array_like, optional
        As for `extract`; without them, the plan is that of `project`.
    statistics : str, Statistic or several, optional
        As for `extract`.
    projections : str, Statistic or several, optional
        As for `project`; ``("mean", "max")`` if there are no ROIs, otherwise none.
    overlap, neuropil
        As for `extract`; only with ROIs.
    budget : str or int
        Memory that the job may use, imports included; ``"50%"`` is a share of what is free now.
    workers : int, optional
        Tasks at once; by default all processors.
    calibrate : bool
        Whether to read about one second of data, and to estimate the time.

    Returns
    -------
    Plan
        Always, even if the job would not fit: `Plan.check` refuses then.

    Raises
    ------
    ArgumentError, AlignmentError
        As `extract` and `project` do.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.zeros((60, 32, 32), dtype="uint16"), dims=("time", "y", "x")).chunk(time=20)
    >>> it = plan(movie, np.eye(32, dtype=bool), statistics="mean", workers=1)
    >>> it.fits, it.bytes_to_read, it.output_bytes
    (True, 122880, 480)
    """
    check_recording(recording)
    images: tuple[Statistic, ...] = ()
    if projections or rois is None:
        named = projections or ("mean", "max")
        images = in_frames(
            resolve(named, over_time=True), recording.attrs.get("frame_rate"), recording.sizes["time"]
        )
    table, pixels = RoiTable.empty(), np.zeros(0, dtype=np.int64)
    request = Request(moments=moments_needed(images), periods=periods_of(images), bins=bins_of(images))
    if rois is not None:
        table, pixels, request = requested(recording, rois, statistics, images, overlap, neuropil)
    array, limits = blocks_of(recording), limits_of(budget, workers)
    outlook = look_ahead(array, table, pixels, request, images, **limits._asdict())
    return Plan(
        recording={
            "shape": list(recording.shape),
            "dtype": str(recording.dtype),
            "bytes": recording.nbytes,
            "chunks": list(outlook.chunks),
        },
        outlook=outlook,
        output_bytes=_output_bytes(recording, table, request, images),
        budget=limits.budget,
        workers=limits.workers,
        processes=worker_processes(),
        seconds=seconds_of(array, table, pixels, request, outlook) if calibrate else None,
    )


def _output_bytes(
    recording: xr.DataArray, table: RoiTable, request: Request, images: tuple[Statistic, ...]
) -> int:
    frames, height, width = recording.shape
    rows = sum(last - first for first, last in request.spans_of(table))
    counts = table.sizes.size if request.statistics and recording.dtype.kind == "f" else 0
    return 8 * frames * rows + 4 * frames * counts + 8 * height * width * len(images)
