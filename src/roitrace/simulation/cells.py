"""Where simulated cells lie and what they look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.rois import Rois

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.frame import Frame

__all__ = ["MASK_LEVEL", "CellPlan", "place_cells"]

MASK_LEVEL = 0.2  # a footprint ends where it falls below this part of its maximum
_GAP = 2  # free pixels around a cell that stands alone
_TRIES, _BATCH = 4096, 32  # places drawn for a cell before giving up, and how many at once


@dataclass(frozen=True)
class CellPlan:
    """How many cells of which shape, lengths in micrometres; fractions count cells, not pairs."""

    count: int
    diameter: float
    diameter_spread: float
    irregularity: float
    nucleus: float
    touching: float
    overlapping: float


@dataclass(frozen=True)
class _Group:
    """One cell, or two that stand together: footprints in boxes, and where the boxes begin from the group's origin."""

    boxes: tuple[NDArray[np.float64], ...]
    corners: tuple[tuple[int, int], ...]


def place_cells(
    plan: CellPlan, frame: Frame, pixel_size: tuple[float, float], seed: np.random.SeedSequence
) -> Rois:
    """Draw cells and place them on the frame, whole; weights are the footprints, 1 at their maximum.

    Raises
    ------
    ArgumentError
        If they do not fit.
    """
    shape_seed, place_seed = seed.spawn(2)
    boxes = [_draw_cell(plan, pixel_size, np.random.default_rng(one)) for one in shape_seed.spawn(plan.count)]
    random = np.random.default_rng(place_seed)
    cells: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    occupied = np.zeros(frame.shape, dtype=np.bool_)
    for group in _group(plan, boxes, random):
        where = _find_room(group, occupied, random)
        if where is None:
            raise ArgumentError(
                f"{plan.count} cells of {plan.diameter:g} um do not fit into a frame of {frame.shape[0]} x "
                f"{frame.shape[1]} pixels: there was room for {len(cells)}",
                "ask for fewer or smaller cells or a larger frame",
            )
        for box, (top, left) in zip(group.boxes, group.corners, strict=True):
            y, x = np.nonzero(box)
            yx = np.stack([y + top + where[0], x + left + where[1]], axis=1)
            cells.append((yx, box[y, x]))
            _mark(occupied, yx, _GAP)
    cells.sort(key=lambda cell: (int(cell[0][0, 0]), int(cell[0][0, 1])))
    return Rois.from_pixels([yx for yx, _ in cells], frame=frame, weights=[weights for _, weights in cells])


def _draw_cell(
    plan: CellPlan, pixel_size: tuple[float, float], random: np.random.Generator
) -> NDArray[np.float64]:
    """Footprint of one soma in a box: an irregular ellipse with a soft edge and a darker nucleus."""
    radius = 0.5 * plan.diameter * np.exp(plan.diameter_spread * np.clip(random.standard_normal(), -2.5, 2.5))
    stretch = np.exp(0.5 * plan.irregularity * random.standard_normal())
    tilt = random.uniform(0, np.pi)
    waves = plan.irregularity * random.standard_normal(3) / np.arange(1, 4)
    phases = random.uniform(0, 2 * np.pi, 3)
    nucleus_size, nucleus_angle = random.uniform(0.45, 0.6), random.uniform(0, 2 * np.pi)

    half = [int(np.ceil(2 * radius / size)) + 1 for size in pixel_size]
    y, x = (np.arange(-n, n + 1) * size for n, size in zip(half, pixel_size, strict=True))
    distance = np.hypot(y[:, None], x[None, :])
    angle = np.arctan2(y[:, None], x[None, :])
    along, across = stretch * np.cos(angle - tilt), np.sin(angle - tilt) / stretch
    wobble = sum(
        wave * np.cos(order * angle + phase)
        for order, wave, phase in zip((2, 3, 4), waves, phases, strict=True)
    )
    border = radius / np.hypot(along, across) * np.clip(1 + wobble, 0.5, 1.6)
    softness = max(pixel_size)
    soma = np.clip(MASK_LEVEL + (border - distance) / (2 * softness), 0, 1)  # so the mask ends at the border
    shift = 0.15 * radius
    to_nucleus = np.hypot(
        y[:, None] - shift * np.sin(nucleus_angle), x[None, :] - shift * np.cos(nucleus_angle)
    )
    inside_nucleus = np.clip(0.5 + (nucleus_size * radius - to_nucleus) / (2 * softness), 0, 1)
    footprint = soma * (1 - plan.nucleus * inside_nucleus)
    footprint /= footprint.max()
    return np.where(footprint >= MASK_LEVEL, footprint, 0.0)


def _group(plan: CellPlan, boxes: list[NDArray[np.float64]], random: np.random.Generator) -> Iterator[_Group]:
    """Pairs first, which need more room, then single cells."""
    n_overlapping = round(plan.overlapping * plan.count / 2)
    n_touching = min(round(plan.touching * plan.count / 2), plan.count // 2 - n_overlapping)
    n_pairs = n_overlapping + n_touching
    for number in range(n_pairs):
        depth = random.uniform(0.15, 0.4) if number < n_overlapping else 0.0
        yield _pair(boxes[2 * number], boxes[2 * number + 1], depth, random)
    for box in boxes[2 * n_pairs :]:
        yield _Group((box,), ((0, 0),))


def _pair(
    first: NDArray[np.float64], second: NDArray[np.float64], depth: float, random: np.random.Generator
) -> _Group:
    """Move the second cell towards the first until they touch or share `depth` of the smaller one's pixels."""
    reach = max(first.shape) + max(second.shape)
    canvas = np.zeros((first.shape[0] + 2 * reach, first.shape[1] + 2 * reach), dtype=np.bool_)
    canvas[reach : reach + first.shape[0], reach : reach + first.shape[1]] = first > 0
    halo = np.zeros_like(canvas)
    _mark(halo, np.argwhere(canvas), 1)
    mask = second > 0
    smaller = min(np.count_nonzero(first), np.count_nonzero(mask))
    centre = [reach + (size - other) / 2 for size, other in zip(first.shape, second.shape, strict=True)]
    angle = random.uniform(0, 2 * np.pi)
    # steps of half a pixel: the rounded position moves by at most one pixel on each axis, so no touch is stepped over
    for distance in np.arange(reach / 2, -0.5, -0.5):
        top = round(centre[0] + distance * np.sin(angle))
        left = round(centre[1] + distance * np.cos(angle))
        view = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
        if depth == 0 and np.any(halo[view] & mask):
            break
        if depth > 0 and np.count_nonzero(canvas[view] & mask) >= depth * smaller:
            break
    return _Group((first, second), ((0, 0), (top - reach, left - reach)))


def _find_room(
    group: _Group, occupied: NDArray[np.bool_], random: np.random.Generator
) -> tuple[int, int] | None:
    """Draw places until one leaves a gap all around; None if none was found."""
    yx = np.concatenate(
        [np.argwhere(box) + corner for box, corner in zip(group.boxes, group.corners, strict=True)]
    )
    lowest = yx.min(axis=0)
    mask = np.zeros(tuple(yx.max(axis=0) - lowest + 1), dtype=np.bool_)
    mask[tuple((yx - lowest).T)] = True
    room = np.asarray(occupied.shape) - mask.shape
    if room.min() < 0:
        return None
    for _ in range(_TRIES // _BATCH):
        places = random.integers(0, room + 1, (_BATCH, 2))
        middle = occupied[places[:, 0] + mask.shape[0] // 2, places[:, 1] + mask.shape[1] // 2]
        for top, left in places[~middle].tolist():
            if not np.any(occupied[top : top + mask.shape[0], left : left + mask.shape[1]] & mask):
                return top - int(lowest[0]), left - int(lowest[1])
    return None


def _mark(image: NDArray[np.bool_], yx: NDArray[np.int64], margin: int) -> None:
    """Mark pixels and all within `margin` rows and columns of them."""
    steps = np.arange(-margin, margin + 1)
    y = np.clip(yx[:, :1] + steps, 0, image.shape[0] - 1)
    x = np.clip(yx[:, 1:] + steps, 0, image.shape[1] - 1)
    image[y[:, :, None], x[:, None, :]] = True
