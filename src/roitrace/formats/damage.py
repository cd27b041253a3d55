"""What reading libraries raise on damaged files, as one clear error."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.errors import FormatError, RoitraceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cut_short", "understanding"]

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""A parser that trusts its input fails in any of these ways on input that it should not trust."""


@contextmanager
def understanding(problem: str, next_step: str = "copy the file again") -> Iterator[None]:
    """Turn what a library raises inside the `with` block into a FormatError; this package's own errors pass.

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
        raise FormatError(f"{problem}: {str(error) or type(error).__name__}", next_step) from error


def cut_short(path: str, expected: int, found: int) -> FormatError:
    """Return the error for a file with fewer frames than it declares."""
    return FormatError(
        f"{path} declares {expected} frames and holds {found}: it is cut short or damaged",
        "copy it again; to use the frames that are there, save them as a file of their own",
    )
