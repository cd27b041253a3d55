"""The configuration of a job: typed, checked before anything runs, and read from safe YAML."""

from __future__ import annotations

from roitrace.config.cluster import ClusterConfig
from roitrace.config.file import make_config, read_cluster, read_config
from roitrace.config.schema import config_schema
from roitrace.config.sections import Config

__all__ = ["ClusterConfig", "Config", "config_schema", "make_config", "read_cluster", "read_config"]
