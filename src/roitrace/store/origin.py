"""Where a recording store came from: remembered beside it, in ``<store>.run/convert.json``, for repair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.store.files import make_folder, read_file, remove, remove_folder, run_folder, write_file
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from roitrace.store.places import Location

__all__ = ["Origin", "remember", "remembered"]


@dataclass(frozen=True)
class Origin:
    """The files that a recording was converted from, and what was said about them.

    Attributes
    ----------
    files : tuple of str
        Absolute paths, or URLs; empty if it was no file.
    options : dict
        Options of `roitrace.convert`, as plain JSON values.
    """

    files: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: object, options: dict[str, Any]) -> Origin:
        """Return the origin of what `roitrace.convert` was given."""
        given = {name: value for name, value in options.items() if value is not None}
        if isinstance(source, str | Path | ObjectPath):
            return cls((str(place_of(source).absolute()),), given)
        if isinstance(source, Sequence) and all(isinstance(one, str | Path | ObjectPath) for one in source):
            return cls(tuple(str(place_of(one).absolute()) for one in source), given)
        return cls()

    @property
    def source(self) -> str | list[str]:
        """The files, as `roitrace.convert` takes them."""
        return self.files[0] if len(self.files) == 1 else list(self.files)

    def arguments(self) -> list[str]:
        """Return the options as they are typed."""
        words = []
        for name, value in self.options.items():
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words += [flag] if value else []
            elif isinstance(value, list | tuple):
                words += [flag, ",".join(map(str, value))]
            else:
                words += [flag, str(value)]
        return words


def remember(store: Location, origin: Origin) -> None:
    """Keep the origin of a store beside it, or forget the one before if this one is no file."""
    place = _place(store)
    if origin.files:
        make_folder(place.parent)
        text = json.dumps({"files": origin.files, "options": origin.options}, indent=2)
        write_file(place, text.encode())
    else:
        remove(place)
        remove_folder(place.parent)


def remembered(store: Location) -> Origin | None:
    """Return the origin of a store, None if it is not known."""
    data = read_file(_place(store))
    try:
        kept = json.loads(data or b"")
        return Origin(tuple(map(str, kept["files"])), dict(kept["options"]))
    except (ValueError, KeyError, TypeError):
        return None


def _place(store: Location) -> Location:
    return run_folder(store) / "convert.json"
