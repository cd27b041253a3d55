"""The command line. Importing it is cheap: what a verb needs is imported when the verb runs."""

from __future__ import annotations

from roitrace.cli.main import main

__all__ = ["main"]
