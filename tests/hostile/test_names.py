"""Names of ROIs are data: kept as they are, spelled out on a terminal, escaped on a page."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
import xarray as xr

import roitrace as rt
from roitrace.cli.main import main
from roitrace.cli.printable import printable
from tests.formats.reading import movie

NAMES = (
    "<script>alert(1)</script>",
    "\x1b[2J\x07bell",
    "two\nlines",
    "$\\frac{$",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "../../up",
    "=1+1",
    "\u202egnp",
)


@pytest.fixture
def rois():
    pixels = [np.array([[one, one], [one, one + 1]]) for one in range(len(NAMES))]
    return rt.Rois.from_pixels(pixels, shape=(12, 12), names=NAMES)


@pytest.fixture
def results(rois, tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie((40, 12, 12)), photometric="minisblack")
    recording = rt.open_recording(tmp_path / "movie.tif", frame_rate=10)
    traces = rt.extract(recording, rois, statistics=("mean",), projections=("mean",)).compute()
    rt.save({"traces": traces.drop_vars("projection_mean"), "rois": rois}, tmp_path / "results.zarr")
    return tmp_path / "results.zarr"


@pytest.mark.filterwarnings("ignore:.* does not keep:UserWarning")
def test_they_are_kept(rois, results, tmp_path):
    assert rois.names == NAMES
    assert tuple(rt.load(results)["traces"]["roi"].values) == NAMES
    rt.export(results, tmp_path / "traces.csv")
    with (tmp_path / "traces.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file)))[1:] == NAMES
    rt.write_rois(rois, tmp_path / "cells.csv")
    recording = xr.DataArray(np.zeros((2, 12, 12), np.uint16), dims=("time", "y", "x"))
    assert rt.read_rois(tmp_path / "cells.csv", recording=recording).names == NAMES


def test_files_that_are_named_like_rois_stay_in_their_archive(rois, tmp_path):
    rt.write_rois(rois, tmp_path / "RoiSet.zip")
    import zipfile

    with zipfile.ZipFile(tmp_path / "RoiSet.zip") as archive:
        assert not [one for one in archive.namelist() if {"/", "\\"} & set(one) or one.startswith(".")]


def test_a_terminal_is_not_steered(tmp_path, capsys):
    assert printable("a\x1b[2J\x07\u202eb\tc\n") == "a\\x1b[2J\\x07\\u202eb\tc\n"
    regions = [{"id": NAMES[1], "coordinates": [[1, 1], [1, 1]]}]
    (tmp_path / "cells.json").write_text(json.dumps(regions))
    tifffile.imwrite(tmp_path / "movie.tif", movie((4, 12, 12)), photometric="minisblack")
    arguments = ["extract", *(str(tmp_path / one) for one in ("movie.tif", "cells.json", "out.zarr"))]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "\\x1b[2J\\x07bell" in said
    assert not set("\x1b\x07\x00") & set(said)


def test_a_page_runs_nothing_of_them(results, tmp_path):
    rt.report(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("what", ["rois", "traces"])
def test_figures_show_them(rois, results, what):
    import matplotlib as mpl

    mpl.use("agg")
    ax = rt.plot_rois(rois) if what == "rois" else rt.plot_traces(rt.load(results)["traces"].to_dataset())
    figure = (ax[0] if isinstance(ax, list | tuple | np.ndarray) else ax).figure
    figure.canvas.draw()
    mpl.pyplot.close(figure)
