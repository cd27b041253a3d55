"""What the values of a configuration may be, and what every section is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from roitrace.config.statistics import make_statistics
from roitrace.description import DESCRIBED
from roitrace.judging import parse_rule
from roitrace.units import parse_bytes, parse_length
from roitrace.urls import is_url, split_url

__all__ = [
    "PATHS",
    "ByteCount",
    "Count",
    "Duration",
    "FilePath",
    "Fraction",
    "Length",
    "Names",
    "NonNegative",
    "Number",
    "Percentile",
    "PixelSize",
    "PositiveCount",
    "PositiveNumber",
    "RoiRule",
    "Section",
    "Span",
    "StatisticChoice",
]

PATHS = (
    "recording.path",
    "recording.store",
    "recording.shifts",
    "recording.bad_frames",
    "recording.bad_pixels",
    "rois.path",
    "figures.path",
    "report.path",
    "output.path",
    "output.summary",
)
"""The values that are paths."""


_DURATION = re.compile(r"\s*[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?\s*(s|sec|ms|min|frames?)?\s*", re.IGNORECASE)

_MEASURES = [name for name in DESCRIBED if name != "peak_snr"]
"""Peak SNR needs traces, and there are none when ROIs are filtered."""


class Section(BaseModel):
    """A part of the configuration: immutable, and nothing in it goes unnoticed."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


def _resolved(path: str, info: ValidationInfo) -> str:
    """Start a relative path at the folder of the config file; at the working folder where there is none."""
    if is_url(path):
        split_url(path)  # refuses those with secrets before anything repeats them
        return path
    folder = (info.context or {}).get("folder", ".")
    return os.path.abspath(Path(folder, Path(path).expanduser()))  # noqa: PTH100 (the only one that takes out ..)


def _length(given: object) -> object:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return f"{given:g} px"
    if isinstance(given, str) and given != "auto":
        parse_length(given)
    return given


def _duration(given: object) -> object:
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = f"{given:g} s"
    if isinstance(given, str) and not _DURATION.fullmatch(given):
        raise ValueError('a number of seconds, or text such as "60 s", "500 ms", "2 min" or "1800 frames"')
    return given


def _pair(given: object) -> object:
    return (given, given) if isinstance(given, int | float) else given


def _bytes(given: object) -> object:
    if isinstance(given, str) or (isinstance(given, int | float) and not isinstance(given, bool)):
        return parse_bytes(given)
    return given


def _statistic(given: Any) -> object:
    """Check a statistic and give it back as it was written."""
    make_statistics([given])
    return given


def _rule(given: object) -> object:
    """Check a rule about what ROIs are like, and give it back as it was written."""
    measure = parse_rule(str(given)).measure
    if measure not in _MEASURES:
        raise ValueError(f"a rule about one of {', '.join(_MEASURES)}, not {measure}")
    return given


def _names(given: object) -> object:
    return (given,) if isinstance(given, str) else given


Count = Annotated[int, Field(strict=True, ge=0)]
PositiveCount = Annotated[int, Field(strict=True, gt=0)]
Number = Annotated[float, Field(strict=True)]
NonNegative = Annotated[float, Field(strict=True, ge=0)]
PositiveNumber = Annotated[float, Field(strict=True, gt=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Percentile = Annotated[float, Field(strict=True, ge=0, le=100)]
PixelSize = Annotated[
    tuple[PositiveNumber, PositiveNumber],
    BeforeValidator(_pair),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
FilePath = Annotated[
    str, Field(min_length=1), AfterValidator(_resolved), WithJsonSchema({"type": "string", "format": "path"})
]
Length = Annotated[str, BeforeValidator(_length), WithJsonSchema({"type": ["string", "number"]})]
Duration = Annotated[str, BeforeValidator(_duration), WithJsonSchema({"type": ["string", "number"]})]
ByteCount = Annotated[
    int, BeforeValidator(_bytes), Field(strict=True, gt=0), WithJsonSchema({"type": ["string", "integer"]})
]
Span = tuple[Count, Count]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_names),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
RoiRule = Annotated[str, BeforeValidator(_rule)]
StatisticChoice = Annotated[
    str | dict[str, dict[str, Any]],
    BeforeValidator(_statistic),
    WithJsonSchema({"type": ["string", "object"]}),
]
