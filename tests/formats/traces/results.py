"""Small results of every kind, to be exported."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from roitrace.export import export
from roitrace.frame import Frame
from roitrace.rois import Rois

RATE = 7.5
SHAPE = (20, 30)


def make_rois(n_rois: int) -> Rois:
    """ROIs of which neighbours overlap, with weights; the last one is rejected."""
    frame = Frame(SHAPE, np.arange(20.0) * 1.5, np.arange(30.0) * 1.2, "micrometer")
    corners = [(number % 6 * 3, number // 6 * 3) for number in range(n_rois)]
    pixels = [[(y + a, x + b) for a in range(4) for b in range(3)] for y, x in corners]
    names = [f"cell {number}, µ" for number in range(n_rois)]
    weights = [np.arange(1.0, 13.0) / 16] * n_rois
    rois = Rois.from_pixels(
        pixels, frame=frame, names=names, weights=weights, ids=[7 + number for number in range(n_rois)]
    )
    return rois.reject(names[-1], "too dim")


def make_traces(rois: Rois, n_frames: int, *, missing: float = 0.0, seed: int = 0) -> xr.Dataset:
    """Traces by two statistics, with neuropil; a part of the samples may be missing."""
    random = np.random.default_rng(seed)
    shape = (len(rois), n_frames)
    mean = random.normal(300.0, 40.0, shape)
    mean[random.random(shape) < missing] = np.nan
    dims = ("roi", "time")
    return xr.Dataset(
        {
            "mean": (dims, mean, {"units": "count", "long_name": "mean of the pixels"}),
            "median": (dims, random.normal(290.0, 30.0, shape), {"units": "count"}),
            "neuropil": (dims, random.normal(200.0, 9.0, shape), {"units": "count", "role": "neuropil"}),
            "n_pixels": ("roi", rois.n_pixels, {"long_name": "pixels used"}),
            "status": (
                "roi",
                np.arange(len(rois)).astype(np.uint8) % 3,
                {"flag_masks": [1, 2], "flag_meanings": "empty off_frame"},
            ),
        },
        coords=rois.coords() | {"time": ("time", np.arange(n_frames) / RATE, {"units": "s"})},
        attrs={"primary": "mean", "frame_rate": RATE},
    )


def make_results(n_rois: int = 5, n_frames: int = 400, *, missing: float = 0.0) -> dict[str, Any]:
    """Everything that a job makes."""
    rois = make_rois(n_rois)
    traces = make_traces(rois, n_frames, missing=missing)
    dff = traces[["mean"]].rename(mean="dff").drop_attrs() / 250.0 - 1.0
    dff = dff.assign_coords(traces.coords).assign(status=("roi", np.zeros(n_rois, np.uint8)))
    dff["dff"].attrs = {"units": "1", "long_name": "dF/F"}
    images = np.random.default_rng(1).random((2, *SHAPE))
    frame = rois.frame
    projections = xr.Dataset({"mean": frame.image(images[0]), "max": frame.image(images[1])})
    return {
        "projections": projections,
        "mask": rois.to_mask(),
        "rois": rois,
        "traces": traces,
        "comparison": xr.Dataset(
            {"slope": (("statistic", "roi"), np.ones((2, n_rois)))}, {"statistic": ["mean", "median"]}
        ).assign_coords(rois.coords()),
        "normalized": dff.assign_attrs(primary="dff", method="dff", frame_rate=RATE),
    }


def exported(results: Any, path: Any, *arguments: Any, **options: Any) -> list[str]:
    """Export and return what was said about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        export(results, path, *arguments, **options)
    assert all(one.category is UserWarning for one in said), [str(one.message) for one in said]
    return [str(one.message) for one in said]


def lab_file(path, *, n_frames=400, rate=RATE, width=30, planes=1, **times):
    """A file as a lab has it: subject, imaging plane, the movie."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.file import Subject
    from pynwb.ophys import OpticalChannel, TwoPhotonSeries

    file = NWBFile("a lab's session", "id-1", datetime(2024, 5, 1, 8, tzinfo=UTC))
    file.subject = Subject(subject_id="m7", species="Mus musculus", sex="F", age="P90D")
    device = file.create_device(name="rig 2")
    timing = times if "timestamps" in times else {"rate": rate, **times}
    for number in range(planes):
        channel = OpticalChannel(name="green", description="green", emission_lambda=510.0)
        plane = file.create_imaging_plane(
            name=f"plane{number}",
            optical_channel=channel,
            description="layer 2/3",
            device=device,
            excitation_lambda=920.0,
            indicator="GCaMP6f",
            location="VISp",
        )
        movie = np.zeros((n_frames, width, 20), np.uint16)
        file.add_acquisition(
            TwoPhotonSeries(
                name=f"movie{number}",
                data=movie,
                imaging_plane=plane,
                unit="n.a.",
                **timing,
            )
        )
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path
