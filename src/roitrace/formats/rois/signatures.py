"""How ROI files are recognised: by their first bytes, by what is in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.bounded_json import read_json
from roitrace.formats.damage import DAMAGE
from roitrace.formats.recordings.signatures import is_hdf5, is_npy, is_tiff, is_zarr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "is_cellpose",
    "is_csv",
    "is_factorized",
    "is_imagej",
    "is_json",
    "is_label_image",
    "is_matlab",
    "is_minian",
    "is_napari_shapes",
    "is_npz",
    "is_nwb_rois",
    "is_ome_label_image",
    "is_ome_labels",
    "is_sima",
    "is_suite2p_rois",
]

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
TEXT_SUFFIXES = {".csv", ".tsv", ".txt"}


def is_imagej(path: Path, head: bytes) -> bool:
    """Whether a file is an ImageJ ROI or a zip."""
    return head.startswith((b"Iout", *ZIP)) and path.suffix.lower() != ".npz"


def is_label_image(path: Path, head: bytes) -> bool:
    """Whether a file is an image that may hold labels: TIFF, PNG, `.npy`."""
    return (
        head.startswith(b"\x89PNG\r\n\x1a\n")
        or is_tiff(path, head)
        or (is_npy(path, head) and not _holds_objects(head))
    )


def is_npz(path: Path, head: bytes) -> bool:
    """Whether a file is a zip that is called `.npz`."""
    return head.startswith(ZIP) and path.suffix.lower() == ".npz"


def is_suite2p_rois(path: Path, head: bytes) -> bool:
    """Whether a file holds one object per ROI, or a folder is one of suite2p's."""
    if path.is_dir():
        return any(
            next(path.glob(place), None) is not None
            for place in ("stat.npy", "plane*/stat.npy", "suite2p/plane*/stat.npy")
        )
    return is_npy(path, head) and _holds_objects(head) and b"'shape': ()" not in head


def is_cellpose(path: Path, head: bytes) -> bool:
    """Whether a `.npy` file holds a single object."""
    return is_npy(path, head) and _holds_objects(head) and b"'shape': ()" in head


def is_nwb_rois(path: Path, head: bytes) -> bool:
    """Whether a file is an HDF5 file that says it is NWB."""
    return is_hdf5(path, head) and (
        path.suffix.lower() == ".nwb" or _hdf5_has(path, lambda file: "nwb_version" in file.attrs)
    )


def is_factorized(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5, and not NWB."""
    return is_hdf5(path, head) and not is_nwb_rois(path, head)


def is_matlab(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a file is one of MATLAB's before v7.3."""
    return head.startswith(b"MATLAB 5.0 MAT-file")


def is_minian(path: Path, head: bytes) -> bool:  # noqa: ARG001
    """Whether a folder holds `A.zarr`, or is one."""
    return is_zarr(path / "A.zarr", b"") or (is_zarr(path, b"") and is_zarr(path / "A", b""))


def is_sima(path: Path, head: bytes) -> bool:
    """Whether a folder holds `rois.pkl`, or a file is called like a pickle and begins like one."""
    if path.is_dir():
        return (path / "rois.pkl").is_file()
    return path.suffix.lower() in {".pkl", ".pickle"} and head[:1] in {b"\x80", b"(", b"c"}


def is_ome_labels(path: Path, head: bytes) -> bool:
    """Whether a folder is an OME-Zarr label image, or an image with labels."""
    return is_ome_label_image(path, head) or (is_zarr(path, head) and is_zarr(path / "labels", b""))


def is_ome_label_image(path: Path, head: bytes = b"") -> bool:
    """Whether a folder is an OME-Zarr label image, and not an image."""
    if not is_zarr(path, head):
        return False
    for name in ("zarr.json", ".zattrs"):
        if (path / name).is_file():
            try:
                content = read_json(path / name)
                attributes = content["attributes"] if name == "zarr.json" else content
                return "image-label" in attributes.get("ome", attributes)
            except DAMAGE:
                return False
    return False


def is_json(path: Path, head: bytes) -> bool:
    """Whether a file is a JSON list by its name and beginning."""
    return path.suffix.lower() == ".json" and head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"[", b"{"))


def is_napari_shapes(path: Path, head: bytes) -> bool:
    """Whether the first line of a text names types of shapes."""
    return path.suffix.lower() in TEXT_SUFFIXES and b"shape-type" in head.split(b"\n")[0]


def is_csv(path: Path, head: bytes) -> bool:
    """Whether a file is called like a table of text and holds no zeros."""
    return path.suffix.lower() in TEXT_SUFFIXES and bool(head) and b"\0" not in head


def _hdf5_has(path: Path, test: Callable[[Any], bool]) -> bool:
    """Whether an HDF5 file that can be opened passes a test."""
    import h5py  # noqa: PLC0415

    try:
        with h5py.File(path, "r") as file:
            return bool(test(file))
    except DAMAGE:
        return False


def _holds_objects(head: bytes) -> bool:
    """Whether the header of a `.npy` file announces Python objects."""
    return b"'|O'" in head
