"""What the file system refuses while something is read: one line of cause, the next step, exit code 1, no traceback."""

from __future__ import annotations

import builtins
import errno
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

import roitrace as rt
from roitrace.cli.main import main
from roitrace.errors import FileAccessError, FormatError, RoitraceError
from roitrace.file_errors import explain, is_refusal
from roitrace.formats.damage import understanding
from roitrace.formats.registry import open_recording_file, read_roi_table
from roitrace.formats.shifts.reading import read_shift_table
from roitrace.store.building import resumable
from tests.formats.reading import movie

CAUSES = {
    errno.EACCES: "permission denied",
    errno.EMFILE: "too many files are open in this process",
    errno.ENFILE: "too many files are open on this computer",
    errno.EIO: "the disk failed",
    errno.ESTALE: "the network disk lost",
    errno.ETIMEDOUT: "does not answer",
}


@contextmanager
def refusing(monkeypatch, name, code):
    """Let every way of opening a file of a name fail."""
    with monkeypatch.context() as patch:
        for module, function in ((builtins, "open"), (os, "open"), (h5py, "File"), (tifffile, "TiffFile")):
            real = getattr(module, function)

            def refuse(path, *arguments, real=real, **options):
                if isinstance(path, str | os.PathLike) and name in os.fspath(path):
                    raise OSError(code, os.strerror(code), os.fspath(path))
                return real(path, *arguments, **options)

            if isinstance(real, type):
                patch.setattr(
                    module,
                    function,
                    type(
                        real.__name__,
                        (),
                        {"__new__": staticmethod(lambda _, *a, refuse=refuse, **k: refuse(*a, **k))},
                    ),
                )
            else:
                patch.setattr(module, function, refuse)
        patch.setattr("io.open", builtins.open)
        yield


def recordings(folder):
    tifffile.imwrite(folder / "movie.tif", movie((3, 12, 12)), photometric="minisblack", compression="zlib")
    np.save(folder / "movie.npy", movie((3, 12, 12)))
    with h5py.File(folder / "movie.h5", "w") as file:
        file.create_dataset("data", data=movie((3, 12, 12)), chunks=(1, 12, 12))
    return [folder / "movie.tif", folder / "movie.npy", folder / "movie.h5"]


@pytest.mark.parametrize("code", CAUSES)
def test_what_is_refused_is_said(tmp_path, monkeypatch, code):
    for path in recordings(tmp_path):
        with (
            refusing(monkeypatch, path.name, code),
            pytest.raises(FileAccessError, match=CAUSES[code]) as caught,
        ):
            open_recording_file(path)
        assert path.name in str(caught.value)
        assert caught.value.next_step
        assert caught.value.exit_code == 1


@pytest.mark.parametrize("name", ["RoiSet.zip", "rois.npy", "regions.json", "pixels.csv"])
def test_of_rois_too(tmp_path, monkeypatch, name):
    rt.write_rois(rt.Rois.from_labels(np.eye(12, dtype=np.uint16)), tmp_path / name)
    with refusing(monkeypatch, name, errno.EMFILE), pytest.raises(FileAccessError, match="too many files"):
        read_roi_table(tmp_path / name)


def test_of_shifts_and_configurations_too(tmp_path, monkeypatch):
    np.save(tmp_path / "shifts.npy", np.ones((3, 2)))
    (tmp_path / "job.yaml").write_text("recording: {path: a.tif}")
    with (
        refusing(monkeypatch, "shifts.npy", errno.EIO),
        pytest.raises(FileAccessError, match="the disk failed"),
    ):
        read_shift_table(tmp_path / "shifts.npy")
    with (
        refusing(monkeypatch, "job.yaml", errno.EACCES),
        pytest.raises(FileAccessError, match="permission denied"),
    ):
        rt.run(tmp_path / "job.yaml")


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_chunks_that_cannot_be_read(tmp_path, monkeypatch, code):
    store = rt.convert(recordings(tmp_path)[0], tmp_path / "movie.zarr")
    real = os.open

    def refuse(path, *arguments, **options):
        if "/c/" in os.fspath(path):
            raise OSError(code, os.strerror(code), os.fspath(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RoitraceError) as caught:
        rt.extract(store, rt.Rois.from_mask(np.eye(12) > 0), statistics=("mean",)).compute()
    assert CAUSES[code] in str(caught.value)


def test_chunks_that_zarr_reads(tmp_path, monkeypatch):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(4, 12, 12),
        dtype="u2",
        chunks=(2, 12, 12),
        zarr_format=2,
        compressors=zarr_codec(),
    )
    array[...] = 1
    recording = rt.open_recording(tmp_path / "a.zarr")
    real = Path.read_bytes

    def refuse(self):
        if self.name == "1.0.0":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FileAccessError, match="the disk failed"):
        rt.extract(recording, rt.Rois.from_mask(np.eye(12) > 0), statistics=("mean",)).compute()


def zarr_codec():
    import numcodecs

    return numcodecs.BZ2()


def test_hdf5_states_the_number_in_words_only():
    error = OSError(
        "Can't read data (file read failed: time = now, filename = 'a.h5', errno = 5, error message = 'Input/output error')"
    )
    assert is_refusal(error)
    assert "the disk failed" in str(explain(error))
    with pytest.raises(FileAccessError, match="the disk failed"), understanding("a.h5 cannot be read"):
        raise error
    with pytest.raises(FormatError, match="truncated"), understanding("a.h5 cannot be read"):
        raise OSError("unable to open file (truncated file: eof = 96)")


@pytest.mark.parametrize("verb", [["info"], ["convert", "movie.zarr"], ["project", "images.zarr"]])
def test_one_line_at_the_command_line(tmp_path, monkeypatch, capsys, verb):
    path = recordings(tmp_path)[0]
    arguments = [verb[0], str(path), *(str(tmp_path / one) for one in verb[1:])]
    with refusing(monkeypatch, path.name, errno.EACCES):
        assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: permission denied: ")
    assert len(said.splitlines()) == 2


def many_files(folder, count=300):
    folder.mkdir()
    for number in range(count):
        tifffile.imwrite(folder / f"frame{number:04}.tif", movie((1, 16, 16), seed=number)[0])
    return folder


def limited(soft, *arguments):
    """Run the command line with few files allowed."""
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {soft})); "
        "from roitrace.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_series_of_many_files_needs_few_open_ones(tmp_path):
    folder = many_files(tmp_path / "series")
    ended = limited(64, "convert", folder, tmp_path / "movie.zarr", "--quiet")
    assert ended.returncode == 0, ended.stderr
    assert rt.open_recording(tmp_path / "movie.zarr").sizes["time"] == 300
    mask = np.zeros((16, 16), bool)
    mask[2:5, 2:5] = True
    rt.write_rois(rt.Rois.from_mask(mask), tmp_path / "cells.tif")
    ended = limited(64, "extract", folder, tmp_path / "cells.tif", tmp_path / "traces.zarr", "--quiet")
    assert ended.returncode == 0, ended.stderr


def test_too_many_open_files_is_one_line(tmp_path):
    path = recordings(tmp_path)[0]
    ended = limited(64, "info", path)
    assert ended.returncode == 0, ended.stderr
    code = (
        "import os, sys; import roitrace.formats.registry, roitrace.formats.recordings.tiff, roitrace.cli.recordings, roitrace.recording; "
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "held = []\n"
        "try:\n"
        "    while True: held.append(os.open(os.devnull, os.O_RDONLY))\n"
        "except OSError: pass\n"
        "from roitrace.errors import FileAccessError\n"
        "try: roitrace.formats.registry.open_recording_file(sys.argv[1])\n"
        "except FileAccessError as error: print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert "too many files are open in this process" in ended.stdout, ended.stderr
    assert "ulimit -n" in ended.stdout


def test_an_error_that_names_no_file_is_told_with_the_output(tmp_path):
    with pytest.raises(FileAccessError, match=r"disk of .*a\.zarr; what was finished of .*a\.zarr is safe"):
        with resumable(tmp_path / "a.zarr", "give the same command again"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert "ulimit -f" in str(explain(OSError(errno.EFBIG, "File too large", "a")))
