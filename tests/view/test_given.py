"""Whatever is given to a figure in place of what it draws: one of our errors, in one sentence with a next step."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import roitrace as rt
from roitrace.errors import AlignmentError, ArgumentError, RoitraceError
from roitrace.view.given import require_kind, require_variables

FIGURES = sorted(name for name in dir(rt) if name.startswith("plot_"))
WRONG = [
    None,
    "a text",
    3.5,
    {"a": 1},
    [[1, 2], [3]],
    [["a", "b"]],
    np.zeros(3, complex),
    np.array([["x"]]),
    xr.Dataset(),
    xr.Dataset({"a": ("time", [1.0])}),
    xr.DataArray([1.0, 2.0], dims="place"),
    object(),
]


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_no_such_thing_is_refused(name):
    draw = getattr(rt, name)
    needed = [one for one in inspect.signature(draw).parameters.values() if one.default is one.empty]
    for wrong in WRONG:
        with pytest.raises(RoitraceError) as caught:
            draw(*[wrong] * len(needed), ax=Figure().subplots())
        assert "\n" not in caught.value.problem


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_takes_axes_and_says_what_is_none(name, rois, traces, image):
    draw, cells = getattr(rt, name), rois.where(np.ones(3, bool))
    given = {
        "plot_mask": (rois.to_mask(),),
        "plot_projections": (xr.Dataset({"mean": image}),),
        "plot_rois": (cells,),
        "plot_weights": (cells,),
        "plot_neuropil": (cells, rt.neuropil(cells, min_pixels=20), 0),
        "plot_traces": (traces,),
        "plot_pixels": (xr.DataArray(np.eye(3), dims=("pixel", "time")),),
        "plot_comparison": (traces,),
        "plot_correction": (rt.correct_neuropil(traces["mean"], traces["mean"] / 3),),
        "plot_quality": (rt.quality(traces, rois),),
        "plot_detection": (cells, cells),
        "plot_recordings": (
            xr.Dataset(
                {key: (("recording", "roi"), np.ones((2, 3))) for key in RECORDINGS},
                coords={"recording": ["raw", "other"]},
                attrs={"against": "raw"},
            ),
        ),
    }[name]
    drawn = draw(*given, ax=Figure().subplots())
    first = drawn[0] if isinstance(drawn, list) else drawn
    assert first.figure.axes
    with pytest.raises(ArgumentError, match=r"ax is of type ndarray.*axes\[0\]"):
        draw(*given, ax=Figure().subplots(1, 2))


RECORDINGS = ("correlation", "noise_ratio", "peak_snr_difference")


def test_neuropil_over_an_image_of_another_frame(rois):
    rings = rt.neuropil(rois, min_pixels=20)
    with pytest.raises(AlignmentError, match="the image"):
        rt.plot_neuropil(rois, rings, "a", np.zeros((29, 40)), ax=Figure().subplots())


@pytest.mark.parametrize("roi", [2.5, None, [None], b"a", object(), ["a", 1.5]])
def test_a_roi_that_is_none(roi, rois):
    with pytest.raises(ArgumentError, match="is no ROI"):
        rt.plot_weights(rois, [roi] if roi is None else roi, ax=Figure().subplots())


def test_the_two_checks():
    with pytest.raises(ArgumentError, match="the table is of type list, expected Dataset; make one"):
        require_kind([], xr.Dataset, "the table", "make one")
    with pytest.raises(ArgumentError, match="the table holds a, and no b; make it"):
        require_variables(xr.Dataset({"a": 1}), ("a", "b"), "the table", "make it")
