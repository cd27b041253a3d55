from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import roitrace.view
assert "matplotlib" not in sys.modules
import numpy as np, xarray as xr
from matplotlib import rcParams
from matplotlib.figure import Figure
from roitrace.rois import Rois
from roitrace.view import agreement, images, maps, pixels, traces
settings = [name for name in rcParams if name != "backend"]  # reading this one imports pyplot
before = [rcParams[name] for name in settings]
image = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("y", "x"), name="mean")
rois = Rois.from_masks(image.values[None])
pair = xr.Dataset({"mean": (("roi", "time"), np.arange(8.0).reshape(2, 4))}, attrs={"primary": "mean"})
images.plot_mask(image > 4, image, ax=Figure().subplots())
images.plot_projections(xr.Dataset({"mean": image}), ax=Figure().subplots())
maps.plot_rois(rois, image, ax=Figure().subplots())
maps.plot_weights(rois, image=image, ax=Figure().subplots())
traces.plot_traces(pair, ax=Figure().subplots())
pixels.plot_pixels(pair["mean"].rename(roi="pixel"), ax=Figure().subplots())
agreement.plot_comparison(pair, None, ("mean", "mean"), ax=Figure().subplots())
assert [rcParams[name] for name in settings] == before
assert "matplotlib.pyplot" not in sys.modules
"""


def test_with_axes_given_no_global_state_is_touched():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
