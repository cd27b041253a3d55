"""What ScanImage writes into the text tags of its TIFF files: channels, frame rate, volumes."""

from __future__ import annotations

import re

from roitrace.errors import FormatError
from roitrace.sources import RecordingMetadata

__all__ = ["scanimage_channels", "scanimage_metadata"]


def scanimage_channels(text: str, path: str) -> int:
    """Return how many channels were saved: their pages follow each other.

    Raises
    ------
    FormatError
        If the file holds volumes: which pages are planes and which flyback is not known here.
    """
    slices = (
        _number(text, r"hStackManager\.(?:actualNumSlices|numSlices)|stackNumSlices|acq\.numberOfZSlices")
        or 1
    )
    volumes = re.search(r"(?:hFastZ\.enable|hStackManager\.enable|fastZEnable)\s*=\s*(?:true|1)\b", text)
    if slices > 1 and (volumes or "hFastZ" not in text):
        raise FormatError(
            f"{path} holds volumes of {slices:g} planes, which are not told apart in ScanImage files",
            "split it into one file per plane first",
        )
    count = _number(text, r"acq\.numberOfChannelsSave")
    if count:
        return int(count)
    saved = re.search(r"channels?Save\s*=\s*(\[[^\]]*\]|\S+)", text)
    return len(re.findall(r"\d+", saved[1])) if saved else 1


def scanimage_metadata(text: str, metadata: RecordingMetadata) -> RecordingMetadata:
    """Add ScanImage's frame rate to what the tags say."""
    rate = _number(text, r"hRoiManager\.scanFrameRate|scanFrameRate|acq\.frameRate")
    return RecordingMetadata(frame_rate=rate, pixel_size=None, acquisition_time=metadata.acquisition_time)


def _number(text: str, name: str) -> float | None:
    found = re.search(rf"(?:{name})\s*=\s*([0-9.eE+-]+)", text)
    return float(found[1]) if found else None
