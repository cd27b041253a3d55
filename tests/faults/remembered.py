"""Metadata are made in memory, and are the same in each of thousands of runs: they are made once."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from dask.base import tokenize

from roitrace import conversion, result_files, results_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MADE: dict[str, Any] = {}
_MAKERS = (
    (conversion, "small_files"),
    (result_files, "_small_files"),
    (results_writer, "root_file"),
)


@contextmanager
def metadata_made_once() -> Iterator[None]:
    """Remember what the makers of metadata return, inside the block; copies are given out."""
    with ExitStack() as stack:
        for module, name in _MAKERS:
            stack.enter_context(patch.object(module, name, _remembering(name, getattr(module, name))))
        yield


def _remembering(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*arguments: Any) -> Any:
        key = tokenize(name, arguments)
        if key not in _MADE:
            _MADE[key] = make(*arguments)
        value = _MADE[key]
        return dict(value) if isinstance(value, dict) else value

    return made
