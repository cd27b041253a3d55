"""Medians and percentiles over time whose finished parts of the frame are kept in files while results are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task, TaskRef

from roitrace.engine.sums_files import read_sums, write_sums
from roitrace.store.files import make_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Images = dict[str, NDArray[Any]]

    from roitrace.store.places import Location

__all__ = ["RankLayer", "with_kept_parts"]


class RankLayer(dict[Any, Any]):
    """Tasks of a layer, those of ``(its name, row, column)`` give the images of a part of the frame."""


def with_kept_parts(graph: HighLevelGraph, folder: Location) -> HighLevelGraph:
    """Return a graph that keeps each part of medians and percentiles in a file, and reads those that an interrupted job has kept."""
    layers = dict(graph.layers)
    for name, layer in graph.layers.items():
        mapping = getattr(layer, "mapping", layer)
        if not isinstance(mapping, RankLayer):
            continue
        tasks = dict(mapping)
        for key in [one for one in mapping if one[0] == name]:
            path = folder / name / "-".join(map(str, key[1:]))
            if read_sums(path) is not None:
                tasks[key] = Task(key, _kept, path)
                continue
            made = (f"{name}-made", *key[1:])
            tasks[made] = Task(made, mapping[key].func, *mapping[key].args, **mapping[key].kwargs)
            tasks[key] = Task(key, _keep, TaskRef(made), path)
        layers[name] = tasks
    return HighLevelGraph(layers, graph.dependencies)


def _keep(images: Images, path: Location) -> Images:
    make_folder(path.parent, below=path.parents[2])
    write_sums(path, 0, images)
    return images


def _kept(path: Location) -> Images:
    kept = read_sums(path)
    assert kept is not None
    images: Images = kept[1]
    return images
