"""Results with damaged files are mended by the job that made them: it computes these alone."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import OutputExistsError, StoreError
from roitrace.pipeline.run import run
from roitrace.store.files import drafting
from roitrace.verification import verify
from tests.store.killed import contents

from .conftest import segmenting_job


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movie")
    return rt.simulate(folder / "movie.zarr", shape=(300, 48, 64), n_rois=4, seed=3)


@pytest.fixture
def store(movie, tmp_path):
    run(segmenting_job(movie, tmp_path))
    return tmp_path / "out.zarr"


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)


def test_only_what_is_damaged_is_computed_again(movie, store, tmp_path, monkeypatch):
    expected, drafted = contents(store), []
    damaged = ["traces/mean/c/0/0", "normalized/f0/c/0/0", "quality/noise/c/0", "projections/mean/c/0/0"]
    for key in damaged[::2]:
        spoil(store / key)
    for key in damaged[1::2]:
        (store / key).unlink()
    with pytest.raises(OutputExistsError):
        run(segmenting_job(movie, tmp_path))
    found = verify(store, repair=True)
    assert {one.file for one in found.damages} == set(damaged)
    assert "run the job again" in str(found)
    assert {one.file for one in verify(store).damages} == set(damaged)

    def spied(path, token=""):
        drafted.append(path)
        return drafting(path, token)

    for module in ("engine.unit_writes", "results_writer"):
        monkeypatch.setattr(f"roitrace.{module}.drafting", spied)
    run(segmenting_job(movie, tmp_path))
    assert contents(store) == expected
    assert {key for key in damaged if store / key in drafted} == set(damaged)
    assert not [path for path in drafted if "median" in path.parts]
    assert not (tmp_path / "out.zarr.run" / "journal").exists()
    assert verify(store).ok


def test_another_job_mends_nothing_and_loses_nothing(movie, store, tmp_path):
    spoil(store / "traces/mean/c/0/0")
    damaged = contents(store)
    verify(store, repair=True)
    with pytest.raises(OutputExistsError):
        run(segmenting_job(movie, tmp_path, rois={"segment": {"cell_diameter": "12 px"}}))
    assert contents(store) == damaged
    verify(store, repair=True)
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((300, 48, 64), np.uint16))
    with pytest.raises(OutputExistsError):
        run(segmenting_job(other, tmp_path))
    assert contents(store) == damaged


def test_metadata_are_not_mended(store):
    (store / "projections/mean/zarr.json").unlink()
    with pytest.raises(StoreError, match=r"projections/mean/zarr.json is damaged: of results, values"):
        verify(store, repair=True)
    assert not (store.with_name("out.zarr.run") / "journal").exists()
    (store / "zarr.json").write_bytes(b"{")
    with pytest.raises(StoreError, match=r"out.zarr/zarr.json is damaged: it does not name the manifest"):
        verify(store)


def test_results_of_nobody_knows_what_are_saved_again(store, tmp_path):
    rt.save({"traces": rt.load(store)["traces"].to_dataset().load()}, tmp_path / "b.zarr")
    spoil(tmp_path / "b.zarr" / "traces/mean/c/0/0")
    with pytest.raises(StoreError, match="save the results again"):
        verify(tmp_path / "b.zarr", repair=True)


def decide(store):
    """Reject the first cell by hand."""
    table = store.with_name(f"{store.name}.rois.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    name = lines[1].split(",")[0]
    table.write_text("\n".join([lines[0], f"{name},no,vessel,", *lines[2:]]) + "\n", encoding="utf-8")
    return table


@pytest.mark.parametrize("damaged", ["traces/mean/c/0/0", "traces/zarr.json", "projections/mean/zarr.json"])
def test_decisions_outlive_damage_elsewhere(movie, store, tmp_path, damaged):
    decide(store)
    (store / damaged).unlink()
    tree = run(segmenting_job(movie, tmp_path, output={"path": str(store), "overwrite": True}))
    assert tree["rois"]["reason"].values[0] == "vessel"
    assert verify(store).ok


@pytest.mark.parametrize("swapped", [False, True])
def test_decisions_about_damaged_cells_are_not_guessed(movie, store, tmp_path, swapped):
    table = decide(store)
    if swapped:
        first, second = (store / f"rois/{name}/c/0" for name in ("accepted", "by_hand"))
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
    else:
        spoil(store / "rois/pixel/c/0")
    again = segmenting_job(movie, tmp_path, output={"path": str(store), "overwrite": True})
    with pytest.raises(
        StoreError, match=r"rois.csv is a table of decisions .* cannot be read: .*rois/(accepted|pixel)"
    ):
        run(again)
    assert "vessel" in table.read_text(encoding="utf-8")
    table.unlink()
    run(again)
    assert verify(store).ok
