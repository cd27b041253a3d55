"""Small results of every kind, made in memory."""

from __future__ import annotations

import numpy as np
import xarray as xr

import roitrace as rt
from roitrace.frame import Frame
from roitrace.rois import Rois

FRAME = Frame((40, 60), np.arange(40) * 1.5, np.arange(60) * 1.5, "micrometer")


def make_rois(names=("a", "b", "c"), *, accepted=None, reasons=None):
    """Squares of 5 x 5 pixels in a row, the second overlapping the first."""
    square = np.argwhere(np.ones((5, 5)))
    places = [(6, 6 + 8 * number - (5 if number == 1 else 0)) for number in range(len(names))]
    rois = Rois.from_pixels(
        [square + place for place in places], frame=FRAME, names=list(names), accepted=accepted
    )
    for name, reason in (reasons or {}).items():
        rois = rois.reject(name, reason)
    return rois


def make_images():
    rng = np.random.default_rng(3)
    mean = 100 + 5 * rng.random(FRAME.shape)
    mean[6:11, 6:11] += 80
    return xr.Dataset({"mean": FRAME.image(mean, units="count"), "max": FRAME.image(mean * 2, units="count")})


def make_traces(rois, n_frames=300, *, frame_rate=10.0, times=None, dtype=np.float64):
    rng = np.random.default_rng(4)
    mean = (100 + rng.standard_normal((len(rois), n_frames))).astype(dtype)
    if len(rois):
        mean[0, 50:60] += 40
    seconds = np.arange(n_frames) / frame_rate if times is None else times
    return xr.Dataset(
        {
            "mean": (("roi", "time"), mean, {"units": "count"}),
            "median": (("roi", "time"), 0.9 * mean + rng.standard_normal(mean.shape), {"units": "count"}),
            "n_pixels": ("roi", rois.n_pixels),
            "overlap_fraction": ("roi", rois.overlap_fraction()),
            "status": (
                "roi",
                np.zeros(len(rois), dtype=np.uint8),
                {"flag_masks": [1, 16], "flag_meanings": "empty all_nan"},
            ),
        },
        coords=rois.coords() | {"time": ("time", seconds, {"units": "s"})},
        attrs={"primary": "mean", "frame_rate": frame_rate},
    )


def make_results(names=("a", "b", "c"), **options):
    """Everything that a job writes but its truth."""
    rois = make_rois(names, accepted=options.pop("accepted", None), reasons=options.pop("reasons", None))
    traces = make_traces(rois, **options)
    return {
        "projections": make_images(),
        "mask": rois.to_mask(),
        "rois": rois,
        "traces": traces,
        "quality": rt.quality(traces, rois),
        "normalized": rt.normalize(traces, window="10 s"),
        "comparison": rt.compare(traces, window="10 s"),
    }
