"""One family of errors: what was given, what was expected, the next step."""

from __future__ import annotations

__all__ = [
    "AlignmentError",
    "ArgumentError",
    "BudgetError",
    "ConfigError",
    "FileAccessError",
    "FormatError",
    "JobError",
    "LazyInputError",
    "MetadataError",
    "MissingDependencyError",
    "NoNumbersError",
    "OutputBusyError",
    "OutputExistsError",
    "RoitraceError",
    "StoreError",
]


class RoitraceError(Exception):
    """Base of every error that roitrace raises on purpose.

    Parameters
    ----------
    problem : str
        What was given and what was expected, with the values.
    next_step : str, optional
        What to do about it.

    Examples
    --------
    >>> print(RoitraceError("the mask is 3 x 4, the recording 5 x 4", "crop the mask to the recording's frame"))
    the mask is 3 x 4, the recording 5 x 4; crop the mask to the recording's frame
    """

    exit_code = 1

    def __init__(self, problem: str, next_step: str = "") -> None:
        self.problem = problem
        self.next_step = next_step
        super().__init__(problem, next_step)

    def __str__(self) -> str:
        return f"{self.problem}; {self.next_step}" if self.next_step else self.problem

    def __reduce__(self) -> tuple[type[RoitraceError], tuple[str, str]]:
        # without this, tblib (of distributed) cannot unpickle those that are builtin errors too
        return type(self), (self.problem, self.next_step)


class ArgumentError(RoitraceError, ValueError):
    """An argument is not one of those expected."""

    exit_code = 2


class ConfigError(RoitraceError, ValueError):
    """A configuration file or a `--set` option is wrong."""

    exit_code = 2


class AlignmentError(RoitraceError, ValueError):
    """Two things do not share the same frame."""


class FormatError(RoitraceError, ValueError):
    """A file cannot be understood."""


class MetadataError(RoitraceError, ValueError):
    """Seconds or micrometres were asked of a recording that does not know them."""


class LazyInputError(RoitraceError, TypeError):
    """An eager function was given an image that is not computed yet."""


class BudgetError(RoitraceError, MemoryError):
    """A job does not fit the memory that it may use."""


class StoreError(RoitraceError):
    """A store is unfinished, damaged or of another kind."""


class OutputExistsError(RoitraceError, FileExistsError):
    """An output is there already and nobody asked to replace it."""


class OutputBusyError(RoitraceError):
    """Another job writes to the same output."""


class FileAccessError(RoitraceError, OSError):
    """The file system refused: no space, no permission, a failing disk, ..."""


class MissingDependencyError(RoitraceError, ImportError):
    """A format needs a package that is not installed."""


class JobError(RoitraceError):
    """A job failed while it ran."""


class NoNumbersError(JobError):
    """A recording holds no number: the same job would fail again."""
