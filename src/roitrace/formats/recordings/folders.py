"""How folders of instruments are recognised by the files in them, and which of these are the recording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from roitrace.formats.recordings.series import natural_key

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MINISCOPE_SETTINGS",
    "MINISCOPE_STAMPS",
    "THOR_SETTINGS",
    "bruker_settings",
    "is_bruker",
    "is_miniscope",
    "is_thor",
    "miniscope_videos",
    "thor_raw_files",
    "thor_tiff_files",
]

BRUKER_ROOT = b"<PVScan"
HEAD_BYTES = 512
MINISCOPE_VIDEO = re.compile(r"(?:msCam)?\d+\.avi", re.IGNORECASE)
MINISCOPE_STAMPS = ("timeStamps.csv", "timestamp.dat")
MINISCOPE_SETTINGS = "metaData.json"
THOR_SETTINGS = "Experiment.xml"
PREVIEW = "Preview"


def is_bruker(path: Path, head: bytes) -> bool:  # noqa: ARG001 - a folder has no signature
    """Whether a folder holds the XML file of a Prairie View scan."""
    return path.is_dir() and bruker_settings(path) is not None


def is_miniscope(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a folder holds numbered videos, and the settings or time stamps of a Miniscope."""
    named = (*MINISCOPE_STAMPS, MINISCOPE_SETTINGS)
    return path.is_dir() and any((path / name).is_file() for name in named) and bool(miniscope_videos(path))


def is_thor(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a folder holds ThorImage's settings beside raw samples or TIFF files."""
    return (
        path.is_dir()
        and (path / THOR_SETTINGS).is_file()
        and bool(thor_raw_files(path) or thor_tiff_files(path))
    )


def bruker_settings(folder: Path) -> Path | None:
    """Return the XML file of a Prairie View scan, by custom named as its folder; None if there is none."""
    for file in sorted(folder.glob("*.xml"), key=lambda file: file.stem != folder.name):
        with file.open("rb") as content:
            if BRUKER_ROOT in content.read(HEAD_BYTES):
                return file
    return None


def miniscope_videos(folder: Path) -> list[Path]:
    """Return the numbered videos of a Miniscope in natural order."""
    found = (file for file in folder.iterdir() if MINISCOPE_VIDEO.fullmatch(file.name))
    return sorted(found, key=lambda file: natural_key(file.name))


def thor_raw_files(folder: Path) -> list[Path]:
    """Return ThorImage's files of raw samples."""
    return sorted(file for file in folder.glob("Image_*.raw") if PREVIEW not in file.name)


def thor_tiff_files(folder: Path) -> list[Path]:
    """Return ThorImage's TIFF files."""
    return sorted(
        file for file in (*folder.glob("*.tif"), *folder.glob("*.tiff")) if PREVIEW not in file.name
    )
