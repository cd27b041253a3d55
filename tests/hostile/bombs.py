"""Small files that claim to be huge, or unpack to it: what each takes of time and memory, measured in a fresh process.

``python -m tests.hostile.bombs`` prints a line for each; ``--only NAME`` repeats one with its traceback.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import psutil
import roifile
import tifffile
import zarr

from roitrace.errors import RoitraceError
from tests.formats.reading import movie
from tests.formats.recordings.test_instruments import thor_settings, write_bruker, write_scanbox
from tests.formats.recordings.test_suite2p import write_plane
from tests.formats.recordings.test_tiff_imagej import describe
from tests.formats.recordings.test_tiff_ome import pixels, write_description
from tests.formats.recordings.test_tiff_scanimage import volumes
from tests.formats.recordings.test_tiff_scanimage import write as write_scanimage
from tests.formats.rois.test_footprints import save_caiman
from tests.hostile.corpus import IMAGEJ
from tests.hostile.exercise import EXERCISES
from tests.hostile.fuzz import HARD_BYTES, peak_bytes, reset_peak

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BOMBS"]

TERA = 2**40
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
SAMPLES = movie((3, 12, 12))
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def zeros_deflated(n_bytes: int, wbits: int = -15) -> bytes:
    """Return a deflate stream of so many zeros, without making them: a flushed block repeats."""
    block = 2**26
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    head = b"\x78\x9c" if wbits > 0 else b""
    return head + piece * -(-n_bytes // block) + packer.flush()


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_npy(path: Path, shape: tuple[int, ...]) -> None:
    path.write_bytes(npy_header(shape) + bytes(1000))


def zip_of(path: Path, name: str, head: bytes, n_zeros: int, claimed: int | None = None) -> None:
    """Write an archive of one member: some bytes and very many zeros, deflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros_deflated(n_zeros)
    size = min(len(head) + n_zeros if claimed is None else claimed, 2**32 - 2)
    member = name.encode()
    facts = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, 0, len(packed), size, len(member), 0)
    local = b"PK\3\4" + facts + member + packed
    entry = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<3H2L", 0, 0, 0, 0, 0) + member
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)


def empty_hdf5(
    path: Path, shape: tuple[int, ...], name: str = "data", dtype: str = "u2", **attrs: object
) -> None:
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset(
            name, shape=shape, dtype=dtype, chunks=tuple(min(size, 16) for size in shape)
        )
        dataset[(0,) * len(shape)] = 1
        dataset.attrs.update(attrs)


def empty_nwb(path: Path, n_frames: int = 2**34) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/series")
        series.attrs["neurodata_type"] = "TwoPhotonSeries"
        data = series.create_dataset("data", shape=(n_frames, 12, 12), dtype="u2", chunks=(1, 12, 12))
        data[0] = 1
        series["starting_time"] = 5.0
        series["starting_time"].attrs["rate"] = 30.0


def empty_masks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        table = file.create_group("PlaneSegmentation")
        table.attrs["neurodata_type"] = "PlaneSegmentation"
        table["id"] = np.arange(3)
        table.create_dataset("image_mask", shape=(TERA, 512, 512), dtype="u1", chunks=(1, 512, 512))


def empty_zarr(path: Path, shape: tuple[int, ...], version: int = 3, **options: object) -> None:
    chunks = tuple(min(size, 16) for size in shape)
    zarr.create_array(path, shape=shape, dtype="u2", chunks=chunks, zarr_format=version, **options)


def zarr_with(path: Path, text: str) -> None:
    empty_zarr(path, (3, 12, 12))
    described = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(described.replace('"attributes": {}', f'"attributes": {text}'))


def empty_minian(path: Path) -> None:
    group = zarr.create_group(path / "A.zarr", zarr_format=2)
    group.create_array("A", shape=(TERA, 512, 512), dtype="f8", chunks=(1, 512, 512))


def empty_labels(path: Path) -> None:
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    multiscale = {
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    group = zarr.create_group(
        path, attributes={"ome": {"version": "0.5", "multiscales": [multiscale], "image-label": {}}}
    )
    group.create_array("0", shape=(2**15, 2**15), dtype="u2", chunks=(1024, 1024))


def tags(*entries: tuple[int, int, int, int]) -> bytes:
    return struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *entry) for entry in entries)


def overlapping_directories(path: Path) -> None:
    """Directories of 4096 entries, 16 bytes apart: each is read in full."""
    count, n_pages = 4096, 12_000
    content = bytearray(16 * n_pages + 2 + 12 * count + 64)
    content[:8] = b"II*\0" + struct.pack("<L", 16)
    for page in range(n_pages):
        place = 16 + 16 * page
        content[place : place + 2] = struct.pack("<H", count)
    for page in range(n_pages - 1, -1, -1):
        end = 16 + 16 * page + 2 + 12 * count
        if end + 4 <= len(content):
            content[end : end + 4] = struct.pack("<L", 16 + 16 * (page + 1) if page + 1 < n_pages else 0)
    path.write_bytes(content)


def looping_directories(path: Path) -> None:
    tifffile.imwrite(path, SAMPLES, metadata=None, photometric="minisblack")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[2]
        end = last.offset + 2 + 12 * len(last.tags)
        content[end : end + 4] = struct.pack("<L", tiff.pages[0].offset)
    path.write_bytes(content)


def huge_page(path: Path, pages: int = 2, size: int = 2**31 - 1) -> None:
    """Pages that claim exabytes, in one small compressed strip."""
    packed = zlib.compress(bytes(100))
    content, place = bytearray(b"II*\0" + struct.pack("<L", 8)), 8
    for page in range(pages):
        facts = [
            (256, 4, 1, size), (257, 4, 1, size), (258, 3, 1, 16), (259, 3, 1, 8), (262, 3, 1, 1),
            (273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, size), (279, 4, 1, len(packed)),
        ]  # fmt: skip
        data = place + 2 + 12 * len(facts) + 4
        facts[5] = (273, 4, 1, data)
        content += tags(*facts) + struct.pack("<L", 0 if page == pages - 1 else data + len(packed)) + packed
        place = len(content)
    path.write_bytes(content)


def page_that_unpacks_to_more(path: Path) -> None:
    """A page of 12 x 12 samples whose strip unpacks to 2 GiB."""
    packed = zeros_deflated(2**31, 15)
    facts = [
        (256, 4, 1, 12), (257, 4, 1, 12), (258, 3, 1, 16), (259, 3, 1, 8), (262, 3, 1, 1),
        (273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, 12), (279, 4, 1, len(packed)),
    ]  # fmt: skip
    size = 2 + 12 * len(facts) + 4
    facts[5] = (273, 4, 1, 8 + 2 * size)
    content = b"II*\0" + struct.pack("<L", 8)
    content += tags(*facts) + struct.pack("<L", 8 + size) + tags(*facts) + struct.pack("<L", 0) + packed
    path.write_bytes(content)


def matlab_zeros(path: Path, n_bytes: int = 2**30) -> None:
    """A variable of so many bytes, as MATLAB would compress it."""
    inner = (
        struct.pack("<4L", 6, 8, 9, 0)
        + struct.pack("<4L", 5, 8, n_bytes, 1)
        + struct.pack("<2L8s", 1, 1, b"a")
    )
    inner += struct.pack("<2L", 2, n_bytes)
    head = struct.pack("<2L", 14, len(inner) + n_bytes) + inner
    packer = zlib.compressobj(9)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros_deflated(n_bytes)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    path.write_bytes(header + struct.pack("<LL", 15, len(packed)) + packed)


def png_zeros(path: Path, width: int, height: int) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))
        )

    head = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zeros_deflated((width + 1) * height, 15)
    path.write_bytes(PNG_HEAD + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def many_rois(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(300):
            archive.writestr(f"{number}.roi", IMAGEJ.ljust(2**20, b"\0"))


def many_names(path: Path, count: int = 900_000) -> None:
    """An archive of one small entry that its directory lists very often."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.roi", IMAGEJ)
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    entry = content[start : content.index(b"PK\5\6")]
    end = struct.pack("<4H2LH", 0, 0, count % 2**16, count % 2**16, len(entry) * count, start, 0)
    path.write_bytes(content[:start] + entry * count + b"PK\5\6" + end)


def large_box(path: Path, side: int = 32_000, kind: int = 1) -> None:
    roi = roifile.ImagejRoi()
    roi.roitype = roifile.ROI_TYPE(kind)
    roi.left = roi.top = 0
    roi.right = roi.bottom = side
    path.write_bytes(roi.tobytes())


def tall_outline(path: Path, n_corners: int = 4000) -> None:
    corners = np.array([[x % 2 * 9e6, (x // 2) % 2 * 1.6e7] for x in range(n_corners)])
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8.5]]))
    roi.subpixel_coordinates = corners.astype(np.float32)
    roi.integer_coordinates = np.zeros((n_corners, 2), np.int32)
    roi.n_coordinates = n_corners
    path.write_bytes(roi.tobytes())


def repeated_lists(path: Path) -> None:
    """A stat.npy of 10 KB whose pixels are a hundred thousand million numbers, by lists that hold one list ten times."""
    inner: list[object] = [1] * 10
    for _ in range(10):
        inner = [inner] * 10
    stat = np.empty(1, object)
    stat[0] = {"ypix": inner, "xpix": inner, "lam": inner}
    np.save(path, stat)


def yaml_aliases(path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    path.write_text("\n".join([*lines, "recording: *a59"]))


def polygon_far(path: Path) -> None:
    corners = np.array([(0.0, 0.0, 0.0), (9e6, 0.0, 0.0), (9e6, 9e6, 0.0)])
    roi = {
        "mask": None,
        "polygons": [corners] * 50,
        "id": "1",
        "label": "a",
        "tags": set(),
        "im_shape": (1, TERA, TERA),
    }
    path.write_bytes(pickle.dumps({"by hand": {"rois": [roi]}}, 2))


def caiman_claims(path: Path) -> None:
    save_caiman(path, dims=None)
    with h5py.File(path, "a") as file:
        file["dims"] = np.array([2**15, 2**15])
        for name in ("data", "indices"):
            del file[f"estimates/A/{name}"]
            file.create_dataset(
                f"estimates/A/{name}",
                shape=(2**29 - 1,),
                dtype="f8" if name == "data" else "i4",
                chunks=(2**16,),
            )
        file["estimates/A/shape"][...] = np.array([2**30, 3])


def file_in(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


def thor(change: Callable[[str], str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        run = thor_settings(folder / "run", (12, 12), planes=3)
        SAMPLES.astype("<u2").tofile(run / "Image_001_001.raw")
        settings = run / "Experiment.xml"
        settings.write_text(change(settings.read_text()))
        return run

    return make


def bruker_laughs(folder: Path) -> Path:
    run = write_bruker(folder / "TSeries-1", movie((2, 1, 1, 12, 12)))
    settings = run / "TSeries-1.xml"
    text = settings.read_text().replace('notes=""', 'notes="&j;"')
    first, rest = text.split("\n", 1)
    settings.write_text(f"{first}\n<!-- <PVScan --> {LAUGHS}]>\n{rest}")
    return run


def scanbox_zeros(folder: Path) -> Path:
    path = write_scanbox(folder, movie((3, 12, 12, 1)))
    matlab_zeros(path.with_suffix(".mat"))
    return path


def ome(content: str) -> Callable[[Path], None]:
    return lambda path: write_description(path, SAMPLES, content)


def labels_with(description: str) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, SAMPLES[0], metadata=None, description=description)


OME = '<?xml version="1.0"?>{laughs}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="i">{inside}</Image></OME>'

BOMBS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "hdf5 of 100 mega frames": ("recording", file_in("a.h5", lambda path: empty_hdf5(path, (10**8, 12, 12)))),
    "hdf5 of 100 mega rows": ("recording", file_in("a.h5", lambda path: empty_hdf5(path, (3, 10**8, 12)))),
    "nwb of 100 mega frames": ("recording", file_in("a.nwb", lambda path: empty_nwb(path, 10**8))),
    "zarr of 100 mega frames": ("recording", file_in("a.zarr", lambda path: empty_zarr(path, (10**8, 12, 12)))),
    "zarr of 100 mega columns": ("recording", file_in("a.zarr", lambda path: empty_zarr(path, (3, 12, 10**8)))),
    "zarr of mega channels": (
        "recording",
        file_in("a.zarr", lambda path: empty_zarr(path, (3, 2**20, 12, 12), dimension_names=["t", "c", "y", "x"])),
    ),
    "ome of 100 mega frames": ("recording", file_in("a.ome.tif", ome(pixels("", t=10**8)))),
    "scanimage of 30 mega planes": ("recording", file_in("a.tif", lambda path: write_scanimage(path, SAMPLES, volumes(3 * 10**7)))),
    "thor of 30 mega planes": ("recording", thor(lambda text: text.replace('steps="3"', f'steps="{3 * 10**7}"'))),
    "roi of 49 mega pixels": ("rois", file_in("a.roi", lambda path: large_box(path, 7_000))),
    "roi of few tall lines": ("rois", file_in("a.roi", lambda path: tall_outline(path, 8))),
    "roi set of many names": ("rois", file_in("RoiSet.zip", many_names)),
    "npy of exabytes": ("recording", file_in("a.npy", lambda path: write_npy(path, (TERA, 512, 512)))),
    "npy of 10^30": ("recording", file_in("a.npy", lambda path: write_npy(path, (10**30, 10**30, 5)))),
    "npy of 8 GiB": ("recording", file_in("a.npy", lambda path: write_npy(path, (2**13, 2**10, 2**10)))),
    "hdf5 of tera frames": ("recording", file_in("a.h5", lambda path: empty_hdf5(path, (TERA, 12, 12)))),
    "hdf5 of tera rows": ("recording", file_in("a.h5", lambda path: empty_hdf5(path, (3, TERA, 12)))),
    "nwb of 16 giga frames": ("recording", file_in("a.nwb", empty_nwb)),
    "zarr 3 of tera frames": ("recording", file_in("a.zarr", lambda path: empty_zarr(path, (TERA, 12, 12)))),
    "zarr 2 of tera frames": ("recording", file_in("a.zarr", lambda path: empty_zarr(path, (TERA, 12, 12), 2))),
    "zarr of giga columns": ("recording", file_in("a.zarr", lambda path: empty_zarr(path, (3, 12, 2**32)))),
    "zarr of giga channels": (
        "recording",
        file_in("a.zarr", lambda path: empty_zarr(path, (3, 2**30, 12, 12), dimension_names=["t", "c", "y", "x"])),
    ),
    "zarr attributes nested": ("recording", file_in("a.zarr", lambda path: zarr_with(path, '{"a":' + "[" * 10**6 + "]" * 10**6 + "}"))),
    "zarr attributes wide": ("recording", file_in("a.zarr", lambda path: zarr_with(path, '{"a":[' + "[]," * 4_000_000 + "0]}"))),
    "ome of giga frames": ("recording", file_in("a.ome.tif", ome(pixels("", t=10**9)))),
    "ome of tera frames": ("recording", file_in("a.ome.tif", ome(pixels("", t=10**12)))),
    "ome laughs": (
        "recording",
        file_in("a.ome.tif", lambda path: tifffile.imwrite(path, SAMPLES, metadata=None, photometric="minisblack", description=OME.format(laughs=LAUGHS + "]>", inside="&j;"))),
    ),
    "imagej of tera frames": (
        "recording",
        file_in("a.tif", lambda path: tifffile.imwrite(path, SAMPLES, metadata=None, photometric="minisblack", description=describe(images=10**12, frames=10**12))),
    ),
    "shaped of tera frames": (
        "recording",
        file_in("a.tif", lambda path: tifffile.imwrite(path, SAMPLES, metadata=None, photometric="minisblack", description=json.dumps({"shape": [10**12, 12, 12]}))),
    ),
    "shaped nested": (
        "recording",
        file_in("a.tif", lambda path: tifffile.imwrite(path, SAMPLES, metadata=None, photometric="minisblack", description='{"shape": ' + "[" * 10**5 + "]" * 10**5 + "}")),
    ),
    "scanimage of giga planes": ("recording", file_in("a.tif", lambda path: write_scanimage(path, SAMPLES, volumes(10**9)))),
    "scanimage of giga channels": ("recording", file_in("a.tif", lambda path: write_scanimage(path, SAMPLES, "SI.VERSION_MAJOR = 5\nSI.hChannels.x = 1\nacq.numberOfChannelsSave = 1000000000\n" + volumes(3)))),
    "tiff directories overlap": ("recording", file_in("a.tif", overlapping_directories)),
    "tiff directories loop": ("recording", file_in("a.tif", looping_directories)),
    "tiff of exabytes": ("recording", file_in("a.tif", huge_page)),
    "tiff strip of 2 GiB": ("recording", file_in("a.tif", page_that_unpacks_to_more)),
    "thor laughs": ("recording", thor(lambda text: text.replace('?>', "?>" + LAUGHS + "]>", 1).replace("ChanA", "&j;"))),
    "thor quadratic": (
        "recording",
        thor(lambda text: text.replace("?>", f'?><!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>', 1).replace("ChanA", "&a;" * 50_000)),
    ),
    "thor of tera planes": ("recording", thor(lambda text: text.replace('steps="3"', f'steps="{TERA}"'))),
    "thor of many elements": ("recording", thor(lambda text: text.replace("<Date", "<a/>" * 3_000_000 + "<Date"))),
    "thor nested": ("recording", thor(lambda text: text.replace("<Date", "<a>" * 10**6 + "</a>" * 10**6 + "<Date"))),
    "bruker laughs": ("recording", bruker_laughs),
    "scanbox of zeros": ("recording", scanbox_zeros),
    "suite2p of tera frames": ("recording", lambda folder: write_plane(folder / "plane0", movie((3, 12, 12), "int16"), nframes=TERA)),
    "roi set of zeros": ("rois", file_in("RoiSet.zip", many_rois)),
    "roi set of one": ("rois", file_in("RoiSet.zip", lambda path: zip_of(path, "a.roi", b"Iout", 2**33))),
    "roi set of a lie": ("rois", file_in("RoiSet.zip", lambda path: zip_of(path, "a.roi", b"Iout", 2**33, 100))),
    "roi of a giga pixels": ("rois", file_in("a.roi", large_box)),
    "oval of a giga pixels": ("rois", file_in("a.roi", lambda path: large_box(path, kind=2))),
    "roi of tall lines": ("rois", file_in("a.roi", tall_outline)),
    "npz image": ("rois", file_in("a.npz", lambda path: zip_of(path, "masks.npy", npy_header((2**16, 2**15)), 2**31))),
    "npz stack": ("rois", file_in("a.npz", lambda path: zip_of(path, "masks.npy", npy_header((TERA, 512, 512)), 2**33))),
    "npz shape": ("rois", file_in("a.npz", lambda path: zip_of(path, "masks.npy", npy_header((TERA, TERA)), 2**20))),
    "npy labels": ("rois", file_in("a.npy", lambda path: write_npy(path, (2**16, 2**16)))),
    "stat of lists": ("rois", file_in("stat.npy", repeated_lists)),
    "json nested": ("rois", file_in("a.json", lambda path: path.write_text("[" * 10**6))),
    "json wide": ("rois", file_in("a.json", lambda path: path.write_text("[" + "[]," * 8_000_000 + "0]"))),
    "nwb masks": ("rois", file_in("a.nwb", empty_masks)),
    "caiman claims": ("rois", file_in("a.hdf5", caiman_claims)),
    "caiman frame": ("rois", file_in("a.hdf5", lambda path: save_caiman(path, dims=np.array([6, 2**31 - 1])))),
    "extract stack": ("rois", file_in("a.mat", lambda path: empty_hdf5(path, (TERA, 512, 512), "output/spatial_weights", "f8"))),
    "matlab zeros": ("rois", file_in("a.mat", matlab_zeros)),
    "png": ("rois", file_in("a.png", lambda path: png_zeros(path, 13_000, 13_000))),
    "png of many": ("rois", file_in("a.png", lambda path: png_zeros(path, 2**16, 2**12))),
    "labels tiff": ("rois", file_in("a.tif", lambda path: huge_page(path, 1, 2**15))),
    "labels ome": ("rois", file_in("a.ome.tif", labels_with(OME.format(laughs="", inside=pixels("", t=10**9))))),
    "labels imagej": ("rois", file_in("a.tif", labels_with(describe(images=10**9, frames=10**9)))),
    "minian": ("rois", lambda folder: (empty_minian(folder), folder)[1]),
    "ome-zarr labels": ("rois", file_in("a.ome.zarr", empty_labels)),
    "sima": ("rois", file_in("rois.pkl", polygon_far)),
    "shapes": (
        "rois",
        file_in("a.csv", lambda path: path.write_text("index,shape-type,vertex-index,axis-0,axis-1\n" + "".join(f"0,polygon,{n},{n % 2 * 1e7},{n * 1e3}\n" for n in range(3000)))),
    ),
    "csv field": ("rois", file_in("a.csv", lambda path: path.write_text("roi,y,x\n" + "a" * 10**7 + ",1,1\n"))),
    "shifts npz": ("shifts", file_in("a.npz", lambda path: zip_of(path, "shifts.npy", npy_header((2**30, 2)), 2**31))),
    "shifts npy": ("shifts", file_in("a.npy", lambda path: write_npy(path, (TERA, 2)))),
    "shifts hdf5": ("shifts", file_in("a.h5", lambda path: empty_hdf5(path, (2**29, 2), "shifts", "f8"))),
    "bad frames": ("bad frames", file_in("a.npy", lambda path: write_npy(path, (TERA,)))),
    "yaml aliases": ("config", file_in("a.yaml", yaml_aliases)),
    "yaml nested": ("config", file_in("a.yaml", lambda path: path.write_text("[" * 10**5))),
    "yaml nested maps": ("config", file_in("a.yaml", lambda path: path.write_text("a: " + "{a: " * 10**5))),
    "yaml wide": ("config", file_in("a.yaml", lambda path: path.write_text("a: [" + "x," * 500_000 + "x]"))),
    "yaml number": ("config", file_in("a.yaml", lambda path: path.write_text("a: " + "9" * 10**6))),
    "yaml merges": ("config", file_in("a.yaml", lambda path: path.write_text("a: &a {b: 1}\nc: &c {<<: [" + ",".join(["*a"] * 10**5) + "]}"))),
    "yaml date": ("config", file_in("a.yaml", lambda path: path.write_text("recording: !!timestamp 9999-99-99"))),
}  # fmt: skip


def measure(kind: str, path: Path) -> tuple[str, str, float, int]:
    """Return the kind of outcome, its words, seconds of CPU and bytes of memory above those before."""
    base, started = reset_peak(), time.thread_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            EXERCISES[kind](path)
        outcome, words = "result", ""
    except RoitraceError as error:
        outcome, words = "typed", str(error)
    except BaseException as error:  # noqa: BLE001 - whatever else comes out is what is looked for
        outcome, words = f"escaped: {type(error).__name__}", "".join(traceback.format_exception(error))
    return outcome, words, time.thread_time() - started, peak_bytes() - base


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    limit = psutil.Process().memory_info().vms + HARD_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = {}
    for name, (kind, make) in BOMBS.items():
        if given.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(kind, make(Path(folder)))
        if given.json is None:
            outcome, words, seconds, peak = found[name]
            shown = words if outcome.startswith("escaped") and given.only else words.strip()[-160:]
            print(f"{name}: {outcome}, {seconds:.2f} s, {peak / 2**20:.0f} MiB: {shown}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(found))
    sys.exit(0)


if __name__ == "__main__":
    main()
