"""Traces that are extended have the bits of a fresh extraction, and only what is new is read."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import AlignmentError, ArgumentError
from roitrace.extension import extend
from roitrace.sources import BlockSource


def movie_of(n_frames=700, dtype="uint16"):
    movie = np.random.default_rng(0).poisson(50, (n_frames, 20, 24)).astype(dtype)
    if dtype == "float32":
        movie[30:60, :6] = np.nan
    return movie


@pytest.fixture
def stores(tmp_path):
    """The first 500 frames, and all."""

    def made(dtype="uint16"):
        movie = movie_of(dtype=dtype)
        for name, frames in (("short", 500), ("long", 700)):
            np.save(tmp_path / f"{name}.npy", movie[:frames])
        return [rt.open_recording(tmp_path / f"{name}.npy", frame_rate=10) for name in ("short", "long")]

    return made


def rois(*squares):
    labels = np.zeros((20, 24), int)
    for number, (y, x) in enumerate(squares, start=1):
        labels[y : y + 4, x : x + 4] = number
    return rt.Rois.from_labels(labels)


FEW, MORE = rois((1, 1), (10, 10)), rois((1, 1), (10, 10), (14, 18))
STATISTICS = ("mean", "median")


def results(recording, cells, **options):
    return {"rois": cells, "traces": rt.extract(recording, cells, STATISTICS, **options).compute()}


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
@pytest.mark.parametrize("options", [{}, {"overlap": ["keep", "exclude"]}])
def test_more_frames(stores, dtype, options):
    short, long = stores(dtype)
    extended = extend(results(short, FEW, **options), long, statistics=STATISTICS, **options)
    assert extended["mean"].chunks is not None
    xr.testing.assert_identical(extended.compute(), rt.extract(long, FEW, STATISTICS, **options).compute())


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_more_rois_and_frames(stores, dtype):
    short, long = stores(dtype)
    for recording in (short, long):
        extended = extend(results(short, FEW), recording, MORE, STATISTICS)
        fresh = rt.extract(recording, MORE, STATISTICS)
        xr.testing.assert_identical(extended.compute(), fresh.compute())


def test_other_order_and_fewer_rois(stores):
    short, long = stores()
    chosen = MORE[["3", "1"]]
    extended = extend(results(short, MORE), long, chosen, STATISTICS)
    xr.testing.assert_identical(extended.compute(), rt.extract(long, chosen, STATISTICS).compute())


def test_neuropil_is_extended_too(stores):
    short, long = stores()
    rings = rt.neuropil(FEW)
    extended = extend(results(short, FEW, neuropil=rings), long, statistics=STATISTICS, neuropil=rings)
    fresh = rt.extract(long, FEW, STATISTICS, neuropil=rings)
    xr.testing.assert_identical(extended.compute(), fresh.compute())


def test_a_changed_roi_is_read_anew(stores):
    short, _ = stores()
    moved = rois((1, 2), (10, 10))
    extended = extend(results(short, FEW), short, moved, STATISTICS)
    xr.testing.assert_identical(extended.compute(), rt.extract(short, moved, STATISTICS).compute())


def test_only_new_frames_are_read(stores, monkeypatch):
    from roitrace.engine import slab_layer

    short, long = stores()
    earlier = results(short, FEW)
    read, frames = slab_layer.read_slab, []

    def counted(source, layout, request, bounds, *more):
        frames.append(bounds[1] - bounds[0])
        assert isinstance(source, BlockSource)
        return read(source, layout, request, bounds, *more)

    monkeypatch.setattr(slab_layer, "read_slab", counted)
    extend(earlier, long, statistics=STATISTICS).compute()
    assert sum(frames) == 200 + 3 * 16


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"statistics": ("mean",)}, ArgumentError, "the earlier results hold mean, median; asked are mean"),
        ({"projections": "mean"}, ArgumentError, "projections cannot be extended"),
        ({"rois": MORE, "overlap": "exclude"}, ArgumentError, "changes the others too"),
        ({"recording": 0}, ArgumentError, "the earlier results have 500 frames, the recording 400"),
        ({"recording": 1}, AlignmentError, "mean of frames .* differs"),
        ({"recording": 2}, AlignmentError, "the times of the known frames differ"),
        ({"earlier": {}}, ArgumentError, "no group traces and no group rois"),
    ],
)
def test_what_does_not_fit_is_refused(stores, change, error, words):
    short, long = stores()
    others = [long[:400], (long + 1).astype("uint16"), long.assign_coords(time=np.arange(700) / 7)]
    call = {"earlier": results(short, FEW), "recording": long, "statistics": STATISTICS} | change
    if isinstance(call["recording"], int):
        call["recording"] = others[call["recording"]]
    with pytest.raises(error, match=words):
        extend(**call)
