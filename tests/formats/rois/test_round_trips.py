"""ROIs from every format that is written into every other: what both keep is the same."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.errors import ArgumentError
from tests.strategies import roi_sets

SHAPE = (7, 9)

FILES = {
    "imagej": "RoiSet.zip",
    "tiff": "labels.tif",
    "png": "labels.png",
    "npy": "labels.npy",
    "suite2p": "stat.npy",
    "nwb": "rois.nwb",
    "neurofinder": "regions.json",
    "csv": "pixels.csv",
    "ome-zarr": "rois.ome.zarr",
    "results": "rois.zarr",
}
KEPT = {
    "imagej": {"overlap", "names"},
    "tiff": {"ids"},
    "png": {"ids"},
    "npy": {"ids"},
    "suite2p": {"overlap", "empty", "flags", "single weights"},
    "nwb": {"overlap", "empty", "names", "ids", "flags", "single weights"},
    "neurofinder": {"overlap", "empty", "ids"},
    "csv": {"overlap", "names", "ids", "flags", "weights"},
    "ome-zarr": {"names", "ids", "flags", "empty"},
    "results": {"overlap", "empty", "names", "ids", "flags", "weights"},
}
NAMES = st.text("abc1 _-.,;\"'äß", min_size=1, max_size=5).map(str.strip).filter(bool)


@st.composite
def named_rois(draw):
    """Rois with names, ids and flags of all kinds; some without pixels, some overlapping."""
    rois = draw(roi_sets(SHAPE))
    if draw(st.booleans()):
        rois = replace(rois, ids=rois.ids * 3 + draw(st.integers(0, 60000)))
        rois = replace(rois, names=tuple(map(str, rois.ids)))
    if draw(st.booleans()) and len(rois):
        names = draw(st.lists(NAMES, min_size=len(rois), max_size=len(rois), unique=True))
        rois = replace(rois, names=tuple(names))
    flags = draw(st.lists(st.booleans(), min_size=len(rois), max_size=len(rois)))
    return replace(rois, accepted=np.array(flags, dtype=bool), attrs={})


def through(rois, kind):
    """What a format makes of ROIs."""
    kept = KEPT[kind]
    pixels = [rois.coordinates(number).to_yx() for number in range(len(rois))]
    weights = None if rois.weights is None else [rois.row_weights(number) for number in range(len(rois))]
    if "overlap" not in kept:
        taken = np.zeros(SHAPE, bool)
        for number, yx in enumerate(pixels):
            free = ~taken[tuple(yx.T)]
            taken[tuple(yx.T)] = True
            pixels[number] = yx[free]
    if weights is not None and "weights" not in kept:
        weights = [row.astype("float32") for row in weights] if "single weights" in kept else None
    if weights is not None and "single weights" in kept and all((row == 1).all() for row in weights):
        weights = None  # weights of 1 say nothing there
    keep = [number for number, yx in enumerate(pixels) if len(yx) or "empty" in kept]
    ids, names = rois.ids.tolist(), list(rois.names)
    if kind == "suite2p":
        ids = list(range(len(rois)))
    elif kind == "imagej":
        ids = [keep.index(number) + 1 if number in keep else 0 for number in range(len(rois))]
    elif "ids" not in kept or ("overlap" not in kept and ids and min(ids) < 1):
        ids = list(range(1, len(rois) + 1))
    if "names" not in kept:
        names = list(map(str, ids))
    flags = rois.accepted.tolist() if "flags" in kept else [True] * len(rois)

    def of(values):
        return [values[number] for number in keep]

    return rt.Rois.from_pixels(
        of(pixels),
        frame=rois.frame,
        weights=None if weights is None else of(weights),
        names=of(names),
        ids=of(ids),
        accepted=of(flags),
    )


def written_and_read(rois, folder, kind):
    path = folder / FILES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is lost is in KEPT, and in other tests
        rt.write_rois(rois, path, overwrite=True)
        return rt.read_rois(path, recording=rois)


@pytest.mark.parametrize("to", FILES)
@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=3, deadline=None)
@given(rois=named_rois())
def test_from_every_format_to_every_other(tmp_path_factory, kind, to, rois):
    if kind == "imagej" and not rois.pixels.size:
        return  # ImageJ knows no empty selection
    expected = through(rois, kind)
    first = written_and_read(rois, tmp_path_factory.mktemp("first"), kind)
    assert first.equals(expected)
    if to == "imagej" and not expected.pixels.size:
        return
    again = written_and_read(first, tmp_path_factory.mktemp("second"), to)
    assert again.equals(through(expected, to))


def test_imagej_refuses_what_it_cannot_hold(tmp_path):
    rois = rt.Rois.from_pixels([np.zeros((0, 2), int)], shape=SHAPE)
    for none in (rois, rois[:0]):
        with pytest.raises(ArgumentError, match="no ROIs with pixels to write"):
            rt.write_rois(none, tmp_path / "RoiSet.zip")
