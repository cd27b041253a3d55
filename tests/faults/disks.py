"""Power cuts on real file systems: on a loop device, stopped in the midst of a job and mounted again. Needs root."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Report, Stage, is_journal, lost_files, recorded, resumed, staged
from tests.faults.children import run_in_child
from tests.faults.jobs import Job, copied, outputs_of
from tests.faults.operations import Operation, Perform, observed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FILE_SYSTEMS", "cuts_on"]

SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
"""_IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN; with 2 (no flush of the log) all that was not committed is lost."""
WITHOUT_FLUSH = 2


@dataclass(frozen=True)
class FileSystem:
    """How one is made and stopped.

    Attributes
    ----------
    make : tuple of str
        What makes it in an image.
    mebibytes : int
        How large the image is.
    options : str
        What it is mounted with.
    stops : bool
        Whether it has the ioctl. Of others the image is copied as it is at the cut: what they have not written to it is lost.
    is_lower : bool
        Whether the jobs see it through an overlay whose upper layer it is.
    """

    make: tuple[str, ...]
    mebibytes: int
    options: str = "loop"
    stops: bool = True
    is_lower: bool = False


FILE_SYSTEMS = {
    "ext4": FileSystem(("mkfs.ext4", "-q", "-F"), 64),
    "xfs": FileSystem(("mkfs.xfs", "-q", "-f"), 320),
    # nothing is written by its clock before the image is copied
    "btrfs": FileSystem(("mkfs.btrfs", "-q", "-f"), 128, "loop,commit=300", stops=False),
    "overlay": FileSystem(("mkfs.ext4", "-q", "-F"), 64, is_lower=True),
}


class Device:
    """An image with a file system in it, and where it is mounted."""

    def __init__(self, folder: Path, kind: FileSystem) -> None:
        self.kind, self.image = kind, folder / "image"
        self.base, self.place = folder / "base", folder / "mounted"
        self.base.mkdir()
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(kind.mebibytes * 2**20)
        _call(*kind.make, self.image)

    def mount(self) -> None:
        if not self.kind.is_lower:
            _call("mount", "-o", self.kind.options, self.image, self.place)
            return
        _call("mount", "-o", self.kind.options, self.image, self.base)
        layers = [self.base / name for name in ("lower", "upper", "work")]
        for layer in layers:
            layer.mkdir(exist_ok=True)
        options = ",".join(f"{layer.name}dir={layer}" for layer in layers)
        _call("mount", "-t", "overlay", "-o", options, "overlay", self.place)

    def unmount(self) -> None:
        _call("umount", self.place)
        if self.kind.is_lower:
            _call("umount", self.base)

    @property
    def _at_cut(self) -> Path:
        return self.image.with_name("image at the cut")

    def cut(self) -> None:
        """Stop the file system as a power cut would; what is asked of it from now on fails."""
        if not self.kind.stops:
            _call("cp", "--sparse=always", self.image, self._at_cut)
            return
        handle = os.open(self.base if self.kind.is_lower else self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, array.array("I", [WITHOUT_FLUSH]))
        finally:
            os.close(handle)

    def start_again(self) -> None:
        """Mount what a cut has left."""
        self.unmount()
        if self._at_cut.exists():
            self._at_cut.replace(self.image)
        self.mount()


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)


@contextmanager
def device(kind: FileSystem) -> Iterator[Device]:
    """Make a file system for the length of a `with` block.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        If this computer or user cannot.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="disk-", dir=memory if memory.is_dir() else None) as folder:
        disk = Device(Path(folder), kind)
        disk.mount()
        try:
            yield disk
        finally:
            disk.unmount()


def cuts_on(name: str, job: Job, count: int, seed: int) -> Report:
    """Cut the power before so many operations of a job on a file system."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage, device(FILE_SYSTEMS[name]) as disk:
        there = replace(stage, root=disk.place)
        for _ in range(count):
            _try_cut(stage, there, disk, random.randrange(len(stage.operations)), report)
    report.seconds = time.monotonic() - begin
    return report


def _try_cut(stage: Stage, there: Stage, disk: Device, number: int, report: Report) -> None:
    folder = copied(stage.template, there.root / "sandbox")
    _call("sync", "--file-system", folder)
    outcome = run_in_child(lambda: _until_cut(there, folder, disk, number))
    disk.start_again()
    acknowledged = set(outcome.message.split("\n")) - {""} if outcome.end == "done" else set()
    story = f"power cut before {stage.operations[number]}"
    if outcome.end != "done":
        report.violations.append(f"{story}: {outcome}")
    checked = run_in_child(lambda: _wrong_after_cut(there, folder, acknowledged))
    if checked.end != "done" or checked.message:
        report.violations.append(f"{story}: {checked.message}")
    report.tried += 1
    report.ends["acknowledged files"] += len(acknowledged)
    shutil.rmtree(folder)


def _wrong_after_cut(stage: Stage, folder: Path, acknowledged: set[str]) -> str:
    """Look and resume; in a child, since maps of files would keep the file system busy."""
    found = outputs_of(folder)
    lost = lost_files(acknowledged, found, stage.expected)
    if lost:
        return f"acknowledged, but lost: {lost}"
    return stage.job.look(folder, stage.expected) or resumed(stage, folder, acknowledged)


def _until_cut(stage: Stage, folder: Path, disk: Device, number: int) -> str:
    """Do the job until the power goes; return the files that were acknowledged before."""
    acknowledged: set[str] = set()
    count = -1

    def observer(operation: Operation, perform: Perform) -> Any:
        nonlocal count
        count += 1
        if count == number:
            disk.cut()
        if count >= number and not disk.kind.stops:
            raise OSError(errno.EIO, os.strerror(errno.EIO), operation.path)
        value = perform(None)
        if operation.kind == "fsync" and is_journal(operation.path):
            names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
            acknowledged.update(recorded(names, Path(operation.path).read_bytes()))
        return value

    try:
        with observed(folder, observer):
            stage.job.work(folder)
    except Exception as error:
        del error
    return "\n".join(sorted(acknowledged))
