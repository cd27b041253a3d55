"""What all sources that change another one have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roitrace.sources import BlockSource

__all__ = ["Changed", "dtype_with_nan"]


def dtype_with_nan(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the smallest dtype that holds all samples of a dtype exactly, and NaN.

    Examples
    --------
    >>> dtype_with_nan(np.dtype("uint16")), dtype_with_nan(np.dtype("int32"))
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(dtype, np.float32)


@dataclass(frozen=True, eq=False)
class Changed(BlockSource):
    """A block source over another one, of its shape and chunks, in a dtype that holds its samples and NaN, unless a subclass says otherwise.

    Attributes
    ----------
    source : BlockSource
        What is read.
    """

    source: BlockSource
    shape: tuple[int, int, int] = field(init=False)
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.source.shape)
        object.__setattr__(self, "dtype", dtype_with_nan(self.source.dtype))
        object.__setattr__(self, "chunks", self.source.chunks)

    @property
    def offset(self) -> tuple[int, int, int]:
        """As the source."""
        return self.source.offset

    @property
    def ahead_bytes(self) -> int:
        """As the source."""
        return self.source.ahead_bytes

    @property
    def halo(self) -> int:
        """As the source."""
        return self.source.halo
