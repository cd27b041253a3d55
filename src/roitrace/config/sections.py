"""The sections of a configuration, one per step of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from roitrace.choices import Threshold  # noqa: TC001 (pydantic reads the annotation)
from roitrace.config.fields import (
    ByteCount,
    Count,
    FilePath,
    Fraction,
    Length,
    Names,
    NonNegative,
    Number,
    Percentile,
    PixelSize,
    PositiveCount,
    PositiveNumber,
    RoiRule,
    Section,
    Span,
    StatisticChoice,
)
from roitrace.config.simulation import SimulateSection  # noqa: TC001 (pydantic reads the annotation)
from roitrace.config.statistics import make_statistics
from roitrace.config.trace_sections import (
    CompareSection,
    ExtractSection,
    NeuropilSection,
    NormalizeSection,
    QualitySection,
    WeightsSection,
)
from roitrace.judging import parse_rule

if TYPE_CHECKING:
    from roitrace.engine.statistics import Statistic

__all__ = [
    "CleanSection",
    "Config",
    "FiguresSection",
    "LabelSection",
    "OutputSection",
    "ProjectionsSection",
    "RecordingSection",
    "ResourcesSection",
    "RoisSection",
    "SegmentSection",
    "ThresholdSection",
]


def _yes_or_no(given: object) -> object:
    # YAML reads the words yes and no as booleans
    return ("yes" if given else "no") if isinstance(given, bool) else given


class RecordingSection(Section):
    """The recording to work on."""

    path: FilePath
    """Where it lies: a file, a folder or a store. Many: a pattern such as data/*.tif, or a table (CSV, TSV, Parquet) with the
    column path, and others for frame_rate, rois, any section.key, or labels such as session and animal."""
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
    modality: Literal["two_photon", "one_photon"] | None = None
    """How it was made: for two-photon recordings neuropil is subtracted unless the section neuropil says otherwise."""
    shifts: FilePath | None = None
    """Shifts that a registration found, applied in whole pixels while reading: suite2p's ops.npy or plane folder, CaImAn's
    shifts_rig (npy, npz, HDF5), or CSV: frame, dy, dx. One per frame of the file."""
    bad_frames: FilePath | tuple[Count, ...] | None = None
    """Frames of the file that are no good: their numbers, or a file: suite2p's ops.npy, npy, or CSV with the column frame."""
    bad_frame_policy: Literal["nan", "skip", "interpolate"] = "nan"
    """What becomes of them: NaN in traces; gone, with a gap in the times; or interpolated in the traces, and marked."""
    bad_pixels: FilePath | tuple[tuple[Count, Count], ...] | None = None
    """Pixels of the file's frame that are no good: [row, column] each, or a file: a bool image (npy) or CSV: y, x."""
    motion: bool = True
    """Whether to look at sampled frames, and to warn where the recording moves."""
    convert: Annotated[Literal["no", "yes", "auto"], BeforeValidator(_yes_or_no)] = "no"
    """Whether to copy the recording into a chunked store first; auto: where that saves reading."""
    store: FilePath | None = None
    """Where the copy goes; beside the output if not given."""


class ProjectionsSection(Section):
    """Images that summarise the recording over time, all from one read."""

    statistics: Annotated[tuple[StatisticChoice, ...], Field(min_length=1)] = ("mean", "max", "std")
    """Which ones: mean, max, min, sum, std, var, median, percentile, correlation, skewness, difference_std, argmax,
    coefficient_of_variation."""
    bin_seconds: PositiveNumber | None = None
    """Let max, std and correlation take the means of bins of so many seconds instead of samples."""

    @model_validator(mode="after")
    def _over_time(self) -> Self:
        self.asked()
        return self

    def asked(self) -> tuple[Statistic, ...]:
        """Return the statistics, with their parameters."""
        from roitrace.engine.time_parameters import with_bins  # noqa: PLC0415 (NumPy and numba come with it)

        return with_bins(make_statistics(self.statistics, over_time=True), self.bin_seconds)


class SegmentSection(Section):
    """The default recipe for cells."""

    cell_diameter: Length = "12 um"
    """Diameter of a cell, in um where the pixel size is known, or px; auto: as the image shows it."""
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

    method: Threshold = "otsu"
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
    image: Names = ("mean",)
    """The projection that is segmented, or several at once: [mean, correlation]."""
    segment: SegmentSection | None = None
    """The default recipe; used where nothing else is given."""
    threshold: ThresholdSection | None = None
    """Your own recipe, first step: pixels above a level."""
    clean: CleanSection | None = None
    """Second step: the mask cleaned."""
    label: LabelSection | None = None
    """Third step: one ROI per component."""
    filter: tuple[RoiRule, ...] = ()
    """What a cell has to fulfil, such as area_px >= 30 or contrast_ratio >= 1; others are rejected, with the reason."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("path", "segment", "threshold") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one of path, segment and threshold, not {' and '.join(given)}")
        if self.threshold is None and (self.clean or self.label):
            raise ValueError("threshold beside clean and label")
        if self.threshold is not None and len(self.image) > 1:
            raise ValueError(f"one image with a threshold, not {', '.join(self.image)}")
        return self

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Projections that are needed to find the cells and to filter them."""
        activity = ("std",) if any(parse_rule(one).measure == "activity" for one in self.filter) else ()
        return (*self.image, *activity) if self.path is None or self.filter else ()


class FiguresSection(Section):
    """Pictures of each step, PNG."""

    path: FilePath | None = None
    """Folder for them; beside the output if not given."""
    example: str | None = None
    """Name of the ROI that is shown in detail; a large and active one if not given."""
    dpi: PositiveCount = 120
    """Dots per inch."""


class ReportSection(Section):
    """One HTML page that shows the results, without a network."""

    path: FilePath | None = None
    """The file; beside the output, as <output>.html, if not given. output.overwrite counts for it too."""


class OutputSection(Section):
    """Where the results go."""

    path: FilePath
    """The results store, by custom *.zarr. For many recordings a folder, or a template such as results/{animal}/{name}.zarr."""
    overwrite: bool = False
    """Whether results that are there may be replaced, once the new ones are complete."""
    extend: bool = False
    """Whether results that are there are of fewer frames of the same recording: what is known of their traces and projections is kept, they are replaced."""
    summary: FilePath | None = None
    """For many recordings: the table of all of them, CSV and Parquet; summary.csv beside the results if not given."""


class ExportSection(Section):
    """A file for other tools, written when the results are complete; as roitrace export does."""

    path: FilePath
    """The file or folder; output.overwrite counts for it too."""
    format: str | None = None
    """zarr, netcdf, hdf5, nwb, suite2p, csv, parquet or npy; by the suffix of the path if not given."""
    statistic: str | tuple[str, ...] | None = None
    """Names of traces, or all; F, its neuropil and what was made of them if not given."""
    dtype: Literal["float64", "float32"] = "float64"
    """Of the written traces."""
    fill: Literal["nan", "interpolate"] = "nan"
    """What becomes of missing samples; the filled frames are listed."""
    roi_axis: Literal[0, 1] | None = None
    """0 for ROIs in rows, 1 for ROIs in columns, where the format leaves it open."""
    layout: Literal["wide", "tidy"] | None = None
    """For csv and parquet: a column per ROI, or a row per ROI and frame."""
    into: FilePath | None = None
    """For nwb: a file of the same session, of which a copy gets the results."""
    metadata: dict[str, Any] | None = None
    """For nwb: session_start_time, subject and so on."""


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
    neuropil: NeuropilSection | None = None
    quality: QualitySection | None = QualitySection()
    normalize: NormalizeSection | None = NormalizeSection()
    compare: CompareSection | None = CompareSection()
    figures: FiguresSection | None = FiguresSection()
    report: ReportSection | None = ReportSection()
    export: tuple[ExportSection, ...] = ()
    """Files for other tools, such as - path: traces.csv."""
    resources: ResourcesSection = ResourcesSection()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self.images()
        if self.weights is None and self.rois.path is None and self.extract.asks_for_weights:
            raise ValueError("weights, for the weighted statistics that extract.statistics asks for")
        saturation = None if self.quality is None else self.quality.saturation
        if saturation is not None and "max" not in {one.name for one in self.extract.asked()}:
            raise ValueError("max among extract.statistics, for quality.saturation")
        return self

    @property
    def neuropil_used(self) -> NeuropilSection | None:
        """What is done about neuropil: what was asked; suite2p's rule for two-photon recordings, else nothing."""
        section = self.neuropil
        if section is None and self.recording.modality == "two_photon":
            section = NeuropilSection()
        return None if section is None or section.rule == "none" else section

    @property
    def no_neuropil_because(self) -> str:
        """Why no neuropil is subtracted; nothing where it is."""
        if self.neuropil_used is not None:
            return ""
        if self.neuropil is not None:
            return "as configured"
        return {
            "one_photon": "one-photon light of every depth reaches a cell and its surroundings alike, and neighbours blur into the "
            "ring: subtracting it takes away signal",
            None: "the recording does not say whether it is two-photon; set recording.modality or neuropil.rule",
        }[self.recording.modality]

    def images(self) -> tuple[Statistic, ...]:
        """Return the projections to compute: those asked for, and those that cells and weights are made from."""
        asked = list(self.projections.asked())
        needed = list(self.rois.looks_at)
        if self.weights is not None and "brightness" in self.weights.by:
            needed.append(self.weights.image)
        for name in needed:
            if name not in {one.name for one in asked}:
                asked += make_statistics([name], over_time=True)
        return tuple(asked)
