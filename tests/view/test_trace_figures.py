from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import ArgumentError
from roitrace.view.neuropil import plot_correction, plot_neuropil
from roitrace.view.quality import plot_quality
from roitrace.view.recordings import plot_recordings
from tests.view.drawing import draw, heading, loops


@pytest.fixture
def cells():
    return rt.Rois.from_pixels([[(9, 9), (9, 10)], [(12, 14)]], shape=(24, 26), names=["a", "b"])


def test_the_ring_leaves_the_cell_and_its_neighbours_out(ax, cells):
    rings = rt.neuropil(cells, min_pixels=60)
    plot_neuropil(cells, rings, "a", np.ones((24, 26)), ax=ax)
    draw(ax)
    assert heading(ax) == f"ROI a: 2 pixels, neuropil of {rings.n_pixels[0]}"
    assert loops(ax, "cell") == [[[8.5, 8.5], [10.5, 8.5], [10.5, 9.5], [8.5, 9.5], [8.5, 8.5]]]
    assert len(loops(ax, "other cells")) == 1
    assert len(loops(ax, "neuropil")) == 1


def test_rings_of_others_are_refused(ax, cells):
    with pytest.raises(ArgumentError, match="names differ"):
        plot_neuropil(cells, rt.neuropil(cells)[["a"]], "a", ax=ax)


def test_f_fneu_and_fcorr_are_drawn(ax):
    f = xr.DataArray(np.array([[3.0, 4.0], [10.0, 20.0]]), dims=("roi", "time"), name="mean")
    plot_correction(rt.correct_neuropil(f, f / 2, r=0.5), 1, ax=ax)
    draw(ax)
    assert [line.get_ydata().tolist() for line in ax.lines] == [[10, 20], [5, 10], [7.5, 15]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["F", "Fneu", "Fcorr"]


def test_rejected_cells_are_crosses(ax):
    table = xr.Dataset({"noise": ("roi", [1.0, 2.0, 3.0]), "peak_snr": ("roi", [9.0, 4.0, 7.0])})
    plot_quality(table.assign_coords(accepted=("roi", [True, False, True])), ax=ax)
    rejected, accepted = (one.get_offsets().tolist() for one in draw(ax).collections)
    assert rejected == [[2, 4]]
    assert accepted == [[1, 9], [3, 7]]
    assert heading(ax) == "3 ROIs, 1 rejected (crosses)"
    with pytest.raises(ArgumentError, match="no measure 'snr'"):
        plot_quality(table, y="snr", ax=ax)


def test_each_recording_has_a_column_in_three_panels(ax):
    values = np.array([[1.0, 1.0], [0.4, 0.6], [np.nan, np.nan]])
    names = ("correlation", "noise_ratio", "peak_snr_difference")
    table = xr.Dataset(dict.fromkeys(names, (("recording", "roi"), values)), attrs={"against": "raw"})
    table = table.assign_coords(recording=["raw", "denoised", "later"])
    plot_recordings(table, ax=ax)
    panels = draw(ax).figure.axes
    assert [[one.get_text() for one in panel.get_xticklabels()] for panel in panels] == [
        ["denoised", "later"]
    ] * 3
    assert panels[1].collections[0].get_offsets()[:, 1].tolist() == [0.4, 0.6]
    assert heading(ax) == "2 ROIs, against raw"
    with pytest.raises(ArgumentError, match="lacks noise_ratio"):
        plot_recordings(table.drop_vars("noise_ratio"), ax=ax)
