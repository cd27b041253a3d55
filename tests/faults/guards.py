"""Switch each guard of the machinery off, and see that the harness then finds what the guard is for."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.faults.campaign import Report, campaign, power_cuts
from tests.faults.damage import survey_all
from tests.faults.jobs import JOBS
from tests.faults.resuming import damaged_journals, mixed_jobs
from tests.faults.signals import started_twice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Agreeing(int):
    """A checksum that agrees with every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


@dataclass(frozen=True)
class Guard:
    """One guard: where it is, what stands there when it is off, and what should notice."""

    place: str
    off: Any
    notices: Callable[[int], Report]


def _lines_without_checksum(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            yield json.loads(line[9:])
        except ValueError:
            continue


def _damage(seed: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        return survey_all(Path(folder), 200, seed)


def _cuts(seed: int) -> Report:
    return power_cuts(JOBS["convert"], 80, seed)


GUARDS = {
    "checksum of a chunk": Guard("store.decode:crc32c", lambda *_: _Agreeing(), _damage),
    "chunk compared with the manifest": Guard(
        "store.decode:ChunkDecoder._check_written", lambda *_: None, _damage
    ),
    "files compared with the manifest": Guard("store.known:agrees", lambda *_: True, _damage),
    "checksum of a record": Guard(
        "store.journal:decode_records",
        _lines_without_checksum,
        lambda seed: damaged_journals(JOBS["convert"], 60, seed),
    ),
    "data synced before the record": Guard("store.files:sync_file", lambda *_: None, _cuts),
    "names synced before the record": Guard("store.files:sync_folder", lambda *_: None, _cuts),
    "lock": Guard("store.lock:_lock", lambda *_: True, lambda seed: started_twice(JOBS["convert"], 1, seed)),
    "fingerprint": Guard("store.journal:changed_facts", lambda *_: [], lambda seed: mixed_jobs(12, seed)),
    "mark": Guard("store.mark:mark_of", lambda *_: None, lambda seed: campaign(JOBS["convert"], 40, seed)),
}


@contextmanager
def switched_off(guard: Guard) -> Iterator[None]:
    """Put the guard's stand-in wherever its name was imported to."""
    module_name, _, path = guard.place.partition(":")
    owner: Any = importlib.import_module(f"roitrace.{module_name}")
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real = getattr(owner, name)
    modules = [module for key, module in sys.modules.items() if key.startswith("roitrace.")]
    targets = [owner] if outer else [module for module in modules if module.__dict__.get(name) is real]
    patches = [patch.object(target, name, guard.off) for target in targets]
    if guard.place == "store.decode:crc32c":  # other modules have their own use of it
        patches = [patch.object(owner, name, guard.off)]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def every_guard(seed: int) -> Report:
    """Switch off one guard after the other; a violation is that nothing noticed."""
    begin = time.monotonic()
    report = Report()
    for name, guard in GUARDS.items():
        with switched_off(guard):
            try:
                found = guard.notices(seed).violations
            except Exception as error:  # a job that cannot even be staged, or fails in other words than ours
                found = [f"{type(error).__name__}: {error}"]
        report.tried += 1
        report.ends["noticed" if found else "not noticed"] += 1
        print(f"  {name} off: {found[0][-200:] if found else 'nothing noticed'}", flush=True)
        if not found:
            report.violations.append(f"nothing noticed that this was off: {name}")
    report.seconds = time.monotonic() - begin
    return report
