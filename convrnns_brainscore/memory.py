"""The memory that this process may still take."""

from __future__ import annotations

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
        The file that names the process's control group (version 2; elsewhere it is ignored).
    """
    free = [psutil.virtual_memory().available]
    lines = group.read_text().splitlines() if group.exists() else []
    names = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
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
