"""The sections of a configuration, one per step of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from roitrace.config.fields import (
    ByteCount,
    Count,
    Duration,
    FilePath,
    Fraction,
    Length,
    NonNegative,
    Number,
    Percentile,
    PixelSize,
    PositiveCount,
    PositiveNumber,
    Section,
    Span,
    StatisticChoice,
)
from roitrace.config.simulation import SimulateSection  # noqa: TC001 (pydantic reads the annotation)
from roitrace.config.statistics import make_statistics, needs_weights

if TYPE_CHECKING:
    from roitrace.engine.statistics import Statistic

__all__ = [
    "CleanSection",
    "CompareSection",
    "Config",
    "ExtractSection",
    "FiguresSection",
    "LabelSection",
    "NormalizeSection",
    "OutputSection",
    "ProjectionsSection",
    "RecordingSection",
    "ResourcesSection",
    "RoisSection",
    "SegmentSection",
    "ThresholdSection",
    "WeightsSection",
]


def _yes_or_no(given: object) -> object:
    # YAML reads the words yes and no as booleans
    return ("yes" if given else "no") if isinstance(given, bool) else given


class RecordingSection(Section):
    """The recording to work on."""

    path: FilePath
    """Where it lies: a file, a folder or a store."""
    dataset: str | None = None
    """Name of the dataset inside an HDF5 file or zarr store; found if not given."""
    axes: str | None = None
    """Order of the axes where the file does not say it, such as tyx or yxt."""
    continuous: bool = False
    """Whether several files were recorded in one go; otherwise each is a session, whose borders no filter crosses."""
    frame_rate: PositiveNumber | None = None
    """Frames per second; wins over what the file says."""
    pixel_size: PixelSize | None = None
    """Height and width of a pixel in micrometres, one number for both; wins over what the file says."""
    time: Span | None = None
    """First frame, and the one after the last; all frames if not given."""
    y: Span | None = None
    """First row, and the one after the last."""
    x: Span | None = None
    """First column, and the one after the last."""
    channel: Count | str | None = None
    """Number or name of the channel, where there are several."""
    plane: Count | None = None
    """Number of the plane, where there are several."""
    convert: Annotated[Literal["no", "yes", "auto"], BeforeValidator(_yes_or_no)] = "no"
    """Whether to copy the recording into a chunked store first; auto: where that saves reading."""
    store: FilePath | None = None
    """Where the copy goes; beside the output if not given."""


class ProjectionsSection(Section):
    """Images that summarise the recording over time, all from one read."""

    statistics: Annotated[tuple[StatisticChoice, ...], Field(min_length=1)] = ("mean", "max", "std")
    """Which ones: mean, max, min, sum, std, var, median, percentile, correlation, skewness, difference_std, argmax,
    coefficient_of_variation."""

    @model_validator(mode="after")
    def _over_time(self) -> Self:
        make_statistics(self.statistics, over_time=True)
        return self


class SegmentSection(Section):
    """The default recipe for cells."""

    cell_diameter: Length = "12 um"
    """Diameter of a cell, in um where the pixel size is known, or px."""
    smoothing: NonNegative = 0.12
    """Standard deviation of the Gaussian that takes noise away, in cell diameters."""
    background: PositiveNumber = 1.0
    """Standard deviation of the Gaussian that is the background, in cell diameters."""
    k: Number = 0.75
    """Level of the mask, in spreads of the contrast over its median."""
    max_hole: NonNegative = 0.3
    """Largest hole that is filled, in cell areas."""
    opening: Count = 1
    """Radius in pixels of a disk; what it does not fit into goes."""
    seed_distance: PositiveNumber = 0.5
    """Smallest distance of two peaks, in cell diameters."""
    n_levels: PositiveCount = 20
    """Levels that are tried for each cell."""
    min_overlap: Fraction = 0.55
    """How much a cell must look like a disk: intersection over union."""
    min_contrast: Number = 2.0
    """Smallest mean contrast of a cell, in spreads; lower it where dim cells are missed."""
    min_snr: NonNegative = 5.0
    """Smallest mean contrast of a cell over what pixel noise gives; 0 keeps everything."""


class ThresholdSection(Section):
    """Which pixels of the image are bright enough."""

    method: Literal[
        "value",
        "percentile",
        "mean_sd",
        "otsu",
        "li",
        "triangle",
        "yen",
        "isodata",
        "minimum",
        "local_mean",
        "local_gaussian",
        "local_median",
        "niblack",
        "sauvola",
    ] = "otsu"
    """How the level is found; local_mean and those after it find one for each pixel."""
    value: Number | None = None
    """The level in counts, for the method value."""
    percentile: Percentile | None = None
    """The level as a percentile of the image, for the method percentile; 95 keeps the top 5 %."""
    block_size: PositiveCount | None = None
    """Side of the neighbourhood in pixels, odd, for local methods; 3 cells of 12 um if not given."""
    offset: Number = 0.0
    """Counts that are taken off the local level, for local methods."""
    k: Number | None = None
    """Standard deviations, for mean_sd (2 if not given), niblack and sauvola (0.2)."""


class CleanSection(Section):
    """What is changed in the mask, in this order: closing, holes, opening, border, size."""

    closing: Count = 0
    """Radius in pixels of a disk; gaps that it does not fit into are filled."""
    fill_holes: bool | Count = False
    """Whether holes are filled; a number fills those of at most so many pixels."""
    opening: Count = 0
    """Radius in pixels of a disk; what it does not fit into goes."""
    clear_border: bool = False
    """Whether objects at the border go."""
    min_pixels: Count | None = None
    """Smaller objects go."""
    max_pixels: PositiveCount | None = None
    """Larger objects go."""


class LabelSection(Section):
    """How the mask falls into ROIs."""

    connectivity: Literal[1, 2] = 2
    """1: pixels touch along edges; 2: at corners too."""
    split: Literal["distance", "intensity"] | None = None
    """Whether cells that touch are split, by shape or by brightness."""
    min_distance: PositiveCount | None = None
    """Smallest distance between the centres of two cells in pixels; half a cell if not given."""


class RoisSection(Section):
    """Where the cells come from: the recipe (segment), your own recipe (threshold, clean, label) or a file (path)."""

    path: FilePath | None = None
    """ROIs that exist, in any format that is read: RoiSet.zip, suite2p's stat.npy, a label image, a results store, ..."""
    axis_order: Literal["auto", "yx", "xy"] = "auto"
    """Which index of a pixel the file has first; auto: as its format says, unless frame or image speak against it."""
    plane: Count | None = None
    """Which plane, where the file holds ROIs of several."""
    support: Fraction = 0.2
    """Footprints with tails end where they fall below this part of their maximum."""
    image: str = "mean"
    """The projection that is segmented."""
    segment: SegmentSection | None = None
    """The default recipe; used where nothing else is given."""
    threshold: ThresholdSection | None = None
    """Your own recipe, first step: pixels above a level."""
    clean: CleanSection | None = None
    """Second step: the mask cleaned."""
    label: LabelSection | None = None
    """Third step: one ROI per component."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("path", "segment", "threshold") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one of path, segment and threshold, not {' and '.join(given)}")
        if self.threshold is None and (self.clean or self.label):
            raise ValueError("threshold beside clean and label")
        return self


class WeightsSection(Section):
    """How much each pixel counts in weighted statistics."""

    by: str = "brightness"
    """brightness, proximity (to the centre), edge (distance to it), or a product: brightness * proximity."""
    image: str = "mean"
    """The projection that tells the brightness."""
    background: Number | None = None
    """What counts as 0 brightness; the 5th percentile of the image if not given."""


class ExtractSection(Section):
    """How the pixels of a cell become one number per frame."""

    convention: Literal["suite2p"] | None = None
    """Whose F is meant: suite2p's is the mean weighted by lam, shared pixels excluded."""
    statistics: Annotated[tuple[StatisticChoice, ...], Field(min_length=1)] = (
        "mean",
        "median",
        "trimmed_mean",
        "weighted_mean",
    )
    """Names, or names with parameters, such as trimmed_mean: {proportion_to_cut: 0.25, name: trim25}."""
    primary: str = "mean"
    """The one that is F: it is normalised."""
    proportion_to_cut: Annotated[float, Field(strict=True, ge=0, lt=0.5)] = 0.1
    """What trimmed and winsorized means cut from each end."""
    overlap: Literal["keep", "exclude"] = "keep"
    """Whether pixels of several cells count."""
    skipna: bool = True
    """Whether missing samples are left out."""
    min_coverage: Fraction = 0.9
    """Frames in which fewer of the pixels are valid give NaN."""

    @model_validator(mode="before")
    @classmethod
    def _conventional(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("convention") == "suite2p":
            meant = {"statistics": ("weighted_mean",), "overlap": "exclude"}
            primary = {} if "statistics" in given else {"primary": "weighted_mean"}
            return meant | primary | given
        return given

    @model_validator(mode="after")
    def _primary_is_there(self) -> Self:
        names = [one.name for one in self.asked()]
        if self.primary not in names:
            raise ValueError(f"primary to be one of {', '.join(names)}, not {self.primary}")
        return self

    def asked(self, *, weights: bool = True) -> tuple[Statistic, ...]:
        """Return the statistics, with their parameters; the default ones need no weights where there are none."""
        statistics = make_statistics(
            self.statistics, over_pixels=True, proportion_to_cut=self.proportion_to_cut
        )
        if weights or self.asks_for_weights:
            return statistics
        return tuple(one for one in statistics if not needs_weights(one))

    @property
    def asks_for_weights(self) -> bool:
        """Whether a weighted statistic was asked for, not only left in by default."""
        return "statistics" in self.model_fields_set and any(
            map(needs_weights, make_statistics(self.statistics))
        )


class NormalizeSection(Section):
    """How traces of different cells become comparable."""

    method: Literal["dff", "zscore", "robust_zscore", "minmax"] = "dff"
    """dF/F, z-score, robust z-score, or minmax: 0 to 1."""
    offset: Number = 0.0
    """Dark level of the detector in counts; it is subtracted first."""
    percentile: Percentile = 8.0
    """For dff: F0 is this percentile of the smoothed trace in a window that slides along it."""
    window: Duration | None = "60 s"
    """For dff: its length, such as 60 s or 1800 frames; null for the whole recording."""
    smoothing: Duration | None = "0.5 s"
    """For dff: standard deviation of the Gaussian that smooths the trace first; null for none."""


class CompareSection(Section):
    """How the statistics differ, per cell."""

    against: str | None = None
    """The statistic that the others are compared with; the primary one if not given."""


class FiguresSection(Section):
    """Pictures of each step, PNG."""

    path: FilePath | None = None
    """Folder for them; beside the output if not given."""
    example: str | None = None
    """Name of the ROI that is shown in detail; a large and active one if not given."""
    dpi: PositiveCount = 120
    """Dots per inch."""


class OutputSection(Section):
    """Where the results go."""

    path: FilePath
    """The results store, by custom *.zarr."""
    overwrite: bool = False
    """Whether results that are there may be replaced, once the new ones are complete."""


class ResourcesSection(Section):
    """What the job may use. The results do not depend on it."""

    budget: ByteCount = 2 * 2**30
    """Memory of all of the program, such as 2 GiB."""
    workers: PositiveCount | None = None
    """Tasks at once; by default one per processor."""


class Config(Section):
    """A whole job."""

    recording: RecordingSection
    output: OutputSection
    simulate: SimulateSection | None = None
    projections: ProjectionsSection = ProjectionsSection()
    rois: RoisSection = RoisSection()
    weights: WeightsSection | None = WeightsSection()
    extract: ExtractSection = ExtractSection()
    normalize: NormalizeSection | None = NormalizeSection()
    compare: CompareSection | None = CompareSection()
    figures: FiguresSection | None = FiguresSection()
    resources: ResourcesSection = ResourcesSection()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self.images()
        if self.weights is None and self.rois.path is None and self.extract.asks_for_weights:
            raise ValueError("weights, for the weighted statistics that extract.statistics asks for")
        return self

    def images(self) -> tuple[Statistic, ...]:
        """Return the projections to compute: those asked for, and those that cells and weights are made from."""
        asked = list(make_statistics(self.projections.statistics, over_time=True))
        needed = [self.rois.image] if self.rois.path is None else []
        if self.weights is not None and "brightness" in self.weights.by:
            needed.append(self.weights.image)
        for name in needed:
            if name not in {one.name for one in asked}:
                asked += make_statistics([name], over_time=True)
        return tuple(asked)
