"""Which recordings a job is about: a pattern of paths, or a table with a row for each."""

from __future__ import annotations

import csv
import difflib
import glob
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.config import Config
from roitrace.config.fields import PATHS
from roitrace.config.file import parse_yaml
from roitrace.config.sections import RecordingSection
from roitrace.errors import ConfigError, StoreError
from roitrace.formats.damage import understanding
from roitrace.formats.extras import import_extra
from roitrace.formats.recordings.series import natural_key
from roitrace.results import is_results_store
from roitrace.store.object_glob import is_url_pattern, urls_matching
from roitrace.store.places import place_of
from roitrace.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from roitrace.store.places import Location

__all__ = ["Listed", "check_single", "close_to_setting", "is_many", "list_recordings"]

_TABLES = {".csv": ",", ".tsv": "\t", ".parquet": ""}
_OF_RECORDING = tuple(name for name in RecordingSection.model_fields if name not in {"path", "store"})
_SHORT = {"rois": "rois.path"} | {name: f"recording.{name}" for name in _OF_RECORDING}
_NOT_PER_RECORDING = ("output", "resources", "simulate")
_MAX_ROWS = 100_000


@dataclass(frozen=True)
class Listed:
    """A recording of a job that has many.

    Attributes
    ----------
    path : str
        Where it lies, absolute.
    name : str
        What it is called, from its file name unless the table says otherwise.
    labels : dict
        Columns of the table that are no settings, such as session and animal, as they were written.
    settings : dict
        ``section.key`` to the value that holds for this recording.
    where : str
        What to call it in errors.
    """

    path: str
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    where: str = ""


def is_many(config: Config) -> bool:
    """Whether a job is about many recordings: a table, a template of outputs, or a pattern and a folder for results."""
    path, output = config.recording.path, config.output.path
    if Path(path).suffix.lower() in _TABLES or "{" in output:
        return True
    return _is_pattern(path) and not output.endswith(".zarr")


def check_single(config: Config) -> None:
    """Refuse a job over many recordings where one is expected.

    Raises
    ------
    ConfigError
        If it is one.
    """
    if is_many(config):
        raise ConfigError(
            f"recording.path {config.recording.path} and output.path {config.output.path} describe many recordings",
            "call run_recordings, or give one recording and a store *.zarr",
        )


def list_recordings(config: Config) -> list[Listed]:
    """Return the recordings of a job, in the order of the table, or of their names.

    Results, unfinished stores and hidden files that match a pattern are passed over.

    Raises
    ------
    ConfigError
        If there are none, or the table is not what was expected.
    """
    path = config.recording.path
    if Path(path).suffix.lower() in _TABLES:
        return _from_table(Path(path))
    if not _is_pattern(path):
        return [Listed(path, _name_of(path), where=path)]
    matching = urls_matching(path) if is_url(path) else glob.glob(path, recursive=True)  # noqa: PTH207 (absolute, with **)
    found = [one for one in matching if _may_be_recording(place_of(one))]
    if not found:
        raise ConfigError(
            f"no recording matches {path}", "check the pattern; quote it where a shell would expand it"
        )
    return [
        Listed(one, _name_of(one), where=one) for one in sorted(found, key=lambda one: natural_key(str(one)))
    ]


def _is_pattern(path: str) -> bool:
    if is_url(path):
        return is_url_pattern(path)
    return glob.has_magic(path) and not Path(path).exists()


def _may_be_recording(path: Location) -> bool:
    if ".partial-" in path.name or ".replaced-" in path.name or path.suffix in {".run", ".figures"}:
        return False
    try:
        return not is_results_store(path)
    except StoreError:
        return True  # damaged: it is a recording that will be reported as such


def _name_of(path: str) -> str:
    name = Path(path).name
    for suffix in (".ome.zarr", ".ome.tiff", ".ome.tif"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(path).stem


def _from_table(path: Path) -> list[Listed]:
    header, rows = _read(path)
    _check_header(path, header)
    listed = [_row(path, number, header, row) for number, row in rows]
    if not listed:
        raise ConfigError(
            f"{path} lists no recording", "write a row for each, below the names of the columns"
        )
    return listed


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns, and each row with its number in the file."""
    if not path.is_file():
        raise ConfigError(f"there is no table {path}", "check recording.path")
    if path.suffix.lower() == ".parquet":
        parquet = import_extra("pyarrow.parquet", "parquet", f"{path} is a Parquet table, which")
        with understanding(f"{path} cannot be read as Parquet", "write it again"):
            table = parquet.read_table(path)
        texts = [["" if one is None else str(one) for one in column.to_pylist()] for column in table.columns]
        return list(table.column_names), list(enumerate(map(list, zip(*texts, strict=True)), start=1))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=_TABLES[path.suffix.lower()], strict=True)
            rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no table of text: {error}", "save it as CSV in UTF-8") from None
    if not rows:
        raise ConfigError(
            f"{path} is empty", "write the names of the columns in the first line, path among them"
        )
    if len(rows) > _MAX_ROWS:
        raise ConfigError(f"{path} has {len(rows):,} rows, a job at most {_MAX_ROWS:,}")
    return [name.strip() for name in rows[0][1]], rows[1:]


def _check_header(path: Path, header: Sequence[str]) -> None:
    if "path" not in header:
        close = difflib.get_close_matches("path", header, n=1, cutoff=0.4)
        hint = f"rename {close[0]} to path" if close else "name one path"
        raise ConfigError(f"{path} has the columns {', '.join(header)}, and none is path", hint)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header:
        raise ConfigError(
            f"{path}: {'column ' + twice[0] + ' stands twice' if twice else 'a column has no name'}"
        )
    for name in header:
        section = name.partition(".")[0]
        if "." in name and (section not in Config.model_fields or section in _NOT_PER_RECORDING):
            raise ConfigError(
                f"{path}: column {name} is no setting of a single recording",
                "a column with a dot is a key of the configuration, such as normalize.offset",
            )


def close_to_setting(names: Iterable[str]) -> list[str]:
    """Return a sentence for each column that may have been meant as a setting, and is a label now."""
    known = [*_SHORT, "path", "name"]
    meant = ((name, difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)) for name in names)
    return [f"column {name} is kept as a label; did you mean {close[0]}?" for name, close in meant if close]


def _row(table: Path, number: int, header: Sequence[str], row: Sequence[str]) -> Listed:
    where = f"{table}, line {number}"
    if len(row) > len(header):
        raise ConfigError(f"{where} has {len(row)} cells for {len(header)} columns")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
    path = cells.pop("path", "")
    if not path:
        raise ConfigError(f"{where} has no path")
    path = _resolved(table, path)
    name = cells.pop("name", "") or _name_of(path)
    settings, labels = {}, {}
    for column, text in cells.items():
        key = _SHORT.get(column, column if "." in column else None)
        if key is None:
            labels[column] = text
        elif text:
            settings[key] = _value(table, key, text, where)
    return Listed(path, name, labels, settings, where)


def _value(table: Path, key: str, text: str, where: str) -> Any:
    if key in PATHS and not all(part.strip().isdecimal() for part in text.split(",")):
        return _resolved(table, text)
    return parse_yaml(text, f"{where}: {key}")


def _resolved(table: Path, path: str) -> str:
    return path if is_url(path) else str((table.parent / Path(path).expanduser()).absolute())
