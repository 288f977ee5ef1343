"""The memory that this process may still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""

VERSION_2 = "memory.max", "memory.current", "inactive_file"
VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
"""Of each version, the files of a group's limit and use, and the entry of ``memory.stat`` for files
that were read and may be dropped."""


def available_memory(group: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may still take: of the machine, and of every control group (of a
    container, a SLURM job, ``systemd-run``) that it is in.

    Parameters
    ----------
    group : path, default Path('/proc/self/cgroup')
        The file that names the process's control groups (version 1 or 2; elsewhere it is ignored).
    """
    free = [psutil.virtual_memory().available]
    for line in group.read_text().splitlines() if group.exists() else []:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            free += _left_in(CONTROL_GROUPS / name.strip("/"), *VERSION_2)
        elif "memory" in controllers.split(","):
            free += _left_in(CONTROL_GROUPS / "memory" / name.strip("/"), *VERSION_1)
    return min(free)


def _left_in(folder: Path, limits: str, usage: str, dropped: str) -> Iterator[int]:
    """Bytes that are left of the limits of a control group and of those above it."""
    for each in (folder, *folder.parents):
        if each == CONTROL_GROUPS.parent:
            return
        try:
            limit = (each / limits).read_text().strip()
            used = int((each / usage).read_text())
            kept = dict(line.split() for line in (each / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if limit != "max":  # what the system may drop (read files) does not count as used
            yield int(limit) - used + int(kept.get(dropped, 0))
