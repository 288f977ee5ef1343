"""The memory that this process may still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""


def available_memory(group: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may still take: of the machine, and of every control group (of a
    container, a SLURM job, ``systemd-run``) that it is in.

    Parameters
    ----------
    group : path, default Path('/proc/self/cgroup')
        The file that names the process's control groups (version 1 or 2; elsewhere it is ignored).
    """
    free = [psutil.virtual_memory().available]
    lines = group.read_text().splitlines() if group.exists() else []
    names = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    free += [
        room
        for line in lines
        if "memory" in line.split(":")[1].split(",")
        for room in _of_version_1(line.split(":", 2)[2].strip("/"))
    ]
    for name in names:
        folder = CONTROL_GROUPS / name
        for each in (folder, *folder.parents):
            if each == CONTROL_GROUPS.parent:
                break
            try:
                limit = (each / "memory.max").read_text().strip()
                used = int((each / "memory.current").read_text())
                kept = dict(
                    line.split() for line in (each / "memory.stat").read_text().splitlines()
                )
            except OSError:
                continue
            if limit != "max":  # what the system may drop (read files) does not count as used
                free.append(int(limit) - used + int(kept.get("inactive_file", 0)))
    return min(free)


def _of_version_1(name: str) -> Iterator[int]:
    """Bytes that are left of the limits of a control group of version 1, and of those above it."""
    folder = CONTROL_GROUPS / "memory" / name
    for each in (folder, *folder.parents):
        if each == CONTROL_GROUPS:
            return
        try:
            limit = int((each / "memory.limit_in_bytes").read_text())
            used = int((each / "memory.usage_in_bytes").read_text())
            kept = dict(line.split() for line in (each / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        yield limit - used + int(kept.get("total_inactive_file", 0))
