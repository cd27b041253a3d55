from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import Frame
from roitrace.rois import Rois
from roitrace.view.maps import plot_rois, plot_weights
from roitrace.view.palette import REJECTED, REJECTED_ON_IMAGE, colour
from tests.view.drawing import ODD_NAMES, artist, boxes_overlap, draw, heading, loops, texts


def test_accepted_are_solid_and_rejected_dashed(ax, rois, image):
    plot_rois(rois, image, ax=ax)
    assert loops(draw(ax), "accepted") == [
        [[3, 3], [11, 3], [11, 11], [3, 11], [3, 3]],
        [[9, 9], [17, 9], [17, 17], [9, 17], [9, 9]],
    ]
    assert loops(ax, "rejected") == [[[59, 39], [67, 39], [67, 47], [59, 47], [59, 39]]]
    accepted, rejected = artist(ax, "accepted"), artist(ax, "rejected")
    assert [to_hex(one).upper() for one in accepted.get_edgecolor()] == [colour(0), colour(1)]
    assert to_hex(rejected.get_edgecolor()[0]).upper() == REJECTED_ON_IMAGE
    assert accepted.get_linestyle()[0][1] is None
    assert rejected.get_linestyle()[0][1] is not None
    assert heading(ax) == "3 ROIs, 1 rejected (dashed)"
    assert set(texts(ax)) == {"a", "b", "c", "20 µm"}


def test_without_an_image_the_rois_are_filled(ax, rois):
    plot_rois(rois, ax=ax)
    draw(ax)
    assert artist(ax, "accepted").get_facecolor()[:, 3].tolist() == pytest.approx([0.33, 0.33])
    assert to_hex(artist(ax, "rejected").get_edgecolor()[0]).upper() == REJECTED
    assert not ax.images


def test_holes_are_left_open(ax):
    ring = np.ones((9, 9), dtype=bool)
    ring[3:6, 3:6] = False
    plot_rois(ring, ax=ax, labels=False)
    picture = np.asarray(draw(ax).figure.canvas.buffer_rgba())
    column, row = ax.transData.transform([(4, 4), (4, 1)]).round().astype(int).T
    inside, on_ring = picture[len(picture) - row, column, :3]
    assert inside.tolist() == [255, 255, 255]
    assert on_ring.tolist() != [255, 255, 255]


def test_names_are_drawn_as_written_and_in_the_middle(ax):
    pixels = [np.argwhere(np.ones((9, 9))) + np.array([0, 20 * number]) for number in range(3)]
    plot_rois(Rois.from_pixels(pixels, shape=(9, 60), names=ODD_NAMES), ax=ax)
    assert texts(draw(ax)) == ["$a_1$", "\\frac{", "□□ 2 □"]
    assert [text.get_position() for text in ax.texts] == [(4, 4), (24, 4), (44, 4)]


def test_names_never_overlap_and_the_title_counts_them(ax):
    rng = np.random.default_rng(2)
    disk = np.argwhere(np.hypot(*np.mgrid[-8:9, -8:9]) < 8)
    pixels = [disk + corner for corner in rng.integers(0, 180, (150, 2))]
    plot_rois(Rois.from_pixels(pixels, shape=(200, 200)), ax=ax)
    draw(ax)
    shown = [text for text in ax.texts if text.get_text()]
    assert 20 < len(shown) < 150
    assert heading(ax) == f"150 ROIs, {len(shown)} named"
    boxes = [text.get_window_extent() for text in shown]
    assert not any(boxes_overlap(*pair) for pair in combinations(boxes, 2))


def test_thousands_of_rois_take_seconds_and_three_collections(ax):
    rng = np.random.default_rng(3)
    disk = np.argwhere(np.hypot(*np.mgrid[-4:5, -4:5]) < 4.5)
    pixels = [disk + corner for corner in rng.integers(0, 1000, (4000, 2))]
    rois = Rois.from_pixels(pixels, shape=(1010, 1010))
    begin = time.perf_counter()
    plot_rois(rois, np.zeros(rois.shape), ax=ax)
    draw(ax)
    assert time.perf_counter() - begin < 10
    assert len(ax.collections) == 4
    assert len(loops(ax, "accepted")) == 4000
    assert heading(ax) == "4,000 ROIs, too small here for names"


def test_labels_can_be_left_out(ax, rois):
    plot_rois(rois, ax=ax, labels=False)
    assert texts(ax) == ["20 µm"]
    assert heading(ax) == "3 ROIs, 1 rejected (dashed)"


def test_masks_and_label_images_are_taken(ax):
    plot_rois(np.array([[0, 7], [9, 9]]), ax=ax)
    assert len(loops(draw(ax), "accepted")) == 2
    assert ax.get_xlabel() == "x (pixels)"


@pytest.mark.parametrize("pixels", [[], [np.zeros((0, 2), dtype=int)], [np.array([[0, 0]])]])
def test_no_roi_an_empty_roi_and_one_pixel(ax, pixels):
    plot_rois(Rois.from_pixels(pixels, shape=(1, 1)), np.array([[np.nan]]), ax=ax)
    draw(ax)
    assert heading(ax) == ("1 ROI" if pixels else "0 ROIs")


def test_rois_refuse_other_and_lazy_images(ax, rois, image):
    with pytest.raises(LazyInputError, match="the image is lazy"):
        plot_rois(rois, image.chunk(), ax=ax)
    with pytest.raises(AlignmentError, match="the frame of the ROIs is 30 x 40"):
        plot_rois(rois, image[:, 1:], ax=ax)


def test_weights_of_one_roi_as_they_are(ax, rois, image):
    plot_weights(rois, "b", image, ax=ax)
    draw(ax)
    weights = ax.images[-1].get_array()
    assert weights.compressed().tolist() == list(range(1, 17))
    assert ax.images[-1].get_clim() == (0, 16)
    # 3 pixels of margin around rows and columns 5 to 8
    assert weights.shape == (10, 10)
    assert ax.images[-1].get_extent() == [3, 23, 23, 3]
    assert loops(ax, "roi outlines") == [[[9, 9], [17, 9], [17, 17], [9, 17], [9, 9]]]
    effective = 136**2 / np.sum(np.arange(1, 17) ** 2)
    assert heading(ax) == f"ROI b: 16 pixels, effectively {effective:.1f}"
    assert ax.child_axes[0].get_ylabel() == "weight"


def test_weights_of_several_rois_are_relative_and_the_larger_wins(ax, rois):
    plot_weights(rois, ax=ax)
    draw(ax)
    weights = ax.images[0].get_array()
    assert weights.shape == (30, 40)
    assert weights.count() == 47
    assert (weights[5, 5], weights[8, 8], weights[2, 2]) == (1.0, 1.0, 1 / 16)
    assert ax.child_axes[0].get_ylabel() == "weight (fraction of the ROI's largest)"
    assert heading(ax) == "weights of 3 ROIs"


def test_weights_of_an_empty_roi(ax):
    rois = Rois.from_pixels([np.zeros((0, 2), dtype=int)], shape=(4, 5), weights=[[]], names=["$gone$"])
    plot_weights(rois, 0, ax=ax)
    assert heading(draw(ax)) == "ROI $gone$: no pixels"
    plot_weights(rois[[]], ax=ax)
    assert heading(draw(ax)) == "weights of 0 ROIs"


def test_weights_are_needed_and_rois_looked_up(ax, rois, image):
    with pytest.raises(ArgumentError, match="these ROIs have no weights"):
        plot_weights(rois.with_weights(None), ax=ax)
    with pytest.raises(ArgumentError, match="no ROI is named 'z'"):
        plot_weights(rois, "z", ax=ax)
    with pytest.raises(LazyInputError, match="the image is lazy"):
        plot_weights(rois, "a", image.chunk(), ax=ax)
    with pytest.raises(AlignmentError, match="the image 2 x 2"):
        plot_weights(rois, "a", np.zeros((2, 2)), ax=ax)


def test_unlabelled_rois_take_the_frame_of_their_image(ax, rois, image):
    bare = Rois.from_pixels([rois.coordinates("a").to_yx()], frame=Frame(rois.shape))
    plot_rois(bare, image, ax=ax, scale_bar=False)
    assert ax.get_xlabel() == "x (µm)"
