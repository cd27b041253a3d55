"""Power cuts on a real file system: ext4 on a loop device, shut down in the midst of a job and mounted again. Needs root."""

from __future__ import annotations

import array
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.faults.campaign import Report, Stage, is_journal, recorded, resumed, staged
from tests.faults.children import run_in_child
from tests.faults.jobs import Job, copied, outputs_of
from tests.faults.operations import Operation, Perform, observed

if TYPE_CHECKING:
    from collections.abc import Iterator

EXT4_IOC_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
"""_IOR('X', 125, __u32) of linux/fs/ext4; with 2 (no flush of the log) all that was not committed is lost."""
WITHOUT_FLUSH = 2


class Device:
    """An image with ext4 in it, and where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "image", folder / "mounted"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 * 2**20)
        _call("mkfs.ext4", "-q", "-F", self.image)

    def mount(self) -> None:
        _call("mount", "-o", "loop", self.image, self.place)

    def unmount(self) -> None:
        _call("umount", self.place)

    def cut(self) -> None:
        """Stop the file system as a power cut would; what is asked of it from now on fails."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, array.array("I", [WITHOUT_FLUSH]))
        finally:
            os.close(handle)


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)


@contextmanager
def device() -> Iterator[Device]:
    """Make a file system for the length of a `with` block.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        If this computer or user cannot.
    """
    with tempfile.TemporaryDirectory(prefix="ext4-") as folder:
        disk = Device(Path(folder))
        disk.mount()
        try:
            yield disk
        finally:
            disk.unmount()


def cuts_on_ext4(job: Job, count: int, seed: int) -> Report:
    """Cut the power before so many operations of a job."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage, device() as disk:
        there = replace(stage, root=disk.place)
        for _ in range(count):
            _try_cut(stage, there, disk, random.randrange(len(stage.operations)), report)
    report.seconds = time.monotonic() - begin
    return report


def _try_cut(stage: Stage, there: Stage, disk: Device, number: int, report: Report) -> None:
    folder = copied(stage.template, there.root / "sandbox")
    os.sync()
    outcome = run_in_child(lambda: _until_cut(there, folder, disk, number))
    disk.unmount()
    disk.mount()
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
    lost = sorted(name for name in acknowledged if found.get(name) != stage.expected[name])
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
