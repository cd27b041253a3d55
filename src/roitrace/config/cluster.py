"""What a dask cluster is made of: worker processes of this machine, or jobs of a queue."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from roitrace.config.fields import ByteCount, Duration, PositiveCount, Section
from roitrace.units import parse_duration

__all__ = ["ClusterConfig"]


class ClusterConfig(Section):
    """Where the tasks of a job run, instead of in threads of the program itself."""

    type: Literal["local", "slurm", "pbs", "lsf", "sge", "oar", "moab", "htcondor"]
    """local: processes of this machine; otherwise the queue that jobs are submitted to, through dask-jobqueue."""
    jobs: PositiveCount = 1
    """Jobs to submit; on this machine, always one."""
    processes: PositiveCount = 1
    """Worker processes of a job."""
    cores: PositiveCount = 1
    """Processors of a job, shared by its worker processes: each runs cores / processes tasks at once."""
    memory: ByteCount | None = None
    """Memory of a job, shared by its worker processes; a queue needs to know."""
    queue: str | None = None
    account: str | None = None
    walltime: str | None = None
    """As the queue writes it, such as "04:00:00"."""
    interface: str | None = None
    """Network interface of workers and scheduler, such as ib0."""
    wait: Duration = "10 min"
    """How long to wait for the workers of all jobs; the job runs on those that are there then."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What else dask-jobqueue's cluster, or dask's LocalCluster, takes, such as job_script_prologue."""

    @property
    def n_workers(self) -> int:
        """Worker processes in all."""
        return self.processes if self.type == "local" else self.jobs * self.processes

    @property
    def threads(self) -> int:
        """Tasks at once in a worker process."""
        return max(1, self.cores // self.processes)

    @property
    def worker_memory(self) -> int | None:
        """Memory of a worker process, bytes."""
        return None if self.memory is None else self.memory // self.processes

    @property
    def wait_seconds(self) -> float:
        """How long to wait for workers."""
        return parse_duration(self.wait, "wait")[0]

    @classmethod
    def of_this_machine(cls) -> ClusterConfig:
        """Up to four processes of this machine that share all its processors."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(type="local", processes=min(4, cores), cores=cores)
