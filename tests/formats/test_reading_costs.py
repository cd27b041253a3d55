"""What reading costs beside the library alone, how often files are opened, and how long many pages take to find."""

from __future__ import annotations

import time

import dask
import h5py
import numpy as np
import pytest
import tifffile
from benchmarks.formats import ratio_of_reading, write_movies

import roitrace as rt
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import movie
from tests.formats.recordings.test_caiman import write_mmap
from tests.formats.recordings.test_instruments import write_bruker, write_scanbox
from tests.formats.recordings.test_suite2p import write_plane
from tests.formats.recordings.test_video import write_video

MOST = 1.3


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    return write_movies(tmp_path_factory.mktemp("movies"), (100, 256, 256))


@pytest.mark.parametrize("name", ["zlib.tif", "lzw.tif", "frames.h5", "chunks.h5"])
def test_compressed_frames_cost_as_much_as_bare_reads(movies, name):
    ratio, _ = ratio_of_reading(movies[name])
    assert ratio < MOST


def many_pages(path, n_pages, size=16):
    """Write a TIFF file of pages with a directory each, faster than any writer."""
    tags = [
        (256, 3, size),
        (257, 3, size),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 0),
        (277, 3, 1),
        (278, 3, size),
        (279, 4, 2 * size**2),
    ]
    entry = np.dtype([("code", "<u2"), ("type", "<u2"), ("n", "<u4"), ("value", "<u4")])
    page = np.dtype(
        [("samples", "<u2", (size, size)), ("count", "<u2"), ("tags", entry, len(tags)), ("next", "<u4")]
    )
    pages = np.zeros(n_pages, page)
    starts = 8 + np.arange(n_pages, dtype="<u4") * page.itemsize
    pages["samples"][:, 0, 0] = np.arange(n_pages) % 65521
    pages["count"] = len(tags)
    for place, (code, kind, value) in enumerate(tags):
        one = pages["tags"][:, place]
        one["code"], one["type"], one["n"], one["value"] = code, kind, 1, value
    pages["tags"]["value"][:, 5] = starts
    directories = starts + 2 * size**2
    pages["next"][:-1] = directories[1:]
    header = b"II*\0" + np.array([directories[0]], "<u4").tobytes()
    path.write_bytes(header + pages.tobytes())


def test_a_hundred_thousand_pages_open_in_seconds(tmp_path):
    path = tmp_path / "many.tif"
    many_pages(path, 100_000)
    with tifffile.TiffFile(path) as tiff:  # the file is one that tifffile reads
        assert tiff.pages[2].asarray()[0, 0] == 2
    start = time.thread_time()
    recording = rt.open_recording(path)
    block = recording[99_990:].values
    assert time.thread_time() - start < 5
    np.testing.assert_array_equal(block[:, 0, 0], np.arange(99_990, 100_000) % 65521)


def counted(monkeypatch, module, name):
    """Count how often a library's file is opened."""
    opened, original = [], getattr(module, name)

    def opening(*arguments, **options):
        opened.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, opening)
    return opened


def test_a_task_opens_a_file_once_however_many_frames_it_reads(tmp_path, monkeypatch):
    import av

    samples = movie((60, 32, 48), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", samples, compression="zlib", photometric="minisblack")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=samples, chunks=(1, 32, 48), compression="gzip")
    write_video(tmp_path / "a.avi", samples, g="10")
    for name, module, opener in (
        ("a.tif", tifffile, "TiffFile"),
        ("a.h5", h5py, "File"),
        ("a.avi", av, "open"),
    ):
        source = open_recording_file(tmp_path / name).sources[0][0]
        with monkeypatch.context() as patch:
            opened = counted(patch, module, opener)
            with source.open() as reader:
                for start in (0, 20, 40):
                    block = reader.read(slice(start, start + 20), slice(0, 32), slice(0, 48))
                    np.testing.assert_array_equal(block, samples[start : start + 20])
            assert len(opened) == 1


def test_files_of_several_frames_are_opened_once_each(tmp_path, monkeypatch):
    samples = movie((60, 16, 16))
    for number in range(3):
        tifffile.imwrite(
            tmp_path / f"a{number}.tif",
            samples[20 * number : 20 * number + 20],
            compression="zlib",
            photometric="minisblack",
        )
    source = open_recording_file(tmp_path).sources[0][0]
    opened = counted(monkeypatch, tifffile, "TiffFile")
    with source.open() as reader:
        for start in range(0, 60, 5):
            reader.read(slice(start, start + 5), slice(0, 16), slice(0, 16))
    assert len(opened) == 3


def test_no_format_computes_before_it_is_asked(tmp_path):
    samples = movie((60, 32, 48), "uint8")
    write_video(tmp_path / "a.avi", samples)
    write_plane(tmp_path / "plane0", samples.astype("int16"))
    write_mmap(tmp_path, samples.astype("float32"), "C")
    write_scanbox(tmp_path, samples[..., None].astype("uint16"))
    write_bruker(tmp_path / "TSeries-001", samples[:6, None, None])
    places = ["a.avi", "plane0", next(tmp_path.glob("*.mmap")).name, "run.sbx", "TSeries-001"]

    def refuse(*_, **__):
        raise AssertionError("computed before it was asked")

    mask = np.zeros((32, 48), bool)
    mask[4:9, 4:9] = True
    lazy = {}
    with dask.config.set(scheduler=refuse):
        for place in places:
            recording = rt.open_recording(tmp_path / place)
            rt.project(recording, ("mean", "max"))
            lazy[place] = rt.extract(recording, mask, ("mean",))
    for place, traces in lazy.items():
        frames = samples[: traces.sizes["time"]]
        np.testing.assert_allclose(
            traces["mean"].compute()[0], frames[:, 4:9, 4:9].mean((1, 2)), err_msg=place
        )


def test_compressed_recordings_stay_lazy(tmp_path):
    """Building a graph decodes nothing: a file whose samples are damaged opens, and only reading fails."""
    tifffile.imwrite(tmp_path / "a.tif", movie((20, 16, 16)), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        begin, count = tiff.pages[7].dataoffsets[0], tiff.pages[7].databytecounts[0]
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(begin)
        file.write(bytes(count))
    recording = rt.open_recording(tmp_path / "a.tif")
    rt.extract(recording, np.ones((16, 16), bool), ("mean",))
    with pytest.raises(rt.errors.FormatError, match="frame 7 of .* cannot be decoded"):
        rt.extract(recording, np.ones((16, 16), bool), ("mean",)).compute()
