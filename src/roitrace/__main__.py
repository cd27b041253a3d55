"""Run the command line with ``python -m roitrace``."""

from __future__ import annotations

import sys

from roitrace.cli import main

if __name__ == "__main__":
    sys.exit(main())
