"""The end of a recording store: what is left over goes, the root metadata say that it is finished, the manifest comes last."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.errors import StoreError
from roitrace.store.files import remove_drafts, write_file
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.manifest import MANIFEST, write_manifest
from roitrace.store.mark import manifest_path, mark_of
from roitrace.store.survey import survey, sync_tree
from roitrace.store.writer import ROOT, facts_of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from roitrace.store.manifest import FileFacts
    from roitrace.store.places import Location, ObjectPath

__all__ = ["finish_group", "finish_recording", "local_folder", "put_folder"]


def finish_recording(
    path: Location,
    files: Mapping[str, bytes],
    shards: Mapping[str, FileFacts],
    keys: Iterable[str],
    facts: Mapping[str, Any],
) -> None:
    """Finish a recording store.

    Parameters
    ----------
    path : path
        The store.
    files : mapping
        Its small files, as `small_files` gave them.
    shards : mapping
        What is known of each shard, by key.
    keys : iterable of str
        The shards that it must have.
    facts : mapping
        What the manifest says besides.

    Raises
    ------
    StoreError
        If a shard is not there.
    """
    lost = [key for key in keys if key not in shards]
    if lost:
        raise StoreError(
            f"{len(lost)} files of {path} were removed while it was written, such as {lost[0]}",
            "give the same call again to go on",
        )
    remove_drafts(path)
    write_file(path / ROOT, files[ROOT])
    known = [*(facts_of_bytes(key, data) for key, data in files.items()), *shards.values()]
    write_manifest(path / FLUORESCENCE / MANIFEST, known, facts)


def finish_group(path: Path, facts: Mapping[str, Any]) -> None:
    """Make a marked zarr group durable whose files zarr wrote, and give it its manifest."""
    place = manifest_path(path)
    assert place is not None
    sync_tree(path)
    write_manifest(place, survey(path), facts)


@contextmanager
def local_folder(path: Location) -> Iterator[Path]:
    """Give a folder on disk in which zarr writes a group: the place itself, or one of which each file is put into its bucket at the end."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="roitrace-") as temporary:
        folder = Path(temporary) / path.name
        yield folder
        put_folder(folder, path)


def put_folder(folder: Path, path: ObjectPath) -> None:
    """Put all files of a folder into a bucket, each in one piece; the manifest of a store last."""
    manifest = (mark_of(folder) or {}).get("manifest", "")
    keys = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    for key in sorted(keys, key=lambda key: (key == manifest, key)):
        write_file(path / key, (folder / key).read_bytes())
