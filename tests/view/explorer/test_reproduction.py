"""What is exported runs on the command line, and gives the same mask and ROIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import roitrace as rt
from roitrace.cli import main
from roitrace.config import read_config
from roitrace.config.file import make_section
from roitrace.config.sections import RoisSection
from roitrace.view.explorer.exporting import ROI_FILES
from tests.view.explorer.driving import driving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.view.explorer.driving import Driver

RECIPES: dict[str, dict[str, Any]] = {
    "otsu": {"threshold": {"method": "otsu"}},
    "a level": {"threshold": {"method": "value", "value": 321.5}, "image": ["max"]},
    "local": {
        "threshold": {"method": "local_gaussian", "block_size": 21, "offset": -12.5},
        "clean": {"opening": 1, "fill_holes": True, "min_pixels": 12, "max_pixels": 400},
        "label": {"split": "intensity", "min_distance": 3},
    },
    "segment": {"segment": {"cell_diameter": "10 px", "min_contrast": 1.5}},
}


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "movie.zarr"
    return rt.simulate(path, shape=(120, 64, 64), n_rois=8, seed=4, frame_rate=10, pixel_size=1.2)


def export(
    driver: Driver, *what: str, name: str = "mine", rois: str = "ImageJ (zip)", overwrite: bool = False
) -> None:
    driver.do(lambda: driver.session.export(name, what, rois, overwrite=overwrite))
    session = driver.settle()
    assert session.message[1] == "note", session.message


def job(path: Path) -> Any:
    values = {"figures": None, "compare": None}
    config = read_config(path, [f"{key}=null" for key in values])
    return rt.run(config)


@pytest.mark.parametrize("kind", list(RECIPES))
def test_the_configuration_of_a_recipe_gives_the_same_cells(movie: Path, tmp_path: Path, kind: str) -> None:
    with driving(movie, tmp_path) as driver:
        section = make_section(RoisSection, RECIPES[kind])
        driver.do(lambda: driver.session.find_by(section))
        session = driver.settle()
        assert len(session.cells.rois)
        export(driver, "config", "mask")
        tree = job(tmp_path / "mine.yaml")
        found = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
        assert found.with_weights(None).equals(session.cells.rois)
        np.testing.assert_array_equal(tree["mask"]["mask"], session.mask)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "mine.mask.tif") > 0, session.mask)


def test_what_hands_did_is_reproduced_too(movie: Path, tmp_path: Path) -> None:
    with driving(movie, tmp_path) as driver:
        session = driver.session
        driver.do(lambda: session.choose(session.cells.rois.names[:1]))
        driver.do(lambda: session.accept(accepted=False))
        session.hand = "outline"
        driver.do(lambda: session.enclose({"type": "poly", "x": [10.0, 20.0, 14.0], "y": [50.0, 52.0, 63.0]}))
        driver.settle()
        driver.do(lambda: session.show_traces(["median"], "zscore"))
        driver.settle()
        export(driver, "config", "mask", "traces")
        assert "rois.zarr" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")
        tree = job(tmp_path / "mine.yaml")
        found = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
        assert found.with_weights(None).equals(session.cells.rois)
        assert not found.accepted[0]
        np.testing.assert_array_equal(tree["mask"]["mask"], tifffile.imread(tmp_path / "mine.mask.tif") > 0)
        traces = rt.load(tmp_path / "mine.traces.zarr")["traces"]
        np.testing.assert_array_equal(tree["traces"]["median"], traces["median"])
        table = pd.read_csv(tmp_path / "mine.traces.csv", index_col="time")
        np.testing.assert_allclose(tree["normalized"]["zscore"].transpose("time", "roi"), table, rtol=1e-12)


def test_the_command_in_the_file_runs(movie: Path, tmp_path: Path) -> None:
    with driving(movie, tmp_path) as driver:
        export(driver, "config")
    command = (
        (tmp_path / "mine.yaml")
        .read_text(encoding="utf-8")
        .splitlines()[0]
        .removeprefix("# roitrace ")
        .split()
    )
    more = ["--set", "figures=null", "--quiet"]
    assert main([*command, *more]) == 0
    assert rt.load(tmp_path / "mine.results.zarr")["traces"].sizes["time"] == 120


@pytest.mark.parametrize("kind", list(ROI_FILES))
def test_rois_go_to_other_programs(movie: Path, tmp_path: Path, kind: str) -> None:
    with driving(movie, tmp_path) as driver:
        export(driver, "rois", rois=kind)
        file, _ = ROI_FILES[kind]
        back = rt.read_rois(tmp_path / f"mine.{file}", recording=driver.session.recording)
        np.testing.assert_array_equal(back.to_mask(), driver.session.mask)
        kept = rt.read_rois(tmp_path / "mine.rois.zarr")
        assert kept.equals(driver.session.cells.rois)


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("../mine", ["mask"], "is no name for files"),
        ("", ["mask"], "is no name for files"),
        (".hidden", ["mask"], "is no name for files"),
        ("mine", [], "nothing is chosen"),
    ],
)
def test_an_export_that_cannot_be_is_said(
    movie: Path, tmp_path: Path, name: str, what: list[str], said: str
) -> None:
    with driving(movie, tmp_path) as driver:
        driver.do(lambda: driver.session.export(name, what, "ImageJ (zip)", overwrite=False))
        session = driver.settle()
        assert said in session.message[0]
        assert session.exporting == ""
        assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_replaced_only_when_allowed(movie: Path, tmp_path: Path) -> None:
    with driving(movie, tmp_path) as driver:
        (tmp_path / "mine.mask.tif").write_bytes(b"mine")
        driver.do(lambda: driver.session.export("mine", ["mask", "config"], "ImageJ (zip)", overwrite=False))
        assert "mine.mask.tif is in" in driver.settle().message[0]
        assert not (tmp_path / "mine.yaml").exists()
        assert (tmp_path / "mine.mask.tif").read_bytes() == b"mine"
        export(driver, "mask", "config", overwrite=True)
        assert tifffile.imread(tmp_path / "mine.mask.tif").max() == 255


def test_cells_of_another_recipe_are_not_exported_under_this_one(movie: Path, tmp_path: Path) -> None:
    with driving(movie, tmp_path) as driver:
        impossible = make_section(RoisSection, {"threshold": {"method": "local_mean", "block_size": 999}})
        driver.do(lambda: driver.session.find_by(impossible))
        driver.settle()
        driver.do(lambda: driver.session.export("mine", ["config"], "ImageJ (zip)", overwrite=False))
        assert "not yet those of the recipe" in driver.settle().message[0]
        assert list(tmp_path.iterdir()) == []
