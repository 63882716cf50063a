"""Other programs run for a while: each in a process group of its own, of which nothing stays behind."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

PATIENCE_S = 60  # what a stage may take to leave things in order


def run(command: Sequence[str]) -> int:
    """Run a program to its end and return its status.

    Interrupted, this asks the program and all that it has started to stop, once, and waits for them.
    """
    with child(command, ask=signal.SIGINT) as process:
        return process.wait()


@contextmanager
def child(
    command: Sequence[str], *, output: IO[str] | None = None, ask: signal.Signals = signal.SIGTERM
) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a program run for the time of the block, its words going to `output` or else to ours.

    A program that still runs at the end of the block is asked to stop, and killed where it takes over a minute. Its
    group is its own, for Ctrl-C in a terminal would reach it twice: from there and from here.
    """
    process = subprocess.Popen(command, stdout=output, stderr=output, process_group=0)
    try:
        yield process
    finally:
        if process.poll() is None:
            _stop(process, ask)


def _stop(process: "subprocess.Popen[bytes]", ask: signal.Signals) -> None:
    os.killpg(process.pid, ask)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
    finally:  # whatever is left of the group, and after a second Ctrl-C all of it
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
