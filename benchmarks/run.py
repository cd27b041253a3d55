"""Measure everything: ``python -m benchmarks.run [--quick] [--rows ...] [--repeats N] [--out results.json]``.

A run of all rows into `benchmarks/results` replaces the one that was there. The workloads are written into a folder the first time (about 20 GB, some minutes; ``--prepare`` does only that). Run it on a quiet
machine.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import against_decode, against_peers, other_workloads, scaling
from benchmarks.bench import Bench
from benchmarks.measure import Row
from benchmarks.report import RESULTS, as_document, as_markdown, keep_only, write
from benchmarks.workloads import SCALES, Files, default_folder
from roitrace.errors import RoitraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ROWS", "main"]

ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "default": against_decode.on_default_store,
    "full_frame": against_decode.on_full_frames,
    "time_last": against_decode.on_time_last,
    "suite2p": against_peers.suite2p,
    "numpy": against_peers.numpy_memmap,
    "dask": against_peers.dask_product,
    "xarray": against_peers.xarray_where,
    "threads": scaling.threads,
    "one_roi": scaling.one_roi,
    "memory": scaling.memory,
    "convert": against_decode.convert,
    "cold": against_decode.cold_cache,
    "median": against_decode.exact_median,
    "B": other_workloads.mesoscope,
    "D": other_workloads.float_with_nan,
    "E": other_workloads.signed,
    "F": other_workloads.many_rois,
    "G_transformed": other_workloads.transformed,
    "G_sliced": other_workloads.sliced,
    "G_channel": other_workloads.one_channel,
    "growth": scaling.growth,
    "graph": scaling.graph,
    "overhead": scaling.overhead,
    "first_call": scaling.first_call,
}
"""Groups of rows by the name that ``--rows`` takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the results."""
    options = _parser().parse_args(arguments)
    scale = SCALES["quick" if options.quick else "full"]
    repeats = options.repeats or (1 if options.quick else 7)
    chosen = options.rows or list(ROWS)
    rows: list[Row] = []
    folder = options.folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if options.prepare:
        Files(folder).prepare(scale)
        return 0
    command = " ".join(["python -m benchmarks.run", *_shown(options)])
    document = as_document(rows, command=command, scale=scale.name, repeats=repeats, threads=options.threads)
    out = options.out or RESULTS / f"{document['date'].replace(':', '')[:15]}-{scale.name}.json"
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as scratch:
        bench = Bench(Files(folder), scale, repeats, max(1, repeats // 3), options.threads, Path(scratch))
        for name in chosen:
            for row in _measured(name, bench):
                rows.append(row)
                print(f"{row.what}: {row.value:.3g} {row.unit}", file=sys.stderr, flush=True)
            # after each group, so that an interrupted run keeps what it measured
            document = as_document(
                rows, command=command, scale=scale.name, repeats=repeats, threads=options.threads
            )
            write(document, out)
    if options.out is None and not options.rows:
        keep_only(out)
    print(as_markdown(document), end="")
    return int(any(row.failed for row in rows))


def _measured(name: str, bench: Bench) -> list[Row]:
    """Measure a group of rows; one that fails must not lose the others."""
    try:
        return ROWS[name](bench)
    except (RoitraceError, AssertionError, RuntimeError, OSError) as error:
        return [
            Row(name, f"{name} failed", math.nan, failed=True, notes=(f"{type(error).__name__}: {error}",))
        ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny workloads: shows that everything runs, measures nothing"
    )
    parser.add_argument("--prepare", action="store_true", help="write the workloads and measure nothing")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument(
        "--repeats", type=int, help="alternating rounds (7); a third of it for peers that take a minute"
    )
    parser.add_argument("--threads", type=int, default=2, help="for everybody (2)")
    parser.add_argument("--folder", type=Path, help="where the workloads are kept ($ROITRACE_BENCHMARKS)")
    parser.add_argument("--out", type=Path, help="JSON to write; the table goes beside it")
    return parser


def _shown(options: argparse.Namespace) -> list[str]:
    """Return the options that change what is measured."""
    shown = ["--quick"] if options.quick else []
    shown += ["--rows", *options.rows] if options.rows else []
    shown += ["--repeats", str(options.repeats)] if options.repeats else []
    return shown + ([] if options.threads == 2 else ["--threads", str(options.threads)])


if __name__ == "__main__":
    raise SystemExit(main())
