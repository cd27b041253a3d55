"""Addresses: what is one, what is refused, and that no message repeats a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from roitrace.errors import ArgumentError
from roitrace.urls import is_url, join_url, split_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://lab/2024/movie.zarr", ("s3://lab", "2024/movie.zarr")),
        ("S3://lab//movie.zarr/", ("s3://lab", "movie.zarr")),
        ("gs://lab", ("gs://lab", "")),
        ("http://127.0.0.1:8000/a/b", ("http://127.0.0.1:8000", "a/b")),
        (Path("s3://lab/movie.zarr"), ("s3://lab", "movie.zarr")),
    ],
)
def test_a_url_is_taken_apart(url: str | Path, expected: tuple[str, str]) -> None:
    assert is_url(url)
    assert split_url(url) == expected
    assert split_url(join_url(*expected)) == expected


@pytest.mark.parametrize(
    "path", ["movie.zarr", "/data/s3/movie.zarr", Path("a/b"), "C:/data", 3, b"s3://lab"]
)
def test_a_path_is_none(path: object) -> None:
    assert not is_url(path)


@pytest.mark.parametrize(
    "url",
    [
        "https://anna:hunter2@host/movie.zarr",
        "s3://AKIA:hunter2@lab/movie.zarr",
        "https://host/movie.zarr?X-Amz-Signature=hunter2",
        "https://host?token=hunter2",
        "https://host/movie.zarr#hunter2",
    ],
)
def test_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        split_url(url)
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(("url", "said"), [("ftp://host/a", "ftp://"), ("s3://lab/a/../b", "upwards")])
def test_other_addresses_are_refused(url: str, said: str) -> None:
    assert is_url(url)
    with pytest.raises(ArgumentError, match=said):
        split_url(url)
