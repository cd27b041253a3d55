"""A large recording that is made quickly: one stretch of frames with cells in noise, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import roitrace as rt

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CENTRES", "make_large_recording"]

SIDE, STRETCH = 512, 256
CENTRES = [(y, x) for y in range(30, SIDE, 50) for x in range(30, SIDE, 50)]
"""Where the cells are: ``(y, x)``, pixels."""


def make_large_recording(path: Path, n_bytes: float) -> Path:
    """Write a store of 512 x 512 pixels, uint16, of about so many bytes; 100 cells, 8 bits of noise, 30 frames per second."""
    import dask.array as da  # noqa: PLC0415

    random = np.random.default_rng(9)
    stretch = random.integers(100, 356, (STRETCH, SIDE, SIDE), dtype=np.uint16)
    y, x = np.mgrid[:SIDE, :SIDE]
    for number, (row, column) in enumerate(CENTRES):
        cell = (y - row) ** 2 + (x - column) ** 2 <= 49
        activity = 200 + 300 * (np.arange(STRETCH) % (40 + number) < 12)
        stretch[:, cell] += activity[:, None].astype(np.uint16)
    one = da.from_array(stretch, chunks=(64, SIDE, SIDE))
    times = round(n_bytes / stretch.nbytes)
    movie = xr.DataArray(da.concatenate([one] * times), dims=("time", "y", "x"))
    rt.convert(movie, path, frame_rate=30.0, pixel_size=1.0, overwrite=True)
    return path
