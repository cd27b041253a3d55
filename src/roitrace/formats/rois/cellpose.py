"""Cellpose's `_seg.npy`: a dict of arrays, of which the label image `masks` counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.objects import read_mapping
from roitrace.formats.rois.images import checked_labels
from roitrace.formats.rois.planes import one_plane
from roitrace.formats.rois.table import table_of_labels

if TYPE_CHECKING:
    from roitrace.formats.rois.format import RoiOptions
    from roitrace.formats.rois.table import RoiTable

__all__ = ["read_cellpose"]


def read_cellpose(path: str, options: RoiOptions) -> RoiTable:
    """Read the masks of a `_seg.npy`: one ROI per label, whose id it is; of a stack ``(z, y, x)`` one plane.

    Raises
    ------
    FormatError
        If the file is damaged or holds no masks.
    ArgumentError
        If there are several planes, and `options.plane` names none.
    """
    content = read_mapping(path)
    if "masks" not in content:
        raise FormatError(
            f"{path} holds {', '.join(content) or 'nothing'}, and no masks", "save it again in Cellpose"
        )
    masks = one_plane(np.asarray(content["masks"]), options.plane, path)
    return table_of_labels(checked_labels(masks, path))
