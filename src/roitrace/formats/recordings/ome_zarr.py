"""What OME-Zarr 0.4 and 0.5 attributes say: which array, its axes and scale, channel names.

Follows https://ngff.openmicroscopy.org/0.4/ and https://ngff.openmicroscopy.org/0.5/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roitrace.formats.damage import understanding
from roitrace.formats.recordings.units import LENGTHS, TIMES

__all__ = ["OmeLayout", "read_ome_layout"]


@dataclass(frozen=True)
class OmeLayout:
    """The finest level of the first multiscale image of a group.

    Attributes
    ----------
    array : str
        Path of the array in the group.
    axes : tuple of str
        Name of each axis.
    frame_rate : float or None
        Hz, where the time axis has a unit.
    pixel_size : tuple of float or None
        ``(y, x)``, micrometres, where both axes have a unit.
    channel_names : tuple of str
        From the rendering hints, where they are there.
    """

    array: str
    axes: tuple[str, ...]
    frame_rate: float | None
    pixel_size: tuple[float, float] | None
    channel_names: tuple[str, ...]


def read_ome_layout(attributes: Mapping[str, Any], path: str) -> OmeLayout | None:
    """Understand the attributes of a group; None if they are not those of an OME-Zarr image.

    Raises
    ------
    FormatError
        If they are, but cannot be understood.
    """
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, Mapping) or not ome.get("multiscales"):
        return None
    with understanding(
        f"the OME-Zarr attributes of {path} cannot be understood", "name the array with dataset="
    ):
        image = ome["multiscales"][0]
        axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in image["axes"]]
        level = image["datasets"][0]
        scale = _scale(level, image, len(axes))
        names = tuple(str(axis["name"]) for axis in axes)
        sizes = {
            name: step * factor
            for name, step, axis in zip(names, scale, axes, strict=True)
            if (factor := _factor(axis)) and step > 0
        }
        channels = ome.get("omero", {}).get("channels", ())
        labels = tuple(str(channel.get("label", number)) for number, channel in enumerate(channels))
        array = str(level["path"])
    interval = next((sizes[name] for name in ("t", "time") if name in sizes), None)
    return OmeLayout(
        array=array,
        axes=names,
        frame_rate=None if interval is None else 1 / interval,
        pixel_size=(sizes["y"], sizes["x"]) if {"y", "x"} <= set(sizes) else None,
        channel_names=labels,
    )


def _scale(level: Mapping[str, Any], image: Mapping[str, Any], ndim: int) -> list[float]:
    """Return the scale of the level times that of the whole image."""
    scale = [1.0] * ndim
    for owner in (level, image):
        for transformation in owner.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                scale = [
                    one * float(other) for one, other in zip(scale, transformation["scale"], strict=True)
                ]
    return scale


def _factor(axis: Mapping[str, Any]) -> float | None:
    """Seconds or micrometres per unit of an axis, None where it has no unit."""
    unit = str(axis.get("unit", "")).lower()
    return TIMES.get(unit) if axis["name"] in {"t", "time"} else LENGTHS.get(unit)
