"""Put samples where their frame was moved to."""

from __future__ import annotations

from roitrace.kernels.compiled import compiled

__all__ = ["place"]


@compiled()
def place(piece, top, left, dy, dx, block, block_top, block_left):  # type: ignore[no-untyped-def]
    """Copy a piece ``(time, y, x)`` of the still frames into a block of the moved ones; what falls outside is left out.

    `top` and `left` say where the piece lies in the still frame, `block_top` and `block_left` where the block lies in the moved
    one; ``dy[t]``, ``dx[t]`` are whole pixels, down and to the right.
    """
    frames, height, width = piece.shape
    _, rows, columns = block.shape
    for frame in range(frames):
        down = top + dy[frame] - block_top
        right = left + dx[frame] - block_left
        first_row, last_row = max(0, -down), min(height, rows - down)
        first, last = max(0, -right), min(width, columns - right)
        if last <= first:
            continue
        for row in range(first_row, last_row):
            source = piece[frame, row, first:last]
            target = block[frame, row + down, first + right : last + right]
            for k in range(last - first):
                target[k] = source[k]
