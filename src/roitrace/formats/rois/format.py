"""What a ROI format declares: its name, how its files are recognised, who reads and writes them."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from roitrace.formats.rois.table import RoiTable

__all__ = ["RoiFormat", "RoiOptions"]


@dataclass(frozen=True)
class RoiOptions:
    """What a user says about a ROI file besides its path.

    Attributes
    ----------
    as_mask : bool
        Whether an image of numbers is a mask: one ROI of all pixels above 0.
    name : str or None
        Which of several sets of ROIs in the file.
    plane : int or None
        Which plane, where ROIs lie in several.
    support : float
        Footprints end where they fall below this part of their maximum.
    """

    as_mask: bool = False
    name: str | None = None
    plane: int | None = None
    support: float = 0.2


@dataclass(frozen=True)
class RoiFormat:
    """A kind of ROI file.

    Parameters
    ----------
    name : str
        As in messages.
    suffixes : tuple of str
        Lower case, with the dot.
    recognises : callable
        ``(path, head) -> bool``, as for `roitrace.formats.recordings.format.RecordingFormat`.
    reader : str or callable
        ``(path, options) -> RoiTable``, or where it is as ``"package.module:function"``.
    writer : str, callable or None
        ``(table, path) -> what the file does not keep``, likewise; None for a format that is only read. It writes `path`, and what
        belongs to it beside it.
    main_file : str
        For a set of files: the one that a folder stands for.
    is_own : callable or None
        For a format of folders: whether a folder holds nothing else, so that it may be replaced.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    reader: str | Callable[[str, RoiOptions], RoiTable]
    writer: str | Callable[[RoiTable, str], tuple[str, ...]] | None = None
    main_file: str = ""
    is_own: Callable[[Path], bool] | None = None

    def read(self, path: str, options: RoiOptions) -> RoiTable:
        """Read one file."""
        reader = pkgutil.resolve_name(self.reader) if isinstance(self.reader, str) else self.reader
        table: RoiTable = reader(path, options)
        return table

    def write(self, table: RoiTable, path: str) -> tuple[str, ...]:
        """Write one file and return what it does not keep.

        Raises
        ------
        ArgumentError
            If the format is only read.
        """
        if self.writer is None:
            raise ArgumentError(f"{self.name} files are read, not written", "choose another suffix")
        writer = pkgutil.resolve_name(self.writer) if isinstance(self.writer, str) else self.writer
        lost: tuple[str, ...] = writer(table, path)
        return lost
