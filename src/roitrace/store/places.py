"""Where a store is: a path on disk, or a place in an object store that answers as a path does."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from roitrace.errors import ArgumentError
from roitrace.store.objects import objects_at
from roitrace.urls import is_url, join_url, split_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from roitrace.store.objects import Lane, Objects

__all__ = ["Location", "ObjectPath", "place_of"]


class _Stat(NamedTuple):
    """What is known of an object, by the names that `os.stat` has."""

    st_size: int


@dataclass(frozen=True, repr=False)
class ObjectPath:
    """A place in an object store; it has those methods of `pathlib.Path` that stores use.

    There are no folders: one is there as long as an object is below it. It is no `os.PathLike` on purpose: what opens files of the
    system refuses it, rather than to write into a folder that is called ``s3:``. Small and picklable; the connection is opened where
    it is used.

    Attributes
    ----------
    root : str
        The bucket or server: ``s3://lab``.
    key : str
        Where it is in there, without a ``/`` at either end.
    lane : {'transfers', 'records', 'signs'}
        What it is asked for, as `roitrace.store.objects.objects_at` has it; those derived from it have the same.

    Examples
    --------
    >>> place = place_of("s3://lab/2026/movie.zarr")
    >>> print(place.with_name(f"{place.name}.run") / "journal")
    s3://lab/2026/movie.zarr.run/journal
    """

    root: str
    key: str
    lane: Lane = field(default="transfers", compare=False)

    def on(self, lane: Lane) -> ObjectPath:
        """Return the same place, asked through another client."""
        return replace(self, lane=lane)

    def _at(self, key: str) -> ObjectPath:
        return replace(self, key=key)

    def __str__(self) -> str:
        return join_url(self.root, self.key)

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __truediv__(self, name: str | PurePosixPath) -> ObjectPath:
        return self.joinpath(name)

    def joinpath(self, *names: str | PurePosixPath) -> ObjectPath:
        """Return a place below."""
        return self._at(split_url("/".join([str(self), *map(str, names)]))[1])

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The last suffix of the name."""
        return self._path.suffix

    @property
    def parent(self) -> ObjectPath:
        """The folder that it is in."""
        return self._at(self.key.rpartition("/")[0])

    @property
    def parents(self) -> tuple[ObjectPath, ...]:
        """All folders that it is in, the innermost first."""
        return tuple(self._at("" if str(one) == "." else str(one)) for one in self._path.parents)

    def with_name(self, name: str) -> ObjectPath:
        """Return the place of another name beside it.

        Raises
        ------
        ArgumentError
            If it is a whole bucket: nothing can be beside it.
        """
        if not self.key:
            raise ArgumentError(f"{self} is a whole bucket", f"name a place in it, such as {self}/movie.zarr")
        return self._at(str(self._path.with_name(name)))

    def with_suffix(self, suffix: str) -> ObjectPath:
        """Return the place with another suffix."""
        return self._at(str(self._path.with_suffix(suffix)))

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Return where it is below another place."""
        return self._path.relative_to(other.key)

    def absolute(self) -> ObjectPath:
        """Return itself."""
        return self

    def expanduser(self) -> ObjectPath:
        """Return itself."""
        return self

    def exists(self) -> bool:
        """Whether it is an object, or one is below it."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether it is an object."""
        return self._objects.size(self.key) is not None

    def is_dir(self) -> bool:
        """Whether an object is below it."""
        return bool(self._objects.names(self.key))

    def is_listed(self) -> bool:
        """Whether the store says what it holds; a web server does not."""
        return not self.root.startswith("http")

    def is_symlink(self) -> bool:
        """Return False: there are no links."""
        return False

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield what is directly below, in order of the names."""
        return (self / name for name in self._objects.names(self.key))

    def lengths(self) -> dict[str, int]:
        """Return the length of every object below, by its key from here on: from listings, without a request for each."""
        start = len(self.key) + 1 if self.key else 0
        return {key[start:]: length for key, length in self._objects.lengths(self.key).items()}

    def stat(self) -> _Stat:
        """Return the length of an object, as `st_size`.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        size = self._objects.size(self.key)
        if size is None:
            raise FileNotFoundError(f"there is no object {self}")
        return _Stat(size)

    def tag(self) -> str | None:
        """Return what changes with the content of an object, None if it is not there."""
        facts = self._objects.facts(self.key)
        return None if facts is None else facts.tag

    def read_bytes(self) -> bytes:
        """Return the content of an object.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        data = self._objects.read(self.key)
        if data is None:
            raise FileNotFoundError(f"there is no object {self}")
        return data

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content of an object as text."""
        return self.read_bytes().decode(encoding)

    def read_range(self, start: int, stop: int) -> memoryview:
        """Return some bytes of an object."""
        (data,) = self._objects.read_ranges(self.key, [(start, stop)])
        return data

    def read_each(self, names: list[str]) -> list[bytes | None]:
        """Return the contents of objects below, read together; None for those that are not there."""
        return self._objects.read_many([(self / name).key for name in names])

    def open(self, mode: str = "rb", buffering: int = -1) -> BinaryIO:
        """Open an object for reading, where it is asked for by ranges.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        if mode != "rb":
            raise ValueError(f"{self} is opened for {mode!r}, objects are only read in pieces")
        raw: Any = _ObjectFile(self, self.stat().st_size)
        file: Any = raw if buffering == 0 else io.BufferedReader(raw)
        return file  # type: ignore[no-any-return]

    def write_bytes(self, data: bytes | bytearray | memoryview) -> int:
        """Put an object: whole and durable when this returns, and nothing of it is there before."""
        self._objects.write(self.key, data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """Put an object that is a text."""
        return self.write_bytes(text.encode(encoding))

    def write_new(self, data: bytes) -> bool:
        """Put an object only if there is none; return whether it was put. Of many who try at once, one succeeds."""
        try:
            self._objects.write(self.key, data, only_if_absent=True)
        except FileExistsError:
            # an answer that was lost on the way makes the client ask again
            return self._objects.read(self.key) == data
        return True

    def copy_to(self, target: ObjectPath) -> None:
        """Copy an object within its bucket, which sends no bytes through this computer."""
        self._objects.copy(self.key, target.key)

    def copy_each(self, target: ObjectPath, names: Sequence[str]) -> None:
        """Copy objects below to below another place of the bucket, many at once; not those that are the same there already."""
        self._objects.copy_each([((self / name).key, (target / name).key) for name in names])

    def remove(self, *names: str) -> None:
        """Remove objects below, by their keys from here on; those that are not there are no error."""
        self._objects.remove(*((self / name).key for name in names))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove an object.

        Raises
        ------
        FileNotFoundError
            If it is not there, and that is not allowed.
        """
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(f"there is no object {self}")
        self._objects.remove(self.key)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there as soon as an object is in it."""

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(self.key)

    @property
    def _objects(self) -> Objects:
        return objects_at(str(self), self.lane)[0]


Location = Path | ObjectPath


class _ObjectFile(io.RawIOBase):
    """An object that is read in pieces, each by one request."""

    def __init__(self, place: ObjectPath, size: int) -> None:
        super().__init__()
        self._place, self._size, self._at = place, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        stop = min(self._at + len(room), self._size)
        if stop <= self._at:
            return 0
        data = self._place.read_range(self._at, stop)
        room[: len(data)] = data
        self._at += len(data)
        return len(data)


def place_of(path: str | os.PathLike[str] | ObjectPath) -> Location:
    """Return the place that a path or a URL names.

    Parameters
    ----------
    path : str or path
        A path on disk, or ``s3://bucket/key``, ``gs://bucket/key``, ``http(s)://server/path``.

    Raises
    ------
    ArgumentError
        As `roitrace.urls.split_url`.

    Examples
    --------
    >>> place_of("s3://lab/movie.zarr")
    ObjectPath('s3://lab/movie.zarr')
    >>> place_of("movies/movie.zarr").name
    'movie.zarr'
    """
    if isinstance(path, ObjectPath):
        return path
    return ObjectPath(*split_url(path)) if is_url(path) else Path(path)
