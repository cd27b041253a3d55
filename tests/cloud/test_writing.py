"""Stores written to a bucket are those that are written to disk, object by object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import roitrace as rt
from roitrace.store.places import place_of
from tests.cloud.contents import contents

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    random = np.random.default_rng(5)
    np.save(tmp_path / "movie.npy", random.integers(0, 4000, (40, 48, 70), dtype="uint16"))
    return tmp_path / "movie.npy"


def test_convert(movie, bucket, tmp_path):
    options = {"frame_rate": 10.0, "chunks": (8, 16, 32)}
    rt.convert(movie, tmp_path / "a.zarr", **options)
    rt.convert(movie, f"{bucket}/a.zarr", **options)
    assert contents(place_of(f"{bucket}/a.zarr")) == contents(tmp_path / "a.zarr")
    beside = set(place_of(bucket).lengths()) - {f"a.zarr/{key}" for key in contents(tmp_path / "a.zarr")}
    assert beside == {"a.zarr.run/convert.json"}
    np.testing.assert_array_equal(rt.open_recording(f"{bucket}/a.zarr"), np.load(movie))


def test_back_to_disk_and_within_the_bucket(movie, bucket, tmp_path):
    first = rt.convert(movie, f"{bucket}/a.zarr", chunks=(8, 16, 32))
    rt.convert(f"{bucket}/a.zarr", tmp_path / "b.zarr", chunks=(8, 16, 32))
    rt.convert(f"{bucket}/a.zarr", f"{bucket}/c.zarr", chunks=(8, 16, 32))
    assert contents(tmp_path / "b.zarr") == contents(place_of(f"{bucket}/a.zarr"))
    assert contents(place_of(f"{bucket}/c.zarr")) == contents(place_of(f"{bucket}/a.zarr"))
    np.testing.assert_array_equal(first, np.load(movie))
