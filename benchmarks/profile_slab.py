"""Where the time of one slab task goes, on one thread: ``python -m benchmarks.profile_slab [--layout ...] [--what ...]``.

The parts are timed inside the real task: the functions below are wrapped while it runs, which costs about a microsecond per call. Times
are those of the processor, so that others on the machine disturb them little.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import roitrace as rt
from benchmarks.bare import BareStore, bare_decode
from benchmarks.ours import ASKED, WITH_NEUROPIL, build, rois_on
from benchmarks.workloads import LAYOUTS, SCALES, Files, Workload, default_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PARTS", "Profile", "main", "profile_slabs"]

PARTS = {
    "read": ("roitrace.store.chunk_files:LocalChunks.fill",),
    "checksum": ("roitrace.store.decode:crc32c",),
    "decode": ("roitrace.store.decode:ChunkDecoder._decompress", "roitrace.store.decode:blosc.decompress"),
    "indexes, tiles of several chunks": ("roitrace.store.reader:_DirectReader.read",),
    "gather": ("roitrace.engine.slab:gather", "roitrace.engine.sums:gather"),
    "projections": ("roitrace.engine.moments:Moments.add", "roitrace.engine.moments:Moments.advance"),
    "sums": (
        "roitrace.engine.aggregation:sum_integer",
        "roitrace.engine.aggregation:sum_float",
        "roitrace.engine.sums:add_parts",
    ),
    "sorting": ("roitrace.engine.aggregation:order_integer", "roitrace.engine.aggregation:order_float"),
    "tables, divisions, labels of a batch": (
        "roitrace.engine.aggregation:Aggregator.__init__",
        "roitrace.engine.aggregation:Aggregator.begin",
        "roitrace.engine.aggregation:Aggregator.values",
    ),
    "joining batches": ("roitrace.engine.slab:_Values.put",),
}
"""What is timed under which name."""

TASK = "roitrace.engine.slab_layer:read_slab"
REST = "rest of the task"


@dataclass(frozen=True)
class Profile:
    """Seconds of one task, by part; each the median over all tasks.

    Attributes
    ----------
    parts : dict
        Seconds of each of `PARTS` and of the rest.
    task : float
        Seconds of the whole task.
    bare : float
        Seconds that bare decode of as many samples takes on one thread.
    samples : int
        Samples that the task covers.
    call : float
        Seconds of the whole call, from the building of its graph to the last task; the median of three.
    """

    parts: dict[str, float]
    task: float
    bare: float
    samples: int
    call: float

    def table(self) -> str:
        """Return the profile as a table."""
        lines = ["| part | ms | ns per pixel and frame | of bare decode |", "|---|---|---|---|"]
        for name, seconds in [*self.parts.items(), ("whole task", self.task), ("bare decode", self.bare)]:
            share = seconds / self.bare
            lines.append(
                f"| {name} | {1e3 * seconds:.1f} | {1e9 * seconds / self.samples:.3f} | {share:.2f} |"
            )
        return "\n".join(lines) + "\n"


def profile_slabs(files: Files, workload: Workload, layout: str, what: str) -> Profile:
    """Extract a workload task after task, and time the parts of each task."""
    store = files.store(workload, layout)
    rois = rois_on(workload, store)
    # reading the whole store warms the page cache, extracting a few frames the kernels
    bare = _bare_seconds_per_sample(store)
    _compute(store, rois, what, slice(0, min(64, workload.frames)))
    call = statistics.median(_call_seconds(store, rois, what) for _ in range(3))
    clock = _Clock()
    with clock.installed():
        _compute(store, rois, what, slice(None))
    whole = statistics.median(seconds for seconds, _ in clock.tasks)
    parts = {name: statistics.median(one.get(name, 0.0) for _, one in clock.tasks) for name in PARTS}
    parts[REST] = statistics.median(one[REST] for _, one in clock.tasks)
    samples = workload.frames * workload.height * workload.width // len(clock.tasks)
    return Profile(parts, whole, bare * samples, samples, call)


def _call_seconds(store: Path, rois: rt.Rois, what: str) -> float:
    start = time.process_time()
    _compute(store, rois, what, slice(None))
    return time.process_time() - start


def _compute(store: Path, rois: rt.Rois, what: str, frames: slice) -> None:
    build(rt.open_recording(store, time=frames), rois, what, 2).compute(scheduler="synchronous")


class _Clock:
    """Times the parts of every task; a part's own time is without that of other parts inside.

    Attributes
    ----------
    tasks : list
        For each task its seconds, and the seconds by part.
    """

    def __init__(self) -> None:
        self.tasks: list[tuple[float, dict[str, float]]] = []
        self._seconds: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Wrap the functions of all parts, which must be there, and the task itself."""
        with ExitStack() as stack:
            for part, places in {**PARTS, REST: (TASK,)}.items():
                for place in places:
                    stack.enter_context(self._wrapped(part, place))
            yield

    @contextmanager
    def _wrapped(self, part: str, place: str) -> Iterator[None]:
        module, _, path = place.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for one in owners:
            owner = getattr(owner, one)
        function = getattr(owner, name)
        setattr(owner, name, self._timed(part, function))
        try:
            yield
        finally:
            setattr(owner, name, function)

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            self._inside.append(0.0)
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self._add(part, time.thread_time() - start)

        return timed

    def _add(self, part: str, seconds: float) -> None:
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds - self._inside.pop()
        if self._inside:
            self._inside[-1] += seconds
        if part == REST:
            self.tasks.append((seconds, self._seconds))
            self._seconds = {}


def _bare_seconds_per_sample(store: Path) -> float:
    bare = BareStore.of(store)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        bare_decode(bare, 1)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds) / math.prod(bare.shape)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_slab")
    parser.add_argument("--quick", action="store_true", help="the tiny workload")
    parser.add_argument("--workload", choices=("a", "b", "d", "e", "f"), default="a")
    parser.add_argument("--layout", choices=LAYOUTS, default="default")
    parser.add_argument("--what", choices=(*ASKED, WITH_NEUROPIL), default="four and projections")
    parser.add_argument("--folder", type=Path, help="where the workloads are kept ($ROITRACE_BENCHMARKS)")
    options = parser.parse_args(arguments)
    files = Files(options.folder or default_folder())
    workload: Workload = getattr(SCALES["quick" if options.quick else "full"], options.workload)
    found = profile_slabs(files, workload, options.layout, options.what)
    title = f"{options.what} of workload {workload.name}, {options.layout} store"
    print(
        f"{title}: the whole call {found.call:.2f} s; one slab task, on one thread:\n\n{found.table()}",
        end="",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
