from __future__ import annotations

import pickle

import pytest

from roitrace import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES)
def test_one_family_that_says_what_and_what_next(kind):
    error = kind("the mask is 3 x 4, the recording 5 x 4", "crop the mask")
    assert isinstance(error, errors.RoitraceError)
    assert str(error) == "the mask is 3 x 4, the recording 5 x 4; crop the mask"
    assert (error.problem, error.next_step) == ("the mask is 3 x 4, the recording 5 x 4", "crop the mask")
    assert str(kind("only a problem")) == "only a problem"


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_cross_processes(kind):
    error = pickle.loads(pickle.dumps(kind("problem", "step")))
    assert type(error) is kind
    assert str(error) == "problem; step"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ArgumentError, ValueError),
        (errors.ConfigError, ValueError),
        (errors.AlignmentError, ValueError),
        (errors.FormatError, ValueError),
        (errors.MetadataError, ValueError),
        (errors.LazyInputError, TypeError),
        (errors.BudgetError, MemoryError),
        (errors.FileAccessError, OSError),
        (errors.OutputExistsError, FileExistsError),
        (errors.MissingDependencyError, ImportError),
    ],
)
def test_who_catches_the_builtin_catches_ours(kind, builtin):
    with pytest.raises(builtin):
        raise kind("problem")


def test_wrong_calls_and_failed_jobs_have_their_own_exit_codes():
    assert {kind for kind in CLASSES if kind.exit_code == 2} == {errors.ArgumentError, errors.ConfigError}
    assert {kind.exit_code for kind in CLASSES} == {1, 2}
