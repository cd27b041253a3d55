"""Regions: pixels and weights of many cells as sparse rows; how they are looked at, chosen and moved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.sparse_rows import check_weights, listed, overlap_matrix, shared_fraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    import scipy.sparse
    from numpy.typing import ArrayLike, NDArray

    from roitrace.frame import Frame

__all__ = ["Regions", "RoiCoordinates"]


class RoiCoordinates(xr.Dataset):  # type: ignore[no-untyped-call]
    """Pixels of one ROI: ``y_index``, ``x_index``, ``y``, ``x`` and ``weight`` along ``pixel``."""

    __slots__ = ()

    def to_yx(self) -> NDArray[np.int64]:
        """Return an array (n, 2) of row and column indices."""
        return np.stack([self["y_index"].values, self["x_index"].values], axis=1)

    def to_xy(self) -> NDArray[np.int64]:
        """Return an array (n, 2) of column and row indices."""
        return self.to_yx()[:, ::-1]


@dataclass(frozen=True, eq=False, repr=False)
class Regions:
    """Pixels and weights of many regions of one frame, as sparse rows: looked at, chosen from, moved; see `Rois`."""

    frame: Frame
    indptr: NDArray[np.int64]
    pixels: NDArray[np.int64]
    weights: NDArray[np.float64] | None
    ids: NDArray[np.int64]
    names: tuple[str, ...]
    accepted: NDArray[np.bool_]
    reasons: tuple[str, ...]
    n_outside: NDArray[np.int64]
    attrs: dict[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()

    # -- shown as -----------------------------------------------------------------------------------------------

    def to_mask(self) -> xr.DataArray:
        """Boolean image ``(y, x)``: the pixels of any ROI."""
        mask = np.zeros(self.frame.shape, dtype=np.bool_)
        mask.ravel()[self.pixels] = True
        return self.frame.image(mask, "mask")

    def to_labels(self, *, overlap: str = "raise") -> xr.DataArray:
        """Integer image ``(y, x)`` of ids, 0 where there is none.

        Parameters
        ----------
        overlap : {"raise", "first", "last"}
            Which ROI a shared pixel shows.
        """
        if overlap not in {"raise", "first", "last"}:
            raise ArgumentError(f"overlap={overlap!r}, expected 'raise', 'first' or 'last'")
        if overlap == "raise" and np.unique(self.pixels).size != self.pixels.size:
            raise ArgumentError(
                f"{self.pixels.size - np.unique(self.pixels).size} pixels belong to several ROIs, which a label image cannot show",
                "choose overlap='first' or 'last', or use to_masks()",
            )
        if self.ids.size and self.ids.min() < 1:
            raise ArgumentError(f"ids start at {self.ids.min()}, a label image needs ids >= 1")
        labels = np.zeros(self.frame.shape, dtype=np.int32)
        order = range(len(self)) if overlap == "last" else range(len(self) - 1, -1, -1)
        for number in order:
            labels.ravel()[self.row(number)] = self.ids[number]
        return self.frame.image(labels, "labels")

    def to_masks(self) -> xr.DataArray:
        """Stack ``(roi, y, x)``: boolean, or float64 weights where the ROIs have them."""
        dtype = np.bool_ if self.weights is None else np.float64
        masks: NDArray[Any] = np.zeros((len(self), *self.frame.shape), dtype=dtype)
        rows = np.repeat(np.arange(len(self)), self.n_pixels)
        y_index, x_index = np.divmod(self.pixels, self.frame.shape[1])
        masks[rows, y_index, x_index] = True if self.weights is None else self.weights
        return xr.DataArray(
            masks,
            dims=("roi", "y", "x"),
            coords=self.frame.coords() | {"roi": self.coords()["roi"]},
            name="masks",
        )

    def coordinates(self, roi: int | str) -> RoiCoordinates:
        """Pixels of one ROI in row-major order, with indices, positions and weights along ``pixel``."""
        number = self._position(roi)
        flat = self.row(number)
        y_index, x_index = np.divmod(flat, self.frame.shape[1])
        y, x = self.frame.centres
        weight = np.ones(flat.size) if self.weights is None else self.row_weights(number)
        attrs = {"units": self.frame.units}
        return RoiCoordinates(
            {
                "y_index": ("pixel", y_index),
                "x_index": ("pixel", x_index),
                "y": ("pixel", y[y_index], attrs),
                "x": ("pixel", x[x_index], attrs),
                "weight": ("pixel", weight),
            },
            attrs={"roi": self.names[number], "id": int(self.ids[number])},
        )

    def row(self, number: int) -> NDArray[np.int64]:
        """Flat pixel indices of the ROI at a position."""
        return self.pixels[self.indptr[number] : self.indptr[number + 1]]

    def row_weights(self, number: int) -> NDArray[np.float64]:
        """Weights of the ROI at a position.

        Raises
        ------
        ArgumentError
            If the ROIs have no weights.
        """
        if self.weights is None:
            raise ArgumentError(
                "these ROIs have no weights", "make some with roitrace.pixel_weights(rois, by=...)"
            )
        weights: NDArray[np.float64] = self.weights[self.indptr[number] : self.indptr[number + 1]]
        return weights

    @property
    def n_pixels(self) -> NDArray[np.int64]:
        """Pixels of each ROI."""
        return np.diff(self.indptr)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""
        return self.frame.shape

    def coords(self) -> dict[str, Any]:
        """Coordinates along ``roi`` for results: names, ids, accepted flags."""
        return {
            "roi": (
                "roi",
                np.asarray(self.names, dtype=object).astype(str) if self.names else np.zeros(0, "U1"),
            ),
            "roi_id": ("roi", self.ids),
            "accepted": ("roi", self.accepted),
        }

    # -- chosen and changed -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Self]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, key: int | str | slice | Sequence[int | str] | NDArray[Any]) -> Self:
        if isinstance(key, slice):
            return self._take(np.arange(len(self))[key])
        if isinstance(key, int | np.integer | str):
            return self._take(np.array([self._position(key)]))
        if not isinstance(key, list | tuple | np.ndarray | xr.DataArray):
            raise ArgumentError(
                f"{key!r} chooses no ROIs", "give positions, names, a slice or a boolean (roi,)"
            )
        if not isinstance(key, list | tuple) and key.dtype == np.bool_:
            return self.where(key)
        several = key if isinstance(key, list | tuple) else np.asarray(key).tolist()
        return self._take(self._positions(several))

    def by_id(self, ids: int | Iterable[int]) -> Self:
        """Choose ROIs by id."""
        wanted = [ids] if isinstance(ids, int | np.integer) else list(ids)
        position = {int(one): number for number, one in enumerate(self.ids)}
        missing = [one for one in wanted if int(one) not in position]
        if missing:
            raise ArgumentError(f"no ROI has the id {missing[0]}", f"ids are {listed(self.ids.tolist())}")
        return self._take(np.array([position[int(one)] for one in wanted], dtype=np.int64))

    def where(self, condition: xr.DataArray | ArrayLike) -> Self:
        """Keep the ROIs for which a boolean ``(roi,)`` is True; `history` says which were left out."""
        keep = np.asarray(condition)
        if keep.dtype != np.bool_ or keep.shape != (len(self),):
            raise ArgumentError(
                f"the condition has dtype {keep.dtype} and shape {keep.shape}, expected bool and ({len(self)},)"
            )
        left_out = np.flatnonzero(~keep)
        kept = self._take(np.flatnonzero(keep))
        return kept if not left_out.size else kept.recorded(f"left out {self._listed(left_out)}")

    def drop(self, rois: int | str | Sequence[int | str]) -> Self:
        """Leave out ROIs by name or position; `history` says which."""
        keep = np.ones(len(self), dtype=np.bool_)
        keep[self._positions(rois)] = False
        return self.where(keep)

    def with_weights(self, weights: ArrayLike | Sequence[ArrayLike] | None) -> Self:
        """Give each pixel a weight: one flat array in the order of `pixels`, one array per ROI, or None."""
        if weights is None:
            return replace(self, weights=None)
        flat = (
            np.concatenate([np.asarray(row, dtype=np.float64).ravel() for row in weights] or [np.zeros(0)])
            if isinstance(weights, list | tuple)
            else np.asarray(weights, dtype=np.float64)
        )
        if flat.shape != self.pixels.shape:
            raise ArgumentError(f"{flat.shape} weights for {self.pixels.size} pixels")
        check_weights(flat, self.indptr, self.names)
        return replace(self, weights=flat)

    def within(self, frame: Frame, what: str = "the recording") -> Self:
        """Place the ROIs on `frame`, an exact part of their own; what lies outside is left out and counted.

        Raises
        ------
        AlignmentError
            If the frames do not line up.
        """
        if self.frame.same_as(frame):
            return replace(self, frame=frame)
        top, left = frame.origin_in(self.frame, this=what, that="the frame of the ROIs")
        return self.shifted(-top, -left, frame)

    def shifted(self, down: int, right: int, frame: Frame) -> Self:
        """Move the ROIs by whole pixels onto another frame; what leaves it is left out and counted in `n_outside`."""
        y_index, x_index = np.divmod(self.pixels, self.frame.shape[1])
        y_index, x_index = y_index + down, x_index + right
        keep = (y_index >= 0) & (y_index < frame.shape[0]) & (x_index >= 0) & (x_index < frame.shape[1])
        rows = np.repeat(np.arange(len(self)), self.n_pixels)
        counts = np.bincount(rows[keep], minlength=len(self))
        return replace(
            self,
            frame=frame,
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            pixels=(y_index * frame.shape[1] + x_index)[keep],
            weights=None if self.weights is None else self.weights[keep],
            n_outside=self.n_outside + self.n_pixels - counts,
        )

    # -- overlap ------------------------------------------------------------------------------------------------

    def overlap_matrix(self) -> scipy.sparse.csr_array[Any]:
        """Shared pixels of every two ROIs, sparse (roi, roi); the diagonal holds the areas."""
        return overlap_matrix(self.indptr, self.pixels, self.frame.shape[0] * self.frame.shape[1])

    def overlap_fraction(self) -> NDArray[np.float64]:
        """Part of each ROI's pixels that belong to another ROI too; NaN where it has none."""
        return shared_fraction(self.indptr, self.pixels, self.frame.shape[0] * self.frame.shape[1])

    def recorded(self, *what: str) -> Self:
        """Add lines to the history."""
        return replace(self, history=(*self.history, *(" ".join(one.split()) for one in what)))

    def _listed(self, numbers: NDArray[np.int64]) -> str:
        return listed([self.names[n] for n in numbers.tolist()], limit=50)

    def _take(self, numbers: NDArray[np.int64]) -> Self:
        if np.unique(numbers).size < numbers.size:
            twice = next(n for place, n in enumerate(numbers) if n in numbers[:place])
            raise ArgumentError(f"ROI {self.names[twice]} is asked for twice", "ask for each ROI once")
        weights = None if self.weights is None else [self.row_weights(n) for n in numbers]
        return self._rebuilt(numbers, [self.row(n) for n in numbers], weights)

    def _rebuilt(
        self,
        numbers: NDArray[np.int64],
        rows: Sequence[NDArray[np.int64]],
        weights: Sequence[NDArray[np.float64]] | None,
    ) -> Self:
        """Give ROIs with these pixels, each with all else from the ROI at its number."""
        return replace(
            self,
            indptr=np.concatenate([[0], np.cumsum([row.size for row in rows])]).astype(np.int64),
            pixels=np.concatenate([np.zeros(0, dtype=np.int64), *rows]),
            weights=None if weights is None else np.concatenate([np.zeros(0), *weights]),
            ids=self.ids[numbers],
            names=tuple(self.names[n] for n in numbers),
            accepted=self.accepted[numbers],
            reasons=tuple(self.reasons[n] for n in numbers),
            n_outside=self.n_outside[numbers],
        )

    def _position(self, key: int | str | np.integer[Any]) -> int:
        if isinstance(key, str):
            try:
                return self.names.index(key)
            except ValueError:
                raise ArgumentError(f"no ROI is named {key!r}", f"names are {listed(self.names)}") from None
        if not -len(self) <= key < len(self):
            raise ArgumentError(f"there is no ROI at position {key}", f"there are {len(self)}")
        return int(key) % len(self)

    def _positions(self, keys: int | str | Sequence[int | str]) -> NDArray[np.int64]:
        several = [keys] if isinstance(keys, int | np.integer | str) else keys
        return np.array([self._position(key) for key in several], dtype=np.int64)
