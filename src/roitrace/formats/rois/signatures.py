"""How ROI files are recognised by their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.formats.damage import DAMAGE
from roitrace.formats.recordings.signatures import is_hdf5, is_npy, is_tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["is_imagej", "is_label_image", "is_nwb_rois", "is_suite2p_rois"]


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


def is_nwb_rois(path: Path, head: bytes) -> bool:
    """Whether a file is an HDF5 file that says it is NWB."""
    return _hdf5_has(path, head, lambda file: "nwb_version" in file.attrs) or (
        path.suffix.lower() == ".nwb" and is_hdf5(path, head)
    )


def _hdf5_has(path: Path, head: bytes, test: Callable[[Any], bool]) -> bool:
    """Whether an HDF5 file that can be opened passes a test."""
    if not is_hdf5(path, head):
        return False
    import h5py  # noqa: PLC0415

    try:
        with h5py.File(path, "r") as file:
            return bool(test(file))
    except DAMAGE:
        return False


def _holds_objects(head: bytes) -> bool:
    """Whether the header of a `.npy` file announces Python objects."""
    return b"'|O'" in head
