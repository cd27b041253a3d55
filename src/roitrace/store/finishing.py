"""The end of a recording store: what is left over goes, the root metadata say that it is finished, the manifest comes last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roitrace.errors import StoreError
from roitrace.store.files import remove_drafts, write_file
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.manifest import MANIFEST, write_manifest
from roitrace.store.mark import manifest_path
from roitrace.store.survey import survey, sync_tree
from roitrace.store.writer import ROOT, facts_of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from roitrace.store.manifest import FileFacts

__all__ = ["finish_group", "finish_recording"]


def finish_recording(
    path: Path,
    files: Mapping[str, bytes],
    shards: Mapping[str, FileFacts],
    keys: Iterable[str],
    facts: Mapping[str, Any],
) -> None:
    """Finish a recording store.

    Parameters
    ----------
    path : Path
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
