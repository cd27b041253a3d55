"""Write lazy arrays into plain files, block by block, to read them back in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import BudgetError
from roitrace.formats.traces.table import in_dtype
from roitrace.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dask.delayed import Delayed
    from numpy.typing import NDArray

__all__ = ["check_blocks", "lazy_file", "spool"]

# A block, what it was cut from and the copy that is written.
_ARRAYS_PER_TASK = 3


@dataclass(frozen=True)
class _NpyFile:
    """A `.npy` file that tasks read and write parts of; only its path travels to them.

    It is read as another dtype where that is wanted.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str = ""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        part = np.array(np.load(self.path, mmap_mode="r")[index])
        return in_dtype(part, self.dtype, self.name)

    def __setitem__(self, index: tuple[slice, ...], block: NDArray[Any]) -> None:
        np.load(self.path, mmap_mode="r+")[index] = block


def spool(arrays: Mapping[Path, da.Array]) -> Delayed:
    """Make a `.npy` file per array; they are filled when the result is computed, each block by one task.

    Parameters
    ----------
    arrays : mapping
        Path of the file to a lazy array. Files on a disk that all workers share.
    """
    targets = []
    for path, array in arrays.items():
        np.lib.format.open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
        targets.append(_NpyFile(str(path), array.shape, array.dtype))
    stored: Delayed = da.store(list(arrays.values()), targets, lock=False, compute=False)
    return stored


def lazy_file(
    mapped: np.memmap[Any, np.dtype[Any]], chunks: Sequence[int], dtype: np.dtype[Any], name: str
) -> da.Array:
    """Return a whole mapped `.npy` file as a lazy array in a dtype; dask would copy what is mapped into memory."""
    source = _NpyFile(str(mapped.filename), mapped.shape, dtype, name)
    lazy: da.Array = da.from_array(
        source, chunks=tuple(chunks), asarray=False, meta=np.empty((0,) * mapped.ndim, dtype)
    )
    return lazy


def check_blocks(arrays: Mapping[Any, da.Array], budget: int, workers: int) -> None:
    """Refuse blocks that do not fit a task's part of the budget.

    Raises
    ------
    BudgetError
        With what would be needed.
    """
    largest = max(
        (int(np.prod(array.chunksize, dtype=np.int64)) * array.dtype.itemsize for array in arrays.values()),
        default=0,
    )
    needed = RESERVED_BYTES + workers * largest * _ARRAYS_PER_TASK
    if needed > budget:
        raise BudgetError(
            f"the traces come in blocks of {format_bytes(largest)}; to write them takes {format_bytes(needed)} with "
            f"{format_count(workers, 'worker')} and the program itself; the budget is {format_bytes(budget)}",
            f"give budget={needed} or more, or fewer workers=",
        )
