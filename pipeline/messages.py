"""What the processes of a training tell their launcher, and what it learns from that, up to why they ended.

A message is a kind and a value in JSON. The first process tells what it logs, the rows of the curve and what its work
returns; each tells how it failed.
"""

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch

from pipeline import tracking

MENDABLE: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}
"""Failures that a user can mend: they are raised as they were; any other has its traceback logged."""

log = logging.getLogger(__name__)

launcher: "Launcher | None" = None
"""The way to the launcher, in a process that has one."""


def work(
    body: Callable[[], object],
    threads: int,
    rank: int,
    send: Callable[[bytes], None],
    is_asking: Callable[[], bool] = lambda: False,
) -> None:
    """Be process `rank` of a training: call the body on so many threads and tell the launcher what came of it.

    `send` takes a message to the launcher; `is_asking` tells whether that asks to stop, where no signal can. A failure
    ends the process.
    """
    global launcher
    launcher = Launcher(send, is_asking, is_first=rank == 0)
    ours = logging.getLogger("pipeline")
    ours.setLevel(logging.INFO)
    ours.handlers, ours.propagate = [launcher], False
    torch.set_num_threads(threads)
    try:
        launcher.tell("returned", body())
    except ValueError as error:
        launcher.fail("ValueError", str(error))
    except OSError as error:
        launcher.fail("OSError", str(error))
    except Exception:  # whatever it is, the launcher says it once for all
        launcher.fail("Exception", traceback.format_exc())


class Launcher(logging.Handler):
    """The launcher as its processes see it."""

    def __init__(self, send: Callable[[bytes], None], is_asking: Callable[[], bool], *, is_first: bool) -> None:
        super().__init__()
        self.is_asking = is_asking
        self._send_bytes = send
        self._is_first = is_first
        self._one_at_a_time = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the launcher what is logged."""
        self.tell("log", [record.name, record.levelno, record.getMessage()])

    def tell(self, kind: str, value: object) -> None:
        """Tell the launcher something, if this is the first process."""
        if self._is_first:
            self._send(kind, value)

    def fail(self, kind: str, words: str) -> None:
        """Tell the launcher why this process ends, and end it."""
        self._send(kind, [time.time(), words])
        raise SystemExit(1)

    def _send(self, kind: str, value: object) -> None:
        with self._one_at_a_time:
            self._send_bytes(json.dumps([kind, value]).encode())


class Told:
    """What the launcher was told by its processes, of which there are `count`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.returned: Any = None
        self._failures: list[tuple[float, int, str, str]] = []  # when (seconds since 1970), in which process, how, why

    def name(self, rank: int) -> str:
        """Return what a process is called in a message to the user."""
        return f"process {rank + 1} of {self._count}"

    def hear(self, rank: int, message: bytes) -> None:
        """Pass on what a process logs, in a log or to the open run, and keep the rest."""
        kind, value = json.loads(message)
        if kind == "log":
            name, level, words = value
            logging.getLogger(name).log(level, words)
        elif kind == "points":
            tracking.points(value)
        elif kind == "returned":
            self.returned = value
        else:
            when, words = value
            self._failures.append((when, rank, kind, words))

    def has_mendable_failure(self) -> bool:
        """Tell whether a process failed in a way that a user can mend: that is the reason, whatever follows."""
        return any(kind in MENDABLE for _, _, kind, _ in self._failures)

    def reason(self, seen: Exception | None) -> Exception | None:
        """Return why processes ended badly, if they did: not that they lost sight of each other, which follows.

        `seen` is what was seen from without: a ChildProcessError where one was killed.
        """
        failures = sorted(self._failures)
        for _, _, kind, words in failures:
            if kind in MENDABLE:
                return MENDABLE[kind](words)
        if isinstance(seen, ChildProcessError):
            return seen
        for _, rank, _, words in failures:
            name, last_line = self.name(rank), words.splitlines()[-1]
            log.error("%s failed: %s", name, words)
            return RuntimeError(f"{name} failed: {last_line}; its traceback is in the log above")
        return seen
