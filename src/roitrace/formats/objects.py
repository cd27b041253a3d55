"""NumPy files that hold Python objects (suite2p, Cellpose): read without running anything that they name.

A pickle is a program. Here it may only build numbers, texts, lists, tuples, sets, dicts, and NumPy arrays and scalars of plain
dtypes; dates and paths become texts. Every global that it names is looked up in a table of this file, and each size that it
states is compared with what is there, so that memory stays in proportion to the file.
"""

from __future__ import annotations

import datetime as dt
import io
import math
import pickle
import pickletools
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["read_mapping", "read_objects", "unpickle"]

LIMIT_BYTES = 2 * 2**30
"""Larger files of objects are refused: they are held in memory as a whole."""
MAX_DEPTH = 100
"""Containers within containers."""
MAX_REPEATED = 2**22
"""Values that a file of any size may stand for, where containers hold one container many times; larger files as many as they have bytes."""
PLAIN_DTYPE = re.compile(r"[biufcSUO]\d{0,6}")
NEXT_STEP = "save it again with plain arrays, lists, dicts, numbers and texts only"

OPCODES = frozenset(
    (
        "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT",
        "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
        "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "BYTEARRAY8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
        "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET",
        "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET",
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
    )
)  # fmt: skip
"""What a pickle of data needs: nothing that makes instances of classes, refers outside the file, or extends the machine."""


def read_objects(path: str | Path, *, limit: int = LIMIT_BYTES) -> NDArray[Any]:
    """Read a `.npy` file, of objects or not, as `numpy.load` would, but run nothing.

    Parameters
    ----------
    path : path
        The file.
    limit : int
        Largest file of objects that is read, bytes.

    Returns
    -------
    numpy.ndarray
        For objects an array of dtype object, of any shape, 0 axes included.

    Raises
    ------
    FormatError
        If the file is damaged, too large, or holds anything besides plain data.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stat.npy"
    >>> np.save(path, np.array([{"ypix": np.array([1, 2])}, {"ypix": np.array([3])}], dtype=object))
    >>> read_objects(path)[0]["ypix"].tolist()
    [1, 2]
    """
    place = Path(path)
    what = f"{place} cannot be read as a NumPy file"
    with understanding(what), place.open("rb") as file:
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = reader(file)
        if not dtype.hasobject:
            # mapped, so that a claim of more than there is takes no memory
            return np.array(np.load(place, mmap_mode="r", allow_pickle=False))
        size = place.stat().st_size
        if size > limit:
            raise FormatError(
                f"{place} holds {format_bytes(size)} of objects, more than the {format_bytes(limit)} that are read at once",
                "save fewer objects per file, or plain arrays",
            )
        found = unpickle(file.read(), str(place))
    if not isinstance(found, np.ndarray) or found.dtype != object or found.size != math.prod(shape):
        raise FormatError(
            f"{place} declares an array of objects of shape {shape} and holds another thing", NEXT_STEP
        )
    return found.reshape(shape)


def read_mapping(path: str | Path, *, limit: int = LIMIT_BYTES) -> dict[str, Any]:
    """Read a `.npy` file that holds one dict, as `numpy.save` writes it.

    Raises
    ------
    FormatError
        As `read_objects`, and if it holds something else.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "ops.npy"
    >>> np.save(path, {"Ly": 512, "fs": 30.0})
    >>> read_mapping(path)
    {'Ly': 512, 'fs': 30.0}
    """
    found = read_objects(path, limit=limit)
    mapping = found.item() if found.shape == () else None
    if not isinstance(mapping, dict) or not all(isinstance(key, str) for key in mapping):
        raise FormatError(
            f"{path} holds an array of shape {found.shape}, expected one dict with texts as keys"
        )
    return mapping


def unpickle(data: bytes, what: str) -> Any:
    """Return the plain data that a pickle describes.

    Parameters
    ----------
    data : bytes
        The pickle.
    what : str
        Where it is from, for error messages.

    Raises
    ------
    FormatError
        If it is damaged, or names anything that is not plain data.

    Examples
    --------
    >>> import pickle
    >>> unpickle(pickle.dumps({"a": [1, 2.5]}), "a file")
    {'a': [1, 2.5]}
    """
    with understanding(f"{what} cannot be read as plain data", NEXT_STEP):
        try:
            with warnings.catch_warnings():
                # a damaged name may hold escapes that Python warns of; it is refused as a name in any case
                warnings.simplefilter("ignore", DeprecationWarning)
                _check_opcodes(data, what)
            return _bounded(_resolved(_PlainUnpickler(data, what).load(), {}, MAX_DEPTH), len(data))
        except (pickle.UnpicklingError, MemoryError, RecursionError) as error:
            raise FormatError(f"{what} cannot be read as plain data: {error}", NEXT_STEP) from error


def _check_opcodes(data: bytes, what: str) -> None:
    """Refuse a pickle that uses more than data needs, or states sizes that are not there."""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in OPCODES:
            raise FormatError(
                f"{what} is a pickle with the instruction {opcode.name}, which plain data does not need",
                NEXT_STEP,
            )
        if (
            opcode.name.endswith("PUT") and isinstance(argument, int) and argument > number
        ):  # the table of remembered objects is as long as this number
            raise FormatError(f"{what} is a pickle that counts more objects than it holds", "copy it again")


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, what: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")  # as NumPy asks for files of Python 2
        self._what = what

    def find_class(self, module: str, name: str) -> Any:
        allowed = ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if allowed is None:
            raise FormatError(
                f"{self._what} names {module}.{name}, which is not plain data, and was not read", NEXT_STEP
            )
        return allowed


class _Allowed:
    """A function that a pickle may call; it cannot change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it changes a function")


class _Dtype:
    """The dtype that a pickle describes in two steps."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subarray, names, fields, *_ = state
        if (
            subarray is not None
            or names is not None
            or fields is not None
            or order not in ("<", ">", "|", "=")
        ):
            raise pickle.UnpicklingError("it holds arrays of structures")
        self.order = order

    def plain(self) -> np.dtype[Any]:
        return np.dtype(object) if self.code[0] == "O" else np.dtype(self.order + self.code)


class _Array:
    """The array that a pickle describes in two steps."""

    __slots__ = ("contents", "dtype", "shape")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, fortran, contents = state
        self.dtype = _checked_dtype(dtype)
        self.contents = contents
        if self.dtype == object:
            if not isinstance(contents, list) or len(contents) != _count(self.shape):
                raise pickle.UnpicklingError("an array of objects is not as long as its shape says")
        else:
            self.contents = _from_bytes(contents, self.dtype, self.shape, fortran=bool(fortran))


def _resolved(item: Any, done: dict[int, tuple[Any, Any]], depth: int) -> Any:
    """Replace stand-ins by arrays, everywhere in nested containers; what is shared stays shared."""
    if not isinstance(item, list | tuple | set | frozenset | dict | _Array | _Dtype | _Allowed):
        return item
    if id(item) in done:
        return done[id(item)][1]
    if depth == 0:
        raise pickle.UnpicklingError(f"its containers are nested more than {MAX_DEPTH} deep")
    if isinstance(item, _Dtype | _Allowed):
        raise pickle.UnpicklingError("it holds a type, expected data")

    def inner(values: Iterable[Any]) -> Iterator[Any]:
        return (_resolved(value, done, depth - 1) for value in values)

    result: Any
    if isinstance(item, _Array):
        result = _resolved_array(item, inner)
    elif isinstance(item, dict):
        result = dict(zip(inner(item.keys()), inner(item.values()), strict=True))
    else:
        result = type(item)(inner(item))
    done[id(item)] = item, result  # the item too, so that its id stays taken
    return result


def _bounded(plain: Any, n_bytes: int) -> Any:
    """Return plain data that does not stand for far more values than its pickle has bytes."""
    _expanded(plain, {}, max(MAX_REPEATED, n_bytes))
    return plain


def _expanded(item: Any, known: dict[int, int], most: int) -> int:
    """Return for how many values an item stands once containers that it holds several times are written out."""
    inner: Iterable[Any]
    if isinstance(item, np.ndarray):
        if item.dtype != object:
            return item.size
        inner = item.ravel().tolist()
    elif isinstance(item, dict):
        inner = [*item, *item.values()]
    elif isinstance(item, list | tuple | set | frozenset):
        inner = item
    else:
        return 1
    if id(item) not in known:
        known[id(item)] = 1 + sum(_expanded(one, known, most) for one in inner)
        if known[id(item)] > most:
            raise pickle.UnpicklingError(f"its containers stand for more than {most:,} values")
    return known[id(item)]


def _resolved_array(item: _Array, inner: Callable[[Iterable[Any]], Iterator[Any]]) -> NDArray[Any]:
    if not hasattr(item, "contents"):
        raise pickle.UnpicklingError("an array has no contents")
    if item.dtype != object:
        return np.asarray(item.contents)
    flat = np.empty(len(item.contents), object)
    for place, value in enumerate(inner(item.contents)):
        flat[place] = value
    return flat.reshape(item.shape)  # objects are listed in C order, whatever the array's order


def _dtype(code: Any, *_: Any) -> _Dtype:
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or not PLAIN_DTYPE.fullmatch(text):
        raise pickle.UnpicklingError(f"it holds samples of dtype {text!r}")
    return _Dtype(text)


def _checked_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("an array has no dtype")
    return dtype.plain()


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, contents: Any) -> Any:
    plain = _checked_dtype(dtype)
    if plain == object:
        raise pickle.UnpicklingError("it holds a scalar of objects")
    return _from_bytes(contents, plain, (), fortran=False)[()]


def _from_buffer(contents: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    plain = _checked_dtype(dtype)
    if plain == object:
        raise pickle.UnpicklingError("it holds a buffer of objects")
    return _from_bytes(contents, plain, shape, fortran=order == "F")


def _from_bytes(contents: Any, dtype: np.dtype[Any], shape: Any, *, fortran: bool) -> NDArray[Any]:
    raw = contents.encode("latin1") if isinstance(contents, str) else contents
    count = _count(shape)
    if not isinstance(raw, bytes | bytearray) or len(raw) != count * dtype.itemsize:
        raise pickle.UnpicklingError("an array is not as long as its shape says")
    if not raw:  # texts of no length have no bytes, however many
        if count > 1:
            raise pickle.UnpicklingError(f"an array of {count} values has no contents")
        return np.zeros(shape, dtype)
    return np.frombuffer(raw, dtype, count).reshape(shape, order="F" if fortran else "C").copy("K")


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"an array has the shape {shape!r}")
    return math.prod(shape)


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise pickle.UnpicklingError("it encodes something else than text")
    return text.encode(encoding)


def _no_bytes() -> bytes:
    return b""


def _path_text(*parts: Any) -> str:
    return "/".join(
        str(part).rstrip("/") if place else str(part) for place, part in enumerate(parts)
    ).replace("//", "/")


def _date_text(*parts: Any) -> str:
    if parts and isinstance(parts[0], str):
        parts = (parts[0].encode("latin1"), *parts[1:])
    return dt.datetime(*parts[:1] if isinstance(parts[0], bytes) else parts[:7]).isoformat()  # noqa: DTZ001 - as stored


def _nothing(*_: Any) -> None:
    """Stand for a time zone, or for a class that is only named."""


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Allowed(_nothing),
    ("numpy", "dtype"): _Allowed(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _Allowed(_reconstruct),
    ("numpy.core.multiarray", "scalar"): _Allowed(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Allowed(_from_buffer),
    ("_codecs", "encode"): _Allowed(_encode),
    ("collections", "OrderedDict"): _Allowed(dict),
    ("builtins", "bytes"): _Allowed(_no_bytes),
    ("__builtin__", "bytes"): _Allowed(_no_bytes),
    ("builtins", "complex"): _Allowed(complex),
    ("__builtin__", "complex"): _Allowed(complex),
    ("__builtin__", "set"): _Allowed(set),
    ("builtins", "set"): _Allowed(set),
    ("datetime", "datetime"): _Allowed(_date_text),
    ("datetime", "timezone"): _Allowed(_nothing),
    ("datetime", "timedelta"): _Allowed(_nothing),
    ("pathlib", "PosixPath"): _Allowed(_path_text),
    ("pathlib", "WindowsPath"): _Allowed(_path_text),
    ("pathlib", "PurePosixPath"): _Allowed(_path_text),
    ("pathlib", "PureWindowsPath"): _Allowed(_path_text),
}
"""What a pickle may name, and what stands in for it."""
