from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import ArgumentError
from roitrace.matching import match_rois
from roitrace.rois import Rois
from roitrace.view.detection import plot_detection
from tests.view.drawing import draw, heading

TRUTH = Rois.from_labels(np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2], [0] * 9, [3] * 9]))
FOUND = Rois.from_labels(np.array([[1, 1, 1, 0, 0, 2, 0, 0, 0], [0] * 9, [0] * 9]))


def test_lines_are_those_of_match_rois(ax):
    plot_detection({"$mine$": FOUND, "all": TRUTH}, TRUTH, ax=ax)
    draw(ax)
    left, right = ax.figure.axes
    thresholds = np.arange(0.05, 1.0, 0.05)
    for panel, measure in ((left, "precision"), (right, "recall")):
        for line, rois in zip(panel.lines, (FOUND, TRUTH), strict=False):
            expected = [float(match_rois(rois, TRUTH, iou=float(one))[measure]) for one in thresholds]
            np.testing.assert_array_equal(line.get_ydata(), expected)
            np.testing.assert_array_equal(line.get_xdata(), thresholds)
        assert panel.get_ylabel() == measure
        assert panel.get_xlabel() == "smallest IoU of a pair"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["$mine$ (2)", "all (3)"]
    assert heading(right) == "found among 3 true cells"


def test_one_set_and_none(ax):
    plot_detection(FOUND, TRUTH, name="cells", ax=ax)
    assert ax.figure.axes[1].get_legend().get_texts()[0].get_text() == "cells (2)"
    plot_detection(FOUND[:0], TRUTH, ax=ax)
    with pytest.raises(ArgumentError, match="no found cells to draw"):
        plot_detection({}, TRUTH, ax=ax)
