"""Rois: how regions of interest are made, curated and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError, LazyInputError
from roitrace.frame import Frame, frame_of, image_values
from roitrace.markup import facts_table, pixel_map
from roitrace.regions import Regions
from roitrace.roi_checks import checked_ids, checked_lists, checked_numbers, checked_shape
from roitrace.sparse_rows import flat_pixels, nearest_groups
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Rois", "as_rois"]

_KEPT_IN_ATTRS = {"height", "width", "history"}


@dataclass(frozen=True, eq=False, repr=False)
class Rois(Regions):
    """Regions of interest of one frame, as sparse rows; any of them may overlap.

    Make them with `from_mask`, `from_labels`, `from_masks` or `from_pixels`; each method returns new Rois. Whatever is
    chosen, dropped, merged, split, accepted or rejected keeps its id and name and leaves a line in `history`.

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
    history : tuple of str
        What was done to them since, oldest first; saved with them.

    Examples
    --------
    >>> import numpy as np
    >>> rois = Rois.from_labels(np.array([[1, 1, 0], [0, 2, 2]]))
    >>> len(rois), rois["2"].coordinates(0).to_yx().tolist()
    (2, [[1, 1], [1, 2]])
    """

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
        if values.dtype != np.bool_:
            values = checked_numbers(values, "the masks")
        if values.ndim != 3 or (isinstance(masks, xr.DataArray) and masks.dims[1:] != ("y", "x")):
            found = f"dims {masks.dims}" if isinstance(masks, xr.DataArray) else f"shape {values.shape}"
            raise ArgumentError(f"the masks have {found}, expected (roi, y, x)")
        if names is None and isinstance(masks, xr.DataArray) and masks.dims[0] in masks.coords:
            names = [str(name) for name in masks[masks.dims[0]].values]
        flat = [image.ravel() for image in values]
        rows = [np.flatnonzero(row) for row in flat]
        weights = None
        if values.dtype != np.bool_:
            weights = [row[pixels] for row, pixels in zip(flat, rows, strict=True)]
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
        grid = frame if frame is not None else Frame(checked_shape(shape))
        pixels = checked_lists(pixels)
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
                values = checked_numbers(weights[number], f"the weights of ROI {label}")
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

    # -- curated ------------------------------------------------------------------------------------------------

    def merge(self, rois: Sequence[int | str], *, name: str | None = None) -> Rois:
        """Unite several ROIs into one, at the place and with the id of the first; shared pixels count once.

        Weights of shared pixels are added.

        Parameters
        ----------
        rois : sequence of int or str
            Names or positions of two or more.
        name : str, optional
            Of the union; that of the first if not given.

        Examples
        --------
        >>> import numpy as np
        >>> rois = Rois.from_labels(np.array([[1, 2, 3]])).merge(["3", "1"])
        >>> rois.names, rois.n_pixels.tolist(), rois.history
        (('2', '3'), [1, 2], ('merged 3, 1 into 3',))
        """
        numbers = self._positions(rois)
        if numbers.size < 2 or np.unique(numbers).size < numbers.size:
            raise ArgumentError(
                f"merge needs at least two different ROIs, got {self._listed(numbers) or 'none'}"
            )
        united, inverse = np.unique(np.concatenate([self.row(n) for n in numbers]), return_inverse=True)
        first = numbers[0]
        keep = np.setdiff1d(np.arange(len(self)), numbers[1:])
        weights: list[NDArray[np.float64]] | None = None
        if self.weights is not None:
            several = np.concatenate([self.row_weights(n) for n in numbers])
            added = np.bincount(inverse, several, united.size).astype(np.float64)
            weights = [added if n == first else self.row_weights(n) for n in keep]
        merged = self._rebuilt(keep, [united if n == first else self.row(n) for n in keep], weights)
        place = int(np.flatnonzero(keep == first)[0])
        n_outside = merged.n_outside.copy()
        n_outside[place] = self.n_outside[numbers].sum()
        names = list(merged.names)
        names[place] = self.names[first] if name is None else str(name)
        _check_unique("names", names)
        merged = replace(merged, n_outside=n_outside, names=tuple(names))
        return merged.recorded(f"merged {self._listed(numbers)} into {names[place]}")

    def split(self, roi: int | str, parts: int | xr.DataArray | ArrayLike = 2) -> Rois:
        """Divide a ROI; the largest part keeps its place, id and name, the others follow it with new ids.

        Parameters
        ----------
        roi : int or str
            Name or position.
        parts : int or array_like
            A number cuts it into compact parts, each pixel to the nearest of so many centres (k-means); an image
            ``(y, x)`` of integers or booleans makes one part of each value under the ROI.

        Notes
        -----
        The new parts are called ``<name>_2``, ``<name>_3``, ... All have the flag, the reason and their share of the
        weights of the old one.

        Raises
        ------
        ArgumentError
            If that leaves it whole, or parts are asked for that it has no pixels for.

        Examples
        --------
        >>> import numpy as np
        >>> rois = Rois.from_labels(np.array([[7, 7, 7, 7, 7, 7, 7]])).split("7")
        >>> rois.names, rois.ids.tolist(), rois.n_pixels.tolist()
        (('7', '7_2'), [7, 8], [4, 3])
        """
        number = self._position(roi)
        own, name = self.row(number), self.names[number]
        group = self._groups(own, parts, name)
        sizes = np.bincount(group)
        order = np.argsort(-sizes, kind="stable")
        numbers = np.concatenate(
            [np.arange(number), np.full(sizes.size, number), np.arange(number + 1, len(self))]
        )
        spans = [np.arange(self.indptr[n], self.indptr[n + 1]) for n in numbers]
        for place, one in enumerate(order):
            spans[number + place] = self.indptr[number] + np.flatnonzero(group == one)
        weights = None if self.weights is None else [self.weights[span] for span in spans]
        divided = self._rebuilt(numbers, [self.pixels[span] for span in spans], weights)
        ids, names, n_outside = divided.ids.copy(), list(divided.names), divided.n_outside.copy()
        for place in range(1, sizes.size):
            ids[number + place] = self.ids.max() + place
            names[number + place] = f"{name}_{place + 1}"
            n_outside[number + place] = 0
        _check_unique("names", names)
        divided = replace(divided, ids=ids, names=tuple(names), n_outside=n_outside).with_weights(
            divided.weights
        )
        return divided.recorded(f"split {name} into {', '.join(names[number : number + sizes.size])}")

    def accept(self, rois: int | str | Sequence[int | str], reason: str = "") -> Rois:
        """Mark ROIs, by name or position, as cells."""
        return self._judge(rois, accepted=True, reason=reason)

    def reject(self, rois: int | str | Sequence[int | str], reason: str = "") -> Rois:
        """Mark ROIs, by name or position, as no cells; they stay, with the reason."""
        return self._judge(rois, accepted=False, reason=reason)

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
        if self.history:
            dataset.attrs["history"] = "\n".join(self.history)
        if self.weights is not None:
            dataset["weight"] = ("entry", self.weights)
        return dataset

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Rois:
        """Read what `to_dataset` wrote.

        Raises
        ------
        ArgumentError
            If there are not as many pixels as are counted.
        """
        counted, held = int(dataset["n_pixels"].sum()), dataset["pixel"].size
        if counted != held:
            raise ArgumentError(
                f"the ROIs count {counted} pixels and hold {held}",
                "restore the results from a copy, or run again",
            )
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
            attrs={key: value for key, value in dataset.attrs.items() if key not in _KEPT_IN_ATTRS},
            history=tuple(str(dataset.attrs.get("history", "")).splitlines()),
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

    def _repr_html_(self) -> str:
        height, width = self.shape
        facts = [("frame", f"{height:,} by {width:,} pixels")]
        if self.frame.pixel_size is not None:
            facts.append(("pixel", " by ".join(f"{size:.4g} µm" for size in self.frame.pixel_size)))
        facts.append(("accepted", f"{int(self.accepted.sum()):,} of {len(self):,}"))
        if len(self):
            least, middle, most = np.percentile(self.n_pixels, (0, 50, 100)).astype(np.int64)
            facts.append(("pixels", f"{middle:,} in the median, {least:,} to {most:,}"))
            facts.append(("names", ", ".join(self.names[:8]) + (", ..." if len(self) > 8 else "")))
        facts.append(("weights", "none" if self.weights is None else "for each pixel"))
        if self.history:
            facts.append(("history", "; ".join(self.history[-3:])))
        rows = np.repeat(np.arange(len(self)), self.n_pixels)
        picture = pixel_map(self.shape, self.pixels, rows, self.accepted)
        return facts_table(format_count(len(self), "ROI"), facts, picture)

    def _judge(self, rois: int | str | Sequence[int | str], *, accepted: bool, reason: str) -> Rois:
        numbers = self._positions(rois)
        flags = self.accepted.copy()
        flags[numbers] = accepted
        reason = " ".join(reason.split())
        chosen = set(numbers.tolist())
        reasons = tuple(reason if n in chosen else old for n, old in enumerate(self.reasons))
        judged = replace(self, accepted=flags, reasons=reasons)
        why = f": {reason}" if reason else ""
        return judged.recorded(f"{'accepted' if accepted else 'rejected'} {self._listed(numbers)}{why}")

    def _groups(
        self, own: NDArray[np.int64], parts: int | xr.DataArray | ArrayLike, name: str
    ) -> NDArray[np.int64]:
        """Give each pixel of a ROI the number of its part, from 0."""
        if isinstance(parts, int | np.integer) and not isinstance(parts, bool | np.bool_):
            if not 2 <= parts <= own.size:
                raise ArgumentError(
                    f"{parts} parts of ROI {name}, which has {own.size} pixels",
                    f"expected 2 to {own.size}" if own.size >= 2 else "it cannot be split",
                )
            return nearest_groups(own, self.shape[1], int(parts))
        values = image_values(parts, "the image of parts")
        if values.dtype.kind not in "biu" or values.shape != self.shape:
            raise ArgumentError(
                f"the image of parts has dtype {values.dtype} and shape {values.shape}, expected integers or booleans of "
                f"{self.shape}"
            )
        found, group = np.unique(values.ravel()[own], return_inverse=True)
        if found.size < 2:
            raise ArgumentError(
                f"the image of parts has one value under all of ROI {name}", "give one value to each part"
            )
        return group.astype(np.int64)


def as_rois(rois: Rois | xr.DataArray | ArrayLike) -> Rois:
    """Take Rois as they are, a boolean mask as one ROI, an integer image as one ROI per value."""
    if isinstance(rois, Rois):
        return rois
    values = image_values(rois, "the mask or label image")
    return Rois.from_mask(rois) if values.dtype == np.bool_ else Rois.from_labels(rois)


def _check_unique(what: str, given: Sequence[int | str]) -> None:
    if len(set(given)) != len(given):
        twice = next(one for number, one in enumerate(given) if one in given[:number])
        raise ArgumentError(f"two ROIs share the {what[:-1]} {twice!r}", f"make the {what} unique")


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
    numbers = np.arange(1, count + 1) if ids is None else checked_ids(ids)
    labels = tuple(str(one) for one in numbers) if names is None else tuple(str(name) for name in names)
    for what, given in (("ids", numbers.tolist()), ("names", labels)):
        if len(given) != count:
            raise ArgumentError(f"{count} ROIs but {len(given)} {what}")
        _check_unique(what, given)
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
