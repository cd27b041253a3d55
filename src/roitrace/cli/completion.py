"""What the shell may complete: fixed words and keys of a configuration, from small tables and files, without heavy imports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from roitrace.cli.configs import configs_folder, examples

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AGGREGATIONS",
    "PROJECTIONS",
    "SCHEDULERS",
    "WEIGHTS",
    "example_names",
    "setting_keys",
    "words",
]

SCHEDULERS = ("threads", "sync", "processes")
PROJECTIONS = (
    "argmax",
    "coefficient_of_variation",
    "correlation",
    "difference_std",
    "max",
    "mean",
    "median",
    "min",
    "skewness",
    "std",
    "sum",
    "var",
)
AGGREGATIONS = (
    "huber",
    "max",
    "mean",
    "median",
    "min",
    "split_half",
    "std",
    "sum",
    "trimmed_mean",
    "var",
    "weighted_mean",
    "weighted_median",
    "winsorized_mean",
)
WEIGHTS = ("brightness", "proximity", "edge", "snr", "correlation", "inverse_variance")


def words(*known: str) -> Callable[[str], list[str]]:
    """Return what completes one of several words, also at the end of a list with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = set(before.split(","))
        return [f"{before}{comma}{one}" for one in known if one.startswith(last) and one not in taken]

    return complete


def example_names(incomplete: str) -> list[str]:
    """Complete the name of an example."""
    return [name for name in examples() if name.startswith(incomplete)]


def setting_keys(incomplete: str) -> list[str]:
    """Complete ``section.key=`` of a configuration, from its JSON Schema."""
    if "=" in incomplete:
        return []
    schema = json.loads((configs_folder() / "schema.json").read_text(encoding="utf-8"))
    return [f"{key}=" for key in _keys(schema, schema) if key.startswith(incomplete)]


def _keys(part: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return the keys of all values below a part of the schema."""
    found = []
    for name, one in part.get("properties", {}).items():
        choices = [one, *one.get("anyOf", ())]
        section = next((choice["$ref"] for choice in choices if "$ref" in choice), None)
        if section is None:
            found.append(name)
        else:
            inner = schema["$defs"][section.rsplit("/", 1)[-1]]
            found += [f"{name}.{key}" for key in _keys(inner, schema)]
    return found
