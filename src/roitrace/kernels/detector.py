"""What a detector makes of light: shot noise, read noise, hot pixels.

Random numbers are functions of (key, frame, pixel): every block of a recording has the same bits, however it is cut
out. Only additions, multiplications, square roots and a table are used, which give the same bits in a vectorised loop
and in its remainder.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from roitrace.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Detector", "detect_row", "normal_quantiles", "random_bits"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_LOW_16 = np.uint64(0xFFFF)


class Detector(NamedTuple):
    """A detector and its keys.

    Hot pixels are sorted by row and column; those of row ``y`` are ``hot_rows[y]:hot_rows[y + 1]``. A flickering one
    adds its level in half of the frames.
    """

    gain: float
    offset: float
    shot_noise: bool
    read_noise: float
    key: np.uint64
    flicker_key: np.uint64
    normal: NDArray[np.float32]
    hot_rows: NDArray[np.int64]
    hot_columns: NDArray[np.int64]
    hot_levels: NDArray[np.float64]
    hot_flickers: NDArray[np.bool_]


def normal_quantiles() -> NDArray[np.float32]:
    """Return 65536 equally likely values of a standard normal variable, ascending, of unit variance."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse(0.5 + (n + 0.5) / 65536) for n in range(32768)])
    upper /= np.sqrt(np.mean(upper**2))
    return np.concatenate([-upper[::-1], upper]).astype(np.float32)


@compiled(inline="always")
def random_bits(key: np.uint64, counter: np.uint64) -> np.uint64:
    """Hash a counter to 64 random bits: output number `counter` of SplitMix64 (Steele et al. 2014) seeded with `key`."""
    bits = key + counter * _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * _MULTIPLIER_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MULTIPLIER_2
    return bits ^ (bits >> np.uint64(31))


@compiled()
def detect_row(light: NDArray[np.float64], counter: np.uint64, y: int, x: int, detector: Detector) -> None:
    """Turn the expected photons of row `y`, from column `x` on, into counts, in place.

    `counter` is the number of the first pixel in the recording. Photons are ``m + a z + b (z**2 - 1)`` with z normal,
    ``b = min(1/6, 3 m)`` and ``a**2 + 2 b**2 = m``: mean and variance are those of a Poisson variable of mean m,
    and from m = 1 on the third moment is within 2 % of it (Cornish and Fisher 1938, to second order).
    """
    if detector.shot_noise:
        for i in range(light.size):
            mean = light[i]
            bits = random_bits(detector.key, counter + np.uint64(i))
            z = np.float64(detector.normal[bits & _LOW_16])
            read = np.float64(detector.normal[(bits >> np.uint64(16)) & _LOW_16])
            quadratic = min(1 / 6, 3.0 * mean)
            linear = np.sqrt(max(mean - 2.0 * quadratic * quadratic, 0.0))
            photons = mean + linear * z + quadratic * (z * z - 1.0)
            light[i] = detector.offset + detector.gain * photons + detector.read_noise * read
    elif detector.read_noise > 0:
        for i in range(light.size):
            bits = random_bits(detector.key, counter + np.uint64(i))
            read = np.float64(detector.normal[(bits >> np.uint64(16)) & _LOW_16])
            light[i] = detector.offset + detector.gain * light[i] + detector.read_noise * read
    else:
        for i in range(light.size):
            light[i] = detector.offset + detector.gain * light[i]
    for n in range(detector.hot_rows[y], detector.hot_rows[y + 1]):
        i = detector.hot_columns[n] - x
        if 0 <= i < light.size:
            bits = random_bits(detector.flicker_key, counter + np.uint64(i))
            if not detector.hot_flickers[n] or (bits & np.uint64(1)):
                light[i] += detector.hot_levels[n]
