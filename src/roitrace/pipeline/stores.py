"""Results stores between verbs: one verb writes what the next one reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError
from roitrace.results import load, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import xarray as xr

    from roitrace.result_groups import Group

__all__ = ["EarlierResults"]

_WRITTEN_BY = {
    "projections": "project",
    "rois": "segment",
    "traces": "extract",
    "corrected": "correct-neuropil",
    "normalized": "normalize",
}


@dataclass(frozen=True)
class EarlierResults:
    """What an earlier verb wrote, and what it was made from.

    Attributes
    ----------
    store : str
        Where it is.
    tree : DataTree
        All of it, lazy.
    """

    store: str
    tree: xr.DataTree

    @classmethod
    def open(cls, store: str) -> EarlierResults:
        """Open a results store.

        Raises
        ------
        StoreError
            If it is unfinished, damaged or no results store.
        """
        return cls(store, load(store))

    def group(self, name: str) -> xr.Dataset:
        """Return a group.

        Raises
        ------
        ArgumentError
            If the store has none of that name.
        """
        if name not in self.tree.children:
            raise ArgumentError(
                f"{self.store} holds {', '.join(self.tree.children) or 'nothing'}, but no {name}",
                f"give a store that a job, or roitrace {_WRITTEN_BY[name]}, wrote",
            )
        return self.tree[name].to_dataset()

    def images(self, names: Iterable[str]) -> xr.Dataset:
        """Return projections, in memory.

        Raises
        ------
        ArgumentError
            If there is no such projection.
        """
        projections = self.group("projections")
        wanted = list(names)
        for name in wanted:
            if name not in projections:
                raise ArgumentError(
                    f"{self.store} holds no projection {name!r}",
                    f"there are {', '.join(map(str, projections.data_vars))}",
                )
        return projections[wanted].load()

    def image(self, name: str) -> xr.DataArray:
        """Return a projection, in memory; errors are those of `images`."""
        return self.images([name])[name]

    def save_next(
        self,
        results: Mapping[str, Group],
        store: str,
        *,
        overwrite: bool,
        parameters: Mapping[str, Any],
        with_rois: bool = False,
        workers: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Save what was made from these results, with their parameters and source besides its own.

        `with_rois` takes their ROIs along, for formats that hold pixels beside traces.
        """
        kept = {"rois": self.group("rois")} if with_rois and "rois" in self.tree.children else {}
        save(
            {**kept, **results},
            store,
            overwrite=overwrite,
            parameters=json.loads(self.tree.attrs["parameters"]) | dict(parameters),
            source=self.tree.attrs["source"],
            workers=workers,
            progress=progress,
        )
