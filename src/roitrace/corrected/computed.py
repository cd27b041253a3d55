"""Arithmetic on a recording while it is read: ``(recording - dark) * gain``, chunk by chunk."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roitrace.corrected.changed import Changed
from roitrace.formats.identity import combine
from roitrace.sources import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader

__all__ = ["Computed", "Step", "Value"]

STRIP_SAMPLES = 2**16
"""Samples that go through all steps together, so that what lies between two steps stays in a cache."""


class Value(NamedTuple):
    """What is computed for each sample: 0 stands for the recording, n for the n-th step."""

    number: int


class Step(NamedTuple):
    """One operation on samples.

    Attributes
    ----------
    function : callable
        Works sample by sample and gives the same bits whatever the block: a function of `operator`, a NumPy function.
    arguments : tuple
        Each a `Value`, a number, or an array that broadcasts to ``(time, y, x)``.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Computed(Changed):
    """A block source whose samples are computed from those of another one.

    Attributes
    ----------
    steps : tuple of Step
        At least one; the last one gives the samples.
    result : numpy.dtype
        Of the samples.
    """

    steps: tuple[Step, ...]
    result: np.dtype[Any]
    dtype: np.dtype[np.generic] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dtype", self.result)

    def identity(self) -> str:
        """Return the source's digest and one of the steps."""
        steps = ((step.function.__name__, *map(_fact, step.arguments)) for step in self.steps)
        return combine(self.source.identity(), "computed", tuple(steps), str(self.dtype))

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the source."""
        with self.source.open() as reader:
            yield _ComputingReader(reader, self)


class _ComputingReader:
    """Computes strips of frames one after the other into a block that is used again."""

    def __init__(self, reader: BlockReader, source: Computed) -> None:
        self._reader, self._source = reader, source
        self._room = np.empty(0, source.dtype)

    def expect(self, blocks: Iterable[tuple[slice, slice, slice]]) -> None:
        expect(self._reader, blocks)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        """Compute a block ``(time, y, x)``; the next call overwrites it."""
        samples = self._reader.read(time, y, x)
        if self._room.size < samples.size:
            self._room = np.empty(samples.size, self._source.dtype)
        block = self._room[: samples.size].reshape(samples.shape)
        for frames, rows in _strips(samples.shape):
            there = _moved(frames, time.start), _moved(rows, y.start), x
            block[frames, rows] = _evaluate(self._source.steps, samples[frames, rows], there)
        return block


def _strips(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Cut a block into frames, and frames that are large into rows."""
    n_frames, height, width = shape
    rows = min(height, max(1, STRIP_SAMPLES // width))
    frames = max(1, STRIP_SAMPLES // (height * width))
    for frame in range(0, n_frames, frames):
        for row in range(0, height, rows):
            yield slice(frame, min(frame + frames, n_frames)), slice(row, min(row + rows, height))


def _moved(part: slice, start: int) -> slice:
    return slice(part.start + start, part.stop + start)


def _evaluate(
    steps: tuple[Step, ...], samples: NDArray[Any], there: tuple[slice, slice, slice]
) -> NDArray[Any]:
    values = [samples]
    for function, arguments in steps:
        values.append(function(*(_argument(one, values, there) for one in arguments)))
    return values[-1]


def _argument(argument: Any, values: list[NDArray[Any]], there: tuple[slice, slice, slice]) -> Any:
    if isinstance(argument, Value):
        return values[argument.number]
    if not isinstance(argument, np.ndarray) or not argument.ndim:
        return argument
    parts = there[-argument.ndim :]
    return argument[
        tuple(part if size > 1 else slice(None) for part, size in zip(parts, argument.shape, strict=True))
    ]


def _fact(argument: Any) -> Any:
    """Return what tells an argument from others and has a stable `repr`."""
    if isinstance(argument, np.ndarray):
        content = np.ascontiguousarray(argument)
        return content.dtype.str, content.shape, hashlib.sha256(content.tobytes()).hexdigest()
    return tuple(argument) if isinstance(argument, Value) else repr(argument)
