"""What notebooks show of ROIs, plans and results."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import roitrace as rt
from roitrace.markup import facts_table, pixel_map


class Tags(HTMLParser):
    """Which tags there are, and whether each is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, _attributes):
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def picture_in(text):
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", text)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_rois_show_their_map_and_their_numbers():
    masks = np.zeros((2, 6, 8), dtype=bool)
    masks[0, 1:3, 1:4] = masks[1, 2:5, 3:6] = True
    rois = rt.Rois.from_masks(masks, names=["soma", "<script>x</script>"]).reject("soma", "dim")
    text = rois._repr_html_()
    tags = Tags(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert "1 of 2" in text
    picture = picture_in(text)
    assert picture.shape == (6, 8, 3)
    assert picture[1, 1].tolist() == [138, 138, 138]
    assert picture[4, 4].tolist() == [0, 114, 178]
    assert picture[2, 3].tolist() == [0, 57, 89]
    assert picture[0, 0].tolist() == [245, 247, 248]


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3000, 10)])
def test_any_frame_and_no_cells(shape):
    none = np.zeros(0, dtype=np.int64)
    text = pixel_map(shape, none, none, np.zeros(0, dtype=bool))
    assert (text == "") == (shape == (0, 0))
    assert len(text) < 2000


def test_a_rois_without_cells():
    assert "0 ROIs" in rt.Rois.from_labels(np.zeros((4, 5), dtype=int))._repr_html_()


def test_plan_says_whether_it_fits():
    movie = xr.DataArray(np.zeros((60, 32, 32), dtype="uint16"), dims=("time", "y", "x")).chunk(time=20)
    plan = rt.plan(movie, np.eye(32, dtype=bool), statistics="mean", workers=1)
    assert Tags(plan._repr_html_()).open == []
    assert "it fits" in plan._repr_html_()
    assert "60 frames of 32 by 32 uint16" in plan._repr_html_()
    tight = rt.plan(movie, np.eye(32, dtype=bool), statistics="mean", workers=1, budget="1 MiB")
    assert "it fits" not in tight._repr_html_()


def test_results_show_their_groups(tmp_path):
    rois = rt.Rois.from_mask(np.eye(3, dtype=bool))
    tree = rt.load(rt.save({"rois": rois}, tmp_path / "a.zarr"))
    assert "rois" in tree._repr_html_()


def test_texts_are_escaped():
    assert "<i>" not in facts_table("<i>", [("<i>", "<i>")])
