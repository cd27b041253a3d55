"""What a process of `benchmarks.memory` has imported before its job begins: all that any verb loads."""

from __future__ import annotations

__all__: list[str] = []
