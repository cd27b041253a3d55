"""See every operation on files below a folder before it happens, and decide what becomes of it.

Functions of `os` and `open` are replaced while the block runs, so that whatever Python code touches the folder is seen: ours, zarr's,
xarray's. `unseen` watches by the interpreter's audit events instead and proves that nothing went past.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

WRITES = ("write", "truncate")
MAKES = ("create", "mkdir", "link")
CHANGES = (*WRITES, *MAKES, "rename", "unlink", "rmdir")
FLAGS_OF_CHANGE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Operation:
    """One operation: on which path, where to (rename, link), at which byte what is written or to which length it is cut."""

    kind: str
    path: str
    to: str = ""
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        more = f" -> {self.to}" if self.to else f" of {len(self.data)} bytes" if self.data else ""
        return f"{self.kind} {self.path}{more}"


Perform = Callable[[int | None], Any]
"""Does the operation; given a number, writes only so many bytes."""
Observer = Callable[[Operation, Perform], Any]
"""Is called instead of the operation."""


@contextmanager
def observed(root: str | os.PathLike[str], observer: Observer) -> Iterator[None]:
    """Send every operation on files below `root` through `observer`; one at a time."""
    watch = _Watch(os.path.realpath(root), observer)
    before = {name: getattr(os, name) for name in _Watch.names}
    plain_open = builtins.open
    try:
        for name in before:
            setattr(os, name, getattr(watch, name))
        builtins.open = io.open = watch.open_file  # type: ignore[assignment]
        yield
    finally:
        for name, function in before.items():
            setattr(os, name, function)
        builtins.open = io.open = plain_open


class _Watch:
    """The functions that stand in for those of `os`."""

    names = (
        *("open", "write", "pwrite", "read", "fsync", "fdatasync", "replace", "rename", "unlink", "remove"),
        *("rmdir", "mkdir", "link", "truncate", "ftruncate", "sendfile", "posix_fallocate"),
    )

    def __init__(self, root: str, observer: Observer) -> None:
        self.root = root
        self.observer = observer
        self.real = {name: getattr(os, name) for name in self.names}
        self.real_open = builtins.open
        self._lock = threading.RLock()
        self._busy = False

    def below(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Return the absolute path if it lies below the root."""
        if isinstance(path, int):
            try:
                full = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return None
        else:
            base = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
            full = os.path.normpath(os.path.join(base, os.fsdecode(path)))
        return full if full == self.root or full.startswith(self.root + os.sep) else None

    def _seen(self, operation: Operation, perform: Perform) -> Any:
        with self._lock:
            if self._busy:  # the observer itself, or an operation inside another one
                return perform(None)
            self._busy = True
            try:
                return self.observer(operation, perform)
            finally:
                self._busy = False

    def _on_path(self, name: str, kind: str, path: Any, *args: Any, **options: Any) -> Any:
        full = self.below(path, options.get("dir_fd"))
        real = self.real[name]
        if full is None:
            return real(path, *args, **options)
        return self._seen(Operation(kind, full), lambda _=None: real(path, *args, **options))

    def _on_two(self, name: str, kind: str, old: Any, new: Any, **options: Any) -> Any:
        real = self.real[name]
        source, target = (
            self.below(old, options.get("src_dir_fd")),
            self.below(new, options.get("dst_dir_fd")),
        )
        if source is None and target is None:
            return real(old, new, **options)
        operation = Operation(kind, source or os.fsdecode(old), target or os.fsdecode(new))
        return self._seen(operation, lambda _=None: real(old, new, **options))

    def unlink(self, path: Any, **options: Any) -> None:
        self._on_path("unlink", "unlink", path, **options)

    remove = unlink

    def rmdir(self, path: Any, **options: Any) -> None:
        self._on_path("rmdir", "rmdir", path, **options)

    def mkdir(self, path: Any, mode: int = 0o777, **options: Any) -> None:
        if not os.path.isdir(path) or options.get("dir_fd") is not None:
            self._on_path("mkdir", "mkdir", path, mode, **options)
        else:
            self.real["mkdir"](path, mode, **options)

    def rename(self, old: Any, new: Any, **options: Any) -> None:
        self._on_two("rename", "rename", old, new, **options)

    def replace(self, old: Any, new: Any, **options: Any) -> None:
        self._on_two("replace", "rename", old, new, **options)

    def link(self, old: Any, new: Any, **options: Any) -> None:
        self._on_two("link", "link", old, new, **options)

    def fsync(self, file: Any) -> None:
        self._on_path("fsync", "fsync", file if isinstance(file, int) else file.fileno())

    def fdatasync(self, file: Any) -> None:
        self._on_path("fdatasync", "fsync", file if isinstance(file, int) else file.fileno())

    def truncate(self, path: Any, length: int) -> None:
        self._cut("truncate", path, length)

    def ftruncate(self, file: int, length: int) -> None:
        self._cut("ftruncate", file, length)

    def posix_fallocate(self, file: int, offset: int, length: int) -> None:
        self._cut("posix_fallocate", file, offset, length)

    def _cut(self, name: str, path: Any, *numbers: int) -> None:
        full = self.below(path)
        real = self.real[name]
        if full is None:
            real(path, *numbers)
        else:
            self._seen(Operation("truncate", full, offset=sum(numbers)), lambda _=None: real(path, *numbers))

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = self.below(path, dir_fd)
        real = self.real["open"]
        if full is None:
            return int(real(path, flags, mode, dir_fd=dir_fd))
        kind = _kind_of_open(full, flags)
        return int(self._seen(Operation(kind, full), lambda _=None: real(path, flags, mode, dir_fd=dir_fd)))

    def write(self, file: int, data: Any) -> int:
        full, real = self.below(file), self.real["write"]
        if full is None:
            return int(real(file, data))
        return self._write(full, _position(file), data, lambda part: int(real(file, part)))

    def pwrite(self, file: int, data: Any, offset: int) -> int:
        full, real = self.below(file), self.real["pwrite"]
        if full is None:
            return int(real(file, data, offset))
        return self._write(full, offset, data, lambda part: int(real(file, part, offset)))

    def read(self, file: int, length: int) -> bytes:
        full, real = self.below(file), self.real["read"]
        if full is None:
            return bytes(real(file, length))
        return bytes(self._seen(Operation("read", full), lambda _=None: real(file, length)))

    def sendfile(self, *_: Any) -> int:
        # shutil falls back to reading and writing
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))

    def _write(self, path: str, offset: int, data: Any, write: Callable[[Any], int]) -> int:
        view = memoryview(data).cast("B")
        operation = Operation("write", path, offset=offset, data=bytes(view))
        return int(self._seen(operation, lambda count=None: write(view if count is None else view[:count])))

    def open_file(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """Stand in for `open`; what is opened reports its reads and writes."""
        full = self.below(file)
        if full is None or (isinstance(file, int) and not closefd):
            return self.real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        plain = mode.replace("b", "").replace("t", "")
        raw = self._seen(
            Operation(_kind_of_mode(full, plain), full),
            lambda _=None: _SeenFile(self, full, file, plain, opener),
        )
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in plain else io.BufferedReader if plain == "r" else io.BufferedWriter
        buffered = kind(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode
        return text


class _SeenFile(io.FileIO):
    """A file whose reads and writes go through the observer."""

    def __init__(self, watch: _Watch, path: str, file: Any, mode: str, opener: Any) -> None:
        self._watch, self._path = watch, path
        super().__init__(file, mode, opener=opener)

    def write(self, data: Any) -> int:
        return self._watch._write(self._path, _position(self.fileno()), data, super().write)

    def truncate(self, size: int | None = None) -> int:
        length = _position(self.fileno()) if size is None else size
        plain = super().truncate
        return int(
            self._watch._seen(Operation("truncate", self._path, offset=length), lambda _=None: plain(length))
        )

    def readinto(self, buffer: Any) -> int:
        plain = super().readinto
        return int(self._watch._seen(Operation("read", self._path), lambda _=None: plain(buffer)))

    def readall(self) -> bytes:
        plain = super().readall
        return bytes(self._watch._seen(Operation("read", self._path), lambda _=None: plain()))


def _position(file: int) -> int:
    """Where in the file the next bytes will be written."""
    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_APPEND:
        return os.fstat(file).st_size
    return os.lseek(file, 0, os.SEEK_CUR)


def _kind_of_open(path: str, flags: int) -> str:
    if flags & os.O_CREAT and not os.path.exists(path):
        return "create"
    if flags & os.O_TRUNC and flags & (os.O_WRONLY | os.O_RDWR):
        return "truncate"
    return "open"


def _kind_of_mode(path: str, mode: str) -> str:
    if mode[0] in "wxa" and not os.path.exists(path):
        return "create"
    return "truncate" if mode[0] == "w" else "open"


def unseen(root: str | os.PathLike[str]) -> tuple[list[str], Observer]:
    """Return a list that fills with changes below `root` that no observer saw, and the observer to run under.

    The hook stays until the process ends: use it in a child.
    """
    folder = os.path.realpath(root)
    missed: list[str] = []
    inside: list[Operation] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            changing = isinstance(args[2], int) and args[2] & FLAGS_OF_CHANGE
        else:
            changing = event in {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}
            # a folder that is there already is no change
            changing = changing and not (event == "os.mkdir" and os.path.isdir(args[0]))
        path = args[0] if args else None
        if changing and not inside and isinstance(path, str | bytes) and os.fsdecode(path).startswith(folder):
            missed.append(f"{event} {os.fsdecode(path)}")

    def observer(operation: Operation, perform: Perform) -> Any:
        inside.append(operation)
        try:
            return perform(None)
        finally:
            inside.pop()

    sys.addaudithook(hook)
    return missed, observer
