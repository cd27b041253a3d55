from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from roitrace.labelling import components, edge_distance, enclosed, in_raster_order, split_components

quick = settings(max_examples=40, deadline=None)
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def first_pixels(labels: np.ndarray[Any, Any]) -> list[int]:
    return [int(np.flatnonzero(labels.ravel() == one)[0]) for one in range(1, labels.max(initial=0) + 1)]


@given(mask=masks, connectivity=st.sampled_from([1, 2]))
@quick
def test_components_are_numbered_by_their_first_pixel(mask: np.ndarray[Any, Any], connectivity: int) -> None:
    labels = components(mask, connectivity)
    expected, count = scipy.ndimage.label(mask, scipy.ndimage.generate_binary_structure(2, connectivity))
    np.testing.assert_array_equal(labels, expected)
    assert labels.max(initial=0) == count
    assert first_pixels(labels) == sorted(first_pixels(labels))


@given(mask=masks)
@quick
def test_enclosed_areas_are_the_holes_of_scipy(mask: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(mask | enclosed(mask, np.inf), scipy.ndimage.binary_fill_holes(mask))


def test_enclosed_areas_up_to_a_size() -> None:
    mask = np.ones((5, 9), dtype=bool)
    mask[2, 1] = mask[1:4, 4:7] = mask[0, 8] = False
    assert enclosed(mask, 1).sum() == 1
    assert enclosed(mask, 8).sum() == 1
    assert enclosed(mask, 9).sum() == 10
    assert enclosed(mask, 0).sum() == 0


def test_distance_counts_what_lies_off_the_image_as_outside() -> None:
    np.testing.assert_array_equal(edge_distance(np.ones((3, 5), dtype=bool))[1], [1, 2, 2, 2, 1])


@given(labels=arrays(np.int32, (6, 7), elements=st.integers(0, 9)))
@quick
def test_raster_order_renames_and_does_no_more(labels: np.ndarray[Any, Any]) -> None:
    ordered = in_raster_order(labels)
    assert first_pixels(ordered) == sorted(first_pixels(ordered))
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), ordered.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert all((a == 0) == (b == 0) for a, b in pairs)


@given(mask=masks, seed=st.integers(0, 99), connectivity=st.sampled_from([1, 2]), distance=st.integers(1, 4))
@quick
def test_splitting_divides_components_and_loses_no_pixel(
    mask: np.ndarray[Any, Any], seed: int, connectivity: int, distance: int
) -> None:
    mask.flat[0] = True
    labels = components(mask, connectivity)
    surface = np.random.default_rng(seed).integers(0, 4, mask.shape).astype(float)
    pieces = split_components(labels, surface, distance, connectivity)
    np.testing.assert_array_equal(pieces > 0, mask)
    assert first_pixels(pieces) == sorted(first_pixels(pieces))
    for one in range(1, pieces.max() + 1):
        piece = pieces == one
        assert np.unique(labels[piece]).size == 1
        assert components(piece, connectivity).max() == 1


@pytest.mark.parametrize("connectivity", [1, 2])
def test_a_flat_component_stays_whole_beside_others_that_split(connectivity: int) -> None:
    mask = np.zeros((9, 20), dtype=bool)
    mask[1:4, 1:15] = mask[6:8, 3:9] = True
    surface = np.zeros(mask.shape)
    surface[2, 3] = surface[2, 12] = 5
    surface = scipy.ndimage.gaussian_filter(surface, 1.5)
    surface[6:8] = 0
    pieces = split_components(components(mask, connectivity), surface, 3, connectivity)
    assert pieces.max() == 3
    assert np.unique(pieces[6:8, 3:9]).tolist() == [3]
