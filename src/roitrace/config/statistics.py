"""Statistics as a configuration writes them: a name, or a name with parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.engine.statistics import Statistic

__all__ = ["make_statistics", "needs_weights"]


def make_statistics(
    choices: Sequence[Any], *, over_time: bool = False, over_pixels: bool = False, **defaults: float
) -> tuple[Statistic, ...]:
    """Turn ``["mean", {"percentile": {"q": 90}}]`` into statistics.

    Parameters
    ----------
    choices : sequence
        Names, or names with parameters.
    over_time : bool
        Whether they are to be projections.
    over_pixels : bool
        Whether they are to be traces.
    **defaults
        Parameters for names that have them and say nothing of their own.

    Raises
    ------
    ArgumentError
        If there is no such statistic or parameter, or two share a name.

    Examples
    --------
    >>> [str(one) for one in make_statistics(["mean", {"percentile": {"q": 90, "name": "p90"}}])]
    ['mean', 'percentile(q=90)']
    """
    # NumPy and numba come with it
    from roitrace.engine.statistics import make, make_halves, resolve  # noqa: PLC0415

    asked: list[Statistic | str | tuple[Statistic, ...]] = []
    for choice in choices:
        if isinstance(choice, str):
            asked.append(choice)
            continue
        entries = list(choice.items()) if isinstance(choice, dict) else []
        if len(entries) != 1 or not isinstance(entries[0][1], dict):
            raise ArgumentError(
                f"{choice!r} is no statistic",
                "write a name, or a name with parameters: {percentile: {q: 90, name: p90}}",
            )
        kind, parameters = entries[0]
        if kind == "split_half" and set(parameters) <= {"seed"}:
            asked.append(make_halves(**parameters))
            continue
        asked.append(make(kind, **(_defaults_for(kind, defaults) | parameters)))
    return resolve(asked, over_time=over_time, over_pixels=over_pixels, **defaults)


def needs_weights(statistic: Statistic) -> bool:
    """Whether a statistic needs the weights of the ROIs."""
    declaration = statistic.declaration
    return "weighted" in declaration.needs and statistic.weights is None and not declaration.own_weights


def _defaults_for(kind: str, defaults: dict[str, float]) -> dict[str, float]:
    """Return those of the defaults that a kind of statistic has."""
    from roitrace.engine.declarations import DECLARATIONS  # noqa: PLC0415

    known = DECLARATIONS[kind].parameters if kind in DECLARATIONS else {}
    return {name: value for name, value in defaults.items() if name in known}
