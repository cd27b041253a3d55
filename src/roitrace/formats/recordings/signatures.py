"""How recording files are recognised by their first bytes, whatever they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_hdf5", "is_nd2", "is_npy", "is_tiff", "is_video", "is_zarr"]

HDF5 = b"\x89HDF\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LARGEST_USER_BLOCK = 2**20


def is_tiff(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is TIFF or BigTIFF."""
    return head.startswith(TIFF)


def is_npy(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is a NumPy array."""
    return head.startswith(b"\x93NUMPY")


def is_nd2(path: Path, head: bytes) -> bool:
    """Whether a file is Nikon nd2: by its signature, or, of the older kind, JPEG 2000 of that name."""
    return head.startswith(b"\xda\xce\xbe\n") or (path.suffix.lower() == ".nd2" and head[4:8] == b"jP  ")


def is_hdf5(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5, which may begin behind a user block of 512, 1024, 2048, ... bytes."""
    if head.startswith(HDF5):
        return True
    if not path.is_file():
        return False
    position = 512
    with path.open("rb") as content:
        while position <= LARGEST_USER_BLOCK:
            content.seek(position)
            found = content.read(len(HDF5))
            if len(found) < len(HDF5):
                return False
            if found == HDF5:
                return True
            position *= 2
    return False


def is_video(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is AVI, MP4 (or QuickTime), or Matroska."""
    return (
        (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head[4:8] == b"ftyp"
        or head.startswith(b"\x1a\x45\xdf\xa3")
    )


MANIFEST = "fluorescence/manifest"


def is_zarr(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a folder is a zarr group or array, v2 or v3."""
    if not path.is_dir():
        return False
    # one of ours that has lost its own metadata is told so
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", MANIFEST))
