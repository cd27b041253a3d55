"""Read zarr arrays with the direct reader, beside zarr-python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from roitrace.store.chunks import read_layout
from roitrace.store.reader import ZarrSource

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ReadSource(ZarrSource):
    """A source whose content nobody asks about."""

    def identity(self) -> str:
        return "read"


def source_of_array(
    path: Path,
    array: str = "",
    *,
    axes: tuple[int, int, int] = (0, 1, 2),
    fixed: tuple[tuple[int, int], ...] = (),
    complete: bool = False,
    direct: bool = True,
) -> ReadSource:
    """Make a source of a zarr array; `direct` is False to go through zarr-python."""
    opened = zarr.open_array(path, path=array, mode="r")
    layout = read_layout(path / array)
    if direct:
        assert layout is not None, "this array should be decoded directly"
    time, y, x = axes
    return ReadSource(
        store=str(path),
        array=array,
        axes=axes,
        fixed=fixed,
        shape=(opened.shape[time], opened.shape[y], opened.shape[x]),
        dtype=np.dtype(opened.dtype).newbyteorder("="),
        chunks=(opened.chunks[time], opened.chunks[y], opened.chunks[x]),
        layout=layout if direct else None,
        complete=complete,
    )


def read_all(source: ReadSource) -> NDArray[Any]:
    """Read the whole source."""
    return source.read(*(slice(0, size) for size in source.shape))
