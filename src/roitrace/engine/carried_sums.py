"""Sums over time that one job leaves for the next, so that a recording that has grown is not read anew."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dask.tokenize import normalize_token

from roitrace.engine.slab import SlabResult
from roitrace.engine.sums_files import read_sums, write_sums
from roitrace.errors import FileAccessError, StoreError
from roitrace.store.files import make_folder, remove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.store.evidence import Evidence
    from roitrace.store.places import Location

__all__ = ["CarriedSums"]


@dataclass(frozen=True)
class CarriedSums:
    """Files of sums over the first frames of a recording: those that a call goes on from, and those that it leaves.

    Attributes
    ----------
    known : path or None
        Sums over the frames before `start`; None to begin with frame 0.
    start : int
        First frame that is read. Storage chunks end there.
    kept : path
        Where the sums over the frames before `stop` go, in a folder of the folder of the run; not the file `known`, which a task that a
        cluster runs twice reads again.
    stop : int or None
        No less than `start`. Storage chunks end there. None or the same as `start` to keep nothing.
    about : mapping
        What the file says of the sums that are kept: plain values.
    evidence : Evidence, optional
        What tells whether the recording store, which may be replaced while it is read, still is the one that ``about["pixels"]`` names.
    refusals : list of str
        Why sums were not kept, told by tasks in this process.
    """

    known: Location | None
    start: int
    kept: Location
    stop: int | None
    about: Mapping[str, Any]
    evidence: Evidence | None = None
    refusals: list[str] = field(default_factory=list, compare=False)

    @property
    def keeps(self) -> bool:
        """Whether sums are left for the next job."""
        return self.stop is not None and self.start < self.stop

    def take(self) -> SlabResult:
        """Return the known sums.

        Raises
        ------
        StoreError
            If the file is not what it was when the job began.
        """
        known = None if self.known is None else read_sums(self.known)
        if known is None:
            raise StoreError(
                f"the sums over time in {self.known} were damaged or removed while the job ran",
                "run the same command again: it reads those frames anew",
            )
        return SlabResult(moments=known[1])

    def keep(self, sums: SlabResult) -> SlabResult:
        """Leave sums for the next job, and return them; the job goes on without where the file system refuses."""
        assert sums.moments is not None
        try:
            if not self._is_still_true:
                self.refusals.append("the recording was replaced while it was read")
                return sums
            make_folder(self.kept.parent, below=self.kept.parents[1])
            write_sums(self.kept, dict(self.about), sums.moments)
        except (FileAccessError, StoreError) as error:
            # a file that has its name already may not be durable
            with suppress(FileAccessError):
                remove(self.kept)
            self.refusals.append(error.problem)
        return sums

    @property
    def _is_still_true(self) -> bool:
        if self.evidence is None or self.stop is None:
            return True
        digest: str = self.about["pixels"]
        return self.evidence.digest(self.stop) == digest

    def __dask_tokenize__(self) -> object:
        """Name all but `evidence` and `refusals`: sums go on after a recording was moved."""
        return normalize_token((self.known, self.start, self.kept, self.stop, dict(self.about)))
