"""Sums over time in files, so that an interrupted projection goes on where it was: plain arrays and numbers, checksummed, no pickle."""

from __future__ import annotations

import json
import math
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from roitrace.engine.bins import Binned
from roitrace.engine.correlation import Correlation
from roitrace.engine.leaves import Leaf, OpenLeaf
from roitrace.engine.moments import Moments
from roitrace.engine.tracks import Changes, Cubes, Peaks
from roitrace.errors import FileAccessError
from roitrace.file_errors import explained
from roitrace.store.checksum import crc32c
from roitrace.store.files import drafting, make_folder, new_token, partial_of, publish, remove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.store.places import Location

__all__ = ["MEANING", "SumsFiles", "read_sums", "write_sums"]

_KNOWN: dict[str, type] = {
    one.__name__: one for one in (Binned, Changes, Correlation, Cubes, Leaf, Moments, OpenLeaf, Peaks)
}
_HEAD = struct.Struct("<8sQI")
_MAGIC = b"rtsums02"
MEANING = 1
"""Raised whenever sums come to hold other values: by a change to moments, leaves, bins, tracks or correlation, in kind or in order of adding."""


@dataclass(frozen=True)
class SumsFiles:
    """The newest sums of every lane of slabs, in a folder; small and picklable.

    Attributes
    ----------
    folder : path
        Where they are, in a folder of the folder of the run, which is there as long as the job.
    """

    folder: Location

    def keep(self, lane: int, slab: int, moments: Moments) -> None:
        """Keep the sums of a lane up to a slab, in place of earlier ones, durably."""
        make_folder(self.folder, below=self.folder.parents[1])
        write_sums(self._path(lane), slab, moments)

    def newest(self, lane: int) -> int | None:
        """Return up to which slab the sums of a lane are kept; None if none are, or the file is damaged."""
        kept = read_sums(self._path(lane))
        return None if kept is None else int(kept[0])

    def moments(self, lane: int) -> Moments:
        """Return the sums of a lane that `newest` told of."""
        kept = read_sums(self._path(lane))
        assert kept is not None
        moments: Moments = kept[1]
        return moments

    def _path(self, lane: int) -> Location:
        return self.folder / f"lane-{lane}"


def write_sums(path: Location, about: Any, moments: Moments | dict[str, NDArray[Any]]) -> None:
    """Write sums, and in plain values what they are sums of, durably; where the file system refuses, nothing is left of the draft."""
    arrays: list[NDArray[Any]] = []
    text = json.dumps({"about": about, "moments": _plain(moments, arrays), "arrays": _kinds(arrays)}).encode()
    token = new_token()
    try:
        with drafting(path, token) as draft:
            draft.write(_HEAD.pack(_MAGIC, len(text), crc32c(text)))
            draft.write(text)
            check = 0
            for array in arrays:
                data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
                check = crc32c(data, check)
                draft.write(data.data)
            draft.write(check.to_bytes(4, "little"))
        publish([(path, token)])
    except FileAccessError:
        with suppress(FileAccessError):
            remove(partial_of(path, token))
        raise


def read_sums(path: Location) -> tuple[Any, Any] | None:
    """Read what `write_sums` wrote; None if there is nothing, or something damaged. Takes no more memory than the sums."""
    with explained(path):
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                return _read(file, size)
        except (FileNotFoundError, LookupError, TypeError, ValueError):
            return None


def _read(file: BinaryIO, size: int) -> tuple[Any, Any] | None:
    head = file.read(_HEAD.size)
    magic, length, check = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0)
    if magic != _MAGIC or length > size:
        return None
    text = file.read(length)
    if crc32c(text) != check:
        return None
    said = json.loads(text)
    kinds = [(np.dtype(dtype), tuple(shape)) for dtype, shape in said["arrays"]]
    sizes = [math.prod(shape) * dtype.itemsize for dtype, shape in kinds]
    if size != _HEAD.size + length + sum(sizes) + 4:
        return None
    arrays, check = [], 0
    for (dtype, shape), nbytes in zip(kinds, sizes, strict=True):
        data = np.empty(nbytes, np.uint8)
        if file.readinto(data) != nbytes:  # type: ignore[attr-defined]
            return None
        check = crc32c(data, check)
        arrays.append(data.view(dtype).reshape(shape))
    return (
        (said["about"], _made(said["moments"], arrays))
        if file.read() == check.to_bytes(4, "little")
        else None
    )


def _kinds(arrays: Sequence[NDArray[Any]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(array.dtype.str, array.shape) for array in arrays]


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Take sums apart: what JSON knows, with numbers in place of arrays."""
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, arrays), _plain(one, arrays)] for key, one in value.items()]}
    if isinstance(value, frozenset):
        return {"set": sorted(value)}
    name = type(value).__name__
    if name not in _KNOWN:
        return {"tuple": [_plain(one, arrays) for one in value]}
    if isinstance(value, tuple):
        return {"class": name, "parts": [_plain(one, arrays) for one in value]}
    # rows of neighbouring tiles are empty between slabs
    fields = {key: one for key, one in vars(value).items() if key != "_halo"}
    return {"class": name, "fields": {key: _plain(one, arrays) for key, one in fields.items()}}


def _made(plain: Any, arrays: Sequence[NDArray[Any]]) -> Any:
    """Put together what `_plain` took apart; nothing but sums of known kinds can come of it."""
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return arrays[plain["array"]]
    if "dtype" in plain:
        return np.dtype(plain["dtype"])
    if "dict" in plain:
        return {_made(key, arrays): _made(one, arrays) for key, one in plain["dict"]}
    if "set" in plain:
        return frozenset(plain["set"])
    if "tuple" in plain:
        return tuple(_made(one, arrays) for one in plain["tuple"])
    kind = _KNOWN[plain["class"]]
    if "parts" in plain:
        return kind(*(_made(one, arrays) for one in plain["parts"]))
    fields = {key: _made(one, arrays) for key, one in plain["fields"].items()}
    if kind is Correlation:
        made = Correlation(fields["shape"], fields["dtype"], fields["period"])
    else:
        made = object.__new__(kind)
    for key, one in fields.items():
        setattr(made, key, one)
    return made
