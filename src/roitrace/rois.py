"""Rois: the pixels and weights of many cells as sparse rows, any of which may overlap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError, LazyInputError
from roitrace.frame import Frame, frame_of, image_values
from roitrace.sparse_rows import check_weights, flat_pixels, listed, overlap_matrix, shared_fraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import scipy.sparse
    from numpy.typing import ArrayLike, NDArray

__all__ = ["RoiCoordinates", "Rois", "as_rois"]


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
class Rois:
    """Regions of interest of one frame, as sparse rows.

    Make them with `from_mask`, `from_labels`, `from_masks` or `from_pixels`; each method returns new Rois.

    Attributes
    ----------
    frame : Frame
        The pixel grid that they lie on.
    indptr : numpy.ndarray
        ROI ``i`` owns ``pixels[indptr[i]:indptr[i + 1]]``.
    pixels : numpy.ndarray
        Flat pixel indices ``y_index * width + x_index``, ascending (row-major) within each ROI.
    weights : numpy.ndarray or None
        One weight per entry of `pixels`.
    ids : numpy.ndarray
        One integer per ROI, as the user gave it.
    names : tuple of str
        One name per ROI, as the user gave it.
    accepted : numpy.ndarray
        Whether each ROI counts as a cell.
    reasons : tuple of str
        Why each ROI was accepted or rejected; empty where nobody said.
    n_outside : numpy.ndarray
        How many pixels of each ROI fell off the frame and were left out.
    attrs : dict
        Where they came from, for people.

    Examples
    --------
    >>> import numpy as np
    >>> rois = Rois.from_labels(np.array([[1, 1, 0], [0, 2, 2]]))
    >>> len(rois), rois["2"].coordinates(0).to_yx().tolist()
    (2, [[1, 1], [1, 2]])
    """

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

    # -- made from ----------------------------------------------------------------------------------------------

    @classmethod
    def from_mask(cls, mask: xr.DataArray | ArrayLike, *, name: str | None = None) -> Rois:
        """One ROI from a boolean image ``(y, x)``: all pixels that are True.

        Parameters
        ----------
        mask : DataArray or array_like
            Boolean, in memory.
        name : str, optional
            Name of the ROI; ``"1"`` if not given.
        """
        values = image_values(mask, "the mask")
        if values.dtype != np.bool_:
            raise ArgumentError(
                f"the mask has dtype {values.dtype}, expected bool",
                "compare it with a level first, or use Rois.from_labels for a label image",
            )
        pixels = np.flatnonzero(values)
        return _build(frame_of(mask), [pixels], names=None if name is None else [name])

    @classmethod
    def from_labels(cls, labels: xr.DataArray | ArrayLike) -> Rois:
        """One ROI per value of an integer image ``(y, x)``; 0 is background, the value is the id.

        Parameters
        ----------
        labels : DataArray or array_like
            Integers >= 0, in memory.
        """
        values = image_values(labels, "the label image")
        if not np.issubdtype(values.dtype, np.integer):
            raise ArgumentError(
                f"the label image has dtype {values.dtype}, expected integers",
                "use Rois.from_mask for a boolean mask",
            )
        flat = values.ravel()
        if flat.size and flat.min() < 0:
            raise ArgumentError(
                f"the label image holds {flat.min()}, expected 0 (background) and positive labels"
            )
        inside = np.flatnonzero(flat)
        order = np.argsort(flat[inside], kind="stable")
        ids, starts = np.unique(flat[inside][order], return_index=True)
        rows = np.split(inside[order], starts[1:]) if ids.size else []
        return _build(frame_of(labels), rows, ids=ids)

    @classmethod
    def from_masks(cls, masks: xr.DataArray | ArrayLike, *, names: Sequence[str] | None = None) -> Rois:
        """One ROI per image of a stack ``(roi, y, x)``; they may overlap.

        Parameters
        ----------
        masks : DataArray or array_like
            Boolean, or weights: then the pixels with a weight above 0 belong to the ROI.
        names : sequence of str, optional
            One per ROI; taken from the coordinate ``roi`` if not given.
        """
        if getattr(masks, "chunks", None) is not None:
            raise LazyInputError(
                "the masks are lazy: their values are not computed yet", "call .compute() on them first"
            )
        values = np.asarray(masks)
        if values.ndim != 3 or (isinstance(masks, xr.DataArray) and masks.dims[1:] != ("y", "x")):
            found = f"dims {masks.dims}" if isinstance(masks, xr.DataArray) else f"shape {values.shape}"
            raise ArgumentError(f"the masks have {found}, expected (roi, y, x)")
        if names is None and isinstance(masks, xr.DataArray) and masks.dims[0] in masks.coords:
            names = [str(name) for name in masks[masks.dims[0]].values]
        flat = [image.ravel() for image in values]
        rows = [np.flatnonzero(row) for row in flat]
        weights = None
        if values.dtype != np.bool_:
            weights = [
                np.asarray(row[pixels], dtype=np.float64) for row, pixels in zip(flat, rows, strict=True)
            ]
        return _build(frame_of(masks), rows, weights=weights, names=names)

    @classmethod
    def from_pixels(
        cls,
        pixels: Sequence[ArrayLike],
        *,
        shape: tuple[int, int] | None = None,
        frame: Frame | xr.DataArray | None = None,
        weights: Sequence[ArrayLike] | None = None,
        names: Sequence[str] | None = None,
        ids: Sequence[int] | None = None,
        accepted: Sequence[bool] | None = None,
        off_frame: str = "raise",
    ) -> Rois:
        """ROIs from lists of pixels; they may overlap.

        Parameters
        ----------
        pixels : sequence of array_like
            One (n, 2) integer array of ``(y_index, x_index)`` per ROI, in any order, without duplicates.
        shape : tuple of int
            Height and width of the frame. Either this or `frame`.
        frame : Frame or DataArray
            The frame, or an image or recording of it.
        weights : sequence of array_like, optional
            One array (n,) per ROI, in the order of its pixels.
        names, ids, accepted : sequence, optional
            One per ROI; by default the ids count from 1 and name the ROIs, and all are accepted.
        off_frame : {"raise", "drop"}
            What to do with pixels outside the frame. Dropped ones are counted in `n_outside`.
        """
        if (shape is None) == (frame is None):
            raise ArgumentError("give either shape=(height, width) or frame=")
        if isinstance(frame, xr.DataArray):
            frame = frame_of(frame)
        grid = frame if frame is not None else Frame((int(shape[0]), int(shape[1])))  # type: ignore[index]
        if off_frame not in {"raise", "drop"}:
            raise ArgumentError(f"off_frame={off_frame!r}, expected 'raise' or 'drop'")
        for what, given in (
            ("arrays of weights", weights),
            ("names", names),
            ("ids", ids),
            ("accepted flags", accepted),
        ):
            if given is not None and len(given) != len(pixels):
                raise ArgumentError(f"{len(pixels)} ROIs but {len(given)} {what}")
        rows, kept_weights, n_outside = [], [], []
        for number, pairs in enumerate(pixels):
            label = names[number] if names is not None else f"number {number}"
            row, keep, order = flat_pixels(pairs, grid.shape, off_frame, f"ROI {label}")
            rows.append(row)
            n_outside.append(int(np.count_nonzero(~keep)))
            if weights is not None:
                values = np.asarray(weights[number], dtype=np.float64)
                if values.shape != keep.shape:
                    raise ArgumentError(
                        f"ROI {label} has {keep.size} pixels but weights of shape {values.shape}"
                    )
                kept_weights.append(values[keep][order])
        rois = _build(
            grid,
            rows,
            weights=kept_weights if weights is not None else None,
            names=names,
            ids=ids,
            n_outside=np.asarray(n_outside, dtype=np.int64),
        )
        return rois if accepted is None else replace(rois, accepted=np.asarray(accepted, dtype=np.bool_))

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

    def __iter__(self) -> Iterator[Rois]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, key: int | str | slice | Sequence[int | str] | NDArray[Any]) -> Rois:
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

    def by_id(self, ids: int | Iterable[int]) -> Rois:
        """Choose ROIs by id."""
        wanted = [ids] if isinstance(ids, int | np.integer) else list(ids)
        position = {int(one): number for number, one in enumerate(self.ids)}
        missing = [one for one in wanted if int(one) not in position]
        if missing:
            raise ArgumentError(f"no ROI has the id {missing[0]}", f"ids are {listed(self.ids.tolist())}")
        return self._take(np.array([position[int(one)] for one in wanted], dtype=np.int64))

    def where(self, condition: xr.DataArray | ArrayLike) -> Rois:
        """Keep the ROIs for which a boolean ``(roi,)`` is True."""
        keep = np.asarray(condition)
        if keep.dtype != np.bool_ or keep.shape != (len(self),):
            raise ArgumentError(
                f"the condition has dtype {keep.dtype} and shape {keep.shape}, expected bool and ({len(self)},)"
            )
        return self._take(np.flatnonzero(keep))

    def drop(self, rois: int | str | Sequence[int | str]) -> Rois:
        """Leave out ROIs by name or position."""
        keep = np.ones(len(self), dtype=np.bool_)
        keep[self._positions(rois)] = False
        return self.where(keep)

    def merge(self, rois: Sequence[int | str], *, name: str | None = None) -> Rois:
        """Unite several ROIs into one, at the place and with the id of the first; shared pixels count once.

        Weights of shared pixels are added.
        """
        numbers = self._positions(rois)
        if numbers.size < 2 or np.unique(numbers).size < numbers.size:
            raise ArgumentError(
                f"merge needs at least two different ROIs, got {listed([self.names[n] for n in numbers])}"
            )
        united, inverse = np.unique(np.concatenate([self.row(n) for n in numbers]), return_inverse=True)
        rows_weights: list[NDArray[np.float64]] | None = None
        first, others = numbers[0], numbers[1:]
        keep = np.setdiff1d(np.arange(len(self)), others)
        rows = [united if n == first else self.row(n) for n in keep]
        if self.weights is not None:
            several = np.concatenate([self.row_weights(n) for n in numbers])
            added = np.bincount(inverse, several, united.size).astype(np.float64)
            rows_weights = [added if n == first else self.row_weights(n) for n in keep]
        rest = self._take(keep)
        names = [name if n == first and name is not None else self.names[n] for n in keep]
        n_outside = self.n_outside.copy()
        n_outside[first] = self.n_outside[numbers].sum()
        merged = _build(
            self.frame, rows, weights=rows_weights, names=names, ids=rest.ids, n_outside=n_outside[keep]
        )
        return replace(merged, accepted=rest.accepted, reasons=rest.reasons, attrs=self.attrs)

    def accept(self, rois: int | str | Sequence[int | str], reason: str = "") -> Rois:
        """Mark ROIs as cells."""
        return self._judge(rois, accepted=True, reason=reason)

    def reject(self, rois: int | str | Sequence[int | str], reason: str = "") -> Rois:
        """Mark ROIs as no cells; they stay, with the reason."""
        return self._judge(rois, accepted=False, reason=reason)

    def with_weights(self, weights: ArrayLike | Sequence[ArrayLike] | None) -> Rois:
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

    def within(self, frame: Frame, what: str = "the recording") -> Rois:
        """Place the ROIs on `frame`, an exact part of their own; what lies outside is left out and counted.

        Raises
        ------
        AlignmentError
            If the frames do not line up.
        """
        if self.frame.same_as(frame):
            return replace(self, frame=frame)
        top, left = frame.origin_in(self.frame, this=what, that="the frame of the ROIs")
        y_index, x_index = np.divmod(self.pixels, self.frame.shape[1])
        y_index, x_index = y_index - top, x_index - left
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

    # -- as a table ---------------------------------------------------------------------------------------------

    def to_dataset(self) -> xr.Dataset:
        """Everything as a Dataset along ``roi`` and ``entry``, for the results store."""
        dataset = xr.Dataset(
            {
                "n_pixels": ("roi", self.n_pixels),
                "pixel": ("entry", self.pixels, {"long_name": "flat pixel index, y_index * width + x_index"}),
                "reason": (
                    "roi",
                    np.asarray(self.reasons, dtype=object).astype(str) if self.reasons else np.zeros(0, "U1"),
                ),
                "n_outside": ("roi", self.n_outside),
            },
            coords=self.coords() | self.frame.coords(),
            attrs=self.attrs | {"height": self.frame.shape[0], "width": self.frame.shape[1]},
        )
        if self.weights is not None:
            dataset["weight"] = ("entry", self.weights)
        return dataset

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Rois:
        """Read what `to_dataset` wrote."""
        shape = (int(dataset.attrs["height"]), int(dataset.attrs["width"]))
        frame = Frame(shape)
        if "y" in dataset.coords:
            frame = Frame(shape, dataset["y"].values, dataset["x"].values, str(dataset["y"].attrs["units"]))
        return cls(
            frame=frame,
            indptr=np.concatenate([[0], np.cumsum(dataset["n_pixels"].values)]).astype(np.int64),
            pixels=dataset["pixel"].values.astype(np.int64),
            weights=dataset["weight"].values if "weight" in dataset else None,
            ids=dataset["roi_id"].values.astype(np.int64),
            names=tuple(str(name) for name in dataset["roi"].values),
            accepted=dataset["accepted"].values.astype(np.bool_),
            reasons=tuple(str(reason) for reason in dataset["reason"].values),
            n_outside=dataset["n_outside"].values.astype(np.int64),
            attrs={key: value for key, value in dataset.attrs.items() if key not in {"height", "width"}},
        )

    # -- plain Python -------------------------------------------------------------------------------------------

    def equals(self, other: Rois) -> bool:
        """Whether both hold the same ROIs on the same frame, weights, names and flags included."""
        return (
            self.frame.same_as(other.frame)
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.pixels, other.pixels)
            and (self.weights is None) == (other.weights is None)
            and (self.weights is None or np.array_equal(self.weights, other.weights))  # type: ignore[arg-type]
            and np.array_equal(self.ids, other.ids)
            and self.names == other.names
            and np.array_equal(self.accepted, other.accepted)
            and self.reasons == other.reasons
        )

    def __repr__(self) -> str:
        height, width = self.frame.shape
        area = f"{int(np.median(self.n_pixels))} pixels in the median, " if len(self) else ""
        weights = "weighted" if self.weights is not None else "no weights"
        return f"<Rois: {len(self)} of a frame {height} x {width}, {area}{int(self.accepted.sum())} accepted, {weights}>"

    def _take(self, numbers: NDArray[np.int64]) -> Rois:
        if np.unique(numbers).size < numbers.size:
            twice = next(n for place, n in enumerate(numbers) if n in numbers[:place])
            raise ArgumentError(f"ROI {self.names[twice]} is asked for twice", "ask for each ROI once")
        spans = [np.arange(self.indptr[n], self.indptr[n + 1]) for n in numbers]
        entries = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)
        return replace(
            self,
            indptr=np.concatenate([[0], np.cumsum(self.n_pixels[numbers])]).astype(np.int64),
            pixels=self.pixels[entries],
            weights=None if self.weights is None else self.weights[entries],
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

    def _judge(self, rois: int | str | Sequence[int | str], *, accepted: bool, reason: str) -> Rois:
        numbers = set(self._positions(rois).tolist())
        flags = self.accepted.copy()
        flags[list(numbers)] = accepted
        reasons = tuple(reason if n in numbers else old for n, old in enumerate(self.reasons))
        return replace(self, accepted=flags, reasons=reasons)


def as_rois(rois: Rois | xr.DataArray | ArrayLike) -> Rois:
    """Take Rois as they are, a boolean mask as one ROI, an integer image as one ROI per value."""
    if isinstance(rois, Rois):
        return rois
    values = image_values(rois, "the mask or label image")
    return Rois.from_mask(rois) if values.dtype == np.bool_ else Rois.from_labels(rois)


def _build(
    frame: Frame,
    rows: Sequence[NDArray[np.int64]],
    *,
    weights: Sequence[NDArray[np.float64]] | None = None,
    names: Sequence[str] | None = None,
    ids: ArrayLike | None = None,
    n_outside: NDArray[np.int64] | None = None,
) -> Rois:
    count = len(rows)
    numbers = np.arange(1, count + 1) if ids is None else np.asarray(ids, dtype=np.int64)
    labels = tuple(str(one) for one in numbers) if names is None else tuple(str(name) for name in names)
    for what, given in (("ids", numbers.tolist()), ("names", labels)):
        if len(given) != count:
            raise ArgumentError(f"{count} ROIs but {len(given)} {what}")
        if len(set(given)) != count:
            twice = next(one for number, one in enumerate(given) if one in given[:number])
            raise ArgumentError(f"two ROIs share the {what[:-1]} {twice!r}", f"make the {what} unique")
    indptr = np.concatenate([[0], np.cumsum([row.size for row in rows])]).astype(np.int64)
    rois = Rois(
        frame=frame,
        indptr=indptr,
        pixels=np.concatenate(rows).astype(np.int64) if count else np.zeros(0, dtype=np.int64),
        weights=None,
        ids=numbers,
        names=labels,
        accepted=np.ones(count, dtype=np.bool_),
        reasons=("",) * count,
        n_outside=np.zeros(count, dtype=np.int64) if n_outside is None else n_outside,
    )
    return rois if weights is None else rois.with_weights(list(weights))
