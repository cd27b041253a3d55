"""Accept or reject ROIs by rules about their quality, with reasons."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError, LazyInputError
from roitrace.sparse_rows import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import xarray as xr

    from roitrace.rois import Rois

__all__ = ["Rule", "broken_rules", "judge", "parse_rule", "parse_rules"]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_RULE = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(<=|>=|<|>)\s*([-+0-9.e]+)\s*", re.IGNORECASE)

_REASON = re.compile(r"(\w+) \S+, expected [<>]")


@dataclass(frozen=True)
class Rule:
    """A measure, how it is compared, and with what."""

    measure: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        return f"{self.measure} {self.comparison} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether a value passes; NaN never does."""
        return _COMPARE[self.comparison](value, self.limit)

    def reason(self, value: float) -> str:
        """Say why a value does not pass."""
        return f"{self.measure} {value:.4g}, expected {self.comparison} {self.limit:g}"


def parse_rule(text: str) -> Rule:
    """Read a rule such as ``"peak_snr >= 3"``.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    match = _RULE.fullmatch(str(text))
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or math.isnan(limit):
        raise ArgumentError(
            f"{text!r} is no rule", 'write it like "peak_snr >= 3": a measure, <, <=, > or >=, a number'
        )
    return Rule(match[1], match[2], limit)


def parse_rules(table: xr.Dataset, rules: str | Iterable[str]) -> list[Rule]:
    """Read rules, which have to be about measures of a table; it may be lazy.

    Raises
    ------
    ArgumentError
        If a rule cannot be read, or names no measure of the table.
    """
    parsed = [parse_rule(one) for one in ([rules] if isinstance(rules, str) else rules)]
    measures = [str(one) for one, column in table.data_vars.items() if column.dims == ("roi",)]
    for rule in parsed:
        if rule.measure not in measures:
            close = difflib.get_close_matches(rule.measure, measures, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ArgumentError(
                f"the table has no measure {rule.measure!r}", f"{hint}it has {', '.join(measures) or 'none'}"
            )
    return parsed


def broken_rules(reasons: Iterable[str]) -> dict[str, int]:
    """Count the ROIs that each measure rejected, from their reasons; what is no rule's reason counts as it stands."""
    parts = [part for reason in reasons for part in reason.split("; ") if part]
    return dict(Counter(match[1] if (match := _REASON.match(part)) else part for part in parts))


def judge(rois: Rois, table: xr.Dataset, rules: str | Iterable[str]) -> Rois:
    """Reject the ROIs that break a rule, and keep the reasons; none is dropped.

    ROIs that were rejected before stay so, with their reason. A measure that is NaN breaks every rule about it.

    Parameters
    ----------
    rois : Rois
        The ROIs of the table, in its order.
    table : Dataset
        Measures ``(roi,)`` from `roitrace.quality` or `roitrace.describe`, computed.
    rules : str or iterable of str
        Such as ``"peak_snr >= 3"`` or ``"overlap_fraction < 0.5"``: what an accepted ROI has to fulfil.

    Returns
    -------
    Rois
        The same ROIs with new flags and reasons, and a line in their history for each rule that was broken.

    Raises
    ------
    ArgumentError
        If a rule cannot be read, names no measure of the table, or the table is of other ROIs.
    LazyInputError
        If a measure is not computed yet.

    Examples
    --------
    >>> import xarray as xr
    >>> from roitrace.rois import Rois
    >>> rois = Rois.from_pixels([[(0, 0)], [(0, 1)]], shape=(1, 2))
    >>> judged = judge(rois, xr.Dataset({"peak_snr": ("roi", [9.0, 1.5])}), "peak_snr >= 3")
    >>> judged.accepted.tolist(), judged.reasons
    ([True, False], ('', 'peak_snr 1.5, expected >= 3'))
    """
    parsed = parse_rules(table, rules)
    if "roi" in table.coords and table["roi"].values.astype(str).tolist() != list(rois.names):
        raise ArgumentError("the table names other ROIs", "give the ROIs that its traces were extracted from")
    broken: list[list[str]] = [[] for _ in rois.names]
    history: list[str] = []
    for rule in parsed:
        values = _measure(table, rule.measure)
        if values.size != len(rois):
            raise ArgumentError(
                f"the table has {values.size} rows for {len(rois)} ROIs", "give the ROIs of the table"
            )
        breaking = np.array([not rule.holds(value) for value in values.tolist()], dtype=np.bool_)
        for number in np.flatnonzero(breaking):
            broken[number].append(rule.reason(float(values[number])))
        now = [rois.names[number] for number in np.flatnonzero(breaking & rois.accepted)]
        history += [f"rejected {listed(now, limit=50)}: not {rule}"] if now else []
    accepted = rois.accepted & np.array([not own for own in broken], dtype=np.bool_)
    reasons = tuple(
        old if not was or not new else "; ".join(new)
        for old, was, new in zip(rois.reasons, rois.accepted.tolist(), broken, strict=True)
    )
    return replace(rois, accepted=accepted, reasons=reasons).recorded(*history)


def _measure(table: xr.Dataset, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if table[name].chunks is not None:
        raise LazyInputError(
            f"the measure {name!r} is lazy: its values are not computed yet", "call .compute() on the table"
        )
    return np.asarray(table[name].values, dtype=np.float64)
