"""A configuration for each recording: its path, its settings, and where its results go."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.config.fields import PATHS
from roitrace.config.file import make_config
from roitrace.errors import ConfigError, OutputExistsError, StoreError
from roitrace.pipeline.job import run_folder
from roitrace.pipeline.recording import copy_path
from roitrace.pipeline.recordings.listing import Listed, list_recordings
from roitrace.results import is_results_store
from roitrace.store.places import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from roitrace.config import Config
    from roitrace.store.places import Location

__all__ = ["FINGERPRINT", "OneRecording", "configurations", "summary_path"]

FINGERPRINT = "fingerprint.json"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SHOWN = 3


@dataclass(frozen=True)
class OneRecording:
    """One recording of many, and the job that it is.

    Attributes
    ----------
    listed : Listed
        What is said of it.
    config : Config
        The job.
    """

    listed: Listed
    config: Config

    @property
    def fingerprint(self) -> Location:
        """Where it is written down what its results were made from."""
        return run_folder(self.config.output.path) / FINGERPRINT


def configurations(config: Config) -> list[OneRecording]:
    """Return the job of each recording; nothing is opened, and nothing runs.

    Raises
    ------
    ConfigError
        If a setting is wrong, a placeholder unknown, or if two jobs would write to the same place or over a recording.
    OutputExistsError
        If something else lies where results would go.
    """
    if config.simulate is not None:
        raise ConfigError(
            "simulate: describes one recording, recording.path many",
            "take out simulate:, or name one recording",
        )
    listed = list_recordings(config)
    width = len(str(len(listed)))
    jobs = [_job(config, one, f"{number:0{width}d}") for number, one in enumerate(listed, start=1)]
    _check_places(jobs)
    _check_existing(jobs, overwrite=config.output.overwrite)
    return jobs


def summary_path(config: Config) -> Location:
    """Return where the table of all recordings goes, without its suffix."""
    if config.output.summary is not None:
        path = place_of(config.output.summary)
        return path.with_suffix("") if path.suffix in {".csv", ".parquet"} else path
    place = place_of(config.output.path)
    folders: list[Location] = [one for one in (place, *place.parents) if "{" not in str(one)]
    return folders[0] / "summary"


def _job(config: Config, listed: Listed, number: str) -> OneRecording:
    values = config.model_dump(mode="python", exclude_unset=True)
    words = {
        "name": listed.name,
        "folder": place_of(listed.path).parent.name,
        "number": number,
    } | listed.labels
    values["output"]["path"] = _template(config.output.path)
    _fill_paths(values, words, listed)
    values["recording"]["path"] = listed.path
    for key, value in listed.settings.items():
        _set(values, key, value)
    return OneRecording(listed, make_config(values, name=listed.where))


def _template(output: str) -> str:
    return output if "{" in output or output.endswith(".zarr") else str(place_of(output) / "{name}.zarr")


def _fill_paths(values: dict[str, Any], words: Mapping[str, str], listed: Listed) -> None:
    """Put the words of a recording into every path that has placeholders."""
    places = [(values.get(section), name) for section, name in (key.split(".") for key in PATHS)]
    places += [(one, key) for one in values.get("export", ()) for key in ("path", "into")]
    for section, name in places:
        if isinstance(section, dict) and isinstance(section.get(name), str):
            section[name] = _PLACEHOLDER.sub(lambda found: _word(found[1], words, listed), section[name])


def _word(name: str, words: Mapping[str, str], listed: Listed) -> str:
    if name not in words:
        close = difflib.get_close_matches(name, words, n=1)
        hint = f"did you mean {{{close[0]}}}?" if close else ""
        raise ConfigError(
            f"{{{name}}} in a path is no word for a recording", hint or f"there are {', '.join(words)}"
        )
    word = words[name]
    if not word or word in {".", ".."} or any(sign in word for sign in "/\\\0"):
        raise ConfigError(
            f"{listed.where}: {name} is {word!r}, which cannot stand for {{{name}}} in a path",
            "change it, or take another word",
        )
    return word


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = values.get(section)
        values[section] = inner if isinstance(inner, dict) else {}
        values = values[section]
    values[name] = value


def _written(config: Config) -> dict[str, str]:
    """Return what a job writes, by what it is called in the configuration."""
    places = {"output.path": config.output.path}
    if config.recording.convert != "no":
        places["recording.store"] = str(copy_path(config))
    if config.figures is not None and config.figures.path is not None:
        places["figures.path"] = config.figures.path
    places |= {f"export.{number}.path": one.path for number, one in enumerate(config.export)}
    return places


def _check_places(jobs: Sequence[OneRecording]) -> None:
    """Refuse two jobs that write to one place, and results that would lie on a recording."""
    recordings = {one.listed.path: one for one in jobs}
    taken: dict[str, OneRecording] = {}
    for one in jobs:
        for key, place in _written(one.config).items():
            if place in recordings:
                raise ConfigError(
                    f"{key} of {one.listed.where} is {place}, which is itself a recording of this job",
                    "let results go elsewhere, such as results/{name}.zarr",
                )
            other = taken.setdefault(place, one)
            if other is not one:
                raise ConfigError(
                    f"{key} is {place} for both {other.listed.where} and {one.listed.where}",
                    "add words that tell them apart, such as {folder}_{name} or {number}",
                )


def _check_existing(jobs: Sequence[OneRecording], *, overwrite: bool) -> None:
    """Refuse places that hold something else than results of such a job, or lie below a file."""
    places = [place for one in jobs if isinstance(place := place_of(one.config.output.path), Path)]
    for folder in sorted({parent for place in places for parent in place.parents}):
        if folder.exists() and not folder.is_dir():
            raise OutputExistsError(
                f"{folder} is a file, and results would lie below it", "choose another output.path"
            )
    foreign = [
        one.config.output.path
        for one in jobs
        if place_of(one.config.output.path).exists()
        and not (_is_results(one.config.output.path) and (overwrite or one.fingerprint.exists()))
    ]
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise OutputExistsError(
            f"{', '.join(foreign[:_SHOWN])}{more} exist already and were not made by a job over many recordings",
            "choose another output.path; results are replaced with --overwrite",
        )


def _is_results(path: str) -> bool:
    try:
        return is_results_store(path)
    except StoreError:
        return True  # damaged: it is made anew
