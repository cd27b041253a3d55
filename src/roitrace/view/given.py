"""What a figure is given is what it draws; anything else is said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

__all__ = ["require_kind", "require_variables"]


def require_kind(value: object, kind: type, what: str, next_step: str) -> None:
    """Refuse what is of another type.

    Raises
    ------
    ArgumentError
        Then.

    Examples
    --------
    >>> require_kind(3, int, "the number", "count again")
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{what} is of type {type(value).__name__}, expected {kind.__name__}", next_step)


def require_variables(dataset: xr.Dataset, names: Sequence[str], what: str, next_step: str) -> None:
    """Refuse a Dataset that lacks variables.

    Raises
    ------
    ArgumentError
        Then.
    """
    missing = [name for name in names if name not in dataset.data_vars]
    if missing:
        held = ", ".join(map(str, dataset.data_vars)) or "nothing"
        raise ArgumentError(f"{what} holds {held}, and no {', '.join(missing)}", next_step)
