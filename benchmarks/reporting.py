"""What a benchmark says of the machine and of its processes."""

import platform
import subprocess
import time
from pathlib import Path

import torch


def description() -> str:
    """Return a line on hardware, versions, commit and date."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return (
        f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}; commit {commit.stdout.strip() or 'none'}; {time.strftime('%Y-%m-%d')}."
    )


def peak_memory_mib() -> float:
    """Return this process's highest resident memory since it began (unlike ru_maxrss, which begins as its parent's).

    For Linux.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
