"""How much memory is free for this process: that of the machine, and that of its control groups."""

from __future__ import annotations

from pathlib import Path

__all__ = ["free_memory"]


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still take without swapping or being killed.

    The least of what the machine has available and of what each control group (versions 1 and 2) around the process leaves;
    file cache that can be dropped counts as free.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - loaded when a share of memory is asked for

    left = [int(psutil.virtual_memory().available)]
    for folder, limit, usage, cache in _control_groups(root):
        most = _number(folder / limit)
        if most is not None:
            used = (_number(folder / usage) or 0) - _cached(folder / "memory.stat", cache)
            left.append(max(0, most - used))
    return min(left)


def _control_groups(root: Path) -> list[tuple[Path, str, str, str]]:
    """Folders of the memory control groups that the process is in, parents included, and the names of their files."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        number, controllers, place = line.split(":", 2)
        if number == "0" and not controllers:
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        folder = top / place.strip("/")
        # a container may see its own group as the top
        groups += [(one, *names) for one in (folder, *folder.parents) if one.is_relative_to(top)]
    return groups


def _number(path: Path) -> int | None:
    """Read a number of bytes; None if there is no such file, or no limit."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    # version 1 writes a huge number where there is no limit
    return int(text) if text.isdecimal() and int(text) < 2**60 else None


def _cached(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    values = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(values.get(name, 0))
