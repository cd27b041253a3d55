"""The explorer: a recording of any size, its cells and their traces, in a page of this computer's own."""

from __future__ import annotations

from roitrace.view.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
