"""What was run and on what, how long it took, and what was planned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from roitrace.traces import time_axis
from roitrace.units import format_bytes, format_count
from roitrace.view.naming import quantity

if TYPE_CHECKING:
    from roitrace.view.report.contents import Contents

__all__ = [
    "flattened",
    "headline",
    "parameter_lines",
    "planned_and_measured",
    "provenance",
    "seconds_per_step",
]


def headline(contents: Contents) -> list[tuple[str, str]]:
    """Return the few numbers that a reader wants first: a value, and what it is."""
    names, accepted = contents.names, int(contents.accepted.sum())
    facts = [(f"{accepted:,}", "accepted cells" if accepted < len(names) else "cells")]
    if accepted < len(names):
        facts.append((f"{len(names) - accepted:,}", "rejected"))
    facts += _of_recording(contents)
    if contents.primary is not None:
        facts.append((quantity(contents.primary), "is F"))
    truth = contents.groups.get("truth/cells")
    if truth is not None and {"precision", "recall"} <= set(truth):
        facts.append(
            (f"{float(truth['precision']):.2f} / {float(truth['recall']):.2f}", "precision / recall")
        )
    if "seconds" in contents.run:
        facts.append((_duration(float(contents.run["seconds"])), "to compute"))
    return facts


def _of_recording(contents: Contents) -> list[tuple[str, str]]:
    facts, frame, traces = [], contents.frame, contents.traces
    if traces is not None and traces.sizes.get("time"):
        count = traces.sizes["time"]
        facts.append((f"{count:,}", "frames"))
        interval = time_axis(traces["time"] if "time" in traces.coords else traces.to_dataarray()[0]).interval
        if interval:
            facts.append((_duration(count * interval), f"at {1 / interval:.4g} Hz"))
    if frame is not None:
        facts.append((" by ".join(f"{size:,}" for size in frame.shape), "pixels"))
        if frame.pixel_size is not None:
            facts.append(
                (
                    " by ".join(f"{size:.3g}" for size in dict.fromkeys(frame.pixel_size)),
                    "µm per pixel",
                )
            )
    return facts


def provenance(contents: Contents) -> list[tuple[str, str]]:
    """Return what the results depend on besides parameters: the source, versions, and where the job ran."""
    known, run = contents.attributes, contents.run
    configured = run.get("configuration", {})
    facts = [
        ("recording", _at(configured, "recording", "path")),
        ("identity of its content", str(known.get("source", ""))),
        ("results", _at(configured, "output", "path")),
        ("roitrace", str(known.get("roitrace_version", ""))),
        *((name, str(one)) for name, one in sorted(dict(known.get("versions", {})).items())),
        ("started", str(run.get("started", ""))),
        ("finished", str(run.get("finished", ""))),
        ("computer", ", ".join(str(run[key]) for key in ("host", "platform") if key in run)),
        ("Python", str(run.get("python", ""))),
        ("report written by", f"roitrace {version('roitrace')}"),
    ]
    return [(name, value) for name, value in facts if value]


def flattened(contents: Contents) -> list[tuple[str, str]]:
    """Return every parameter that the results depend on, by its full name."""
    try:
        parameters = json.loads(str(contents.attributes.get("parameters", "{}")))
    except ValueError:
        return []
    return parameter_lines(parameters) if isinstance(parameters, Mapping) else []


def seconds_per_step(contents: Contents) -> list[tuple[str, float]]:
    """Return how long each step took, in the order in which they ran."""
    steps = contents.run.get("seconds_per_step", {})
    return [(str(name), float(seconds)) for name, seconds in steps.items()]


def planned_and_measured(contents: Contents) -> list[tuple[str, str, str]]:
    """Return what was planned beside what was measured: a quantity and both of its values."""
    run = contents.run
    plan = run.get("plan", {})
    rows = []
    budget = run.get("configuration", {}).get("resources", {}).get("budget")
    if "peak_bytes" in plan or run.get("peak_anonymous_bytes"):
        planned = f"at most {_bytes(plan['peak_bytes'])}" if "peak_bytes" in plan else ""
        rows.append(("peak memory", planned, _bytes(run.get("peak_anonymous_bytes"))))
    if budget is not None:
        rows.append(("budget", _bytes(budget), ""))
    if run.get("peak_memory_bytes"):
        rows.append(("with programs and files mapped into memory", "", _bytes(run["peak_memory_bytes"])))
    peaks = _peak_per_step(run.get("performance", {}))
    for name, step in plan.get("steps", {}).items():
        reads, tasks = _bytes(step.get("bytes_to_read")), format_count(int(step.get("tasks", 0)), "task")
        limit = f", at most {_bytes(step['peak_bytes'])}" if "peak_bytes" in step else ""
        rows.append((name, f"reads {reads}, {tasks}{limit}", _measured(run, step, name, peaks.get(name))))
    if "disk_bytes" in plan:
        rows.append(("disk space, uncompressed", _bytes(plan["disk_bytes"]), ""))
    return rows


def _measured(run: Mapping[str, Any], step: Mapping[str, Any], name: str, peak: int | None) -> str:
    """Say how long a step took, how fast it read and what memory it used; empty where it did not run."""
    seconds = run.get("seconds_per_step", {}).get(name)
    if not seconds:
        return ""
    rate = float(step.get("bytes_to_read", 0)) / float(seconds)
    said = f"{_duration(float(seconds))}, {format_bytes(int(rate))} per second"
    return said if peak is None else f"{said}, {format_bytes(peak)}"


def _peak_per_step(performance: Mapping[str, Any]) -> dict[str, int]:
    """Return the most anonymous memory during each step, bytes; none on a cluster, whose workers use it."""
    if performance.get("dashboard") is not None:
        return {}
    peaks: dict[str, int] = {}
    for step in performance.get("steps", ()):
        if isinstance(step.get("peak_memory_bytes"), int):
            peaks[step["step"]] = max(peaks.get(step["step"], 0), step["peak_memory_bytes"])
    return peaks


def parameter_lines(node: Any, name: str = "") -> list[tuple[str, str]]:
    """Return nested parameters as lines: a name such as ``extract.overlap``, and its value in words."""
    if isinstance(node, Mapping):
        return [
            leaf
            for key, one in node.items()
            for leaf in parameter_lines(one, f"{name}.{key}" if name else str(key))
        ]
    return [(name, _plain(node))]


def _plain(value: Any) -> str:
    """Write a parameter as a person would."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at(tree: Mapping[str, Any], *keys: str) -> str:
    node: Any = tree
    for key in keys:
        node = node.get(key, "") if isinstance(node, Mapping) else ""
    return ", ".join(map(str, node)) if isinstance(node, list | tuple) else str(node or "")


def _bytes(count: Any) -> str:
    return format_bytes(int(count)) if isinstance(count, int | float) else "unknown"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
