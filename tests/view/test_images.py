from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.threshold import threshold
from roitrace.view.images import plot_mask, plot_projections
from roitrace.view.palette import BLUE, MISSING, ORANGE
from tests.view.drawing import artist, draw, heading, loops, texts


def test_mask_outline_follows_the_pixel_edges(ax, frame, image):
    values = np.zeros(frame.shape, dtype=bool)
    values[4:9, 4:9] = True
    plot_mask(frame.image(values), image, ax=ax)
    assert loops(draw(ax), "mask outlines") == [[[7, 7], [17, 7], [17, 17], [7, 17], [7, 7]]]
    assert ax.images[0].get_extent() == [-1, 79, 59, -1]
    assert heading(ax) == "mask: 2.1% of the frame"
    assert texts(ax) == ["20 µm"]
    low, high = ax.images[0].get_clim()
    assert 60 < low < high <= 300  # the hot pixel does not count


def test_the_threshold_is_named_and_marked(ax, image):
    plot_mask(threshold(image, value=200), image, ax=ax)
    assert heading(ax) == "value: image >= 200, 2.2% of the frame"
    colour_bar = draw(ax).child_axes[0]
    (mark,) = [line for line in colour_bar.lines if line.get_color() == ORANGE]
    assert list(mark.get_ydata()) == [200, 200]
    assert colour_bar.get_ylabel() == "mean (counts)"


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        (
            {"method": "local_mean", "level_min": 90.0, "level_max": 120.5},
            "local mean: local levels 90 to 120.5, ",
        ),
        (
            {"method": "otsu", "level": [1.0, 2.0], "regions": ["a", "b"]},
            "otsu: a level in each of 2 regions, ",
        ),
        ({"method": "li", "level": 5, "comparison": ">", "cleaned": "opened"}, "li: image > 5, cleaned, "),
        ({"method": "drawn $by$ hand"}, "drawn $by$ hand, "),
        ({"method": "otsu", "level": float("nan"), "regions": "a"}, "otsu: a level in each of 1 region, "),
    ],
)
def test_headings(ax, frame, attrs, expected):
    plot_mask(frame.image(np.ones(frame.shape, dtype=bool), "mask", **attrs), ax=ax)
    assert heading(draw(ax)) == f"{expected}100.0% of the frame"


@pytest.mark.parametrize("level", [-5.0, 1e5])
def test_a_level_beyond_the_contrast_is_not_marked(ax, frame, image, level):
    mask = frame.image(image.values > level, "mask", method="otsu", level=level)
    plot_mask(mask, image, ax=ax)
    assert all(line.get_color() != ORANGE for line in draw(ax).child_axes[0].lines)


def test_colours_with_and_without_an_image(ax, frame, image):
    mask = frame.image(image.values > 200)
    shown = [
        plot_mask(mask, ax=ax),
        plot_mask(mask, image, ax=ax),
        plot_mask(mask, image, ax=ax, color="red"),
    ]
    edges = [one for one in shown[0].collections if one.get_gid() == "mask outlines"]
    assert [to_hex(one.get_edgecolor()[0]).upper() for one in edges] == [BLUE, ORANGE, "#FF0000"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("full", [True, False])
def test_tiny_and_empty_masks(ax, shape, full):
    mask = np.full(shape, full)
    plot_mask(mask, np.full(shape, np.nan), ax=ax)
    assert len(loops(draw(ax), "mask outlines")) == full
    assert ax.get_xlabel() == "x (pixels)"
    assert ax.child_axes[0].get_ylabel() == "fluorescence (counts)"


def test_missing_samples_have_their_own_colour(ax, frame, image):
    image = image.astype(np.float64)
    image[:3] = np.nan
    plot_mask(frame.image(image.values > 200), image, ax=ax)
    assert to_hex(ax.images[0].cmap.get_bad()).upper() == MISSING
    draw(ax)


def test_an_unlabelled_mask_takes_the_frame_of_its_image(ax, image):
    plot_mask(image.values > 200, image, ax=ax, scale_bar=False)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (µm)", "y (µm)")


def test_what_is_no_mask_is_refused(ax, frame, image):
    mask = frame.image(image.values > 200)
    with pytest.raises(ArgumentError, match="float64, expected bool"):
        plot_mask(image, ax=ax)
    with pytest.raises(LazyInputError, match="the mask is lazy"):
        plot_mask(mask.chunk(), ax=ax)
    with pytest.raises(LazyInputError, match="the image is lazy"):
        plot_mask(mask, image.chunk(), ax=ax)
    with pytest.raises(AlignmentError, match="the image 29 x 40"):
        plot_mask(mask, image[1:], ax=ax)
    assert not ax.has_data()


def test_projections_share_the_place_side_by_side(ax, image):
    images = xr.Dataset({"projection_mean": image, "std": image / 7, "trace": ("time", [1.0])})
    axes = plot_projections(images, ax=ax)
    draw(ax)
    assert [heading(one) for one in axes] == ["mean", "std"]
    assert [one.child_axes[0].get_ylabel() for one in axes] == ["mean (counts)", "std (counts)"]
    assert axes[0].get_position().x1 < axes[1].get_position().x0
    assert axes[0].images[0].get_clim() == pytest.approx(np.multiply(7, axes[1].images[0].get_clim()))


def test_projections_are_chosen_by_name(ax, image):
    images = xr.Dataset({"mean": image, "std": image})
    (only,) = plot_projections(images, ["std"], ax=ax, scale_bar=False)
    assert (heading(only), only.get_xlabel()) == ("std", "x (µm)")
    with pytest.raises(ArgumentError, match="no projection 'max'; projections are mean, std"):
        plot_projections(images, ["std", "max"], ax=ax)
    with pytest.raises(ArgumentError, match="no projection to draw"):
        plot_projections(xr.Dataset(), ax=ax)
    with pytest.raises(LazyInputError, match="projection std is lazy"):
        plot_projections(images.chunk(), ["std"], ax=ax)


def test_collections_stay_out_of_the_data_limits(ax, frame, image):
    plot_mask(frame.image(image.values > 200), image, ax=ax)
    assert (
        artist(ax, "mask outlines rim").get_linewidth()[0]
        == 2 * artist(ax, "mask outlines").get_linewidth()[0]
    )
    assert ax.get_xlim() == (-1, 79)
