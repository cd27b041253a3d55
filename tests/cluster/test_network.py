"""Client, scheduler and workers as hosts of their own, with a slow or a cut link between them.

Needs root and Debian's iproute2: ``apt-get install iproute2``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.jobs import bytes_of, write_job

SCRIPT = Path(__file__).with_name("network.sh")
PREFIX = f"rt{os.getpid()}"
HOSTS = ("client", "scheduler", "first", "second")
ADDRESS = "tcp://10.77.0.2:8786"
FRAMES = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("hosts"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed"),
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="network namespaces need root"
    ),
]


def network(action, *words):
    subprocess.run(["bash", SCRIPT, action, PREFIX, *words], check=True, timeout=60)


@contextmanager
def process(host, *command, **settings):
    """Run a program on a host for the length of a block."""
    environment = os.environ | {"DASK_DISTRIBUTED__WORKER__DAEMON": "True"} | settings
    whole = ["ip", "netns", "exec", f"{PREFIX}-{host}", sys.executable, "-m", *command]
    with subprocess.Popen(
        whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def hosts(tmp_path):
    with ExitStack() as stack:
        stack.callback(network, "stop", *HOSTS)
        network("start", *HOSTS)
        scheduler = (
            "distributed.cli.dask_scheduler",
            "--host",
            "10.77.0.2",
            "--port",
            "8786",
            "--no-dashboard",
        )
        stack.enter_context(process("scheduler", *scheduler))
        time.sleep(3)
        for host in HOSTS[2:]:
            options = ("--nthreads", "1", "--memory-limit", "1GiB", "--no-dashboard", "--local-directory")
            worker = ("distributed.cli.dask_worker", ADDRESS, *options, str(tmp_path / host))
            stack.enter_context(process(host, *worker))
        time.sleep(5)
        yield


@pytest.fixture(scope="module")
def on_threads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("threads")
    subprocess.run(
        [sys.executable, "-m", "roitrace", "run", str(write_job(folder, FRAMES)), "-q"], check=True
    )
    return bytes_of(folder / "out.zarr")


def job(folder, **settings):
    command = ("roitrace", "run", str(folder / "job.yaml"), "-q", "--scheduler", ADDRESS)
    return process("client", *command, **settings)


def test_a_slow_link(tmp_path, on_threads):
    write_job(tmp_path, FRAMES)
    for host in HOSTS[1:]:
        network("slow", host, "20mbit")
    with job(tmp_path) as running:
        told, _ = running.communicate(timeout=300)
    assert running.returncode == 0, told
    assert bytes_of(tmp_path / "out.zarr") == on_threads


@pytest.mark.parametrize("host", ["first", "client"])
def test_a_link_that_is_cut_for_a_while(tmp_path, on_threads, host):
    write_job(tmp_path, FRAMES)
    with job(tmp_path) as running:
        wait_for_slabs(tmp_path)
        network("cut", host)
        time.sleep(5)
        network("mend", host)
        told, _ = running.communicate(timeout=300)
    assert running.returncode == 0, told
    assert bytes_of(tmp_path / "out.zarr") == on_threads


def test_workers_that_are_cut_off_for_good_end_the_job_and_it_resumes(tmp_path, on_threads):
    write_job(tmp_path, FRAMES)
    patience = {"DASK_ROITRACE__PATIENCE_WITHOUT_PROGRESS": "15s"}
    with job(tmp_path, **patience) as running:
        wait_for_slabs(tmp_path)
        network("cut", "first")
        network("cut", "second")
        told, _ = running.communicate(timeout=300)
    assert running.returncode == 1, told
    assert "error: " in told
    assert "run the same command again" in told
    assert "Traceback" not in told
    network("mend", "first")
    network("mend", "second")
    with job(tmp_path) as running:
        told, _ = running.communicate(timeout=300)
    assert running.returncode == 0, told
    assert bytes_of(tmp_path / "out.zarr") == on_threads


def wait_for_slabs(folder):
    """Wait until the job has begun to convert its recording."""
    deadline = time.monotonic() + 60
    while not list(folder.glob("copy.zarr/fluorescence/c/*")):
        assert time.monotonic() < deadline, "the job has not begun"
        time.sleep(0.05)
