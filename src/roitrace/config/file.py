"""Read a configuration: safe YAML, ``--set`` options, and every mistake in one message."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from roitrace.config.cluster import ClusterConfig
from roitrace.config.fields import PATHS, Section
from roitrace.config.sections import Config
from roitrace.errors import ConfigError, RoitraceError
from roitrace.file_errors import explained, near_names
from roitrace.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["apply_settings", "make_config", "make_section", "parse_yaml", "read_cluster", "read_config"]

AnySection = TypeVar("AnySection", bound=Section)

_MAX_BYTES = 2**20
_MAX_NODES = 20_000
_EXPECTED = {
    "bool_parsing": "yes or no",
    "bool_type": "yes or no",
    "dict_type": "keys and values",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "invalid_key": "a key that is text",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "model_type": "a section of keys and values",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "too_long": "at most {max_length} values",
    "too_short": "at least {min_length} values",
    "tuple_type": "a list",
    "value_error": "{error}",
}


def read_config(path: str | Path, settings: Iterable[str] = ()) -> Config:
    """Read a YAML file and check all of it.

    Parameters
    ----------
    path : str or Path
        The file; relative paths in it start at its folder.
    settings : iterable of str
        ``"section.key=value"`` replaces what the file says. The value is read as YAML; a relative path starts at the
        working folder.

    Raises
    ------
    ConfigError
        If the file is missing or no YAML, a key is unknown or a value is not what was expected; all mistakes in one.
    """
    path = Path(path)
    return make_config(_values_of(path), settings, folder=path.parent, name=str(path))


def read_cluster(path: str | Path) -> ClusterConfig:
    """Read the YAML file that describes a cluster, and check all of it.

    Raises
    ------
    ConfigError
        As `read_config`.
    """
    path = Path(path)
    values = _values_of(path)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} holds {_shown(values)}, expected keys such as type: slurm and jobs: 4")
    return make_section(ClusterConfig, values, folder=path.parent, name=str(path))


def _values_of(path: Path) -> object:
    """Read plain values from a YAML file of modest size."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, expected a YAML file")
    if not path.exists():
        raise ConfigError(
            f"there is no file {path}", near_names(path, "write an example with: roitrace init")
        )
    with explained(path), path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} has more than {_MAX_BYTES:,} bytes, which no configuration has")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}") from None
    return parse_yaml(text, str(path))


def make_config(
    values: object,
    settings: Iterable[str] = (),
    *,
    folder: Path | None = None,
    name: str = "the configuration",
) -> Config:
    """Check plain values, such as a dict, as a configuration.

    Parameters
    ----------
    values : mapping
        Sections by name.
    settings : iterable of str
        ``"section.key=value"`` replaces what `values` say.
    folder : Path, optional
        Where relative paths start; the working folder if not given.
    name : str
        What to call `values` in errors.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not what was expected; all mistakes in one.

    Examples
    --------
    >>> config = make_config({"recording": {"path": "a.tif"}, "output": {"path": "a.zarr"}})
    >>> config.extract.primary
    'mean'
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{name} holds {_shown(values)}, expected sections such as recording: and output:",
            "write an example with: roitrace init",
        )
    merged = copy.deepcopy(dict(values))
    apply_settings(merged, settings)
    return make_section(Config, merged, folder=folder, name=name)


def make_section(
    model: type[AnySection],
    values: Mapping[str, Any],
    *,
    folder: Path | None = None,
    name: str = "the settings",
) -> AnySection:
    """Check plain values as one section, or as a whole configuration.

    Raises
    ------
    ConfigError
        As `make_config`.
    """
    try:
        return model.model_validate(values, context={"folder": folder or Path()})
    except ValidationError as error:
        mistakes = _mistakes(error.errors(), values, model)
    if len(mistakes) == 1:
        raise ConfigError(f"{name}: {mistakes[0]}")
    raise ConfigError("\n  ".join([f"{name} has {len(mistakes)} mistakes:", *mistakes]))


def apply_settings(values: dict[Any, Any], settings: Iterable[str]) -> None:
    """Put each ``section.key=value`` into nested dicts, in place.

    Raises
    ------
    ConfigError
        If one is no setting, or goes through a value that has no keys.

    Examples
    --------
    >>> values = {}
    >>> apply_settings(values, ["clean.min_pixels=30", "image=max"])
    >>> values
    {'clean': {'min_pixels': 30}, 'image': 'max'}
    """
    for setting in settings:
        _apply(values, setting)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 10:20 is text and not a number to the base of 60, and no key stands twice; stops where it grows too large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.n_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.n_nodes += 1
        if self.n_nodes > _MAX_NODES:
            raise yaml.composer.ComposerError(None, None, f"more than {_MAX_NODES:,} values", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_NUMBERS_AND_DATES = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS_AND_DATES]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)


def parse_yaml(text: str, name: str) -> object:
    """Read YAML into plain values; no objects, no duplicate keys, no aliases that explode.

    Raises
    ------
    ConfigError
        If it is no such YAML; `name` says what was read.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        _check_size(node, name)
        values: object = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(
            f"{name} is no valid YAML{where}: {getattr(error, 'problem', None) or error}",
            "put text that begins with * in quotes" if "alias" in str(error) else "",
        ) from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply") from None
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{name} has a value that is none: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()
    return values


def _check_size(node: yaml.Node, name: str) -> None:
    if _expanded_size(node, {}) > _MAX_NODES:
        raise ConfigError(f"{name} grows beyond {_MAX_NODES:,} values", "write out what its aliases repeat")


def _expanded_size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values that a node stands for once its aliases are written out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        # an alias inside what it stands for would be endless
        known[id(node)] = _MAX_NODES + 1
        parts = (
            [part for pair in node.value for part in pair]
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        known[id(node)] = 1 + sum(_expanded_size(part, known) for part in parts)
    return known[id(node)]


def _apply(values: dict[Any, Any], setting: str) -> None:
    """Put ``section.key=value`` into nested dicts."""
    key, equals, text = setting.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"{setting!r} is no setting", "write it like --set section.key=value")
    if key in PATHS and text.startswith("*"):
        value: object = text  # a pattern; YAML takes it for an alias
    else:
        value = parse_yaml(text, f"the value of {key}") if text.strip() else None
    if key in PATHS and isinstance(value, str) and not is_url(value):
        value = str(Path(value).expanduser().absolute())
    for depth, name in enumerate(names[:-1], start=1):
        inner = values.get(name)
        if inner is None:
            inner = values[name] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{setting!r}: {'.'.join(names[:depth])} is {_shown(inner)} and has no keys")
        values = inner
    values[names[-1]] = value


def _mistakes(errors: list[ErrorDetails], values: object, model: type[BaseModel]) -> list[str]:
    """Say each mistake once: pydantic tells one per branch of a union."""
    places: dict[str, list[ErrorDetails]] = {}
    for error in errors:
        places.setdefault(_place(error, values), []).append(error)
    # a list that has lost its bad values is reported as too short as well
    return [
        _mistake(place, several, model)
        for place, several in places.items()
        if not any(other.startswith(f"{place}.") for other in places)
    ]


def _place(error: ErrorDetails, values: Any) -> str:
    names: list[str] = []
    for part in error["loc"]:
        known = (isinstance(values, Mapping) and part in values) or (
            isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
        )
        if not known and error["type"] != "missing":
            break
        names.append(str(part))
        values = values[part] if known else None
    return ".".join(names)


def _mistake(place: str, errors: list[ErrorDetails], model: type[BaseModel]) -> str:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown; {_nearest(place, model)}"
    if first["type"] == "missing":
        return f"{place} is missing"
    reason = first.get("ctx", {}).get("error")
    if isinstance(reason, RoitraceError):
        return f"{place}: {reason}".removeprefix(": ")
    expected = dict.fromkeys(_expected(error) for error in errors)
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        # several values do not go together; each is right
        return f"{place}: expected {' or '.join(expected)}".removeprefix(": ")
    return f"{place}: {_shown(first['input'])} given, expected {' or '.join(expected)}".removeprefix(": ")


def _expected(error: ErrorDetails) -> str:
    pattern = _EXPECTED.get(error["type"])
    return error["msg"] if pattern is None else pattern.format(**error.get("ctx", {}))


def _nearest(place: str, model: type[BaseModel]) -> str:
    """Name the key that was meant, or all there are."""
    *parents, key = place.split(".")
    names = list(_fields(model, parents))
    close = difflib.get_close_matches(key, names, n=1)
    if close:
        return f"did you mean {'.'.join([*parents, close[0]])}?"
    elsewhere = [f"{name}.{key}" for name in model.model_fields if key in _fields(model, [name])]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"expected one of {', '.join(names)}"


def _fields(model: type[BaseModel], place: list[str]) -> dict[str, FieldInfo]:
    """Return the fields of the section at a place."""
    for name in place:
        inner = _model_of(model.model_fields[name].annotation) if name in model.model_fields else None
        if inner is None:
            return {}
        model = inner
    return model.model_fields


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Find the section in ``Section`` or ``Section | None``."""
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _shown(value: object) -> str:
    text = "nothing" if value is None else "yes" if value is True else "no" if value is False else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
