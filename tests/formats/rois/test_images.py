from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.format import RoiOptions
from roitrace.formats.rois.table import RoiTable
from tests.shared_data import DATA, needs_data

LABELS = np.array([[0, 7, 7, 0], [3, 0, 7, 0], [3, 3, 0, 300]])


def save(path, image):
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image, photometric="minisblack")


KINDS = [
    (suffix, dtype)
    for suffix in (".npy", ".tif")
    for dtype in ("uint16", "int32", "uint32", "float32", ">u2", "int64")
]


@pytest.mark.parametrize(("suffix", "dtype"), [*KINDS, (".png", "uint16")])
def test_label_images(tmp_path, suffix, dtype):
    path = tmp_path / f"labels{suffix}"
    save(path, LABELS.astype(dtype))
    table = read_roi_table(path)
    assert table.ids == (3, 7, 300)
    assert table.names == ("3", "7", "300")
    assert table.shape == (3, 4)
    for number, pixels in zip(table.ids, table.pixels, strict=True):
        assert pixels.tolist() == np.argwhere(number == LABELS).tolist()


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
@pytest.mark.parametrize("scale", [1, 255])
def test_masks(tmp_path, suffix, scale):
    mask = LABELS > 0
    path = tmp_path / f"mask{suffix}"
    save(path, mask)
    table = read_roi_table(path)
    assert (table.names, table.ids) == (("1",), (1,))
    assert table.pixels[0].tolist() == np.argwhere(mask).tolist()
    save(path, (mask * scale).astype("uint8"))
    assert read_roi_table(path).ids == (scale,)  # an image of numbers is a label image
    assert read_roi_table(path, RoiOptions(as_mask=True)).ids == (1,)
    save(path, LABELS.astype("uint16"))
    assert read_roi_table(path, RoiOptions(as_mask=True)).pixels[0].tolist() == np.argwhere(mask).tolist()


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("kind", ["bool", "uint8", "255"])
def test_stacks_of_masks_may_overlap(tmp_path, suffix, kind):
    masks = np.random.default_rng(0).random((3, 16, 16)) < 0.3
    masks[2] = False
    save(tmp_path / f"masks{suffix}", (masks * np.uint8(255)) if kind == "255" else masks.astype(kind))
    table = read_roi_table(tmp_path / f"masks{suffix}")
    assert table.ids == (1, 2, 3)
    for mask, pixels in zip(masks, table.pixels, strict=True):
        assert pixels.tolist() == np.argwhere(mask).tolist()


def test_a_stack_of_one_is_an_image(tmp_path):
    np.save(tmp_path / "a.npy", LABELS[np.newaxis])
    assert read_roi_table(tmp_path / "a.npy").ids == (3, 7, 300)


def test_png_of_unreasonable_size(tmp_path, monkeypatch):
    Image.fromarray(LABELS.astype("uint16")).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with pytest.raises(FormatError, match="claims an unreasonable size"):
        read_roi_table(tmp_path / "a.png")


def test_empty_label_image(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), "uint8"))
    assert len(read_roi_table(tmp_path / "a.npy")) == 0


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(
        np.int64,
        st.tuples(st.integers(1, 6), st.integers(1, 7)),
        elements=st.sampled_from([0, 0, 1, 2, 65535]),
    )
)
def test_round_trip(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("labels")
    np.save(folder / "given.npy", labels)
    table = read_roi_table(folder / "given.npy")
    for suffix in (".tif", ".png", ".npy", ".tiff"):
        assert write_roi_table(table, folder / f"a{suffix}") == ()
        again = read_roi_table(folder / f"a{suffix}")
        assert again.ids == table.ids
        assert again.shape == table.shape
        assert [one.tolist() for one in again.pixels] == [one.tolist() for one in table.pixels]


def test_large_ids(tmp_path):
    table = RoiTable(("70000",), (70000,), (np.array([[1, 2]]),), (3, 4))
    write_roi_table(table, tmp_path / "a.tif")
    assert read_roi_table(tmp_path / "a.tif").ids == (70000,)
    with pytest.raises(ArgumentError, match="ids reach 70000, a PNG holds at most 65535"):
        write_roi_table(table, tmp_path / "a.png")


def test_what_a_label_image_does_not_keep(tmp_path):
    one, other = np.array([[0, 0], [0, 1]]), np.array([[0, 1], [1, 1]])
    lost = write_roi_table(RoiTable(("1", "2"), (1, 2), (one, other), (3, 4)), tmp_path / "a.tif")
    assert lost == ("1 overlapping pixel (each stays with the first ROI that has it)",)
    assert read_roi_table(tmp_path / "a.tif").pixels[1].tolist() == [[1, 1]]
    lost = write_roi_table(RoiTable(("1", "2"), (1, 2), (one, one), (3, 4)), tmp_path / "b.tif")
    assert lost[1] == "ROI '2', which has no pixels of its own"
    for ids in ((0, 5), (7, 2**32)):
        table = RoiTable(tuple(map(str, ids)), ids, (one, np.array([[2, 2]])), (3, 4))
        assert write_roi_table(table, tmp_path / "c.tif", overwrite=True) == ("ids (numbered from 1)",)
        assert read_roi_table(tmp_path / "c.tif").ids == (1, 2)


def test_what_cannot_be_written(tmp_path):
    table = RoiTable(("1",), (1,), (np.array([[0, 0]]),))
    with pytest.raises(ArgumentError, match="have no frame"):
        write_roi_table(table, tmp_path / "a.tif")
    with pytest.raises(ArgumentError, match=r"cannot be written as 'a\.xyz'; choose one of \.zip"):
        write_roi_table(table, tmp_path / "a.xyz")
    with pytest.raises(ArgumentError, match="no format is named 'abc'; ROIs are written as imagej, suite2p"):
        write_roi_table(table, tmp_path / "a.xyz", format="abc")


def test_what_is_lost_is_said(tmp_path):
    table = RoiTable(
        ("a", "b"),
        (1, 2),
        (np.array([[0, 0]]), np.zeros((0, 2), np.int64)),
        (3, 4),
        weights=(np.ones(1), np.ones(0)),
        accepted=(True, False),
    )
    lost = write_roi_table(table, tmp_path / "a.tif")
    assert lost == ("names", "weights", "which ROIs were rejected", "ROI 'b', which has no pixels of its own")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.array([[0, -1]]), "negative or fractional"),
        (np.array([[0, 0.5]]), "negative or fractional"),
        (np.array([[0, np.nan]]), "negative or fractional"),
        (np.array([[0, 1j]]), "holds complex128 values"),
        (np.zeros(5, "uint8"), r"has shape \(5,\)"),
        (np.zeros((0, 5), "uint8"), r"has shape \(0, 5\)"),
        (np.arange(24).reshape(2, 3, 4), "more than two values"),
        (np.zeros((2, 2, 3, 4), "uint8"), r"has shape \(2, 2, 3, 4\)"),
    ],
)
def test_no_label_image(tmp_path, image, message):
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(FormatError, match=message):
        read_roi_table(tmp_path / "a.npy")


def test_objects_are_no_label_image(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"area": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="entry 0 has no ypix and xpix"):
        read_roi_table(tmp_path / "a.npy")


def test_colours_are_no_labels(tmp_path):
    Image.fromarray(np.zeros((3, 4, 3), "uint8")).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="mode RGB"):
        read_roi_table(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 3), "uint8"), photometric="rgb")
    with pytest.raises(FormatError, match="axes YXS"):
        read_roi_table(tmp_path / "a.tif")


def test_damaged_images(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, (64, 64), dtype=np.uint16)
    for name, options in (("a.tif", {}), ("b.tif", {"compression": "zlib"})):
        tifffile.imwrite(
            tmp_path / name, np.stack([labels, labels]), photometric="minisblack", metadata=None, **options
        )
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 3])
        with pytest.raises(FormatError):
            read_roi_table(tmp_path / name)
    Image.fromarray(labels).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match=r"a\.png cannot be read"):
        read_roi_table(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", labels)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:1000])
    with pytest.raises(FormatError, match="cannot be read"):
        read_roi_table(tmp_path / "a.npy")


def test_a_recording_is_no_label_image(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.formats.bounded.LIMIT_BYTES", 3000)
    np.save(tmp_path / "a.npy", np.zeros((100, 100), "uint8"))
    with pytest.raises(FormatError, match=r"claims 9\.8 KiB.* or a recording"):
        read_roi_table(tmp_path / "a.npy")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 100), "uint8"), compression="zlib")
    with pytest.raises(FormatError, match=r"claims 9\.8 KiB"):
        read_roi_table(tmp_path / "a.tif")


def test_several_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(2):
            writer.write(LABELS.astype("uint16"), contiguous=False)
    with pytest.raises(FormatError, match="holds 2 images"):
        read_roi_table(tmp_path / "a.tif")


@needs_data
def test_particle_labels_of_imagej(tmp_path):
    with np.load(DATA / "neurofinder_neuhof" / "reference" / "imagej_labels.npz") as reference:
        labels, mask = reference["avg_Otsu_conn8"], reference["avg_Otsu_mask"]
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    table = read_roi_table(tmp_path / "labels.tif")
    assert len(table) == labels.max()
    assert sum(map(len, table.pixels)) == mask.sum()
