from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import ArgumentError, MissingDependencyError, OutputExistsError, StoreError
from roitrace.view.report.encoding import unpack
from tests.view.report.results import make_images, make_results, make_rois, make_traces

pytestmark = pytest.mark.filterwarnings("error")


def written(results, tmp_path, **options):
    page = rt.report(results, tmp_path / "report.html", **options).read_text("utf-8")
    (data,) = re.findall(r'<script type="application/json" id="roitrace-data">(.*?)</script>', page)
    return page, json.loads(data)


def sections(page):
    return re.findall(r'<section id="(\w+)"', page)


def test_everything_is_there(tmp_path):
    page, data = written(make_results(), tmp_path)
    assert sections(page) == ["maps", "traces", "cells", "agreement", "pixels", "run"]
    assert data["names"] == ["a", "b", "c"]
    assert [one["name"] for one in data["images"]] == ["mean", "max"]
    assert [one["title"] for one in data["series"]] == ["mean", "median", "ΔF/F"]
    assert set(data["traces"]) == {"0", "1", "2"}
    titles = [one["title"] for one in data["columns"]]
    assert titles[:3] == ["cell", "accepted", "pixels"]
    assert {"noise", "peak SNR"} <= set(titles)


def test_no_address_is_in_the_page_but_in_the_library_s_comments(tmp_path):
    page, _ = written(make_results(), tmp_path)
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"https?://|//[a-z]+\.[a-z]+/", own) == []
    assert "default-src 'none'" in own
    assert "unsafe-eval" not in own
    assert "script-src 'unsafe-inline'" not in own


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["projections"], ["remarks", "maps", "run"]),
        (["mask"], ["remarks", "maps", "run"]),
        (["rois"], ["remarks", "maps", "cells", "pixels", "run"]),
        (["traces"], ["remarks", "traces", "cells", "agreement", "pixels", "run"]),
        (["quality"], ["remarks", "cells", "pixels", "run"]),
        (["normalized"], ["remarks", "traces", "cells", "pixels", "run"]),
        (["rois", "traces"], ["remarks", "maps", "traces", "cells", "agreement", "pixels", "run"]),
    ],
)
def test_parts_of_results(groups, expected, tmp_path):
    whole = make_results()
    page, _ = written({name: whole[name] for name in groups}, tmp_path)
    assert sections(page) == expected


def test_no_cells(tmp_path):
    rois = make_rois(())
    page, data = written({"projections": make_images(), "rois": rois, "traces": make_traces(rois)}, tmp_path)
    assert sections(page) == ["remarks", "maps", "run"]
    assert "There are no cells" in page
    assert data["names"] == []


@pytest.mark.parametrize("n_frames", [1, 2, 300])
def test_one_cell_and_few_frames(n_frames, tmp_path):
    rois = make_rois(("only",))
    _, data = written({"rois": rois, "traces": make_traces(rois, n_frames)}, tmp_path)
    assert data["time"]["count"] == n_frames
    assert data["selected"] == [0]


def test_missing_samples_and_float32(tmp_path):
    results = make_results(dtype=np.float32)
    results["traces"]["mean"][1] = np.nan
    results["traces"]["status"][1] = 16
    results["traces"]["mean"][0, 3] = np.inf
    page, data = written({name: results[name] for name in ("rois", "traces")}, tmp_path)
    assert "1 cell without a valid sample" in page
    remarks = next(one["values"] for one in data["columns"] if one["title"] == "remarks")
    assert remarks == ["", "all nan", ""]
    assert data["agreement"]["first"][1] is None


def test_sessions_and_gaps_are_segments_of_time(tmp_path):
    rois = make_rois()
    traces = make_traces(rois, 20, times=np.r_[np.arange(10) / 10, 100 + np.arange(10) / 10])
    _, data = written({"rois": rois, "traces": traces}, tmp_path)
    assert [[begin, start, round(step, 6)] for begin, start, step in data["time"]["segments"]] == [
        [0, 0.0, 0.1],
        [10, 100.0, 0.1],
    ]


def test_what_is_not_known_is_said(tmp_path):
    traces = xr.Dataset({"mean": (("roi", "time"), np.ones((2, 5)))}, attrs={"primary": "mean"})
    rois = rt.Rois.from_masks(np.eye(2, 9, dtype=bool).reshape(2, 3, 3))
    page, data = written({"traces": traces, "rois": rois}, tmp_path)
    assert "The frame rate is not known" in page
    assert "The pixel size is not known" in page
    assert data["time"]["unit"] == "frames"


def test_rejected_cells_and_their_reasons(tmp_path):
    page, data = written(make_results(reasons={"b": "too dim"}), tmp_path)
    assert "1 cell of 3 rejected" in page
    assert next(one["values"] for one in data["columns"] if one["title"] == "reason") == ["", "too dim", ""]
    assert data["selected"] != [1]


def test_pixels_where_the_recording_is_given(tmp_path):
    results = make_results()
    movie = np.random.default_rng(0).integers(0, 500, (2500, 40, 60)).astype(np.uint16)
    recording = xr.DataArray(
        movie,
        dims=("time", "y", "x"),
        coords={"time": ("time", np.arange(2500) / 10, {"units": "s"})} | results["rois"].frame.coords(),
    )
    _, data = written(results, tmp_path, recording=recording, example="b")
    assert list(data["pixels"]) == ["1", "0", "2"]
    own = data["pixels"]["1"]
    assert (own["shape"], own["pixels"], own["height"]) == ([25, 1000], 25, 25)
    assert own["words"] == "25 pixels over the first 2,000 frames, a column is the mean of 2 frames"
    assert (own["left"], own["width"]) == pytest.approx((-0.05, 200.0))


def test_pixels_of_a_large_mask_stay_small(tmp_path):
    movie = np.random.default_rng(0).integers(0, 500, (60, 300, 300)).astype(np.uint16)
    recording = xr.DataArray(movie, dims=("time", "y", "x"))
    mask = np.arange(90_000).reshape(300, 300) >= 7
    traces = rt.extract(recording, mask, ("mean",)).compute()
    page, data = written({"traces": traces, "rois": rt.Rois.from_mask(mask)}, tmp_path, recording=recording)
    assert len(page) < 2_500_000
    own = data["pixels"]["0"]
    assert (own["pixels"], own["shape"]) == (89_993, [200, 60])
    matrix = unpack(own["codes"], np.dtype("uint16")).reshape(200, 60) * own["step"] + own["low"]
    rows = np.where(mask.ravel())[0][:450]
    np.testing.assert_allclose(matrix[0], movie.reshape(60, -1)[:, rows].mean(axis=1), atol=own["step"])


def test_cells_without_pixels_have_no_matrix(tmp_path):
    recording = xr.DataArray(np.ones((5, 40, 60), np.uint16), dims=("time", "y", "x"))
    rois = rt.Rois.from_pixels([[(1, 1)], np.zeros((0, 2), int)], shape=(40, 60), names=["one", "none"])
    _, data = written({"rois": rois}, tmp_path, recording=recording)
    assert list(data["pixels"]) == ["0"]


def test_texts_of_users_stay_texts(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
    results = make_results((evil, "b", "c"), reasons={"c": evil})
    results["traces"].attrs["no_neuropil"] = evil
    results["projections"] = results["projections"].rename(mean=evil)
    page, data = written(results, tmp_path)
    assert data["names"][0] == evil
    assert evil not in page
    assert "<img" not in page


def test_a_store_and_how_its_job_ran(tmp_path):
    store = rt.save(
        make_results(), tmp_path / "evening.zarr", parameters={"extract": {"primary": "mean"}}, source="abc"
    )
    folder = tmp_path / "evening.zarr.run"
    folder.mkdir()
    told = {
        "seconds": 75.0,
        "seconds_per_step": {"extract": 50.0},
        "peak_anonymous_bytes": 2**30,
        "peak_memory_bytes": 3 * 2**30,
        "notes": ["the moon was out"],
        "plan": {
            "peak_bytes": 2**29,
            "steps": {"extract": {"bytes_to_read": 10**9, "tasks": 7, "peak_bytes": 400 * 2**20}},
        },
        "configuration": {"recording": {"path": "night.tif"}, "resources": {"budget": 2**31}},
    }
    (folder / "run.json").write_text(json.dumps(told), "utf-8")
    performance = {"dashboard": None, "steps": [{"step": "extract", "peak_memory_bytes": 200 * 2**20}]}
    (folder / "performance.json").write_text(json.dumps(performance), "utf-8")
    page, _ = written(store, tmp_path)
    for text in (
        "evening",
        "The moon was out.",
        "night.tif",
        "1.0 GiB",
        "512.0 MiB",
        "7 tasks, at most 400.0 MiB",
        "19.1 MiB per second, 200.0 MiB",
        "3.0 GiB",
        "extract.primary",
    ):
        assert text in page
    (folder / "run.json").write_text("{", "utf-8")
    page, _ = written(store, tmp_path, overwrite=True)
    assert "took" not in sections(page)


def test_a_file_that_is_there_is_not_touched(tmp_path):
    taken = tmp_path / "report.html"
    taken.write_text("mine", "utf-8")
    with pytest.raises(OutputExistsError, match="exists already"):
        rt.report(make_results(), taken)
    assert taken.read_text("utf-8") == "mine"
    assert list(tmp_path.iterdir()) == [taken]
    with pytest.raises(OutputExistsError, match="is a folder"):
        rt.report(make_results(), tmp_path, overwrite=True)


def test_wrong_calls(tmp_path):
    with pytest.raises(ArgumentError, match="no groups"):
        rt.report({}, tmp_path / "a.html")
    with pytest.raises(ArgumentError, match="no cell has this name"):
        rt.report(make_results(), tmp_path / "a.html", example="z")
    with pytest.raises(StoreError, match="does not exist"):
        rt.report(tmp_path / "none.zarr", tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_without_bokeh_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.models", None)
    with pytest.raises(MissingDependencyError, match="bokeh") as caught:
        rt.report(make_results(), tmp_path / "a.html")
    assert "roitrace[app]" in str(caught.value)


def test_large_results_stay_small(tmp_path):
    """As 500 cells and an hour at 30 Hz would: noise that cannot be compressed, in fewer frames and less room."""
    names = [f"cell {number}" for number in range(500)]
    square = np.argwhere(np.ones((2, 2)))
    frame = make_rois().frame
    rois = rt.Rois.from_pixels(
        [square + np.array(divmod(number, 25)) * 2 for number in range(500)], frame=frame, names=names
    )
    rng = np.random.default_rng(0)
    traces = xr.Dataset(
        {name: (("roi", "time"), rng.normal(300, 20, (500, 20_000))) for name in ("mean", "median")},
        coords=rois.coords() | {"time": ("time", np.arange(20_000) / 30, {"units": "s"})},
        attrs={"primary": "mean", "frame_rate": 30.0},
    )
    comparison = xr.Dataset(
        {
            name: (("statistic", "roi"), np.ones((2, 500)))
            for name in ("correlation", "slope", "rms_difference")
        },
        coords={"statistic": ["mean", "median"]},
    )
    page, data = written({"rois": rois, "traces": traces, "comparison": comparison}, tmp_path)
    assert 6_000_000 < len(page.encode("utf-8")) < 10_000_000
    assert len(data["traces"]) == 500
    stretches = {one["stretch"] for cell in data["traces"].values() for one in cell}
    assert 1 in stretches
    assert len(stretches) == 2


def test_what_is_aside_waits_and_f_comes_first(tmp_path):
    results = make_results()
    mean = results["traces"]["mean"]
    rng = np.random.default_rng(1)
    more = {name: mean + rng.normal(0, 50, mean.shape) for name in ("max", "half_a", "huber")}
    traces = results["traces"].drop_vars(["mean", "median"]).assign(more | {"mean": mean})
    page, data = written({"rois": results["rois"], "traces": traces}, tmp_path)
    order = [(one["title"], one["aside"]) for one in data["series"]]
    assert order[:2] == [("mean", False), ("huber", False)]
    assert sorted(order[2:]) == [("half a", True), ("max", True)]
    assert len({one["colour"] for one in data["series"]}) == 4
    assert sorted(data["worst"]) == [0, 1, 2]
    assert (page.count("<td>huber</td>"), page.count("<td>max</td>")) == (3, 0)


def test_a_cell_disagrees_once(tmp_path):
    page, data = written(make_results(), tmp_path)
    assert sorted(data["worst"]) == [0, 1, 2]
    assert page.count("<td>median</td>") == 3
