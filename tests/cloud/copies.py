"""Copies of folders in object stores, as any tool for copying makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.store.objects import objects_at

if TYPE_CHECKING:
    from pathlib import Path


def copy_to(folder: Path, url: str) -> str:
    """Put every file below a folder under its key below a URL; return the URL."""
    objects, key = objects_at(url)
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        objects.write(f"{key}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return url
