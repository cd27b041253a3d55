from __future__ import annotations

import shutil

import pytest

from roitrace.formats.identity import combine, ends_identity, file_identity


@pytest.mark.parametrize("size", [0, 10, 66 * 4096, 66 * 4096 + 1, 10**6])
def test_identity_depends_on_content_alone(tmp_path, size):
    one, other = tmp_path / "one.bin", tmp_path / "sub" / "other.raw"
    one.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    other.parent.mkdir()
    shutil.copyfile(one, other)
    assert file_identity(one) == file_identity(other)
    with other.open("ab") as file:
        file.write(b"\0")
    assert file_identity(one) != file_identity(other)


@pytest.mark.parametrize("position", [0, 490_300, 999_999])
def test_identity_sees_head_middle_sample_and_tail(tmp_path, position):
    path = tmp_path / "a.bin"
    content = bytearray(1_000_000)
    path.write_bytes(content)
    before, ends_before = file_identity(path), ends_identity(path)
    content[position] = 1
    path.write_bytes(content)
    assert file_identity(path) != before
    assert (ends_identity(path) != ends_before) == (position != 490_300)


def test_combine_tells_orders_and_types_apart():
    assert combine("a", "b") != combine("b", "a")
    assert combine(1) != combine("1")
