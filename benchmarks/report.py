"""Results as JSON and as a table, with what a reader needs to judge them.

``python -m benchmarks.report`` puts the table of the last full run into the README.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Row

__all__ = [
    "RESULTS",
    "as_document",
    "as_markdown",
    "as_short",
    "keep_only",
    "newest_results",
    "update_readme",
    "write",
]

PACKAGES = ("roitrace", "dask", "numba", "numcodecs", "numpy", "scipy", "tifffile", "xarray", "zarr")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"


def as_document(
    rows: Sequence[Row], *, command: str, scale: str, repeats: int, threads: int
) -> dict[str, Any]:
    """Return everything as plain values."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "scale": scale,
        "repeats": repeats,
        "threads": threads,
        "machine": {
            "processor": _processor(),
            "processors": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": f"{platform.system()} {platform.release()}",
            "load_at_end": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "rows": [_plain({**asdict(row), "holds": row.holds if scale == "full" else None}) for row in rows],
    }


def as_markdown(document: dict[str, Any]) -> str:
    """Return the table, and under it how it was made."""
    lines = ["| what | measured | single rounds | bar | aim | holds |", "|---|---|---|---|---|---|"]
    for row in document["rows"]:
        holds = {True: "yes", False: "no", None: ""}[row["holds"]]
        if row["void_rounds"]:
            holds += (
                f" ({row['void_rounds']} void rounds)"
                if row["trusted"]
                else " void: bare decode was disturbed"
            )
        aim = "" if row["aim"] is None else _number(row["aim"])
        lines.append(f"| {_measured(row, '**')} | {_bar(row)} | {aim} | {holds.strip()} |")
    lines += ["", _made(document, document["date"], document["machine"]["processor"])]
    notes = [f"- {row['what']}: {'; '.join(row['notes'])}" for row in document["rows"] if row["notes"]]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def as_short(document: dict[str, Any]) -> str:
    """Return the table of the README: what was measured and how, without bars and notes."""
    lines = ["| what | measured | single rounds |", "|---|---|---|"]
    lines += [f"| {_measured(row)} |" for row in document["rows"]]
    machine = document["machine"]
    cores = f"{machine['processors']} cores of an {machine['processor']}"
    return "\n".join([*lines, "", _made(document, document["date"][:10], cores)]) + "\n"


def newest_results() -> Path:
    """Return the JSON of the last full run that is kept."""
    return max(RESULTS.glob("*-full.json"))


def keep_only(path: Path) -> None:
    """Remove the results of other runs of the same scale from beside `path`."""
    scale = path.stem.rsplit("-", 1)[1]
    for other in path.parent.glob(f"*-{scale}.*"):
        if other.stem != path.stem:
            other.unlink()


def update_readme(readme: Path) -> None:
    """Put the table of the last full run between the marks of the README."""
    text = readme.read_text("utf-8")
    begin, end = "<!-- benchmark: speed -->\n", "<!-- end -->"
    before, after = text.split(begin)
    _, after = after.split(end, 1)
    table = as_short(json.loads(newest_results().read_text("utf-8")))
    readme.write_text(f"{before}{begin}{table}{end}{after}", "utf-8")


def write(document: dict[str, Any], path: Path) -> None:
    """Write the JSON, and the table beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    path.with_suffix(".md").write_text(as_markdown(document))


def _measured(row: dict[str, Any], mark: str = "") -> str:
    """Return what was measured, the value and the spread as cells."""
    low, high = row["spread"]
    spread = "" if low is None else f"{_number(low)} to {_number(high)}"
    unit = "" if row["unit"] in {"ratio", "part"} else f" {row['unit']}"
    value = "not measured" if row["value"] is None else f"{mark}{_number(row['value'])}{mark}{unit}"
    return f"{row['what']} | {value} | {spread}"


def _made(document: dict[str, Any], date: str, processor: str) -> str:
    """Say how the table was made."""
    memory = document["machine"]["memory_bytes"] / 2**30
    return (
        f"`{document['command']}`, {date}: {processor}, {document['threads']} threads, {memory:.0f} GiB; "
        f"medians of {document['repeats']} alternating rounds."
    )


def _bar(row: dict[str, Any]) -> str:
    parts = [
        f"{sign} {_number(row[name])}"
        for name, sign in (("least", ">="), ("most", "<="))
        if row[name] is not None
    ]
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _plain(value: Any) -> Any:
    """Replace NaN, which JSON does not know, by nothing."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str | None:
    """Return the commit that was measured, with a mark if files were changed since."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


if __name__ == "__main__":
    update_readme(ROOT / "README.md")
