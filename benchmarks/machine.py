"""The machine a run was made on, in words."""

import os
import platform
import re
from pathlib import Path


def describe() -> dict[str, str]:
    """Name the CPU, its cores, the memory, the system and what limits TensorFlow's threads."""
    limits = {name: value for name, value in os.environ.items() if name.startswith("TF_NUM_")}
    return {
        "CPU": _cpu(),
        "cores": str(len(os.sched_getaffinity(0)) if _has_affinity() else os.cpu_count()),
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "threads": ", ".join(f"{k}={v}" for k, v in limits.items()) or "TensorFlow's default",
    }


def folder_of(machine: dict[str, str]) -> str:
    """Name of the folder for the results of a machine that `describe` has described."""
    return re.sub(r"\W+", "-", f"{machine['CPU']} {machine['cores']} cores".lower()).strip("-")


def _has_affinity() -> bool:
    return hasattr(os, "sched_getaffinity")


def _cpu() -> str:
    """The kernel's name of it; a virtual machine's may say no more than the maker."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    values = {key.strip(): value.strip() for key, _, value in lines}
    name = values.get("model name", platform.machine())
    if {"cpu family", "model"} <= set(values):
        name += f" (family {values['cpu family']}, model {values['model']})"
    return name


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
