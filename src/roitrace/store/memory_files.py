"""The files that zarr would write, in memory: so that they can be written durably, and by one place."""

from __future__ import annotations

from typing import Any

from zarr.storage import MemoryStore

__all__ = ["MemoryFiles"]


class MemoryFiles:
    """A zarr store in memory; give `store` to whatever writes.

    Examples
    --------
    >>> import zarr
    >>> memory = MemoryFiles()
    >>> group = zarr.create_group(memory.store, zarr_format=3)
    >>> list(memory.files())
    ['zarr.json']
    """

    def __init__(self) -> None:
        self._contents: dict[str, Any] = {}
        self.store = MemoryStore(self._contents)

    def files(self) -> dict[str, bytes]:
        """Return what was written: key to content, sorted."""
        return {key: self._contents[key].to_bytes() for key in sorted(self._contents)}
