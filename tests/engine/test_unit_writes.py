"""The graph of a job that writes: no task in it stands for another one only."""

from __future__ import annotations

import dask
import numpy as np
import xarray as xr
from dask.task_spec import Alias, DataNode, Task, TaskRef

from roitrace.engine import unit_writes
from roitrace.engine.blocks import as_dask
from roitrace.extraction import extract
from roitrace.results import load, save
from tests.block_sources import ArraySource


def test_tasks_are_few_and_none_stands_for_another(tmp_path, monkeypatch):
    graphs = []
    without = unit_writes._without_aliases
    monkeypatch.setattr(
        unit_writes, "_without_aliases", lambda graph: graphs.extend([graph, without(graph)]) or graphs[-1]
    )
    values = np.random.default_rng(0).integers(0, 99, (64, 4, 4), dtype=np.uint16)
    recording = xr.DataArray(as_dask(ArraySource(values, (64, 4, 4))), dims=("time", "y", "x"))
    traces = extract(recording, np.ones((4, 4), bool), ("mean", "median"), workers=2)
    with dask.config.set(scheduler="sync"):
        save(traces, tmp_path / "traces.zarr")
    before, after = ([isinstance(node, Alias) for node in graph.values()] for graph in graphs)
    assert sum(before) == 2
    assert sum(after) == 0
    assert len(after) == len(before) - 2
    np.testing.assert_array_equal(
        load(tmp_path / "traces.zarr")["traces"]["mean"].values[0], values.mean(axis=(1, 2))
    )


def test_chains_of_names_end_in_what_they_stand_for():
    task = Task("a", int, TaskRef("x"))
    chain = {
        "d": Alias("d", "c"),
        "c": Alias("c", "b"),
        "b": Alias("b", "a"),
        "a": task,
        "x": DataNode("x", "7"),
    }
    for names in (list(chain), list(reversed(chain))):
        graph = unit_writes._without_aliases({name: chain[name] for name in names})
        assert graph.keys() == {"d", "x"}
        assert dask.get(graph, "d") == 7
    shared = {"e": Alias("e", "a"), "f": Alias("f", "a"), "a": task, "x": DataNode("x", "7")}
    assert dask.get(unit_writes._without_aliases(shared), ["e", "f"]) == (7, 7)
