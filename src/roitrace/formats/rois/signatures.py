"""How ROI files are recognised by their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.formats.recordings.signatures import is_npy, is_tiff

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_imagej", "is_label_image"]


def is_imagej(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is an ImageJ ROI or a zip."""
    return head.startswith((b"Iout", b"PK\x03\x04", b"PK\x05\x06"))


def is_label_image(path: Path, head: bytes) -> bool:
    """Whether a file is an image that may hold labels: TIFF, PNG, `.npy`."""
    return head.startswith(b"\x89PNG\r\n\x1a\n") or is_tiff(path, head) or is_npy(path, head)
