"""What ScanImage writes into the text tags of its TIFF files: channels, planes, flyback, rates, sizes.

Names are those of ScanImage's own header; pages follow each other as volumes, planes, repeats of a plane, channels, and each volume
may end with frames that were taken while the focus flew back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from roitrace.errors import FormatError
from roitrace.sources import RecordingMetadata

__all__ = ["ScanImageLayout", "read_scanimage_layout", "scanimage_metadata"]

MOST_PLANES, MOST_CHANNELS = 10_000, 64


@dataclass(frozen=True)
class ScanImageLayout:
    """How pages follow each other.

    Attributes
    ----------
    channels : tuple of str
        Names of the saved channels.
    planes : int
        Planes of a volume; 1 for planar recordings.
    repeats : int
        Frames taken of each plane before the next.
    flyback : int
        Frames per volume and channel that show no plane, behind the others.
    first : int
        How many frames of the acquisition are in files before this one.
    """

    channels: tuple[str, ...]
    planes: int = 1
    repeats: int = 1
    flyback: int = 0
    first: int = 0

    @property
    def frames_per_volume(self) -> int:
        """Frames of each channel from one volume to the next."""
        return self.planes * self.repeats + self.flyback


def read_scanimage_layout(text: str, path: str) -> ScanImageLayout:
    """Read how pages follow each other.

    Parameters
    ----------
    text : str
        The header and the description of the first page.
    path : str
        The file, for error messages.

    Raises
    ------
    FormatError
        If the file holds volumes of a ScanImage before version 5, whose order is not known here, or begins inside a volume.
    """
    channels = _channels(text)
    slices = int(
        _number(text, r"hStackManager\.(?:actualNumSlices|numSlices)|stackNumSlices|acq\.numberOfZSlices")
        or 1
    )
    if slices > MOST_PLANES or len(channels) > MOST_CHANNELS:
        raise FormatError(
            f"{path} declares {slices} planes and {len(channels)} channels in ScanImage's header",
            "the header is damaged: copy the file again",
        )
    enabled = re.search(r"(?:hFastZ\.enable|hStackManager\.enable|fastZEnable)\s*=\s*(?:true|1)\b", text)
    if slices == 1 or ("hFastZ" in text and not enabled):
        return ScanImageLayout(channels)
    if "hStackManager" not in text:
        raise FormatError(
            f"{path} holds volumes of {slices} planes of an old ScanImage, which are not told apart",
            "split it into one file per plane first",
        )
    repeats = int(_number(text, r"hStackManager\.framesPerSlice") or 1)
    averaged = int(_number(text, r"hScan2D\.logAverageFactor") or 1)
    whole = int(_number(text, r"hStackManager\.numFramesPerVolume") or slices * repeats)
    with_flyback = int(_number(text, r"hStackManager\.numFramesPerVolumeWithFlyback") or whole)
    first = int(_number(text, r"frameNumbers") or 1) - 1
    layout = ScanImageLayout(
        channels, slices, max(1, repeats // averaged), max(0, with_flyback - whole), first
    )
    if first % layout.frames_per_volume:
        raise FormatError(
            f"{path} begins with frame {first + 1} of its acquisition, inside a volume of {layout.frames_per_volume} frames",
            "join the files of the acquisition first, for example with tifffile",
        )
    return layout


def scanimage_metadata(text: str, layout: ScanImageLayout, height: int, width: int) -> RecordingMetadata:
    """Gather ScanImage's rate of frames or volumes, pixel size, channel names and start.

    Parameters
    ----------
    text : str
        The header and the description of the first page.
    layout : ScanImageLayout
        How pages follow each other.
    height, width : int
        Of a page, pixels.
    """
    frames = _number(text, r"hRoiManager\.scanFrameRate|scanFrameRate|acq\.frameRate")
    averaged = _number(text, r"hScan2D\.logAverageFactor") or 1
    rate = None if frames is None else frames / averaged
    offsets: tuple[float, ...] = ()
    if layout.planes > 1 and layout.repeats == 1 and rate is not None:
        offsets = tuple(plane / rate for plane in range(layout.planes))
        rate = _number(text, r"hRoiManager\.scanVolumeRate") or rate / layout.frames_per_volume
    return RecordingMetadata(
        frame_rate=rate,
        pixel_size=_pixel_size(text, height, width),
        channel_names=layout.channels if len(layout.channels) > 1 else (),
        acquisition_time=_start(text),
        plane_offsets=offsets,
    )


def _channels(text: str) -> tuple[str, ...]:
    """Names of the saved channels, by number from 1."""
    count = _number(text, r"acq\.numberOfChannelsSave")
    if count:
        return tuple(str(number) for number in range(1, min(int(count), MOST_CHANNELS + 1) + 1))
    saved = re.search(r"channels?Save\s*=\s*(\[[^\]]*\]|\S+)", text)
    numbers = [int(number) for number in re.findall(r"\d+", saved[1])] if saved else [1]
    listed = re.search(r"hChannels\.channelName\s*=\s*\{([^}]*)\}", text)
    names = re.findall(r"'([^']*)'", listed[1]) if listed else []
    known = names and max(numbers, default=1) <= len(names) and min(numbers, default=1) > 0
    return tuple(names[number - 1] if known else str(number) for number in numbers) or ("1",)


def _pixel_size(text: str, height: int, width: int) -> tuple[float, float] | None:
    """Micrometres ``(y, x)`` from the corners of the field of view."""
    corners = re.search(r"hRoiManager\.imagingFovUm\s*=\s*\[([^\]]*)\]", text)
    if corners is None:
        return None
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", corners[1])]
    if len(numbers) != 8:
        return None
    x, y = np.ptp(np.reshape(numbers, (4, 2)), axis=0)
    return (float(y) / height, float(x) / width) if min(x, y) > 0 else None


def _start(text: str) -> str | None:
    """ISO 8601 without a zone, of ScanImage's `epoch`."""
    said = re.search(r"epoch\s*=\s*\[([^\]]*)\]", text)
    parts = [float(part) for part in re.findall(r"\d+(?:\.\d+)?", said[1])] if said else []
    if len(parts) != 6:
        return None
    year, month, day, hour, minute = (int(part) for part in parts[:5])
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{parts[5]:06.3f}"


def _number(text: str, name: str) -> float | None:
    found = re.search(rf"(?:{name})\s*=\s*\[?\s*([0-9.]+(?:[eE][+-]?\d+)?)", text)
    return float(found[1]) if found else None
