"""What reading libraries raise on damaged files, as one clear error."""

from __future__ import annotations

import csv
import struct
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.errors import FormatError, RoitraceError
from roitrace.file_errors import explain, is_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cut_short", "understanding"]

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    csv.Error,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""A parser that trusts its input fails in any of these ways on input that it should not trust."""
MOST_WORDS = 300
"""Characters of a library's message that are passed on; it may quote the file."""


@contextmanager
def understanding(problem: str, next_step: str = "copy the file again") -> Iterator[None]:
    """Turn what a library raises inside the `with` block into a FormatError; this package's own errors pass.

    Where the file system refused (permission, too many open files, a failing disk), that is said instead: a FileAccessError.

    Parameters
    ----------
    problem : str
        What cannot be done with which file; the library's message is added.
    next_step : str
        What to do about it.

    Examples
    --------
    >>> with understanding("a.tif cannot be read as TIFF"):
    ...     raise ValueError("no IFD")
    Traceback (most recent call last):
    ...
    roitrace.errors.FormatError: a.tif cannot be read as TIFF: no IFD; copy the file again
    """
    try:
        yield
    except RoitraceError:
        raise
    except DAMAGE as error:
        if isinstance(error, OSError) and is_refusal(error):
            raise explain(error) from error
        raise FormatError(f"{problem}: {_words(error)}", next_step) from error


def _words(error: BaseException) -> str:
    """Return a library's message in one line without control characters; files may put anything into it."""
    if isinstance(error, MemoryError):
        return "it claims more than the memory holds"
    text = " ".join("".join(one if one.isprintable() else " " for one in str(error)).split())
    text = text or type(error).__name__
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}..."


def cut_short(path: str, expected: int, found: int) -> FormatError:
    """Return the error for a file with fewer frames than it declares."""
    return FormatError(
        f"{path} declares {expected} frames and holds {found}: it is cut short or damaged",
        "copy it again; to use the frames that are there, save them as a file of their own",
    )
