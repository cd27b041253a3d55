"""What a recording format declares: its name, how its files are recognised, who reads them."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from roitrace.sources import RecordingFile

__all__ = ["OpenOptions", "RecordingFormat"]


@dataclass(frozen=True)
class OpenOptions:
    """What a user says about a file besides its path.

    Attributes
    ----------
    dataset : str or None
        Which of several arrays in the file: a dataset's or an array's name, or the number or name of an OME image.
    axes : str or None
        One letter per stored axis, of t, c, z, y, x; for files that do not name their axes, or name them wrongly.
    in_series : bool
        Whether the file is one of several that make a recording: then one image is one frame.
    continuous : bool
        Whether several files were recorded in one go, so that their borders are no borders of sessions.
    unfinished : bool
        Whether to open the finished part of a store whose writing was interrupted.
    """

    dataset: str | None = None
    axes: str | None = None
    in_series: bool = False
    continuous: bool = False
    unfinished: bool = False


@dataclass(frozen=True)
class RecordingFormat:
    """A kind of recording file.

    Parameters
    ----------
    name : str
        As in messages and in `RecordingFile.format`.
    suffixes : tuple of str
        Lower case, with the dot; the most usual first.
    recognises : callable
        ``(path, head) -> bool``: whether a file or folder is of this format; `head` is its first 512 bytes, empty for a
        folder. Looks at the content, not at the suffix; reads little.
    opener : str or callable
        ``(path, options) -> RecordingFile``, or where it is as ``"package.module:function"``, imported when it is needed.
    beside : str
        Which files a recording of this kind needs beside it, for the message that they are missing.
    takes : tuple of str
        Which of ``dataset`` and ``axes`` mean something for it; others are refused.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    opener: str | Callable[[str, OpenOptions], RecordingFile]
    beside: str = ""
    takes: tuple[str, ...] = ("dataset", "axes")

    def open(self, path: str, options: OpenOptions) -> RecordingFile:
        """Understand one file; reads metadata only.

        Raises
        ------
        ArgumentError
            If an option is given that means nothing for this format.
        """
        for name, value in (("dataset", options.dataset), ("axes", options.axes)):
            if value is not None and name not in self.takes:
                raise ArgumentError(
                    f"{name}={value!r} is given for {path}, a recording of the format {self.name}, which has no choice of it",
                    f"leave {name} out",
                )
        opener = pkgutil.resolve_name(self.opener) if isinstance(self.opener, str) else self.opener
        recording: RecordingFile = opener(path, options)
        return recording
