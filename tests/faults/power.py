"""What a disk still has after a power cut: a model that is told of every operation.

Only what was fsynced is certain: the content of a file by fsync of the file, its name by fsync of the folder. Of the rest any part may be
there, in any order (POSIX promises no more; real file systems lose less). A rename happens or does not, in both of its folders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from tests.faults.operations import Operation, Perform

Loss = Literal["all", "data", "random"]
LOSSES: tuple[Loss, ...] = ("all", "data", "random")


@dataclass(eq=False)
class File:
    """Bytes as programs see them, as they are certain to survive, and the changes between."""

    now: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.now, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        self.durable = bytes(self.now)
        self.pending.clear()

    def survivor(self, loss: Loss, random: Random) -> bytes:
        content = bytearray(self.durable)
        if loss == "data" and self.pending:  # the length is there, the data are not
            return self.durable.ljust(len(self.now), b"\0") if random.random() < 0.5 else self.durable
        for offset, data in self.pending:
            if loss == "random" and random.random() < 0.5:
                kept = (
                    data if data is None or random.random() < 0.7 else data[: random.randrange(len(data) + 1)]
                )
                _apply(content, offset, kept)
        return bytes(content)


@dataclass(eq=False)
class Change:
    """One change of names: (folder, gone, come, what) for each folder that it concerns, together or not at all."""

    parts: list[tuple[Folder, str | None, str | None, File | Folder | None]]

    def make_durable(self) -> None:
        for folder, *names in self.parts:
            _rename(folder.durable, *names)
            folder.pending.remove(self)


@dataclass(eq=False)
class Folder:
    """Names as programs see them, as they are certain to survive, and the changes between."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def change(self, gone: str | None, come: str | None, what: File | Folder | None) -> None:
        change_names([(self, gone, come, what)])

    def sync(self) -> None:
        for change in list(self.pending):
            change.make_durable()

    def survivor(self, keeps: Callable[[Change], bool]) -> dict[str, File | Folder]:
        names = dict(self.durable)
        for change in self.pending:
            if keeps(change):
                for folder, *parts in change.parts:
                    if folder is self:
                        _rename(names, *parts)
        return names


def change_names(parts: list[tuple[Folder, str | None, str | None, File | Folder | None]]) -> None:
    """Change names in one folder, or in two at once, as programs see them."""
    change = Change(parts)
    for folder, *names in parts:
        _rename(folder.now, *names)
        folder.pending.append(change)


class Disk:
    """The model; as an observer it also does each operation."""

    def __init__(self, root: Path, called: Path | None = None) -> None:
        self.root = root if called is None else called
        self.top = _of_disk(root)
        self.count = 0

    def __call__(self, operation: Operation, perform: Perform) -> Any:
        value = perform(None)
        self.record(operation)
        return value

    def record(self, operation: Operation) -> None:
        """Follow an operation that was done."""
        self.count += 1
        if operation.kind in {"failed", "open", "read"}:
            return
        folder, name = self._place(operation.path)
        match operation.kind:
            case "create":
                folder.change(None, name, File())
            case "mkdir":
                folder.change(None, name, Folder())
            case "write":
                self._file(operation.path).change(operation.offset, operation.data)
            case "truncate":
                self._file(operation.path).change(operation.offset, None)
            case "fsync":
                (self.top if Path(operation.path) == self.root else folder.now[name]).sync()
            case "unlink" | "rmdir":
                folder.change(name, None, None)
            case "rename" | "link":
                self._moved(operation, folder, name)

    def _moved(self, operation: Operation, folder: Folder, name: str) -> None:
        target, new = self._place(operation.to)
        what = folder.now[name]
        if operation.kind == "link":
            target.change(None, new, what)
        elif target is folder:
            folder.change(name, new, what)
        else:
            change_names([(target, None, new, what), (folder, name, None, None)])

    def _place(self, path: str) -> tuple[Folder, str]:
        parts = Path(path).relative_to(self.root).parts
        folder = self.top
        for part in parts[:-1]:
            inner = folder.now[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, parts[-1] if parts else ""

    def _file(self, path: str) -> File:
        folder, name = self._place(path)
        file = folder.now[name]
        assert isinstance(file, File)
        return file

    def names(self) -> Iterator[str]:
        """Yield the relative names of all files as programs see them."""
        yield from _names(self.top, "")

    def content(self, name: str) -> bytes:
        """Return what is in a file, by its relative name, as programs see it."""
        return bytes(self._file(str(self.root / name)).now)

    def is_certain(self, name: str) -> bool:
        """Whether a file of this relative name survives whatever happens, with the content that programs see."""
        what: File | Folder | None = self.top
        for part in name.split("/"):
            if not isinstance(what, Folder) or what.now.get(part) is not what.durable.get(part):
                return False
            what = what.now.get(part)
        return isinstance(what, File) and not what.pending

    def after_cut(self, target: Path, loss: Loss, random: Random) -> None:
        """Lay out at `target` what survives when the power goes now."""
        kept: dict[Change, bool] = {}

        def keeps(change: Change) -> bool:
            return kept.setdefault(change, loss == "data" or (loss == "random" and random.random() < 0.5))

        _lay_out(self.top, target, keeps, lambda file: file.survivor(loss, random))


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write at an offset, or cut (data None)."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _rename(
    names: dict[str, File | Folder], gone: str | None, come: str | None, what: File | Folder | None
) -> None:
    if gone is not None:
        names.pop(gone, None)
    if come is not None and what is not None:
        names[come] = what


def _names(folder: Folder, above: str) -> Iterator[str]:
    for name, what in folder.now.items():
        if isinstance(what, Folder):
            yield from _names(what, f"{above}{name}/")
        else:
            yield f"{above}{name}"


def _of_disk(path: Path) -> Folder:
    """Read what is there, all of it durable."""
    folder = Folder()
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            folder.now[entry.name] = _of_disk(entry)
        else:
            content = entry.read_bytes()
            folder.now[entry.name] = File(bytearray(content), content)
    folder.durable = dict(folder.now)
    return folder


def _lay_out(
    folder: Folder, target: Path, keeps: Callable[[Change], bool], content: Callable[[File], bytes]
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, what in folder.survivor(keeps).items():
        if isinstance(what, Folder):
            _lay_out(what, target / name, keeps, content)
        else:
            (target / name).write_bytes(content(what))


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Return every file below a folder by its relative name; folders have None."""
    return dict(_entries(folder, folder))


def _entries(folder: Path, root: Path) -> Iterator[tuple[str, bytes | None]]:
    for entry in sorted(folder.iterdir()):
        name = str(entry.relative_to(root))
        if entry.is_dir() and not entry.is_symlink():
            yield name, None
            yield from _entries(entry, root)
        else:
            yield name, entry.read_bytes()
