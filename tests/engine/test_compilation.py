from __future__ import annotations

import logging
import os
import subprocess
import sys

import numba

from roitrace.engine.compilation import announces_compilation

CALL = """
import numpy as np, roitrace as rt, xarray as xr
movie = xr.DataArray(np.ones((3, 4, 5), np.uint16), dims=("time", "y", "x"))
rt.extract(movie.chunk(), np.ones((4, 5), bool), "mean").compute()
"""


def test_a_first_call_says_that_it_compiles_and_the_next_does_not(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", CALL], env=environment, check=True, capture_output=True, text=True
        ).stderr
        for _ in range(2)
    )
    assert "compiling kernels for this machine" in first
    assert "compiling" not in second


def test_other_people_s_kernels_are_not_announced(caplog):
    @announces_compilation
    def task():
        return numba.njit(lambda: 1)()

    with caplog.at_level(logging.INFO, logger="roitrace"):
        assert task() == 1
    assert not caplog.records
