"""Recordings that are cut short anywhere: an error, or all frames; never fewer without a word."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile

from roitrace.errors import RoitraceError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import movie
from tests.hostile.corpus import CORPUS, build_corpus

RECORDINGS = [entry.name for entry in CORPUS if entry.kind == "recording"]
SINGLE = {"zarr 3", "zarr 3 shards", "zarr 2", "ome-zarr", "own store"}
UNCOUNTED = {"thor raw", "scanbox"}
"""Nothing beside these samples says how many frames there are: a file that ends with a whole frame is a whole file."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build_corpus(folder)
    return folder, json.loads((folder / "places.json").read_text())


def frames(path):
    """Read every frame; returns their number, and whether something was said."""
    file = open_recording_file(path)
    for planes in file.sources:
        for source in planes:
            everything = tuple(slice(0, size) for size in source.shape)
            source.read(*everything)
    return file.sources[0][0].shape[0], file.metadata.notes


def lengths_of(content, n=24):
    """Where to cut: near the beginning, near the end, and evenly between."""
    size = len(content)
    return sorted(
        {*range(min(16, size)), *range(size - 8, size), *(size * k // n for k in range(n))} & set(range(size))
    )


@pytest.mark.parametrize("name", RECORDINGS)
def test_cut_anywhere(corpus, tmp_path, name):
    folder, places = corpus
    number = next(number for number, entry in enumerate(CORPUS) if entry.name == name)
    home = tmp_path / "home"
    shutil.copytree(folder / str(number), home)
    path = home / places[name]
    expected, said = frames(path)
    files = [file for file in home.rglob("*") if file.is_file() and file.suffix not in {".json", ".csv"}]
    for file in files[:4]:
        content = file.read_bytes()
        for length in lengths_of(content):
            file.write_bytes(content[:length])
            try:
                found, notes = frames(path)
            except RoitraceError as error:
                assert str(error)
                continue
            silent = set(notes) == set(said)
            assert found == expected or not silent or name in UNCOUNTED, (file.name, length, found)
        file.write_bytes(content)


def ends_of_pages(path):
    """Every byte at which something of a page begins or ends: its directory, its tags, its samples."""
    with tifffile.TiffFile(path) as tiff:
        marks = {0, 8, tiff.filehandle.size - 1}
        for page in tiff.pages:
            marks |= {page.offset, page.offset + 2, page.offset + 2 + 12 * len(page.tags)}
            marks |= {tag.valueoffset for tag in page.tags}
            marks |= {begin + size for begin, size in zip(page.dataoffsets, page.databytecounts, strict=True)}
            marks |= set(page.dataoffsets)
    return sorted({mark + step for mark in marks for step in (-1, 0, 1)})


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": None},
        {"metadata": None, "compression": "zlib"},
        {"metadata": None, "bigtiff": True, "byteorder": ">"},
        {},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"metadata": {"axes": "TYX"}, "ome": True},
        {"metadata": {"axes": "TYX"}, "ome": True, "compression": "zlib"},
    ],
    ids=["plain", "zlib", "big", "shaped", "imagej", "ome", "ome zlib"],
)
def test_tiff_cut_at_every_page(tmp_path, options):
    samples = movie((6, 12, 12))
    path = tmp_path / ("movie.ome.tif" if options.get("ome") else "movie.tif")
    tifffile.imwrite(path, samples, photometric="minisblack", **options)
    content = path.read_bytes()
    for length in ends_of_pages(path):
        if not 0 <= length < len(content):
            continue
        path.write_bytes(content[:length])
        try:
            file = open_recording_file(path)
            source = file.sources[0][0]
            block = source.read(*(slice(0, size) for size in source.shape))
        except RoitraceError:
            continue
        np.testing.assert_array_equal(block, samples, err_msg=f"cut at {length}")


@pytest.mark.parametrize("part", [1, 2, 5])
def test_pages_written_one_by_one_and_cut(tmp_path, part):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as tiff:
        for image in movie((6, 12, 12)):
            tiff.write(image, compression="zlib", photometric="minisblack")
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[part].offset
    for length in (start, start + 1, start + 40):
        path.write_bytes(content[:length])
        with pytest.raises(RoitraceError):
            open_recording_file(path)
