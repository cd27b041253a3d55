"""What a trace format declares: its name, which suffix means it, who writes it."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from roitrace.errors import ArgumentError
from roitrace.formats.extras import import_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roitrace.formats.traces.table import TraceTable

__all__ = ["Progress", "TraceFormat", "TraceOptions"]

Progress: TypeAlias = Callable[[int, int], object]
_OF_THE_CALL = frozenset({"progress", "note"})


@dataclass(frozen=True, eq=False)
class TraceOptions:
    """What a user says about a file besides its path; None where nothing was said.

    Attributes
    ----------
    roi_axis : int or None
        0 for ROIs in rows, 1 for ROIs in columns.
    layout : str or None
        ``wide``: one column per ROI; ``tidy``: one row per ROI and frame.
    into : str or None
        A file of the same format that the traces are added to.
    metadata : mapping or None
        What the format wants to know and the results do not say.
    spikes : numpy.ndarray or None
        Deconvolved activity ``(roi, time)``.
    progress : callable or None
        Takes the number of blocks that are written, and of all.
    note : callable
        Takes a sentence for the user.
    """

    roi_axis: int | None = None
    layout: str | None = None
    into: str | None = None
    metadata: Mapping[str, Any] | None = None
    spikes: NDArray[np.floating[Any]] | None = None
    progress: Progress | None = None
    note: Callable[[str], object] = warnings.warn

    def given(self) -> set[str]:
        """Return the names of the options of formats that were given."""
        return {name for name in vars(self) if name not in _OF_THE_CALL and getattr(self, name) is not None}

    def tracked(self, blocks: Iterable[slice]) -> Iterator[slice]:
        """Pass on blocks, and tell how many of them are done."""
        listed = list(blocks)
        for number, block in enumerate(listed):
            if self.progress is not None:
                self.progress(number, len(listed))
            yield block
        if self.progress is not None:
            self.progress(len(listed), len(listed))


@dataclass(frozen=True)
class TraceFormat:
    """A kind of file that traces are written to.

    Parameters
    ----------
    name : str
        As in messages, and for ``format=``.
    suffixes : tuple of str
        Lower case, with the dot; empty for a format that is always named.
    writer : str or callable
        ``(table, path, options) -> what the file does not keep``, or where it is as ``"package.module:function"``. The path is
        free, and is moved to its place when the writer is done.
    folder : tuple of str
        Names of the files of a format that is a folder; empty for a single file.
    options : frozenset of str
        Which of `TraceOptions` mean something to it.
    keeps_filled : bool
        Whether the file lists what was interpolated; otherwise a list is written beside it.
    needs : tuple of str
        Name of the package that it needs, and of the extra that brings it; empty where none is needed.
    checks : str, callable or None
        ``(options) -> None``, or where it is: refuses options that can be known to be wrong before anything is computed.
    """

    name: str
    suffixes: tuple[str, ...]
    writer: str | Callable[[TraceTable, str, TraceOptions], tuple[str, ...]]
    folder: tuple[str, ...] = ()
    options: frozenset[str] = field(default_factory=frozenset)
    keeps_filled: bool = True
    needs: tuple[str, ...] = ()
    checks: str | Callable[[TraceOptions], None] | None = None

    def check(self, options: TraceOptions) -> None:
        """Refuse options that mean nothing to the format or are wrong, and a package that is not there.

        Raises
        ------
        ArgumentError
            For such an option.
        MissingDependencyError
            If the package that the format needs is not installed.
        """
        for name in sorted(options.given() - self.options):
            raise ArgumentError(
                f"{name}= means nothing to {self.name}",
                f"it takes {', '.join(sorted(self.options)) or 'no options of its own'}",
            )
        if self.needs:
            package, extra = self.needs
            import_extra(package, extra, f"the format {self.name}")
        if self.checks is not None:
            checks = pkgutil.resolve_name(self.checks) if isinstance(self.checks, str) else self.checks
            checks(options)

    def write(self, table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
        """Write to a free path and return what is not kept."""
        writer = pkgutil.resolve_name(self.writer) if isinstance(self.writer, str) else self.writer
        lost: tuple[str, ...] = writer(table, path, options)
        return lost
