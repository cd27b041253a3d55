"""The sections of a configuration that say how pixels become traces, and what is made of these."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from roitrace.choices import Baseline, Normalization, OverlapRule  # noqa: TC001 (pydantic reads the annotations)
from roitrace.config.fields import (
    Count,
    Duration,
    Fraction,
    Number,
    Percentile,
    PositiveCount,
    Section,
    Span,
    StatisticChoice,
)
from roitrace.config.statistics import make_statistics, needs_weights

if TYPE_CHECKING:
    from roitrace.engine.statistics import Statistic

__all__ = [
    "CompareSection",
    "ExtractSection",
    "NeuropilSection",
    "NormalizeSection",
    "QualitySection",
    "ReferenceSection",
    "WeightsSection",
]

OneOrMore = WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}})


def _listed(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _rule(text: str) -> str:
    """Check a rule about quality, and give it back as it was written."""
    from roitrace.judging import parse_rule  # noqa: PLC0415 (NumPy comes with it)
    from roitrace.quality import MEASURES  # noqa: PLC0415

    measure = parse_rule(text).measure
    if measure not in MEASURES:
        close = difflib.get_close_matches(measure, MEASURES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"a rule about a measure that there is; {hint}there are {', '.join(MEASURES)}")
    return text


class WeightsSection(Section):
    """How much each pixel counts in weighted statistics."""

    by: str = "brightness"
    """brightness, proximity (to the centre), edge (distance to it), snr, correlation (with the cell's own mean),
    inverse_variance, or a product: brightness * proximity."""
    image: str = "mean"
    """The projection that tells the brightness."""
    background: Number | None = None
    """What counts as 0 brightness; the 5th percentile of the image if not given."""
    frames: Span = (0, 500)
    """For snr, correlation and inverse_variance: the sample of frames that they are measured in."""


class NeuropilSection(Section):
    """Light from around a cell: a ring of pixels for each, whose mean is subtracted from the cell's."""

    rule: Literal["suite2p", "allen", "none"] = "suite2p"
    """How the rings grow; none subtracts nothing."""
    gap: Count | None = None
    """Pixels between a cell and its ring; 2 for suite2p, 0 for allen if not given."""
    min_pixels: PositiveCount = 350
    """For suite2p: a ring grows until it has more than this."""
    reach: PositiveCount = 13
    """For allen: pixels from the cell's border."""
    weight_percentile: Percentile = 0.0
    """0: no pixel of a cell is in a ring; 50, with suite2p's lam as weights: its masks pixel by pixel."""
    r: Fraction | Literal["fit", "cross_validated"] | tuple[Fraction, ...] = 0.7
    """Part of the neuropil that is in F: a number, one per cell, fit (robust regression) or cross_validated (Allen)."""
    r_fallback: Fraction = 0.7
    """For a fit that gives nothing within 0 to 1."""
    offset: Number | None = None
    """Dark level of the detector in counts; that of normalize if not given."""


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
    overlap: Annotated[tuple[OverlapRule, ...], BeforeValidator(_listed), Field(min_length=1), OneOrMore] = (
        "keep",
    )
    """What becomes of pixels of several cells: keep, exclude, split, nearest, least_squares. Several rules come from the same
    read; the first is the one that is normalised."""
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

    @model_validator(mode="after")
    def _rules_fit(self) -> Self:
        from roitrace.overlap import check_rule, overlap_rules  # noqa: PLC0415 (NumPy comes with it)

        for rule in overlap_rules(self.overlap):
            check_rule(rule, (one.kind for one in self.asked()))
        return self

    def asked(self, *, weights: bool = True) -> tuple[Statistic, ...]:
        """Return the statistics, with their parameters; the default ones are those that weights and overlap rules allow."""
        statistics = make_statistics(
            self.statistics, over_pixels=True, proportion_to_cut=self.proportion_to_cut
        )
        if "statistics" in self.model_fields_set:
            return statistics
        from roitrace.overlap import rule_allows  # noqa: PLC0415

        return tuple(
            one
            for one in statistics
            if (weights or not needs_weights(one))
            and all(rule_allows(rule, one.kind) for rule in self.overlap)
        )

    @property
    def asks_for_weights(self) -> bool:
        """Whether a weighted statistic was asked for, not only left in by default."""
        return "statistics" in self.model_fields_set and any(
            map(needs_weights, make_statistics(self.statistics))
        )


class ReferenceSection(Section):
    """A second channel that does not change with activity."""

    channel: Count | str
    """Its number or name."""
    offset: Number = 0.0
    """Its dark level, counts."""


class NormalizeSection(Section):
    """How traces of different cells become comparable."""

    method: Normalization = "dff"
    """dF/F, z-score, robust z-score, or minmax: 0 to 1."""
    offset: Number = 0.0
    """Dark level of the detector in counts; it is subtracted first."""
    baseline: Baseline = "rolling_percentile"
    """For dff: how F0 is found; see roitrace.baseline. mode with window 180 s is the Allen Institute's, maximin with smoothing
    10 frames suite2p's, lowpass_percentile with percentile 5 FISSA's."""
    percentile: Percentile = 8.0
    """For dff: F0 is this percentile of the smoothed trace in a window that slides along it."""
    window: Duration | None = "60 s"
    """For dff: its length, such as 60 s or 1800 frames; null for the whole recording."""
    smoothing: Duration | None = "0.5 s"
    """For dff: standard deviation of the Gaussian that smooths the trace first; null for none."""
    first: Duration | None = None
    """For the baseline first: how long from the beginning."""
    frames: tuple[tuple[Number, Number], ...] | None = None
    """For the baseline frames: epochs [start, end] on the time axis, in seconds where the frame rate is known."""
    reference: ReferenceSection | None = None
    """For the baseline ratio: the second channel."""

    @model_validator(mode="after")
    def _arguments_fit(self) -> Self:
        for name, owner in (("first", "first"), ("frames", "frames"), ("reference", "ratio")):
            given = getattr(self, name) is not None
            if given and self.baseline != owner:
                raise ValueError(f"baseline: {owner} beside {name}, not {self.baseline}")
            if not given and self.baseline == owner:
                raise ValueError(f"{name} beside baseline: {owner}")
        return self


class QualitySection(Section):
    """A table of measures for each cell, and which cells it rejects."""

    rules: Annotated[
        tuple[Annotated[str, AfterValidator(_rule)], ...], BeforeValidator(_listed), OneOrMore
    ] = ()
    """What an accepted cell has to fulfil, such as peak_snr >= 3 or overlap_fraction < 0.5. Rejected ones stay, with reasons."""
    saturation: Number | None = None
    """Largest value of the detector in counts; the part of saturated frames is then measured (needs the statistic max)."""


class CompareSection(Section):
    """How the statistics differ, per cell."""

    against: str | None = None
    """The statistic that the others are compared with; the primary one if not given."""
