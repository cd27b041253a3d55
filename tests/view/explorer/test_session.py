from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.config.file import make_section
from roitrace.config.sections import RoisSection
from tests.view.explorer.driving import driving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.view.explorer.driving import Driver


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "movie.zarr"
    return rt.simulate(path, shape=(120, 64, 64), n_rois=8, seed=4, frame_rate=10, pixel_size=1.2)


@pytest.fixture
def driver(movie: Path, tmp_path: Path) -> Iterator[Driver]:
    with driving(movie, tmp_path) as driver:
        yield driver


def recipe(**values: Any) -> RoisSection:
    return make_section(RoisSection, {"threshold": {"method": "otsu"}} | values)


def test_it_opens_with_cells_on_the_mean(driver: Driver, movie: Path) -> None:
    session = driver.session
    mean = rt.project(rt.open_recording(movie), "mean").compute()["mean"]
    xr.testing.assert_identical(session.images["mean"], mean)
    assert session.shown == "mean"
    assert len(session.cells.rois) > 3
    np.testing.assert_array_equal(session.frame_values, rt.open_recording(movie)[0].values)


def test_the_recipe_is_the_librarys(driver: Driver) -> None:
    section = recipe(
        threshold={"method": "percentile", "percentile": 90},
        clean={"min_pixels": 5},
        label={"split": "distance"},
    )
    driver.do(lambda: driver.session.find_by(section))
    session = driver.settle()
    mask = rt.clean_mask(rt.threshold(session.images["mean"], percentile=90), min_pixels=5)
    np.testing.assert_array_equal(session.mask, mask)
    assert session.cells.rois.equals(rt.label_rois(mask, split="distance"))


def test_another_image_is_computed_when_it_is_asked_for(driver: Driver) -> None:
    driver.do(lambda: driver.session.find_by(recipe(image=["max"])))
    session = driver.settle()
    assert set(session.images) == {"mean", "max"}
    assert session.mask is not None
    np.testing.assert_array_equal(session.mask, rt.threshold(session.images["max"], "otsu"))


def test_of_many_recipes_the_last_one_counts(driver: Driver) -> None:
    for percentile in range(60, 96):
        section = recipe(threshold={"method": "percentile", "percentile": percentile})
        driver.do(lambda section=section: driver.session.find_by(section))
    session = driver.settle()
    np.testing.assert_array_equal(session.mask, rt.threshold(session.images["mean"], percentile=95))


def test_a_click_gives_the_traces_of_the_cell(driver: Driver, movie: Path) -> None:
    rois = driver.session.cells.rois
    y, x = rois.coordinates(2).to_yx()[0]
    driver.do(lambda: driver.session.click(int(y), int(x), more=False))
    session = driver.settle()
    assert session.chosen == (rois.names[2],)
    expected = rt.extract(rt.open_recording(movie), rois[[2]], ("mean", "median", "trimmed_mean")).compute()
    assert session.traces.extracted is not None
    for name in ("mean", "median", "trimmed_mean"):
        np.testing.assert_array_equal(session.traces.extracted[name], expected[name])
    weighted = rt.pixel_weights(rois[[2]], "brightness", image=session.images["mean"])
    expected = rt.extract(rt.open_recording(movie), weighted, "weighted_mean").compute()
    np.testing.assert_array_equal(session.traces.extracted["weighted_mean"], expected["weighted_mean"])


def test_traces_are_normalised_as_the_library_does(driver: Driver) -> None:
    name = driver.session.cells.rois.names[0]
    driver.do(lambda: driver.session.choose([name]))
    driver.settle()
    driver.do(lambda: driver.session.show_traces(["mean", "median"], "dff"))
    session = driver.settle()
    assert set(session.traces.shown) == {"mean", "median"}
    assert session.traces.extracted is not None
    expected = rt.normalize(session.traces.extracted, "dff", statistic="median")["dff"].compute()
    np.testing.assert_array_equal(session.traces.shown["median"], expected)


def test_a_click_beside_all_cells_chooses_none(driver: Driver) -> None:
    labels = driver.session.cells.rois.to_labels().values
    y, x = np.argwhere(labels == 0)[0]
    driver.do(lambda: driver.session.choose(driver.session.cells.rois.names[:1]))
    driver.do(lambda: driver.session.click(int(y), int(x), more=False))
    session = driver.settle()
    assert session.chosen == ()
    assert session.traces.extracted is None
    driver.do(lambda: driver.session.click(-5, 10_000, more=False))
    assert driver.settle().chosen == ()


def test_accept_reject_and_undo(driver: Driver) -> None:
    names = driver.session.cells.rois.names[:2]
    driver.do(lambda: driver.session.choose(names))
    driver.do(lambda: driver.session.accept(accepted=False))
    assert driver.session.cells.rois.accepted[:3].tolist() == [False, False, True]
    assert driver.session.cells.rois.reasons[0] == "by hand"
    driver.do(driver.session.undo)
    assert driver.session.cells.rois.accepted.all()
    driver.do(driver.session.undo)
    assert "nothing to undo" in driver.session.message[0]


def test_decisions_and_drawn_cells_outlive_another_threshold(driver: Driver) -> None:
    session = driver.session
    rejected = session.cells.rois.names[0]
    pixels = set(session.cells.rois.row(0).tolist())
    driver.do(lambda: session.choose([rejected]))
    driver.do(lambda: session.accept(accepted=False))
    session.hand = "box"
    driver.do(lambda: session.enclose({"type": "rect", "x0": 0.0, "x1": 4.9, "y0": 0.0, "y1": 3.7}))
    driver.settle()
    drawn = session.cells.rois["drawn 1"]
    driver.do(lambda: session.find_by(recipe(clean={"min_pixels": 20, "opening": 1})))
    rois = driver.settle().cells.rois
    np.testing.assert_array_equal(rois["drawn 1"].pixels, drawn.pixels)
    gone = rois.where(~rois.accepted)
    assert len(gone) == 1
    assert len(pixels & set(gone.row(0).tolist())) > len(pixels) / 2
    assert "1 decisions kept" in session.message[0]


def test_merge_and_delete(driver: Driver) -> None:
    session = driver.session
    first, second, third = session.cells.rois.names[:3]
    both = {*session.cells.rois[first].pixels.tolist(), *session.cells.rois[second].pixels.tolist()}
    driver.do(session.merge)
    assert "choose two or more" in session.message[0]
    driver.do(lambda: session.choose([first, second]))
    driver.do(session.merge)
    assert set(session.cells.rois[first].pixels.tolist()) == both
    assert second not in session.cells.rois.names
    driver.do(lambda: session.choose([third]))
    driver.do(session.remove)
    assert third not in session.cells.rois.names
    driver.do(session.undo)
    driver.do(session.undo)
    assert {first, second, third} <= set(session.cells.rois.names)


def test_import_replaces_the_cells(driver: Driver, tmp_path: Path) -> None:
    labels = np.zeros((64, 64), dtype="uint16")
    labels[3:9, 4:9] = 7
    np.save(tmp_path / "labels.npy", labels)
    driver.do(lambda: driver.session.bring_in(str(tmp_path / "labels.npy")))
    session = driver.settle()
    assert session.cells.rois.names == ("7",)
    assert session.origin == "file"
    np.testing.assert_array_equal(session.mask, labels > 0)
    driver.do(session.undo)
    assert session.origin == "threshold"
    assert len(session.cells.rois) > 3


@pytest.mark.parametrize("path", ["nothing.zip", "", "/"])
def test_an_import_that_fails_is_said_and_changes_nothing(driver: Driver, path: str) -> None:
    before = driver.session.cells
    driver.do(lambda: driver.session.bring_in(path))
    session = driver.settle()
    assert session.message[1] == "error"
    assert session.message[0]
    assert session.cells is before


def test_a_recipe_that_finds_no_level_is_said(driver: Driver) -> None:
    before = driver.session.mask
    driver.do(lambda: driver.session.find_by(recipe(threshold={"method": "local_mean", "block_size": 999})))
    session = driver.settle()
    assert "block_size=999 is larger than the image" in session.message[0]
    assert session.mask is before


def test_projections_stop(movie: Path, tmp_path: Path) -> None:
    with driving(movie, tmp_path) as driver:

        def begin_and_stop() -> None:
            driver.session.need_image("std")
            driver.session.projections.stop()

        driver.do(begin_and_stop)
        session = driver.settle()
        assert "std" not in session.images
        assert session.projections.progress == ""
        driver.do(lambda: session.need_image("std"))
        assert "std" in driver.settle().images


def test_a_recording_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = rt.simulate(tmp_path / "broken.zarr", shape=(64, 64, 64), n_rois=2, seed=1)
    recording = rt.open_recording(path)
    for file in path.rglob("c/*/*/*"):
        if file.is_file():
            file.write_bytes(b"\0" * 100)
    with driving(recording, tmp_path) as driver:
        assert driver.session.message[1] == "error"
        assert "broken" in driver.session.message[0]
        assert driver.session.images == {}


def test_a_recording_made_in_python_is_read_frame_by_frame(tmp_path: Path) -> None:
    values = np.random.default_rng(1).poisson(100, (40, 16, 16)).astype("uint16")
    movie = xr.DataArray(values, dims=("time", "y", "x")).chunk(time=7) * 2
    with driving(movie, tmp_path) as driver:
        driver.do(lambda: driver.session.show_frame(13))
        session = driver.settle()
        np.testing.assert_array_equal(session.frame_values, values[13] * 2)
        assert session.shown == "mean"
        driver.do(lambda: session.export("a", ["config"], "ImageJ (zip)", overwrite=False))
        assert "has no path" in driver.settle().message[0] or "no cells" in session.message[0]
