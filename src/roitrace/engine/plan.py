"""How a job is cut: batches, slabs and tiles, and the memory of a task. Pure functions of integers."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from roitrace.errors import BudgetError
from roitrace.units import format_budget, format_bytes

__all__ = [
    "LEAF_FRAMES",
    "RESERVED_BYTES",
    "TILE_BYTES",
    "Job",
    "SlabPlan",
    "batch_and_tile",
    "block_bytes",
    "chunk_borders",
    "frames_at_once",
    "grow_block",
    "least_slabs",
    "plan_blocks",
    "plan_slabs",
]

LEAF_FRAMES = 256
"""Frames of a leaf: float sums over time add within leaves first, then leaves by number."""

RESERVED_BYTES = 300 * 2**20
"""Anonymous memory of a Python process with this package and what it rests on imported and compiled code loaded."""

TILE_BYTES = 2**20
MATRIX_BYTES = 64 * 2**20
LEAST_BATCH_FRAMES = 64
SLAB_BYTES = 64 * 2**20
OUTPUT_BYTES = 32 * 2**20
MIN_TASKS_PER_WORKER = 2
BATCHES_PER_SLAB = 4
"""As many as a file of traces of hundreds of ROIs holds: then a worker that read a slab writes its files, and few tasks do much."""


def grow_block(
    chunks: tuple[int, int, int], shape: tuple[int, int, int], itemsize: int, target_bytes: int
) -> tuple[int, int, int]:
    """Grow a chunk ``(time, y, x)`` to whole multiples, along x, then y, then time, up to about `target_bytes`.

    Examples
    --------
    >>> grow_block((1, 512, 512), (1000, 512, 512), 2, 2**21)
    (4, 512, 512)
    """
    steps = list(chunks)
    for axis in (2, 1, 0):
        size = math.prod(steps) * itemsize
        factor = max(1, min(target_bytes // max(size, 1), -(-shape[axis] // steps[axis])))
        steps[axis] *= factor
    return steps[0], steps[1], steps[2]


def chunk_borders(size: int, step: int, offset: int) -> list[int]:
    """Return the borders of pieces of `step` over `size`, both ends included, the first piece cut short by `offset`.

    Examples
    --------
    >>> chunk_borders(10, 4, 1)
    [0, 3, 7, 10]
    """
    return sorted({0, *range(step - offset % step, size, step), size})


@dataclass(frozen=True)
class Job:
    """What one call asks of one recording, in integers.

    Attributes
    ----------
    shape, chunks, offset : tuple of int
        Of the recording and its storage chunks ``(time, y, x)``.
    itemsize : int
        Bytes of a sample.
    n_entries, largest_roi : int
        Pixels of all ROIs that are gathered, and of the largest.
    n_rows : int or None
        Of the gathered pixels, those that are held at once; None for all.
    n_summed : int
        Pixels of ROIs that are only added up.
    output_bytes : int
        What a task gives back, bytes per frame.
    batch_bytes : int
        What aggregating needs on the way, bytes per frame of a batch.
    image_bytes : int
        Accumulators of the projections, bytes per pixel of the frame; 0 without projections.
    leaf_aligned : bool
        Whether slabs must begin on leaves (float sums over time).
    in_order : bool
        Whether sums over time have to go on from one slab to the next.
    halo : int
        Rows, besides those of a tile, that a reader keeps of the frames that are read together.
    ahead_bytes : int
        What a reader fetches before it is asked for.
    start : int
        First frame that is read, on a border of chunks: the sums over those before are known. They take the place of the sums that a
        lane carries from slab to slab, so that they need no more memory.
    stop : int or None
        Frame, on a border of chunks, up to which sums are wanted besides; None if they are not.
    """

    shape: tuple[int, int, int]
    chunks: tuple[int, int, int]
    offset: tuple[int, int, int]
    itemsize: int
    n_entries: int = 0
    n_rows: int | None = None
    n_summed: int = 0
    largest_roi: int = 0
    output_bytes: int = 0
    batch_bytes: int = 0
    image_bytes: int = 0
    leaf_aligned: bool = False
    in_order: bool = False
    halo: int = 0
    ahead_bytes: int = 0
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class SlabPlan:
    """How a job runs: one task per slab of frames; a slab is read in batches, a batch in tiles.

    Attributes
    ----------
    bounds : tuple of tuple of int
        First and last (excluded) frame of each slab.
    batch_frames : int
        Frames gathered at once, whole storage chunks.
    tile : tuple of int
        Height and width of one read.
    lanes : int
        Chains of slabs that follow one another. A slab waits for the one before it in its lane, so that no more slabs run
        at once than there are lanes, and goes on with its sums over time. 0 if slabs do not wait.
    task_bytes : int
        Memory of one task at its peak.
    workers : int
        Tasks at once.
    tail : int
        Slabs at the end, in no lane, that follow one another when all lanes have ended.
    """

    bounds: tuple[tuple[int, int], ...]
    batch_frames: int
    tile: tuple[int, int]
    lanes: int
    task_bytes: int
    workers: int
    tail: int = 0

    @property
    def peak_bytes(self) -> int:
        """Projected peak of the whole job, imports included."""
        return RESERVED_BYTES + self.workers * self.task_bytes

    @property
    def lane_ends(self) -> tuple[int, ...]:
        """Last slab of each lane."""
        in_lanes = len(self.bounds) - self.tail
        return tuple(in_lanes * lane // self.lanes - 1 for lane in range(1, self.lanes + 1))

    def before(self, number: int) -> int | None:
        """Return the slab that a slab waits for; None if it need not wait."""
        if self.lanes == 0 or number == 0 or number - 1 in self.lane_ends:
            return None
        return number - 1


def plan_slabs(job: Job, budget: int, workers: int, processors: int = 1, processes: int = 1) -> SlabPlan:
    """Cut a job into slabs that fit the budget of a process, with as many workers in it as that allows.

    `processors` is how many tasks would run at once in a process if they did not wait for one another. Several `processes` have as many
    lanes each; but where not all of a process's workers fit, no more slabs run at once in all than fit into one, since
    nobody says which process takes which lane.

    Raises
    ------
    BudgetError
        If not even one worker with the smallest slab fits.
    """
    batch, tile, unit, chained = _grain(job)
    for count in range(workers, 0, -1):
        room = (budget - RESERVED_BYTES) // count
        frames = _slab_frames(job, unit, tile, room, workers * processes)
        if frames:
            bounds, needed = _bounds(job, frames), _task_bytes(job, frames, batch, tile)
            waits = job.image_bytes or count < max(workers, processors)
            together = count * processes if count == workers else count
            tail = 0 if job.stop is None else sum(first >= job.stop for first, _ in bounds)
            lanes = min(1 if chained else together, len(bounds) - tail) if waits else 0
            return SlabPlan(bounds, batch, tile, lanes, needed, count, tail)
    smallest = _task_bytes(job, unit, batch, tile)
    raise BudgetError(
        f"one task needs {format_bytes(smallest)} ({_largest_part(job, unit, batch, tile)}) and the program itself "
        f"{format_bytes(RESERVED_BYTES)}, the budget is {format_bytes(budget)}",
        f"give budget={format_budget(RESERVED_BYTES + smallest)!r} or more, ask for fewer ROIs or statistics at once, or "
        "convert the recording to smaller chunks",
    )


def least_slabs(job: Job) -> int:
    """Return the smallest budget with which `plan_slabs` finds a plan."""
    batch, tile, unit, _ = _grain(job)
    return RESERVED_BYTES + _task_bytes(job, unit, batch, tile)


def batch_and_tile(job: Job) -> tuple[int, tuple[int, int]]:
    """Return the frames of a batch and the height and width of one read, whatever the budget."""
    batch, tile, _, _ = _grain(job)
    return batch, tile


def _grain(job: Job) -> tuple[int, tuple[int, int], int, bool]:
    """Return the frames of a batch, the tile, the least frames of a slab, and whether sums go on from slab to slab."""
    batch = _batch_frames(job)
    # without projections chunks are read one by one: those between them hold no pixel of any ROI
    tile = job.chunks[1:]
    if not job.image_bytes:
        return batch, tile, batch, False
    tile = grow_block((batch, *tile), job.shape, job.itemsize, TILE_BYTES)[1:]
    if not job.leaf_aligned:
        return batch, tile, batch, False
    whole = math.lcm(batch, LEAF_FRAMES)
    chained = job.in_order or job.offset[0] != 0 or whole > 16 * max(batch, LEAF_FRAMES)
    return batch, tile, batch if chained else whole, chained


def plan_blocks(job: Job, chunks: tuple[int, ...], budget: int) -> tuple[tuple[int, int], ...]:
    """Group the blocks of a foreign dask array along time: first and last (excluded) block of each slab.

    `job.chunks` is its largest block. Raises `BudgetError` if the blocks of one worker do not fit the budget.
    """
    parts = _block_parts(job, max(chunks))
    needed = sum(parts.values())
    if RESERVED_BYTES + needed > budget:
        name = max(parts, key=lambda one: parts[one])
        raise BudgetError(
            f"one task over blocks of {job.chunks} needs {format_bytes(needed)} (mostly {name}, {format_bytes(parts[name])}) "
            f"and the program itself {format_bytes(RESERVED_BYTES)}, the budget is {format_bytes(budget)}",
            f"give budget={format_budget(RESERVED_BYTES + needed)!r} or more, or rechunk the recording along time",
        )
    room = budget - RESERVED_BYTES - parts["blocks of the array"]
    each = _block_parts(job, 1)
    limit = min(LEAF_FRAMES, room // max(1, each["pixel matrix"] + each["traces"]))
    groups = []
    first, frames = 0, 0
    for number, size in enumerate(chunks):
        if frames and frames + size > limit:
            groups.append((first, number))
            first, frames = number, 0
        frames += size
    return (*groups, (first, len(chunks)))


def block_bytes(job: Job, frames: int) -> int:
    """Memory of a task over blocks of a foreign dask array, of up to so many frames."""
    return sum(_block_parts(job, frames).values())


def _block_parts(job: Job, frames: int) -> dict[str, int]:
    block = math.prod(job.chunks) * job.itemsize
    return {
        "blocks of the array": 2 * block + 8 * job.image_bytes * job.chunks[1] * job.chunks[2],
        "pixel matrix": 2 * job.n_entries * job.itemsize * frames,
        "traces": (2 * job.output_bytes + job.batch_bytes) * frames,
    }


def _batch_frames(job: Job) -> int:
    """Whole storage chunks of up to 256 frames, fewer where the pixel matrix gets large; one chunk where it is longer."""
    frames = job.chunks[0]
    fitting = MATRIX_BYTES // max(1, job.n_entries * job.itemsize)
    wanted = min(LEAF_FRAMES, max(LEAST_BATCH_FRAMES, fitting), max(job.shape[0], 1))
    return frames * max(1, wanted // frames)


def _slab_frames(job: Job, unit: int, tile: tuple[int, ...], room: int, workers: int) -> int:
    """Largest useful multiple of `unit` whose task fits into `room`; 0 if none does."""
    frame_bytes = job.itemsize * (
        job.shape[1] * job.shape[2] if job.image_bytes else max(1, 4 * (job.n_entries + job.n_summed))
    )
    parallel = -(-(job.shape[0] - job.start) // (MIN_TASKS_PER_WORKER * workers))
    useful = min(SLAB_BYTES // max(1, frame_bytes), OUTPUT_BYTES // max(1, job.output_bytes))
    frames = unit * _power_of_two(min(max(useful, BATCHES_PER_SLAB * unit), parallel) // unit)
    batch = _batch_frames(job)
    while frames > unit and _task_bytes(job, frames, batch, tile) > room:
        frames = max(unit, frames // 2 // unit * unit)
    return frames if _task_bytes(job, frames, batch, tile) <= room else 0


def _power_of_two(most: int) -> int:
    """Return the largest power of two up to `most`, at least 1: slabs end where files of traces end."""
    return 1 << max(0, most.bit_length() - 1)


def _parts(job: Job, frames: int, batch: int, tile: tuple[int, ...]) -> dict[str, int]:
    frames, batch = min(frames, max(job.shape[0], 1)), min(batch, max(job.shape[0], job.chunks[0], 1))
    pixels = min(tile[0], job.shape[1]) * min(tile[1], job.shape[2])
    together = min(batch, frames_at_once(job.chunks[0], pixels * job.itemsize))
    read = together * pixels * job.itemsize
    kept = together * min(tile[0] + job.halo, job.shape[1]) * job.shape[2] * job.itemsize if job.halo else 0
    chunk = math.prod(job.chunks) * job.itemsize
    return {
        "decoded chunks": 2 * max(read, chunk) + chunk + kept,
        "what is fetched ahead": job.ahead_bytes,
        "pixel matrix": (job.n_entries if job.n_rows is None else job.n_rows) * batch * job.itemsize,
        "sorting": job.largest_roi * max(256, 128 * job.itemsize),
        "traces": 2 * job.output_bytes * frames + job.batch_bytes * batch,
        "projections": 4 * job.image_bytes * job.shape[1] * job.shape[2],
        "table of ROIs": 40 * (job.n_entries + job.n_summed),
        "summed pixels": 2 * TILE_BYTES if job.n_summed else 0,
    }


def frames_at_once(chunk_frames: int, tile_bytes: int) -> int:
    """Return how many frames of a tile are read together: whole chunks, no more than stay in a cache."""
    return chunk_frames * max(1, TILE_BYTES // max(1, chunk_frames * tile_bytes))


def _task_bytes(job: Job, frames: int, batch: int, tile: tuple[int, ...]) -> int:
    return sum(_parts(job, frames, batch, tile).values()) + 4 * 2**20


def _largest_part(job: Job, frames: int, batch: int, tile: tuple[int, ...]) -> str:
    parts = _parts(job, frames, batch, tile)
    name = max(parts, key=lambda one: parts[one])
    return f"mostly {name}, {format_bytes(parts[name])}"


def _bounds(job: Job, frames: int) -> tuple[tuple[int, int], ...]:
    """Cut what is read on storage chunks, so that no chunk is read by two slabs; where nothing is left, one slab has no frames."""
    end = job.shape[0]
    cuts = {one for one in chunk_borders(end, frames, job.offset[0]) if one > job.start} | {job.start}
    cuts |= set() if job.stop is None else {job.stop}
    return tuple(itertools.pairwise(sorted(cuts))) or ((end, end),)
