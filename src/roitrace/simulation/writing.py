"""Write a simulated recording and its truth."""

from __future__ import annotations

import difflib
import json
import shlex
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Unpack

from roitrace.conversion import plan_conversion, write_conversion
from roitrace.errors import ArgumentError, OutputExistsError
from roitrace.file_errors import explained
from roitrace.simulation.scene import draw_scene
from roitrace.simulation.source import SimulatedSource, SimulationOptions
from roitrace.simulation.truth import truth_path, write_truth
from roitrace.sources import RecordingFile, RecordingMetadata
from roitrace.store.building import building, finished_by
from roitrace.store.files import remove_tree
from roitrace.store.finishing import finish_group, local_folder
from roitrace.store.journal import Journal
from roitrace.store.origin import Origin
from roitrace.store.places import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from roitrace.store.places import Location

__all__ = ["simulate"]


def simulate(
    path: str | Location,
    *,
    shape: tuple[int, int, int],
    n_rois: int,
    seed: int,
    overwrite: bool = False,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Unpack[SimulationOptions],
) -> Location:
    """Simulate a two-photon recording into a store, with its truth beside it; streams, so it may be larger than memory.

    Parameters
    ----------
    path : path
        Folder to write, by custom ``*.zarr``. The truth of ``demo.zarr`` is ``demo.truth.zarr``; read it with
        `roitrace.load_truth`.
    shape : tuple of int
        Frames, height and width.
    n_rois : int
        Number of cells.
    seed : int
        The same seed and options give the same bits.
    overwrite : bool
        Replace a recording and a truth that are there, once the new ones are complete.
    budget : str or int
        Memory that the job may use.
    workers : int, optional
        Tasks at once; by default all processors.
    progress : callable, optional
        Called with tasks done and all tasks.
    **options
        Any other attribute of `SimulatedSource`, which also says the defaults. The frame: ``frame_rate`` (Hz), ``pixel_size``
        (micrometres), ``dtype``. Cells: ``cell_diameter``, ``touching``, ``overlapping``, ``brightness``,
        ``brightness_spread``, ``nucleus``. Activity: ``event_rate``, ``burst_probability``, ``amplitude``, ``rise``, ``decay``.
        Neuropil: ``background``, ``haze``, ``haze_fluctuation``, ``haze_correlation``, ``texture``. Light: ``vignetting``,
        ``bleaching``. Detector: ``noise``, ``shot_noise``, ``read_noise``, ``detector_gain``, ``detector_offset``,
        ``hot_pixels``. Trouble: ``jitter``, ``dropped_frames``, ``saturated_frames``. 0 (or False) switches a part off and leaves the others as they are.

    Returns
    -------
    Path or ObjectPath
        The recording.

    Raises
    ------
    ArgumentError
        If an option is unknown or out of its range, or the cells do not fit into the frame.
    OutputExistsError
        If the recording or its truth is there and `overwrite` is False. Nothing is touched then.
    BudgetError
        If the budget is too small for one task.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> noisy = simulate(folder / "noisy.zarr", shape=(60, 64, 64), n_rois=4, seed=7)
    >>> clean = simulate(folder / "clean.zarr", shape=(60, 64, 64), n_rois=4, seed=7, noise=False, hot_pixels=0)
    >>> clean.name, sorted(one.name for one in folder.iterdir())
    ('clean.zarr', ['clean.truth.zarr', 'clean.zarr', 'noisy.truth.zarr', 'noisy.zarr'])
    """
    _refuse_unknown(options)
    source = SimulatedSource(shape=shape, n_rois=n_rois, seed=seed, **_both_sides(options))
    target = place_of(path)
    source.scene()  # cells that do not fit are refused before anything is written
    begun = any(Journal.of(one).job() for one in (target, truth_path(target)))
    if target.exists() and not overwrite and not begun:
        raise OutputExistsError(
            f"the recording {target} exists already", "choose another name, or ask to overwrite it"
        )
    metadata = RecordingMetadata(frame_rate=source.frame_rate, pixel_size=source.pixel_size)
    conversion = plan_conversion(RecordingFile("simulation", ((source,),), metadata=metadata))
    command = _command(source, target, overwrite=overwrite)
    try:
        with _truth_beside(source, truth_path(target), overwrite=overwrite, command=command) as resumed:
            if not (resumed and finished_by(target, conversion.fingerprint)):
                write_conversion(
                    conversion,
                    target,
                    Origin(),
                    command=command,
                    overwrite=overwrite,
                    budget=budget,
                    workers=workers,
                    progress=progress,
                )
    finally:
        draw_scene.cache_clear()  # its traces are as long as the recording
    return target


@contextmanager
def _truth_beside(
    source: SimulatedSource, place: Location, *, overwrite: bool, command: str
) -> Iterator[bool]:
    """Write the truth, which takes its place when the `with` block has written the recording; give whether that was begun before."""
    fingerprint = {"simulation": source.identity()}
    with building(place, fingerprint, overwrite=overwrite, what="the truth", command=command) as build:
        if not build.is_whole:
            remove_tree(build.path)
            with explained(place), local_folder(build.path) as folder:
                write_truth(source, folder)
                finish_group(folder, {"fingerprint": fingerprint})
        yield build.resumed


def _command(source: SimulatedSource, target: Location, *, overwrite: bool) -> str:
    """Return what is to be given to go on with a job."""
    parameters = source.parameters()
    shape = ",".join(map(str, parameters.pop("shape")))
    words = ["roitrace", "simulate", str(target.absolute()), "--shape", shape]
    words += ["--n-rois", str(parameters.pop("n_rois")), "--seed", str(parameters.pop("seed"))]
    defaults = SimulatedSource(shape=source.shape, n_rois=source.n_rois, seed=source.seed).parameters()
    for name, value in parameters.items():
        if value != defaults[name]:
            words += ["--set", f"{name}={json.dumps(value)}"]
    return f"give the same command again: {shlex.join([*words, *(['--overwrite'] if overwrite else [])])}"


def _both_sides(options: SimulationOptions) -> Any:
    """Return the options with a pixel size ``(y, x)``, also where one number was given for both."""
    size = options.get("pixel_size")
    return {**options, "pixel_size": (size, size)} if isinstance(size, int | float) else options


def _refuse_unknown(options: SimulationOptions) -> None:
    known = [one.name for one in fields(SimulatedSource) if one.init]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ArgumentError(
                f"simulate has no option {name!r}",
                f"did you mean {near[0]!r}?" if near else f"options are {', '.join(known[3:])}",
            )
