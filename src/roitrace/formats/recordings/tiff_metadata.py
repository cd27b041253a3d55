"""Frame rate, pixel size and acquisition time from the tags and the ImageJ description of a TIFF file."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeGuard

from roitrace.formats.recordings.units import LENGTHS, TIMES
from roitrace.sources import RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tifffile

__all__ = ["imagej_metadata", "tag_metadata"]

TAG_UNITS = {2: "inch", 3: "cm"}
PRINT_UNITS = {"inch", "in", "cm"}
COARSEST_PIXEL = (
    100.0  # micrometres; a larger one comes from the resolution of a screen or printer, such as 72 per inch
)
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, DATE_TIME = 282, 283, 296, 306
DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def tag_metadata(page: tifffile.TiffPage) -> RecordingMetadata:
    """Read what the resolution and date tags of a page say.

    A resolution per inch or centimetre is a pixel size only if it is below 100 micrometres: programs write the resolution of a
    screen or printer there.
    """
    unit = TAG_UNITS.get(int(page.tags.valueof(RESOLUTION_UNIT, 2)), "")
    size, notes = _pixel_size(_resolution(page), unit)
    return RecordingMetadata(pixel_size=size, acquisition_time=_date(page), notes=notes)


def imagej_metadata(page: tifffile.TiffPage, description: Mapping[str, Any]) -> RecordingMetadata:
    """Read what ImageJ's description and the resolution tags say.

    The frame rate is 1 / `finterval` (in `tunit`, seconds if not said); failing that `fps`, which may be the rate of playback.
    """
    rate, notes = _imagej_rate(description)
    unit = _unescaped(description.get("unit", ""))
    size, more_notes = _pixel_size(_resolution(page), unit)
    if unit not in {"", "pixel", "pixels", *LENGTHS}:
        more_notes = (f"the pixel size is given in {unit!r}, which is not understood",)
    return RecordingMetadata(
        frame_rate=rate, pixel_size=size, acquisition_time=_date(page), notes=(*notes, *more_notes)
    )


def _pixel_size(
    resolution: tuple[float, float] | None, unit: str
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    if resolution is None or unit not in LENGTHS:
        return None, ()
    size = (LENGTHS[unit] / resolution[0], LENGTHS[unit] / resolution[1])
    if unit in PRINT_UNITS and max(size) > COARSEST_PIXEL:
        return None, (
            f"the resolution of {resolution[1]:g} pixels per {unit} was not taken for the size of a pixel",
        )
    return size, ()


def _imagej_rate(description: Mapping[str, Any]) -> tuple[float | None, tuple[str, ...]]:
    interval, unit = description.get("finterval"), _unescaped(description.get("tunit", "s"))
    if _positive(interval):
        if unit in TIMES:
            return 1 / (interval * TIMES[unit]), ()
        return None, (f"the frame interval is given in {unit!r}, which is not understood",)
    rate = description.get("fps")
    if _positive(rate):
        return rate, (
            f"the frame rate of {rate:g} Hz is ImageJ's fps, which may be a rate of playback; give frame_rate= if it is",
        )
    return None, ()


def _positive(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    )


def _unescaped(unit: object) -> str:
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), str(unit)).strip().lower()


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Pixels per unit, ``(y, x)``."""
    values = []
    for tag in (Y_RESOLUTION, X_RESOLUTION):
        fraction = page.tags.valueof(tag)
        if not (isinstance(fraction, tuple) and len(fraction) == 2 and min(fraction) > 0):
            return None
        values.append(fraction[0] / fraction[1])
    return values[0], values[1]


def _date(page: tifffile.TiffPage) -> str | None:
    """ISO 8601 without a zone: the tag has none."""
    date = DATE.match(str(page.tags.valueof(DATE_TIME, "")))
    return f"{date[1]}-{date[2]}-{date[3]}T{date[4]}" if date else None
