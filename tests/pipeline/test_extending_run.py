"""A job whose recording has grown goes on from the sums of the last one: the bits of a fresh run, and only new frames are read."""

from __future__ import annotations

import errno
import os
import shutil

import numpy as np
import pytest

import roitrace as rt
from roitrace.config import make_config
from roitrace.engine import slab_layer
from roitrace.engine.carried_sums import CarriedSums
from roitrace.engine.sums_files import read_sums, write_sums
from roitrace.errors import FileAccessError
from roitrace.pipeline import projections
from roitrace.pipeline.job import Job
from roitrace.pipeline.recording import identity_of, open_part
from roitrace.pipeline.run import run
from roitrace.results import writing
from roitrace.store import commits, files
from roitrace.store.decode import ChunkDecoder
from tests.cloud.memory import memory_bucket
from tests.pipeline.conftest import digest

FRAMES, HEIGHT, WIDTH = 700, 20, 24
SUMS = (
    *("mean", "max", "min", "sum", "std", "var", "skewness", "argmax", "difference_std"),
    {"correlation": {"detrend_seconds": 7}},
)


def movie_of(dtype="uint16"):
    values = np.random.default_rng(0).poisson(50, (FRAMES, HEIGHT, WIDTH)).astype(dtype)
    if values.dtype.kind == "f":
        values += np.random.default_rng(1).random(values.shape, dtype)
        values[30:60, :6] = np.nan
    return values


class Grown:
    """A recording store that grows, cells in a file, and jobs on them."""

    def __init__(self, folder, values, chunks=(32, 8, 16)):
        self.folder, self.values, self.chunks = folder, values, chunks
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        labels[1:5, 1:5], labels[10:14, 10:14] = 1, 2
        np.save(folder / "labels.npy", labels)

    def convert(self, frames):
        np.save(self.folder / "part.npy", self.values[:frames])
        store = self.folder / "movie.zarr"
        rt.convert(self.folder / "part.npy", store, chunks=self.chunks, frame_rate=10, overwrite=True)

    def append(self, first, last):
        np.save(self.folder / "more.npy", self.values[first:last])
        rt.append(self.folder / "more.npy", self.folder / "movie.zarr", continuous=True)

    def config(self, *, extend=True, out="out.zarr", recording=(), **sections):
        config = {
            "recording": {"path": str(self.folder / "movie.zarr"), "motion": False, **dict(recording)},
            "rois": {"path": str(self.folder / "labels.npy")},
            "extract": {"statistics": ["mean"]},
            "output": {
                "path": out if "://" in out else str(self.folder / out),
                "extend": extend,
                "overwrite": True,
            },
            "resources": {"workers": 2},
        } | dict.fromkeys(("figures", "report", "normalize", "compare", "quality", "weights"))
        return config | sections

    def run(self, **changes):
        """Run the whole job; return what it told."""
        told = []
        run(self.config(**changes), note=told.append)
        return "; ".join(told)

    def project(self, *, source=None, **changes):
        """Take the step of the projections alone, on a recording known as `source`; return what it told."""
        job = Job(make_config(self.config(**changes)))
        recording, output = open_part(job.config.recording), job.config.output
        with writing(output.path, overwrite=True, source=source or identity_of(recording)) as writer:
            projections.project_recording(job, recording, writer)
        return "; ".join(job.notes)

    def is_fresh(self, **changes):
        """Whether projections are those of a job that knows nothing of the earlier ones."""
        self.project(extend=False, out="fresh.zarr", **changes)
        return digest(self.folder / "fresh.zarr") == digest(self.folder / "out.zarr")

    @property
    def sums(self):
        return self.folder / "out.zarr.run" / "projections.sums"


@pytest.fixture
def grown(tmp_path):
    return Grown(tmp_path, movie_of())


@pytest.fixture
def read(monkeypatch):
    """Chunks of recordings that are decoded; not those of labels, of one dimension."""
    numbers, decode = [], ChunkDecoder.decode

    def counted(self, index):
        numbers.extend([index] * (len(index) == 3))
        return decode(self, index)

    monkeypatch.setattr(ChunkDecoder, "decode", counted)
    return numbers


def chunks(first, last):
    """Every chunk of the recording from one frame to another, once."""
    tiles = [(row, column) for row in range(-(-HEIGHT // 8)) for column in range(-(-WIDTH // 16))]
    return sorted((number, *tile) for number in range(first // 32, -(-last // 32)) for tile in tiles)


def test_a_run_goes_on_with_traces_and_projections(grown):
    asked = {"projections": {"statistics": [*SUMS, "median", {"percentile": {"q": 90}}]}}
    grown.convert(300)
    grown.run(**asked)
    grown.append(300, FRAMES)
    told = grown.run(**asked)
    summed = "mean, max, min, sum, std, var, skewness, argmax, difference_std, correlation"
    assert f"({summed}) go on from the sums over 288 known frames; 412 frames are read" in told
    assert "(median, percentile) are read anew from all frames: they are no sums over time" in told
    assert "the traces of 300 known frames are kept, 400 are new" in told
    grown.run(extend=False, out="fresh.zarr", **asked)
    assert digest(grown.folder / "fresh.zarr") == digest(grown.folder / "out.zarr")


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_several_appends_in_a_row(tmp_path, read, dtype):
    grown, asked = Grown(tmp_path, movie_of(dtype)), {"projections": {"statistics": SUMS}}
    grown.convert(300)
    grown.project(**asked)
    known = 288
    for before, frames in ((300, 301), (301, 319), (319, 352), (352, 352), (352, FRAMES)):
        if before < frames:
            grown.append(before, frames)
        read.clear()
        told = grown.project(**asked)
        assert sorted(read) == chunks(known, frames)
        assert f"go on from the sums over {known} known frames; {frames - known} frame" in told
        known = frames // 32 * 32
    assert grown.is_fresh(**asked)


def test_results_are_the_same_without_the_sums(grown):
    grown.convert(300)
    assert grown.project() == ""
    expected = digest(grown.folder / "out.zarr")
    grown.sums.unlink()
    assert "no sums over them were kept" in grown.project()
    assert digest(grown.folder / "out.zarr") == expected


def test_a_part_of_the_recording(grown, read):
    grown.convert(300)
    part = {"y": [0, 16], "x": [0, 22]}
    grown.project(recording=part | {"time": [5, 300]})
    grown.append(300, FRAMES)
    read.clear()
    part |= {"time": [5, 650]}
    assert "go on from the sums over 283 known frames; 362 frames are read" in grown.project(recording=part)
    assert {index[0] for index in read} == set(range(9, 21))
    assert grown.is_fresh(recording=part)
    told = grown.project(recording=part | {"time": [6, 650]})
    assert "the known frames are not those that were summed up" in told


def test_a_copy_of_the_recording_counts_as_the_recording(grown):
    np.save(grown.folder / "raw.npy", grown.values[:300])
    part = {"path": str(grown.folder / "raw.npy"), "convert": "yes", "frame_rate": 10}
    grown.run(recording=part)
    assert grown.sums.exists()
    np.save(grown.folder / "raw.npy", grown.values)
    assert "go on from the sums over 256 known frames; 444 frames are read" in grown.run(recording=part)


def changed_pixel(grown):
    grown.values = grown.values.copy()
    grown.values[100, -1, -1] += 1  # of no cell
    grown.convert(FRAMES)


def other_chunks(grown):
    grown.chunks = (16, 8, 16)
    grown.convert(FRAMES)


def shorter(grown):
    grown.convert(200)


def flipped(grown):
    data = bytearray(grown.sums.read_bytes())
    data[len(data) // 2] ^= 1
    grown.sums.write_bytes(data)


def cut(grown):
    grown.sums.write_bytes(grown.sums.read_bytes()[:-5])


def of_something_else(grown):
    write_sums(grown.sums, 7, read_sums(grown.sums)[1])


def without_evidence(grown):
    about, sums = read_sums(grown.sums)
    write_sums(grown.sums, about | {"frames": 100, "pixels": None}, sums)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_evidence, "the known frames are not those that were summed up"),
        (changed_pixel, "the known frames are not those that were summed up"),
        (other_chunks, "the known frames are not those that were summed up"),
        (shorter, "the known frames are not those that were summed up"),
        (flipped, "the sums that were kept are damaged"),
        (cut, "the sums that were kept are damaged"),
        (of_something_else, "the sums that were kept are damaged"),
    ],
)
def test_read_anew_where_the_sums_are_of_no_use(grown, read, change, why):
    grown.convert(300)
    grown.project()
    change(grown)
    read.clear()
    assert f"the projections (mean, max, std) are read anew from all frames: {why}" in grown.project()
    assert min(read)[0] == 0
    assert grown.is_fresh()


def test_any_flipped_byte_counts_as_damage(grown):
    grown.convert(40)
    grown.project()
    whole = grown.sums.read_bytes()
    for place in range(0, len(whole), 3):
        grown.sums.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        assert read_sums(grown.sums) is None
        grown.sums.write_bytes(whole[:place])
        assert read_sums(grown.sums) is None
    grown.sums.write_bytes(whole)
    assert read_sums(grown.sums)[0]["frames"] == 32


PLAIN = {"statistics": ["mean", "max", "std"]}


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        (PLAIN, {"statistics": ["mean", "max", "std", "skewness"]}),
        (PLAIN, PLAIN | {"bin_seconds": 2}),
        (PLAIN | {"bin_seconds": 2}, PLAIN | {"bin_seconds": 3}),
        ({"statistics": ["correlation"]}, {"statistics": [{"correlation": {"detrend_seconds": 7}}]}),
    ],
)
def test_sums_of_other_projections_are_not_taken(grown, before, asked):
    grown.convert(300)
    grown.project(projections=before)
    told = grown.project(projections=asked)
    assert "read anew from all frames: the sums that were kept are of other projections" in told
    assert grown.is_fresh(projections=asked)


@pytest.mark.parametrize(("name", "other"), [("version", lambda name: f"{name} 0"), ("MEANING", 0)])
def test_sums_by_other_versions_are_not_taken(grown, monkeypatch, name, other):
    grown.convert(300)
    with monkeypatch.context() as patched:
        patched.setattr(projections, name, other)
        grown.project()
    told = grown.project()
    assert "read anew from all frames: the sums that were kept were made by other versions" in told
    assert "go on from the sums over 288 known frames; 12 frames are read" in grown.project()


def test_recordings_of_others_and_corrected_ones_prove_nothing(grown):
    np.save(grown.folder / "movie.npy", grown.values[:300])
    of_others = {"path": str(grown.folder / "movie.npy"), "frame_rate": 10}
    grown.convert(300)
    for part in (of_others, {"bad_frames": [3, 4]}):
        grown.project(recording=part)
        assert not grown.sums.exists()
        told = grown.project(recording=part)
        assert "read anew from all frames: only a recording store of roitrace, read as it is, tells" in told


def test_medians_alone_keep_no_sums(grown):
    grown.convert(300)
    for _ in range(2):
        told = grown.project(projections={"statistics": ["median"]})
    assert told == "the projections (median) are read anew from all frames: they are no sums over time"
    assert not grown.sums.exists()


def test_sums_are_taken_only_by_a_job_that_extends(grown, read):
    grown.convert(300)
    grown.project()
    read.clear()
    assert grown.project(extend=False) == ""
    assert sorted(read) == chunks(0, 300)


def test_a_recording_shorter_than_a_file_keeps_no_sums(grown):
    grown.convert(31)
    grown.project()
    assert not grown.sums.exists()
    grown.append(31, 100)
    assert "no sums over them were kept" in grown.project()
    assert "go on from the sums over 96 known frames; 4 frames are read" in grown.project()


def test_nothing_is_kept_of_frames_that_nothing_is_known_of(grown, monkeypatch):
    digest_of, plans, planned = projections.Evidence.digest, [], slab_layer.SlabLayer.__init__

    def noted(self, *arguments):
        planned(self, *arguments)
        plans.append(self.plan)

    monkeypatch.setattr(slab_layer.SlabLayer, "__init__", noted)
    grown.convert(300)
    with monkeypatch.context() as patched:
        patched.setattr(projections.Evidence, "digest", lambda *_: None)
        grown.project()
        assert not grown.sums.exists()
        assert "no sums over them were kept" in grown.project()
    grown.project()
    grown.append(300, FRAMES)
    known = grown.sums.read_bytes()
    with monkeypatch.context() as patched:
        partly = lambda self, frames: digest_of(self, frames) if frames == 288 else None
        patched.setattr(projections.Evidence, "digest", partly)
        assert "go on from the sums over 288 known frames; 412 frames are read" in grown.project()
    # what is new is read in lanes, not by one worker alone
    assert plans[-1].bounds[0][0] == 288
    assert (plans[-1].lanes, plans[-1].tail) == (2, 0)
    assert grown.sums.read_bytes() == known
    assert grown.is_fresh()


def test_a_store_that_is_replaced_while_it_is_read_leaves_no_sums(grown, monkeypatch):
    grown.convert(300)
    with monkeypatch.context() as patched:
        patched.setattr(CarriedSums, "keep", replaced_before_sums_are_kept(grown))
        told = grown.project()
    assert told.endswith("are not kept for the next job: the recording was replaced while it was read")
    assert not grown.sums.exists()


def test_a_store_that_is_replaced_for_a_while_leaves_no_sums_to_the_job_that_goes_on(grown, monkeypatch):
    grown.convert(300)
    grown.project()
    grown.append(300, FRAMES)
    values = grown.values
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(CarriedSums, "keep", replaced_before_sums_are_kept(grown, killed=True))
        grown.project(source="the same by its samples")
    grown.values = values
    grown.convert(FRAMES)
    told = grown.project(source="the same by its samples")
    assert "go on from the sums over 288 known frames; 412 frames are read" in told
    assert grown.is_fresh(source="the same by its samples")


def replaced_before_sums_are_kept(grown, *, killed=False):
    keep = CarriedSums.keep

    def replaced(self, sums):
        changed_pixel(grown)
        sums = keep(self, sums)
        if killed:
            raise Killed
        return sums

    return replaced


@pytest.mark.parametrize("refused", ["open", "write", "sync", "rename"])
def test_a_job_ends_well_where_its_sums_cannot_be_kept(grown, monkeypatch, refused):
    grown.convert(300)
    perform = files.perform

    def full(operation, path, call, *arguments):
        if operation == refused and path.name.startswith("projections") and "out.zarr.run" in str(path):
            return perform(operation, path, no_space)
        return perform(operation, path, call, *arguments)

    def no_space():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(files, "perform", full)
        told = grown.run()
    assert (
        "the sums of the projections are not kept for the next job: no space is left on the disk of" in told
    )
    assert told.count("are not kept") == 1
    assert not [one for one in grown.sums.parent.iterdir() if one.name.startswith(("projections", "sums"))]
    grown.run(extend=False, out="fresh.zarr")
    assert digest(grown.folder / "fresh.zarr") == digest(grown.folder / "out.zarr")


def test_a_job_ends_well_where_sums_do_not_take_their_place(grown, monkeypatch):
    grown.convert(300)

    def refuse(*_):
        raise FileAccessError("the disk failed", "check the disk")

    with monkeypatch.context() as patched:
        patched.setattr(projections, "move", refuse)
        told = grown.project()
    assert told == "the sums of the projections are not kept for the next job: the disk failed"
    assert not grown.sums.exists()
    assert grown.is_fresh()


def test_sums_that_a_worker_elsewhere_could_not_keep_are_told_of(grown, monkeypatch):
    grown.convert(300)
    with monkeypatch.context() as patched:
        patched.setattr(CarriedSums, "keep", lambda _, sums: sums)
        told = grown.project()
    assert told == "the sums of the projections are not kept for the next job: no worker could write them"


class Killed(BaseException):
    """The process is gone."""


def operations_on_sums(patched, stop_at=None):
    """Count what is done to files of sums, and die before one of them."""
    perform, done = files.perform, []

    def counted(operation, path, call, *arguments):
        if "sums" in str(path).partition("out.zarr.run/")[2]:
            if len(done) == stop_at:
                raise Killed
            done.append(f"{operation} {path.name}")
        return perform(operation, path, call, *arguments)

    patched.setattr(files, "perform", counted)
    return done


def test_killed_at_any_operation_on_the_sums(tmp_path, read, monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(slab_layer, "KEEP_SECONDS", 0.0)
    grown, asked = Grown(tmp_path, movie_of("float32")), {"projections": {"statistics": ["mean", "skewness"]}}
    grown.convert(300)
    grown.project(**asked)
    grown.append(300, FRAMES)
    for name in ("out.zarr", "out.zarr.run"):
        shutil.copytree(tmp_path / name, tmp_path / "before" / name)
    with monkeypatch.context() as patched:
        everything = operations_on_sums(patched)
        grown.project(**asked)
    expected, kept, counts = digest(tmp_path / "out.zarr"), grown.sums.read_bytes(), []
    for number, operation in enumerate(everything):
        # what is done to the sums of lanes is seen elsewhere too, and a write of one array is like that of another
        if number % 4 and ("projections" not in operation or operation.startswith("write")):
            continue
        for name in ("out.zarr", "out.zarr.run"):
            shutil.rmtree(tmp_path / name)
            shutil.copytree(tmp_path / "before" / name, tmp_path / name)
        with monkeypatch.context() as patched, pytest.raises(Killed):
            operations_on_sums(patched, number)
            grown.project(**asked)
        read.clear()
        told = grown.project(**asked)
        assert read or not told, operation
        assert digest(tmp_path / "out.zarr") == expected, operation
        assert grown.sums.read_bytes() == kept, operation
        assert set(read) <= set(chunks(288, FRAMES)), operation
        assert {one.name for one in grown.sums.parent.iterdir()} == {"projections.sums", "log.txt"}, operation
        counts.append(len(set(read)))
    # before any sums are there, between those of the lanes and all, and when all is done
    assert {len(chunks(288, FRAMES)), len(chunks(672, FRAMES)), 0} <= set(counts)
    assert grown.is_fresh(**asked)


def test_a_job_that_goes_on_mixes_no_sums_of_other_pixels(grown, monkeypatch):
    monkeypatch.setattr(slab_layer, "KEEP_SECONDS", 0.0)
    grown.convert(FRAMES)
    keep = slab_layer.SumsFiles.keep

    def stopped(self, *arguments):
        keep(self, *arguments)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(slab_layer.SumsFiles, "keep", stopped)
        grown.project(source="the same by its samples")
    changed_pixel(grown)
    grown.project(source="the same by its samples")
    grown.project(source="the same by its samples", extend=False, out="fresh.zarr")
    assert digest(grown.folder / "fresh.zarr") == digest(grown.folder / "out.zarr")


def test_sums_lie_in_a_bucket_too(grown, read):
    with memory_bucket() as bucket:
        for first, last in ((300, 400), (400, FRAMES)):
            if first == 300:
                grown.convert(first)
                grown.project(out="s3://memory/out.zarr")
            grown.append(first, last)
            read.clear()
            told = grown.project(out="s3://memory/out.zarr")
            assert f"go on from the sums over {first // 32 * 32} known frames" in told
            assert sorted(read) == chunks(first // 32 * 32, last)
        found = {key.removeprefix("out.zarr/"): data for key, data in bucket.contents.items()}
    grown.project(extend=False, out="fresh.zarr")
    for key in digest(grown.folder / "fresh.zarr"):
        assert found.pop(key) == (grown.folder / "fresh.zarr" / key).read_bytes()
    assert list(found) == ["out.zarr.run/projections.sums"]
