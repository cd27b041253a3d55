"""Where the real recordings and the references made by other software are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ROITRACE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"real recordings are not at {DATA}; set ROITRACE_DATA"
)
