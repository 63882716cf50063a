"""What a benchmark says of the machine and of its processes."""

import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def description() -> str:
    """Return a line on hardware, versions, commit and date."""
    import torch  # late: not every contestant needs it, and each is a process

    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return (
        f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}; {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}; commit {commit.stdout.strip() or 'none'}; {time.strftime('%Y-%m-%d')}."
    )


def peak_memory_mib(process: int | None = None) -> float:
    """Return a process's highest resident memory since it began (unlike ru_maxrss, which begins as its parent's).

    None is this process. For Linux.
    """
    lines = Path(f"/proc/{process or 'self'}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@contextmanager
def peak_memory_of_children() -> Iterator[dict[int, float]]:
    """Yield the highest resident memory, MiB, of each process that this one starts in the block, seen every 0.1 s."""
    highest: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for child in psutil.Process().children():
                with suppress(OSError, StopIteration, psutil.Error):  # it has just ended
                    highest[child.pid] = peak_memory_mib(child.pid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        ended.set()
        watcher.join()
