"""HDF5 files opened for reading, whose links stay in their folder."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_own_samples", "open_hdf5_file"]


@contextmanager
def open_hdf5_file(path: str | Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    FormatError
        If a link in it leads to a file outside of its folder: HDF5 would open that without a word.
    """
    with h5py.File(path, "r") as file:
        _check_links(file, Path(path))
        yield file


def check_own_samples(dataset: h5py.Dataset, what: str) -> None:
    """Refuse a dataset whose values lie in other files.

    Raises
    ------
    FormatError
        If they do.
    """
    others = [name for name, *_ in dataset.external or ()]
    if dataset.is_virtual:
        others += [source.file_name for source in dataset.virtual_sources()]
    if others:
        raise FormatError(
            f"{what} keeps its values in other files: {', '.join(map(repr, others[:3]))}",
            "open those files instead",
        )


def _check_links(file: h5py.File, path: Path) -> None:
    names: list[bytes] = []

    def look(name: bytes, link: Any) -> None:
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            names.append(name)

    file.id.links.visit(look, info=True)
    folder = path.resolve().parent
    for name in names:
        target = file.id.links.get_val(name)[0].decode(errors="replace")
        if not (folder / target).resolve().is_relative_to(folder):
            raise FormatError(
                f"{path} links {name.decode(errors='replace')!r} to {target!r}, outside of its folder",
                "bring that file into the folder, and link to it there",
            )
