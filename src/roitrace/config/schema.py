"""The JSON Schema of a configuration, for editors."""

from __future__ import annotations

from typing import Any

from roitrace.config.sections import Config

__all__ = ["config_schema"]


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that editors complete and check configuration files with.

    Examples
    --------
    >>> config_schema()["required"]
    ['recording', 'output']
    """
    schema = Config.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "roitrace configuration",
    }
