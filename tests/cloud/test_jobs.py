"""The same configuration runs on a bucket: a whole job, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster

import roitrace as rt
from roitrace.cli.main import main
from roitrace.pipeline.run import run
from roitrace.store import objects
from roitrace.store.places import place_of
from tests.cloud.contents import contents
from tests.pipeline.conftest import job_of


def moved(job: dict, bucket: str) -> dict:
    """Return a job whose recording and results lie in a bucket."""
    return job | {
        "recording": {"path": f"{bucket}/recording.zarr"},
        "output": {"path": f"{bucket}/results.zarr"},
    }


def test_a_job_in_a_bucket_gives_the_same_objects(bucket, tmp_path):
    job = job_of(tmp_path, report=None)
    run(job)
    notes = []
    tree = run(moved(job, bucket), note=notes.append)
    for name in ("recording.zarr", "recording.truth.zarr", "results.zarr"):
        assert contents(place_of(f"{bucket}/{name}")) == contents(tmp_path / name), name
    names = {key.partition("/")[0] for key in place_of(bucket).lengths()}
    assert names == {one.name for one in tmp_path.iterdir()}
    assert (tmp_path / "results.zarr.rois.csv").read_bytes() == place_of(
        f"{bucket}/results.zarr.rois.csv"
    ).read_bytes()
    told = json.loads(place_of(f"{bucket}/results.zarr.run/run.json").read_bytes())
    assert told["configuration"]["output"]["path"] == f"{bucket}/results.zarr"
    log = place_of(f"{bucket}/results.zarr.run/log.txt").read_text()
    assert log.splitlines()[0].endswith("the job begins")
    assert log.splitlines()[-1].endswith("the job ends")
    assert sorted(tree.children) == sorted(rt.load(f"{bucket}/results.zarr").children)


def test_workers_of_a_cluster_read_and_write_the_bucket_themselves(bucket, tmp_path):
    np.save(tmp_path / "movie.npy", np.random.default_rng(0).integers(0, 99, (60, 24, 32), dtype="uint16"))
    rois = rt.Rois.from_labels(np.pad(np.ones((5, 5), int), ((4, 15), (6, 21))))

    def job(place: str) -> None:
        recording = rt.convert(tmp_path / "movie.npy", f"{place}/copy.zarr", chunks=(16, 24, 32))
        traces = rt.extract(recording, rois, ("mean",), projections=("mean",), budget="2 GiB")
        rt.save({"traces": traces}, f"{place}/out.zarr")

    job(str(tmp_path))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        job(bucket)
        connected = client.run(lambda: sorted({root for root, *_ in objects._clients}))
    for name in ("copy.zarr", "out.zarr"):
        assert contents(place_of(f"{bucket}/{name}")) == contents(tmp_path / name), name
    assert list(connected.values()) == [[bucket], [bucket]]


def test_a_killed_process_leaves_what_the_same_command_goes_on_with(bucket, s3, tmp_path):
    np.save(tmp_path / "movie.npy", np.random.default_rng(0).integers(0, 99, (64, 24, 32), dtype="uint16"))
    options = {"chunks": (8, 24, 32), "frame_rate": 10.0}
    rt.convert(tmp_path / "movie.npy", tmp_path / "a.zarr", **options)
    words = [
        "convert",
        str(tmp_path / "movie.npy"),
        f"{bucket}/a.zarr",
        "--chunks",
        "8,24,32",
        "--frame-rate",
        "10",
    ]
    s3.log.clear()
    s3.log.delay = 0.05
    with subprocess.Popen([sys.executable, "-m", "roitrace", *words], stderr=subprocess.DEVNULL) as process:
        while not any("fluorescence/c/2" in one.path for one in s3.log.of(method="PUT")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    s3.log.delay = 0.0
    assert any("/a.zarr.run/lock.0" in f"/{key}" for key in place_of(bucket).lengths())
    assert main([*words, "--quiet"]) == 0
    assert contents(place_of(f"{bucket}/a.zarr")) == contents(tmp_path / "a.zarr")
    left = {key for key in place_of(bucket).lengths() if not key.startswith("a.zarr/")}
    assert left == {"a.zarr.run/convert.json"}


@pytest.mark.filterwarnings("ignore:.*does not keep:UserWarning")
def test_verbs_work_on_places_in_a_bucket(bucket, tmp_path, capsys):
    def said(*words: str) -> str:
        code = main([*words])
        told = capsys.readouterr()
        assert code == 0, (words, told.err)
        return told.out

    movie, results = f"{bucket}/movie.zarr", f"{bucket}/traces.zarr"
    said("simulate", str(tmp_path / "demo.zarr"), "--shape", "60,48,48", "--n-rois", "4", "--seed", "1")
    said("convert", str(tmp_path / "demo.zarr"), movie)
    assert contents(place_of(movie)) == contents(tmp_path / "demo.zarr")
    assert "60" in said("info", movie)
    said("project", movie, f"{bucket}/images.zarr", "--statistics", "mean,max")
    said(
        "segment",
        f"{bucket}/images.zarr",
        f"{bucket}/cells.zarr",
        "--image",
        "mean",
        "--cell-diameter",
        "10 px",
    )
    said("extract", movie, f"{bucket}/cells.zarr", results)
    said("normalize", results, f"{bucket}/normalized.zarr", "--window", "2 s")
    said("compare", results)
    assert "whole of" in said("verify", movie)
    assert "whole of" in said("verify", results)
    said("export", results, str(tmp_path / "traces.csv"), "--statistic", "mean")
    rt.simulate(tmp_path / "more.zarr", shape=(60, 48, 48), n_rois=4, seed=2)
    said("append", str(tmp_path / "more.zarr"), movie)
    assert rt.open_recording(movie).sizes["time"] == 120
    said("convert", movie, str(tmp_path / "back.zarr"))
    assert contents(tmp_path / "back.zarr") == contents(place_of(movie))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("convert", "{local}", "{bucket}"), "is a whole bucket name a place in it"),
        (
            ("convert", "{local}", "s3://nobody-has-this/a.zarr"),
            "there is no bucket for s3://nobody-has-this",
        ),
        (("convert", "{local}", "http://127.0.0.1:9/a.zarr"), "cannot be"),
        (("verify", "{bucket}/none.zarr"), "there is no store s3://"),
        (("extract", "{local}", "{bucket}/none.zarr", "{bucket}/b.zarr"), "none.zarr"),
    ],
)
def test_wrong_calls_say_what_is_wrong(bucket, tmp_path, capsys, words, message):
    rt.simulate(tmp_path / "demo.zarr", shape=(20, 32, 32), n_rois=2, seed=1)
    filled = [one.format(bucket=bucket, local=tmp_path / "demo.zarr") for one in words]
    assert main(filled) in {1, 2}
    told = capsys.readouterr().err
    assert message in " ".join(told.split())
    assert "Traceback" not in told
    assert place_of(bucket).lengths() == {}
