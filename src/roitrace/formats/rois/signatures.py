"""How ROI files are recognised by their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.formats.recordings.signatures import is_npy, is_tiff

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_imagej", "is_label_image", "is_suite2p_rois"]


def is_imagej(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is an ImageJ ROI or a zip."""
    return head.startswith((b"Iout", b"PK\x03\x04", b"PK\x05\x06"))


def is_label_image(path: Path, head: bytes) -> bool:
    """Whether a file is an image that may hold labels: TIFF, PNG, `.npy`."""
    return (
        head.startswith(b"\x89PNG\r\n\x1a\n")
        or is_tiff(path, head)
        or (is_npy(path, head) and not _holds_objects(head))
    )


def is_suite2p_rois(path: Path, head: bytes) -> bool:
    """Whether a file holds one object per ROI, or a folder is one of suite2p's."""
    if path.is_dir():
        return any(
            next(path.glob(place), None) is not None
            for place in ("stat.npy", "plane*/stat.npy", "suite2p/plane*/stat.npy")
        )
    return is_npy(path, head) and _holds_objects(head) and b"'shape': ()" not in head


def _holds_objects(head: bytes) -> bool:
    """Whether the header of a `.npy` file announces Python objects."""
    return b"'|O'" in head
