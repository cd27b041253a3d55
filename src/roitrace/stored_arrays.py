"""Arrays of a results store that say which chunk is damaged when they are read."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from roitrace.errors import StoreError
from roitrace.formats.damage import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MEND_RESULTS", "checked"]

MEND_RESULTS = "mend it with roitrace verify --repair, or run its job anew, with overwrite"


def checked(variable: xr.Variable, place: str) -> xr.Variable:
    """Return a lazy variable of a store so that damage found while reading it is a StoreError.

    Parameters
    ----------
    variable : Variable
        As xarray opens it, not chunked.
    place : str
        The array in errors.
    """
    array = indexing.LazilyIndexedArray(_CheckedArray(variable, place))
    wrapped = xr.Variable(variable.dims, array, variable.attrs)
    wrapped.encoding = variable.encoding
    return wrapped


class _CheckedArray(BackendArray):
    """A stored array whose checksums are its own business; it names the chunk that fails them."""

    def __init__(self, variable: xr.Variable, place: str) -> None:
        self.shape, self.dtype = variable.shape, variable.dtype
        self._variable, self._place = variable, place

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        try:
            return self._values(key)
        except DAMAGE as error:
            raise StoreError(
                f"{self._place} is damaged{self._first_damaged(key)}: {error}", MEND_RESULTS
            ) from error

    def _values(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        # a copy: the variable would keep what it has read
        return np.asarray(self._variable.copy(deep=False)[key].values)

    def _first_damaged(self, key: tuple[int | slice, ...]) -> str:
        """Read chunk by chunk until one fails."""
        for position, window in self._chunks(key):
            try:
                self._values(window)
            except DAMAGE:
                spans = ", ".join(
                    f"{dim} {part.start} to {part.stop}"
                    for dim, part in zip(self._variable.dims, window, strict=True)
                )
                return f" in chunk {'/'.join(map(str, position))} ({spans})"
        return ""

    def _chunks(self, key: tuple[int | slice, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield the chunks that a window touches: their numbers and what they span."""
        steps = self._variable.encoding.get("chunks") or self.shape
        ranges = []
        for part, size, step in zip(key, self.shape, steps, strict=True):
            indices = range(size)[part] if isinstance(part, slice) else range(part, part + 1)
            ranges.append(range(min(indices) // step, max(indices) // step + 1) if len(indices) else range(0))
        for position in product(*ranges):
            yield (
                position,
                tuple(
                    slice(number * step, min((number + 1) * step, size))
                    for number, step, size in zip(position, steps, self.shape, strict=True)
                ),
            )
