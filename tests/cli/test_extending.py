"""Results of a recording that has grown, from the command line."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import tifffile

QUICK = ("--frame-rate", "10", "-q")


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def grown(work):
    """The recording as it was 10 frames ago, and cells in a file."""
    np.save(work / "start.npy", np.load(work / "movie.npy")[:-10])
    labels = np.zeros((40, 48), np.uint8)
    labels[5:13, 5:13], labels[20:28, 30:38] = 1, 2
    tifffile.imwrite(work / "cells.tif", labels)
    return work


def test_extract_extends_to_the_bytes_of_a_fresh_call(grown, call):
    assert call("extract", "movie.npy", "cells.tif", "fresh.zarr", *QUICK).code == 0
    assert call("extract", "start.npy", "cells.tif", "grown.zarr", *QUICK).code == 0
    assert call("extract", "movie.npy", "cells.tif", "grown.zarr", "--extend", *QUICK).code == 0
    assert digest(grown / "grown.zarr") == digest(grown / "fresh.zarr")
    assert not (grown / "grown.zarr.run").exists()
    answer = call("extract", "start.npy", "cells.tif", "grown.zarr", "--extend", *QUICK)
    assert (answer.code, answer.lines[0]) == (
        2,
        "error: the earlier results have 60 frames, the recording 50",
    )


def test_extract_extends_what_is_not_there_yet(grown, call):
    assert call("extract", "movie.npy", "cells.tif", "new.zarr", "--extend", *QUICK).code == 0
    assert (grown / "new.zarr/zarr.json").exists()


def test_run_extends_to_the_bytes_of_a_fresh_run(grown, call):
    settings = ("--set", "rois={path: cells.tif}", "-q")
    assert call("run", "job.yaml", *settings, "--set", "output.path=fresh.zarr").code == 0
    assert call("run", "job.yaml", *settings, "--set", "recording.path=start.npy").code == 0
    answer = call("run", "job.yaml", "--set", "rois={path: cells.tif}", "--extend")
    assert answer.code == 0
    assert (
        "the traces of 50 known frames are kept, 10 are new; what is computed from whole traces" in answer.err
    )
    assert (
        "the projections (mean, max, std) are read anew from all frames: only a recording store of roitrace"
        in answer.err
    )
    assert digest(grown / "out.zarr") == digest(grown / "fresh.zarr")


def test_extract_says_what_is_known_and_drops_no_groups_of_a_job(grown, call):
    settings = ("--set", "rois={path: cells.tif}", "--set", "recording.path=start.npy", "-q")
    assert call("run", "job.yaml", *settings).code == 0
    before = digest(grown / "out.zarr")
    again = ("extract", "movie.npy", "cells.tif", "out.zarr", "--extend", *QUICK)
    answer = call(*again)
    assert answer.code == 2
    assert "out.zarr holds comparison, " in answer.err
    assert "extend all with roitrace run --extend, or drop them with --overwrite" in answer.err
    assert digest(grown / "out.zarr") == before
    assert call("extract", "start.npy", "cells.tif", "mine.zarr", *QUICK).code == 0
    answer = call("extract", "movie.npy", "cells.tif", "mine.zarr", "--extend", "--json", *QUICK)
    told = json.loads(answer.out)
    assert (told["frames"], told["known_frames"]) == (60, 50)


@pytest.mark.usefixtures("grown")
def test_run_says_when_nothing_can_be_kept(call):
    settings = ("--set", "rois={path: cells.tif}")
    assert call("run", "job.yaml", *settings, "-q").code == 0
    more = ("--set", "extract.statistics=[mean, max]", "--set", "normalize=null", "--extend")
    answer = call("run", "job.yaml", *settings, *more)
    assert answer.code == 0
    assert "the traces are extracted anew: the earlier results hold" in answer.err
