"""Open the explorer: what it is given, and the handle that it is held by."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError
from roitrace.formats.extras import import_extra
from roitrace.frame import frame_of
from roitrace.recording import blocks_of, check_recording, open_recording
from roitrace.results import load
from roitrace.roi_files import read_rois
from roitrace.rois import Rois
from roitrace.units import parse_bytes
from roitrace.view.explorer.reproduction import recording_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.view.explorer.session import Session

__all__ = ["Explorer", "explore"]


class Explorer:
    """A page that is served; a notebook shows it in the cell.

    Made by `explore`. It ends with `stop`, at the end of a ``with`` block, or with the program.

    Attributes
    ----------
    url : str
        Its link, for browsers on this computer.
    """

    def __init__(self, session: Session, port: int) -> None:
        from roitrace.view.explorer.page import Page  # noqa: PLC0415 - Bokeh loads slowly
        from roitrace.view.explorer.server import PageServer  # noqa: PLC0415

        self._session = session
        self._server = PageServer(partial(Page.open, session), port)
        self.url = self._server.url
        self._server.loop.add_callback(session.start, self._server.loop)

    @property
    def rois(self) -> Rois:
        """The cells as they are now, with decisions and rejected ones."""
        return self._session.cells.rois

    @property
    def mask(self) -> xr.DataArray:
        """Their mask ``(y, x)``, bool."""
        return self._session.cells.rois.to_mask()

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def wait(self) -> None:
        """Return when it has ended."""
        self._server.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Explorer of {self._session.name}: {self.url}>"

    def _repr_html_(self) -> str:
        from roitrace.view.explorer.server import frame_for  # noqa: PLC0415

        return frame_for(self.url, height=800)


def explore(
    recording: xr.DataArray | str | Path,
    *,
    results: str | Path | None = None,
    rois: Rois | str | Path | None = None,
    output: str | Path = ".",
    port: int = 0,
    browser: bool = False,
    budget: str | float = "500 MB",
    told: Mapping[str, Any] | None = None,
    **options: Any,
) -> Explorer:
    """Look at a recording of any size in the browser: find cells, curate them, see their traces, export what was done.

    The page is served on this computer alone (127.0.0.1); its link holds a random token, without which nothing is answered. Frames and the chunks of chosen
    cells are read when they are looked at; projections are computed in one read, in bounded memory. What was done lives in the server:
    a page that is loaded again finds it. Exports hold a configuration with which ``roitrace run`` gives the same mask and ROIs.

    Parameters
    ----------
    recording : DataArray or path
        ``(time, y, x)``, or where it lies; see `open_recording`.
    results : path, optional
        A results store whose projections, and ROIs unless `rois` are given, are shown.
    rois : Rois or path, optional
        ROIs to begin with, in any format of `read_rois`.
    output : path
        The folder for exports; by default the working folder.
    port : int
        Where to listen; 0 takes a free port.
    browser : bool
        Whether to open a browser. In a notebook the page appears in the cell instead.
    budget : str or int
        Memory that the program may use.
    told : mapping, optional
        The section ``recording`` of a configuration that opens the same; made from the path and `options` if not given.
    **options
        As for `open_recording`: ``frame_rate``, ``pixel_size``, ``time``, ``channel``, ...

    Returns
    -------
    Explorer
        Runs in the background until its `stop`; `rois` and `mask` are those of the page at any time.

    Raises
    ------
    MissingDependencyError
        Without Bokeh (the extra ``app``).
    AlignmentError
        If results or ROIs are of another frame.
    ArgumentError
        If the port cannot be had.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.zeros((9, 8, 8), "uint16"), dims=("time", "y", "x"))
    >>> with explore(movie) as explorer:
    ...     explorer.url.startswith("http://127.0.0.1:"), len(explorer.rois)
    (True, 0)
    """
    import_extra("bokeh", "app", "the explorer")
    from roitrace.view.explorer.session import Session  # noqa: PLC0415 - Bokeh loads slowly

    if isinstance(recording, xr.DataArray):
        if options:
            raise ArgumentError(
                f"{', '.join(options)} given with a recording that is open", "give these to open_recording"
            )
        opened, name = recording, "recording"
        section = dict(told or {})
    else:
        opened = open_recording(recording, **options)
        name = Path(recording).name.split(".")[0]
        section = dict(told or recording_section(recording, options, opened))
    if "path" in section:
        name = Path(str(section["path"])).name.split(".")[0] or name
    check_recording(opened)
    opened = opened.copy(data=blocks_of(opened))
    images, kept = _from_results(results, opened)
    begin = kept if rois is None else rois
    session = Session(
        opened,
        told=section,
        images=images,
        rois=_placed(begin, opened),
        folder=Path(output).absolute(),
        name=name,
        budget=parse_bytes(budget),
    )
    explorer = Explorer(session, port)
    if browser:
        import webbrowser  # noqa: PLC0415

        webbrowser.open(explorer.url)
    return explorer


def _placed(rois: Rois | str | Path | None, recording: xr.DataArray) -> Rois | None:
    """Return ROIs on the frame of the recording."""
    if rois is None:
        return None
    return (
        rois.within(frame_of(recording)) if isinstance(rois, Rois) else read_rois(rois, recording=recording)
    )


def _from_results(
    results: str | Path | None, recording: xr.DataArray
) -> tuple[dict[str, xr.DataArray], Rois | None]:
    """Return the projections and ROIs of a results store."""
    if results is None:
        return {}, None
    tree = load(results)
    images: dict[str, xr.DataArray] = {}
    if "projections" in tree.children:
        found = tree["projections"].to_dataset().load()
        images = {str(name): found[name] for name in found.data_vars}
        if images and not frame_of(next(iter(images.values()))).same_as(frame_of(recording)):
            raise AlignmentError(
                f"the projections in {results} are of another frame than the recording",
                "give the results of this recording, and open the same part of it",
            )
    return images, read_rois(results, recording=recording) if "rois" in tree.children else None
