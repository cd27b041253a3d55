"""The harness finds the faults of writers that have them, and none in one that has not."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from roitrace.errors import StoreError
from tests.faults.campaign import Report, campaign, power_cuts
from tests.faults.children import run_here, run_in_child
from tests.faults.injection import Counter, Fault, Injector
from tests.faults.jobs import Job
from tests.faults.operations import observed, unseen

if TYPE_CHECKING:
    from pathlib import Path

PARTS = [bytes([65 + number]) * 300 for number in range(3)]


def write_parts(
    folder: Path,
    *,
    whole: bool = True,
    sync: bool = True,
    names: bool = True,
    order: bool = True,
    tidy: bool = True,
) -> None:
    """Write files and a journal of them; each option that is off is a mistake that people make."""
    place = folder / "store" / "c"
    journal = folder / "store.run" / "journal" / "lane-0"
    try:
        for made in (folder / "store", place, folder / "store.run", journal.parent):
            _make(made, names=names)
        done = journal.read_text().split() if journal.exists() else []
        for number, data in enumerate(PARTS):
            if f'"c/{number}"' in done:
                continue
            if order:
                _write(place / str(number), data, whole=whole, sync=sync, names=names)
            _append(journal, f'"c/{number}"\n'.encode())
            if not order:
                _write(place / str(number), data, whole=whole, sync=sync, names=names)
        if tidy:
            for left in (folder / "store").rglob("*.partial"):
                left.unlink()
        _write(folder / "store" / "end", b"end", whole=True, sync=True, names=True)
    except OSError as error:
        raise StoreError(f"the disk failed: {error}") from error


def _make(path: Path, *, names: bool) -> None:
    path.mkdir(exist_ok=True)
    if names:
        _sync(path.parent)


def _write(path: Path, data: bytes, *, whole: bool, sync: bool, names: bool) -> None:
    draft = path.with_name(f"{path.name}.{os.urandom(2).hex()}.partial") if whole else path
    with draft.open("wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    if whole:
        draft.rename(path)
    if names:
        _sync(path.parent)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def look(folder: Path, _expected: object) -> str:
    """The file `end` says that all is there; what has a name is whole."""
    files = {path.name: path.read_bytes() for path in folder.glob("store/c/?")}
    if any(content != PARTS[int(name)] for name, content in files.items()):
        return "a part is torn"
    return "not whole" if (folder / "store" / "end").exists() and len(files) < len(PARTS) else ""


def toy(**mistakes: bool) -> Job:
    return Job("toy", lambda _: None, partial(write_parts, **mistakes), "store", look)


@pytest.fixture(scope="module")
def sound() -> tuple[Report, Report]:
    return campaign(toy(), 150, seed=1), power_cuts(toy(), 150, seed=1)


def test_nothing_is_found_in_a_sound_writer(sound):
    faults, cuts = sound
    assert not faults.violations
    assert not cuts.violations
    assert {"killed", "error", "done"} <= set(faults.ends)
    assert (faults.tried, cuts.tried) == (150, 150)


@pytest.mark.parametrize("mistake", ["whole", "tidy"])
def test_torn_files_and_orphans_are_found(mistake):
    report = campaign(toy(**{mistake: False}), 100, seed=1)
    assert any({"whole": "torn", "tidy": "left over"}[mistake] in one for one in report.violations)


@pytest.mark.parametrize("mistake", ["sync", "names", "order"])
def test_what_a_power_cut_would_lose_is_found(mistake):
    report = power_cuts(toy(**{mistake: False}), 150, seed=1)
    assert any("lost" in one or "torn" in one or "missing" in one for one in report.violations)


def test_foreign_errors_are_found():
    def work(_folder: Path) -> None:
        with (_folder / "store").open("wb") as file:
            file.write(b"abc")

    report = campaign(Job("bare", lambda _: None, work, "store", lambda *_: ""), 6, seed=1)
    assert any("not one of our errors" in one for one in report.violations)


@pytest.mark.parametrize("run", [run_in_child, run_here])
def test_jobs_without_an_end_are_found(run):
    assert run(lambda: os.read(os.pipe()[0], 1), limit=0.2).end == "hang"


def in_child_of(folder: Path, fault: Fault) -> bytes:
    def work() -> None:
        with observed(folder, Injector(fault)):
            with (folder / "file").open("wb") as file:
                file.write(b"0123456789")
                file.flush()
                file.write(b"more")

    run_in_child(work)
    return (folder / "file").read_bytes() if (folder / "file").exists() else b"no file"


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault(0, "kill"), b"no file"),
        (Fault(0, "torn"), b""),
        (Fault(1, "kill"), b""),
        (Fault(1, "torn", 0.4), b"0123"),
        (Fault(1, "eio"), b"0123456789more"),
        (Fault(1, "enospc", 0.4), b"0123"),
        (Fault(1, "short", 0.4), b"0123456789more"),
        (Fault(2, "kill"), b"0123456789"),
    ],
)
def test_what_a_fault_leaves(tmp_path, fault, left):
    found = in_child_of(tmp_path, fault)
    assert found == left or (fault.kind == "eio" and found in {b"", b"0123456789"})


def test_no_change_goes_past_the_harness(tmp_path):
    """What the interpreter says of files below the folder agrees with what was seen: also for zarr, tempfile, shutil, NumPy."""

    def work() -> str:
        import shutil

        import numpy as np
        import zarr

        missed, observer = unseen(tmp_path)
        with observed(tmp_path, observer):
            group = zarr.create_group(tmp_path / "a.zarr")
            group.create_array("x", data=np.arange(10))
            np.save(tmp_path / "b.npy", np.arange(3))
            shutil.copy(tmp_path / "b.npy", tmp_path / "c.npy")
            (tmp_path / "b.npy").unlink()
            shutil.rmtree(tmp_path / "a.zarr")
        return "\n".join(missed)

    outcome = run_in_child(work)
    assert (outcome.end, outcome.message) == ("done", "")


def test_what_goes_past_the_harness_is_told(tmp_path):
    def work() -> str:
        import _io

        missed, observer = unseen(tmp_path)
        with observed(tmp_path, observer), _io.open(tmp_path / "a", "w"):
            pass
        return "\n".join(missed)

    assert "open" in run_in_child(work).message


def test_nothing_stays_replaced(tmp_path):
    import builtins

    before = (os.open, os.fsync, builtins.open)
    counter = Counter()
    with observed(tmp_path, counter):
        (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (os.open, os.fsync, builtins.open) == before
    assert [one.kind for one in counter.seen] == ["create", "write"]
