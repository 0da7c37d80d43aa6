"""Processors and memory, as far as the system tells (Linux; elsewhere memory is unknown)."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_KIB_PER_MIB = 1024


def usable_cpus() -> int:
    """Processors that this process, and what it starts, may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory_mib() -> float | None:
    """Memory that can be had without swapping."""
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return int(found[1]) / _KIB_PER_MIB
    return None


def memory_mib(pid: int) -> float | None:
    """Memory of a process and its children, shared pages counted once; None when unknown."""
    total = 0.0
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (str(pid), *children):
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
        return total / _KIB_PER_MIB
    return None
