"""CRC-32C (Castagnoli), the checksum of every chunk, file and record of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CRC_BYTES", "crc32c"]

CRC_BYTES = 4


def crc32c(data: bytes | NDArray[np.uint8], start: int = 0) -> int:
    """Return the CRC-32C of some bytes, or of bytes whose checksum is `start` with these after them.

    Examples
    --------
    >>> crc32c(b"56789", crc32c(b"1234")) == crc32c(b"123456789") == 0xE3069283
    True
    """
    return int(google_crc32c.extend(start, data))
