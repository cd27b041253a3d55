"""The command line on processes of this machine: the bytes of one machine's threads."""

from __future__ import annotations

import pytest

from roitrace.cli.main import main
from tests.cluster.jobs import bytes_of, write_job
from tests.warm_start import warm_workers


@pytest.fixture(scope="module")
def on_threads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("threads")
    assert main(["run", str(write_job(folder)), "-q"]) == 0
    return {name: bytes_of(folder / name) for name in ("copy.zarr", "out.zarr")}


def run_on_cluster(folder, text):
    (folder / "cluster.yaml").write_text(text)
    with warm_workers():
        code = main(["run", str(write_job(folder)), "-q", "--cluster", str(folder / "cluster.yaml")])
    return code, {name: bytes_of(folder / name) for name in ("copy.zarr", "out.zarr")}


def test_worker_processes_write_the_same_bytes(on_threads, tmp_path, capsys):
    code, written = run_on_cluster(tmp_path, "{type: local, processes: 2, cores: 2}")
    assert code == 0, capsys.readouterr().err
    assert written["copy.zarr"] == on_threads["copy.zarr"]
    assert written["out.zarr"] == on_threads["out.zarr"]


def test_workers_that_are_too_small_are_refused_before_anything_is_written(tmp_path, capsys):
    config = write_job(tmp_path)
    (tmp_path / "cluster.yaml").write_text("{type: local, processes: 2, cores: 4, memory: 800 MiB}")
    code = main(["run", str(config), "-q", "--cluster", str(tmp_path / "cluster.yaml")])
    told = capsys.readouterr().err
    assert code == 1
    assert "on each of 2 workers (2 threads, 400.0 MiB, 2 on a machine)" in told
    assert not (tmp_path / "copy.zarr").exists()
