"""One array of an `.npz` archive: whole, or image by image as it unpacks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.bounded import bounded, bounded_stack

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from typing import IO

    from numpy.typing import NDArray

__all__ = ["open_images", "read_member"]


def read_member(archive: zipfile.ZipFile, name: str, path: str) -> NDArray[Any]:
    """Return an array.

    Raises
    ------
    FormatError
        If it holds objects, claims too much, or is cut short.
    """
    what, stored = f"{path}: {name}", archive.getinfo(name).compress_size
    with archive.open(name) as member:
        shape, fortran, dtype = _header(member, what)
        bounded(shape, dtype, what, stored)
        return _read(member, shape, dtype, what, order="F" if fortran else "C")


def open_images(
    archive: zipfile.ZipFile, name: str, path: str
) -> tuple[tuple[int, ...], np.dtype[Any], Iterator[NDArray[Any]]]:
    """Return the shape and dtype of an array, and its images ``(y, x)`` one after the other: one where it has two axes.

    An array in Fortran order is held as a whole.

    Raises
    ------
    FormatError
        As `read_member`.
    """
    what, stored = f"{path}: {name}", archive.getinfo(name).compress_size
    member = archive.open(name)
    shape, fortran, dtype = _header(member, what)
    if len(shape) != 3 or fortran:
        member.close()
        whole = read_member(archive, name, path)
        return shape, dtype, iter(whole if whole.ndim == 3 else [whole])
    bounded_stack(shape, dtype, what, stored)

    def images() -> Iterator[NDArray[Any]]:
        with member:
            for _ in range(shape[0]):
                yield _read(member, shape[1:], dtype, what)

    return shape, dtype, images()


def _header(member: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(member)
    if dtype.hasobject:
        raise FormatError(f"{what} holds Python objects", "save plain arrays with numpy.savez")
    if min(shape, default=0) < 0:
        raise FormatError(f"{what} declares the shape {shape}", "save it again with numpy.savez")
    return shape, fortran, dtype


def _read(
    member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], what: str, order: Any = "C"
) -> NDArray[Any]:
    wanted = math.prod(shape) * dtype.itemsize
    content = member.read(wanted)
    if len(content) < wanted:
        raise FormatError(f"{what} declares the shape {shape} and is cut short", "copy the file again")
    return np.frombuffer(content, dtype).reshape(shape, order=order)
