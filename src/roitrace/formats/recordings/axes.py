"""Which axis of a stored array is time, channel, plane, y and x; one view per channel and plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.claims import check_frame, check_parts
from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "LETTERS",
    "AxisView",
    "assemble",
    "assumed_axes",
    "assumption_note",
    "checked_axes",
    "with_channel_names",
]

LETTERS = {"t": "time", "c": "channel", "z": "plane", "y": "y", "x": "x"}


@dataclass(frozen=True)
class AxisView:
    """One channel and plane of a stored array, seen as ``(time, y, x)``.

    Attributes
    ----------
    time, y, x : int
        Positions of these axes in the stored array.
    fixed : tuple of (int, int)
        Position and index of every other axis.

    Examples
    --------
    >>> view = AxisView(time=2, y=0, x=1)  # stored as (y, x, time)
    >>> view.pick((128, 256, 20))
    (20, 128, 256)
    """

    time: int
    y: int
    x: int
    fixed: tuple[tuple[int, int], ...] = ()

    def pick(self, per_axis: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the entries of time, y and x from one number per stored axis."""
        return per_axis[self.time], per_axis[self.y], per_axis[self.x]

    def selection(self, time: slice, y: slice, x: slice) -> tuple[slice | int, ...]:
        """Return the index into the stored array that reads a block."""
        index: dict[int, slice | int] = {self.time: time, self.y: y, self.x: x, **dict(self.fixed)}
        return tuple(index[axis] for axis in range(len(index)))

    def selection_shape(self, time: slice, y: slice, x: slice) -> tuple[int, ...]:
        """Return the shape of what `selection` reads, in stored order."""
        sizes = {self.time: time, self.y: y, self.x: x}
        return tuple(sizes[axis].stop - sizes[axis].start for axis in sorted(sizes))

    def arrange(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Turn what `selection` read into ``(time, y, x)``, without a copy."""
        order = sorted((self.time, self.y, self.x))
        return stored.transpose([order.index(axis) for axis in (self.time, self.y, self.x)])


def checked_axes(axes: str, ndim: int, what: str) -> str:
    """Return axes that a user gave, lower case, or refuse them.

    Raises
    ------
    ArgumentError
        If they are not one letter per axis, of t, c, z, y, x, with t, y and x among them.
    """
    letters = axes.lower()
    if (
        len(letters) == ndim
        and len(set(letters)) == ndim
        and set(letters) <= set(LETTERS)
        and set("tyx") <= set(letters)
    ):
        return letters
    raise ArgumentError(
        f"axes={axes!r} for {what}, which has {ndim} axes",
        "give one letter per axis in stored order: t (time), c (channel), z (plane), y, x; t, y and x must be there, as in axes='tyx'",
    )


def assumed_axes(shape: tuple[int, ...], what: str) -> str:
    """Return the axes of an array that does not name them: three are time, y, x; nothing else is guessed.

    Raises
    ------
    FormatError
        If there are not three axes.
    """
    if len(shape) == 3:
        return "tyx"
    if len(shape) == 2:
        raise FormatError(
            f"{what} is one image of {shape[0]} x {shape[1]}, expected a recording (time, y, x)",
            "give the folder or the list of all its frames, or another file",
        )
    raise FormatError(
        f"{what} has shape {shape} and does not name its axes",
        "say what they are with one letter each of t, c, z, y, x, for example axes='tczyx'",
    )


def assumption_note(shape: tuple[int, ...]) -> str:
    """Say how three unnamed axes were taken."""
    frames, height, width = shape
    return f"axes taken as {frames} frames of {height} x {width}; if that is wrong, give axes= in stored order, for example axes='yxt'"


def assemble(
    format_name: str,
    what: str,
    shape: tuple[int, ...],
    axes: str,
    *,
    make_source: Callable[[AxisView], BlockSource],
    metadata: RecordingMetadata,
) -> RecordingFile:
    """Build a recording from a stored array: one block source per channel and plane.

    Parameters
    ----------
    format_name : str
        Name of the format.
    what : str
        The file or array, for error messages.
    shape : tuple of int
        Shape of the stored array.
    axes : str
        One letter per stored axis.
    make_source : callable
        Makes the block source of one view.
    metadata : RecordingMetadata
        What else the file says. Channels without names are named by their number.

    Raises
    ------
    FormatError
        If an axis is empty, or unreasonably long.
    """
    if 0 in shape:
        sizes = ", ".join(f"{LETTERS[letter]} {size}" for letter, size in zip(axes, shape, strict=True))
        raise FormatError(f"{what} is empty: {sizes}", "check that the acquisition was saved")
    position = {letter: axes.index(letter) for letter in axes}
    sizes_of = {letter: shape[axis] for letter, axis in position.items()}
    check_frame(sizes_of["y"], sizes_of["x"], what)
    check_parts(sizes_of.get("c", 1), sizes_of.get("z", 1), what)

    def view(channel: int, plane: int) -> AxisView:
        index = {"c": channel, "z": plane}
        fixed = tuple((position[letter], index[letter]) for letter in "cz" if letter in position)
        return AxisView(position["t"], position["y"], position["x"], fixed)

    sources = tuple(
        tuple(make_source(view(channel, plane)) for plane in range(sizes_of.get("z", 1)))
        for channel in range(sizes_of.get("c", 1))
    )
    return RecordingFile(
        format=format_name,
        sources=sources,
        has_channel_axis="c" in position,
        has_plane_axis="z" in position,
        metadata=with_channel_names(metadata, sizes_of.get("c", 0)),
    )


def with_channel_names(metadata: RecordingMetadata, n_channels: int) -> RecordingMetadata:
    """Give each channel a name: those of the file if it has as many different ones, otherwise numbers from 0."""
    if len(set(metadata.channel_names)) == n_channels == len(metadata.channel_names):
        return metadata
    return replace(metadata, channel_names=tuple(str(number) for number in range(n_channels)))
