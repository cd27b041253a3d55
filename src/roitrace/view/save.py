"""Write figures so that the same figure gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from roitrace.errors import ArgumentError, JobError
from roitrace.store.files import write_file
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from roitrace.store.places import Location

__all__ = ["save_figure"]

# What would differ from one run to the next, or from one machine to another.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def save_figure(
    figure: Figure | Axes, path: str | os.PathLike[str] | ObjectPath, *, dpi: float = 200
) -> Location:
    """Write a figure as PNG, SVG or PDF, with the same bytes for the same figure and matplotlib version.

    No date is written; identifiers in SVG follow from the content; text stays text in SVG and PDF. The file appears
    when it is complete; one of the same name is replaced. While it draws, two of matplotlib's settings are changed
    and put back.

    Parameters
    ----------
    figure : matplotlib Figure or Axes
        What a ``plot_`` function returned, or its figure; axes stand for the whole figure that they are on.
    path : str or path-like
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    dpi : float
        Pixels per inch, also of the images inside SVG and PDF that are not embedded pixel by pixel.

    Returns
    -------
    Path or ObjectPath
        The file.

    Raises
    ------
    ArgumentError
        If the name ends otherwise, the folder does not exist, or it is no figure.
    JobError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(Figure(), f"{folder}/empty.svg").name
    'empty.svg'
    """
    drawn_on = getattr(figure, "figure", None)
    if not isinstance(drawn_on, Figure):
        raise ArgumentError(
            f"figure is of type {type(figure).__name__}, expected a figure",
            "give one, or what a plot_ function returned",
        )
    target = place_of(path)
    suffix = target.suffix.lower()
    if suffix not in _METADATA:
        raise ArgumentError(
            f"a figure cannot be written as {target.name!r}", "end the name in .png, .svg or .pdf"
        )
    if isinstance(target, Path) and not target.parent.is_dir():
        raise ArgumentError(f"the folder {target.parent} does not exist", "make it first")
    drawn = io.BytesIO()
    with rc_context({"svg.hashsalt": "roitrace", "svg.fonttype": "none", "pdf.fonttype": 42}):
        drawn_on.savefig(drawn, format=suffix[1:], dpi=dpi, metadata=_METADATA[suffix])
    if isinstance(target, ObjectPath):
        write_file(target, drawn.getbuffer())
        return target
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(drawn.getbuffer())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise JobError(
            f"{target} cannot be written: {error.strerror}", "choose a folder that you may write to"
        ) from error
    return target
