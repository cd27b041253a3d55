"""A small job for clusters: its files, and the bytes of its results."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bytes_of", "write_job"]


def write_job(folder: Path, frames: int = 600) -> Path:
    """Write a recording of three cells and a configuration for it; give the configuration."""
    random = np.random.default_rng(0)
    movie = random.poisson(20.0, (frames, 40, 48)).astype(np.uint16)
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += random.poisson(60.0, (frames, 1, 1)).astype(np.uint16)
    np.save(folder / "movie.npy", movie)
    config = folder / "job.yaml"
    config.write_text(
        "recording: {path: movie.npy, frame_rate: 10, convert: yes, store: copy.zarr}\n"
        "rois: {segment: {cell_diameter: 9 px}}\nfigures: null\noutput: {path: out.zarr}\n"
    )
    return config


def bytes_of(store: Path) -> dict[str, str]:
    """Return the digest of each file of a store."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }
