"""Numbers as short text: rounded to what can be seen, split into byte planes, deflated, in base 64."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.view.palette import robust_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MISSING_CODE", "Codes", "encode_image", "encode_trace", "pack", "unpack"]

MISSING_CODE = 65_535
"""Stands for NaN among 16-bit codes."""

_LAST_CODE = MISSING_CODE - 1
_STEPS_OF_NOISE = 6
_STEPS_OF_CONTRAST = 1024


@dataclass(frozen=True, eq=False)
class Codes:
    """Rounded numbers: ``low + step * code``, NaN where the code is `MISSING_CODE`.

    Attributes
    ----------
    codes : numpy.ndarray
        uint16, of any shape.
    low, step : float
        What the codes mean.
    """

    codes: NDArray[np.uint16]
    low: float
    step: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; the shape is the reader's business."""
        return {"low": self.low, "step": self.step, "codes": pack(self.codes)}

    def values(self) -> NDArray[np.float64]:
        """Return the rounded numbers."""
        known = self.low + self.step * self.codes.astype(np.float64)
        return np.where(self.codes == MISSING_CODE, np.nan, known)


def encode_trace(values: NDArray[np.float64], noise: float) -> Codes:
    """Round a trace, or its extremes, to a sixth of its noise; more coarsely only if 65,535 steps do not reach.

    Examples
    --------
    >>> import numpy as np
    >>> encode_trace(np.array([1.0, np.nan, 4.0]), noise=6.0).values().tolist()
    [1.0, nan, 4.0]
    """
    return _rounded(values, noise / _STEPS_OF_NOISE)


def encode_image(values: NDArray[np.float64]) -> Codes:
    """Round an image to a thousandth of its contrast: the range that one hot pixel does not move."""
    low, high = robust_limits(values)
    return _rounded(values, (high - low) / _STEPS_OF_CONTRAST)


def pack(values: NDArray[Any]) -> str:
    """Write integers of 1, 2 or 4 bytes: first the lowest byte of each, then the next ones, deflated, in base 64."""
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).ravel()
    planes = little.view(np.uint8).reshape(-1, values.dtype.itemsize).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def unpack(text: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read what `pack` wrote, one axis.

    Examples
    --------
    >>> import numpy as np
    >>> unpack(pack(np.array([1, -2], dtype="int16")), np.dtype("int16")).tolist()
    [1, -2]
    """
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    interleaved = np.ascontiguousarray(planes.reshape(dtype.itemsize, -1).T)
    return interleaved.view(dtype.newbyteorder("<")).ravel()


def _rounded(values: NDArray[np.float64], wanted: float) -> Codes:
    known = np.isfinite(values)
    if not known.any():
        return Codes(np.full(values.shape, MISSING_CODE, dtype=np.uint16), 0.0, 1.0)
    low, high = float(values[known].min()), float(values[known].max())
    # halves first: the range of huge numbers may itself be no number
    least = (high / 2 - low / 2) / (_LAST_CODE / 2)
    step = max(wanted if np.isfinite(wanted) else 0.0, least) if high > low else 1.0
    step = step if step >= np.finfo(np.float64).tiny else 1.0
    codes = np.full(values.shape, MISSING_CODE, dtype=np.uint16)
    codes[known] = np.clip(np.rint(values[known] / step - low / step), 0, _LAST_CODE).astype(np.uint16)
    return Codes(codes, low, step)
