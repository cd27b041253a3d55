"""Jobs of a real SLURM on loopback, and of its queue: the bytes of one machine.

Needs root and Debian's slurmctld, slurmd, slurm-client and munge: ``apt-get install slurmctld slurmd slurm-client munge``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from roitrace.cli.main import main
from tests.cluster.jobs import bytes_of, write_job

SCRIPT = Path(__file__).with_name("slurm.sh")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]

pytestmark = [
    pytest.mark.usefixtures("slurm"),
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="SLURM's daemons need root"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    # the socket of munge must be reachable for everyone
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o755)
    subprocess.run(["bash", SCRIPT, "start", folder], check=True, timeout=120)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield folder
    if before is None:
        del os.environ["SLURM_CONF"]
    else:
        os.environ["SLURM_CONF"] = before
    subprocess.run(["bash", SCRIPT, "stop", folder], check=True, timeout=60)


def described(folder, *directives, jobs=2, wait="2 min"):
    cluster = {
        "type": "slurm",
        "jobs": jobs,
        "cores": 1,
        "memory": "1 GiB",
        "walltime": "00:10:00",
        "wait": wait,
        "options": {
            "scheduler_options": {"host": "127.0.0.1"},
            "log_directory": str(folder / "logs"),
            "job_extra_directives": list(directives),
        },
    }
    (folder / "slurm.yaml").write_text(yaml.safe_dump(cluster))
    return folder / "slurm.yaml"


def test_jobs_of_the_queue_write_the_same_bytes(tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        write_job(folder)
    assert main(["run", str(here / "job.yaml"), "-q"]) == 0
    code = main(["run", str(there / "job.yaml"), "-q", "--cluster", str(described(tmp_path))])
    assert code == 0, capsys.readouterr().err
    for name in ("copy.zarr", "out.zarr"):
        assert bytes_of(there / name) == bytes_of(here / name)
    left = subprocess.run(["squeue", "--noheader"], check=True, capture_output=True, text=True, timeout=60)
    assert all(line.split()[4] == "CG" for line in left.stdout.splitlines())


def test_a_queue_that_gives_no_worker_is_told(tmp_path, capsys):
    cluster = described(tmp_path, "--hold", jobs=1, wait="3 s")
    code = main(["run", str(write_job(tmp_path)), "-q", "--cluster", str(cluster)])
    assert code == 1
    told = capsys.readouterr().err
    assert "none of 1 worker has started within 3 s\n  look at the queue" in told
