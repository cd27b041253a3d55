"""A manifest gives back what was put in, opens without being parsed, and any flipped bit in it is found."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import StoreError
from roitrace.store import manifest as manifest_module
from roitrace.store.manifest import (
    MANIFEST,
    FileFacts,
    Manifest,
    encode_manifest,
    read_manifest,
    write_manifest,
)
from roitrace.store.mark import check_mark, manifest_of, manifest_path, mark_of, marked

FILES = st.builds(
    FileFacts,
    key=st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8),
    length=st.integers(0, 2**63),
    checksum=st.integers(0, 2**32 - 1),
    chunks=st.lists(st.integers(0, 2**32 - 1), max_size=5).map(lambda values: np.asarray(values, np.uint32)),
)


def plain(one):
    return one.key, one.length, one.checksum, one.chunks.tolist()


@settings(max_examples=50, deadline=None)
@given(st.lists(FILES, max_size=6, unique_by=lambda one: one.key), st.randoms())
def test_round_trip(tmp_path_factory, files, random):
    path = tmp_path_factory.getbasetemp() / "round-trip"
    write_manifest(path, files, {"fingerprint": {"chunks": [1, 2]}})
    again = read_manifest(path)
    assert again.facts == {"fingerprint": {"chunks": [1, 2]}}
    assert (again.n_files, again.n_chunks) == (len(files), sum(len(one.chunks) for one in files))
    assert [plain(one) for one in again] == [
        plain(one) for one in sorted(files, key=lambda one: one.key.encode())
    ]
    for one in files:
        assert plain(again.find(one.key)) == plain(one)
        assert plain(FileFacts.from_record(json.loads(json.dumps(one.to_record())))) == plain(one)
    assert again.find("no such file") is None
    shuffled = list(files)
    random.shuffle(shuffled)
    assert encode_manifest(shuffled, again.facts) == path.read_bytes()


EXAMPLE = [
    FileFacts(f"fluorescence/c/{number}/0/0", 1000 + number, number, np.arange(9, dtype=np.uint32))
    for number in range(3)
]


def test_any_flipped_bit_and_any_cut_is_found(tmp_path):
    path = tmp_path / MANIFEST
    whole = encode_manifest(EXAMPLE, {"fingerprint": {}})
    for bit in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="the manifest .* is damaged"):
            read_manifest(path)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="the manifest .* is damaged"):
            read_manifest(path)
    path.write_bytes(whole)
    assert read_manifest(path).n_files == 3


def test_a_million_chunks_are_not_parsed(tmp_path, monkeypatch):
    chunks = np.arange(256, dtype=np.uint32)
    files = [FileFacts(f"fluorescence/c/{n}/0/0", n, n, chunks) for n in range(4096)]
    path = tmp_path / MANIFEST
    write_manifest(path, files, {})
    looked_at = []
    real = Manifest._facts_of
    monkeypatch.setattr(
        Manifest, "_facts_of", lambda self, place: (looked_at.append(place), real(self, place))[1]
    )
    checked = []
    real_check = manifest_module.crc32c
    monkeypatch.setattr(
        manifest_module, "crc32c", lambda data: (checked.append(len(data)), real_check(data))[1]
    )
    for thorough, most in ((True, path.stat().st_size), (False, 100)):
        checked.clear()
        looked_at.clear()
        again = read_manifest(path, thorough=thorough)
        assert again.n_chunks == 2**20
        assert looked_at == []
        assert sum(checked) <= most
        assert again.find("fluorescence/c/4095/0/0").length == 4095
        assert len(looked_at) == 1
        # nothing was copied out of the file
        assert again._chunks.base is not None
        assert again._files.base is not None


def test_a_store_with_a_manifest_opens_anywhere_without_a_warning(tmp_path):
    for consolidated in (False, True):
        path = tmp_path / f"{consolidated}.zarr"
        group = zarr.create_group(path, attributes={"roitrace": marked("recording", "inner/a")})
        for place in (group, group.create_group("inner")):
            place.create_array("a", data=np.arange(4), dimension_names=["x"])
        if consolidated:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                zarr.consolidate_metadata(path)
        assert manifest_path(path) == path / "inner" / "a" / MANIFEST
        assert manifest_of(path) is None
        write_manifest(manifest_path(path), EXAMPLE, {})
        assert mark_of(path)["kind"] == "recording"
        assert manifest_of(path).n_files == 3
        assert {name for name, _ in zarr.open_group(path, mode="r").members(max_depth=None)} == {
            "a",
            "inner",
            "inner/a",
        }
        with xr.open_zarr(path, consolidated=consolidated) as dataset:
            assert list(dataset.variables) == ["a"]
        with xr.open_datatree(path, engine="zarr", consolidated=consolidated) as tree:
            assert tree["inner/a"].values.tolist() == [0, 1, 2, 3]


def test_stores_of_others_have_no_mark(tmp_path):
    assert mark_of(tmp_path) is None
    for attributes in ({}, {"roitrace": 1}, {"roitrace": {"kind": "recording"}}):
        zarr.create_group(tmp_path / "a", attributes=attributes, overwrite=True)
        assert mark_of(tmp_path / "a") is None
        assert manifest_path(tmp_path / "a") is None
        assert manifest_of(tmp_path / "a") is None


@pytest.mark.parametrize("place", ["../../manifest", "/etc/passwd", "a/../../b"])
def test_a_manifest_outside_of_the_store_is_refused(tmp_path, place):
    zarr.create_group(tmp_path / "a", attributes={"roitrace": {"kind": "recording", "manifest": place}})
    with pytest.raises(StoreError, match="names a manifest outside of the store"):
        mark_of(tmp_path / "a")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '"a"', '{"attributes": 3}'])
def test_broken_metadata(tmp_path, text):
    (tmp_path / "zarr.json").write_text(text)
    assert mark_of(tmp_path) is None
    check_mark(tmp_path)
    (tmp_path / "fluorescence").mkdir()
    (tmp_path / "fluorescence" / "manifest").touch()
    with pytest.raises(StoreError, match="zarr.json is damaged: it does not name the manifest that is there"):
        check_mark(tmp_path)
