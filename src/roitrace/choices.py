"""The names among which a call, a configuration and the command line choose; light, since a shell that completes a word waits for it."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

__all__ = [
    "BASELINES",
    "NORMALIZATIONS",
    "OVERLAP_RULES",
    "THRESHOLDS",
    "Baseline",
    "Normalization",
    "OverlapRule",
    "Threshold",
]

Baseline: TypeAlias = Literal[
    "rolling_percentile",
    "percentile",
    "rolling_median",
    "mode",
    "maximin",
    "lowpass_percentile",
    "first",
    "frames",
    "bleaching",
    "ratio",
]
BASELINES: tuple[str, ...] = get_args(Baseline)
"""Every method of `roitrace.baseline`."""

Normalization: TypeAlias = Literal["dff", "zscore", "robust_zscore", "minmax"]
NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)
"""Every method of `roitrace.normalize`."""

OverlapRule: TypeAlias = Literal["keep", "exclude", "split", "nearest", "least_squares"]
OVERLAP_RULES: tuple[str, ...] = get_args(OverlapRule)
"""Every rule of the argument ``overlap`` of `roitrace.extract`."""

Threshold: TypeAlias = Literal[
    "value",
    "percentile",
    "mean_sd",
    "otsu",
    "li",
    "triangle",
    "yen",
    "isodata",
    "minimum",
    "local_mean",
    "local_gaussian",
    "local_median",
    "niblack",
    "sauvola",
]
THRESHOLDS: tuple[str, ...] = get_args(Threshold)
"""Every method of `roitrace.threshold`; those from ``local_mean`` on find a level for each pixel."""
