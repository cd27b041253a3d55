"""Projections -> mask and ROIs, as a configuration says: the one way that jobs, verbs and the explorer find cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import NoNumbersError
from roitrace.segmentation import segment
from roitrace.threshold import clean_mask, label_rois, threshold

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config.sections import RoisSection
    from roitrace.rois import Rois

__all__ = ["segment_images"]


def segment_images(section: RoisSection, images: xr.Dataset) -> tuple[xr.DataArray, Rois]:
    """Return mask and ROIs of projections: by a recipe of one's own where there is a threshold, else by the default one.

    Raises
    ------
    NoNumbersError
        If an image has no numbers.
    """
    for name in section.image:
        if not np.isfinite(images[name].values).any():
            raise NoNumbersError(
                f"the projection {name!r} has no numbers: the recording is NaN everywhere",
                "check the recording, and the part of it that is read",
            )
    if section.threshold is None:
        options = {} if section.segment is None else section.segment.model_dump()
        rois = segment(images, on=section.image, **options)
        return rois.to_mask(), rois
    image = images[section.image[0]]
    mask = threshold(image, **section.threshold.model_dump())
    if section.clean is not None:
        mask = clean_mask(mask, **section.clean.model_dump())
    label = {} if section.label is None else section.label.model_dump()
    surface = image if label.get("split") == "intensity" else None
    return mask, label_rois(mask, image=surface, **label)
