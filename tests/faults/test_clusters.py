from __future__ import annotations

import pytest

from roitrace.errors import JobError
from tests.faults.clusters import cluster_dies


@pytest.mark.parametrize("moment", ["before", "preparing", "writing"])
def test_a_cluster_that_ends(tmp_path, moment):
    error = cluster_dies(tmp_path / "job", moment)
    assert isinstance(error, JobError)
    assert "run the same command again" in str(error)
