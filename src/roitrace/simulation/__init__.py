"""Recordings with a known truth: soma-shaped cells in neuropil, seen by a two-photon microscope."""

from __future__ import annotations

from roitrace.simulation.source import SimulatedSource
from roitrace.simulation.truth import Truth, load_truth
from roitrace.simulation.writing import simulate

__all__ = ["SimulatedSource", "Truth", "load_truth", "simulate"]
