"""The machine: its description, its cores, and what the kernel knows of a process."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Cores:
    """Where server and client run; `None` where processes cannot be pinned."""

    server: int | None
    client: int | None

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first two cores this process may use; one core is shared."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1] if len(usable) > 1 else usable[0])


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this thread, and every process it starts meanwhile, on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe_machine() -> str:
    """Processor, number of cores, memory and kernel, in one line."""
    parts = [f"{_processor()}, {os.cpu_count()} cores"]
    with contextlib.suppress(ValueError, OSError):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        parts.append(f"{size / 1024 / MIB:.0f} GiB")
    return ", ".join([*parts, f"{platform.system()} {platform.release().split('-')[0]}"])


def _processor() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if match:
            return match[1]
    return platform.machine()


def load_average() -> float:
    """Processes that wanted to run, on average over the last minute."""
    return os.getloadavg()[0]


@dataclass(frozen=True)
class Memory:
    """Memory of processes in bytes.

    Attributes:
        rss: Resident pages, shared ones counted in full.
        pss: Resident pages, each divided by the number of processes that share it.
    """

    rss: int
    pss: int


def has_proc() -> bool:
    """Whether the kernel tells memory and processor time of processes (Linux)."""
    return Path("/proc/self/smaps_rollup").exists()


def memory_of(pids: Iterable[int]) -> Memory:
    """Memory of some processes together, from proc_pid_smaps(5).

    Raises:
        OSError: One of them has ended.
    """
    rss = pss = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes = {name: int(size) * 1024 for name, size in re.findall(r"(\w+):\s+(\d+) kB", text)}
        rss += sizes["Rss"]
        pss += sizes["Pss"]
    return Memory(rss, pss)


def descendants(pid: int) -> list[int]:
    """A process and all living ones that come of it, sessions of their own included."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # Field 2, the command's name, may hold blanks; behind it come fields 3 and on.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time, user and system, that some processes have used; proc_pid_stat(5).

    Raises:
        OSError: One of them has ended.
    """
    ticks = 0
    for pid in pids:
        # Field 2, the command's name, may hold blanks; behind it come fields 3 and on.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / float(os.sysconf("SC_CLK_TCK"))
