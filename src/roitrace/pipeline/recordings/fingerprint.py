"""What results were made from, so that a job that runs again does only what is missing or has changed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from roitrace.decisions import decisions_path
from roitrace.errors import StoreError
from roitrace.formats.identity import combine, content_identity, file_identity
from roitrace.pipeline.recording import identity_of, open_part
from roitrace.results import load
from roitrace.store.files import make_folder, write_file
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from roitrace.config import Config
    from roitrace.pipeline.recordings.outputs import OneRecording
    from roitrace.store.places import Location

__all__ = ["fingerprint_of", "keep_fingerprint", "what_changed"]

_NOT_CONTENT: dict[str, Any] = {
    "recording": {"path", "store"},
    "rois": {"path"},
    "output": True,
    "resources": True,
}
_VERSION = 1


def fingerprint_of(config: Config) -> dict[str, Any]:
    """Return what the results of a job depend on: its configuration, and the content of the recording and the ROIs.

    Opens the recording, and reads samples of its files.

    Raises
    ------
    RoitraceError
        If the recording or the ROIs cannot be opened.
    """
    return {
        "version": _VERSION,
        "configuration": _flat(config.model_dump(mode="json", exclude=_NOT_CONTENT)),
        "recording": identity_of(open_part(config.recording)),
        "rois": None if config.rois.path is None else _content(place_of(config.rois.path)),
        "decisions": _decisions(config),
    }


def keep_fingerprint(one: OneRecording, fingerprint: dict[str, Any], *, complete: bool) -> None:
    """Write down what results are being made from, or were once they are `complete`; the table of decisions is there by then."""
    content = fingerprint | {"decisions": _decisions(one.config), "complete": complete}
    make_folder(one.fingerprint.parent)
    write_file(one.fingerprint, (json.dumps(content, indent=2) + "\n").encode())


def what_changed(one: OneRecording, now: dict[str, Any]) -> str | None:
    """Say why the results of a recording have to be made, None where those that are there still hold."""
    if not place_of(one.config.output.path).exists():
        return "new"
    try:
        load(one.config.output.path)
    except StoreError:
        return "unfinished or damaged"
    try:
        before = json.loads(one.fingerprint.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "of unknown origin"
    if not isinstance(before, dict) or before.get("version") != _VERSION:
        return "of another version"
    if before.get("complete") is not True:
        return "unfinished or damaged"
    changed = [name for name in ("recording", "rois", "decisions") if before.get(name) != now[name]]
    changed += _changed_keys(before.get("configuration"), now["configuration"])
    return f"changed: {', '.join(changed)}" if changed else None


def _changed_keys(before: object, now: dict[str, Any]) -> list[str]:
    if not isinstance(before, dict):
        return ["configuration"]
    return sorted(key for key in {*before, *now} if before.get(key, "nothing") != now.get(key, "nothing"))


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by ``section.key``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _content(path: Location) -> str | None:
    """Return a digest of a file or a folder of files; None where there is none yet."""
    if isinstance(path, ObjectPath):
        return content_identity(path) or None
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return combine(*((str(one.relative_to(path)), file_identity(one)) for one in files))
    return file_identity(path) if path.exists() else None


def _decisions(config: Config) -> str | None:
    """Return a digest of the table of decisions, which people edit."""
    table = decisions_path(config.output.path)
    return hashlib.sha256(table.read_bytes()).hexdigest() if table.exists() else None
