"""Classes for asv: ``asv run`` follows these over the project's history. ``$ROITRACE_BENCHMARK_SCALE`` may be ``quick``."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import roitrace as rt
from benchmarks.bare import BareStore, bare_decode
from benchmarks.ours import ASKED, extract_store, rois_on
from benchmarks.scaling import build_graph, promised_recording, scattered_rois, travelling_bytes
from benchmarks.workloads import LAYOUTS, SCALES, Files, Scale, Workload, default_folder

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = ["BareDecode", "Convert", "Extract", "Graph", "OtherWorkloads"]

THREADS = 2


def _scale() -> Scale:
    return SCALES[os.environ.get("ROITRACE_BENCHMARK_SCALE", "full")]


class Extract:
    """Workload A by layout and by what is asked."""

    params = (LAYOUTS, tuple(ASKED))
    param_names: ClassVar = ["layout", "what"]
    timeout = 1800

    def setup(self, layout: str, what: str) -> None:  # noqa: ARG002
        workload = _scale().a
        self.store = Files(default_folder()).store(workload, layout)
        self.rois = rois_on(workload, self.store)

    def time_extract(self, layout: str, what: str) -> None:  # noqa: ARG002
        extract_store(self.store, self.rois, what, THREADS)

    def peakmem_extract(self, layout: str, what: str) -> None:  # noqa: ARG002
        extract_store(self.store, self.rois, what, THREADS)


class BareDecode:
    """The yardstick."""

    params = LAYOUTS
    param_names: ClassVar = ["layout"]
    timeout = 1800

    def setup(self, layout: str) -> None:
        self.store = BareStore.of(Files(default_folder()).store(_scale().a, layout))

    def time_bare_decode(self, layout: str) -> None:  # noqa: ARG002
        bare_decode(self.store, THREADS)


class OtherWorkloads:
    """The four statistics of workloads B, D, E and F."""

    params = ("b", "d", "e", "f")
    param_names: ClassVar = ["workload"]
    timeout = 3600

    def setup(self, name: str) -> None:
        workload: Workload = getattr(_scale(), name)
        self.store = Files(default_folder()).store(workload)
        self.rois = rois_on(workload, self.store)

    def time_four(self, name: str) -> None:  # noqa: ARG002
        extract_store(self.store, self.rois, "four", THREADS)

    def peakmem_four(self, name: str) -> None:  # noqa: ARG002
        extract_store(self.store, self.rois, "four", THREADS)


class Convert:
    """A contiguous TIFF into the default store."""

    timeout = 1800
    number = 1

    def setup(self) -> None:
        self.tiff = Files(default_folder()).tiff(_scale().a)
        self.folder = Path(tempfile.mkdtemp(dir=default_folder()))

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def time_convert(self) -> None:
        rt.convert(self.tiff, self.folder / "converted.zarr", overwrite=True, workers=THREADS)

    def peakmem_convert(self) -> None:
        rt.convert(self.tiff, self.folder / "converted.zarr", overwrite=True, workers=THREADS)


class Graph:
    """The graph of a very long recording, by number of ROIs."""

    params = (50, 500, 5000)
    param_names: ClassVar = ["rois"]

    def setup(self, count: int) -> None:
        self.recording = promised_recording(_scale().million)
        self.rois = scattered_rois(self.recording, count)

    def time_build(self, count: int) -> None:  # noqa: ARG002
        build_graph(self.recording, self.rois)

    def track_tasks(self, count: int) -> int:  # noqa: ARG002
        return len(build_graph(self.recording, self.rois))

    def track_travelling_bytes(self, count: int) -> int:  # noqa: ARG002
        return travelling_bytes(self.recording, self.rois, "four")
