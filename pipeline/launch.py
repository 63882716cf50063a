"""A task's training in as many processes as the environment names, which begin, work and end together.

The launcher is the process that runs the stage: it alone has the Prefect run, the MLflow run and the lock of the work.
Its processes train; the first tells it what to log, how the curve goes on and what comes back. Ctrl-C and SIGTERM reach
the launcher, which hands them on; a process that dies ends all of them, and so does the launcher's own end.
"""

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist

from components.training import distributed
from pipeline import machine, tracking

P = ParamSpec("P")
R = TypeVar("R")

START_METHOD = "spawn"
"""How multiprocessing makes the processes: a fork would copy locks, threads and GPUs in whatever state they are."""
STOPPED = {-signal.SIGTERM, 128 + signal.SIGTERM}  # how processes end that stop as asked, or with one that was asked
SAVING_S = 600  # what the first may take to keep the state when others have stopped
PATIENCE_S = 5  # between a process's failure and the end of those that wait for it, maybe in vain

_launcher: "_Launcher | None" = None


def run(body: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Return what a function of a module returns: called here, or, of several processes that call it, in the first.

    Arguments are handed on and must bear that; what returns is plain (JSON).

    Raises what the function raises, as far as a user can cause it (ValueError, OSError); ChildProcessError where a
    process is killed.
    """
    count = machine.processes()
    if count == 1:
        return body(*arguments, **named)
    store = dist.TCPStore(distributed.HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    threads = max(1, torch.get_num_threads() // count)
    workers: list[_Worker] = []
    try:
        for rank in range(count):
            workers.append(_started(_Place(rank, count, store.port, threads), body, arguments, named))
        _listen(workers)
        returned: R = workers[0].returned
        return returned
    except (KeyboardInterrupt, SystemExit):
        for worker in workers:
            worker.process.terminate()
        _listen(workers, is_stopping=True)  # until the state is kept; a second signal ends it
        raise
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def points(rows: Sequence[Mapping[str, float]]) -> None:
    """Log rows of a curve to the open run, which is the launcher's."""
    if _launcher is None:
        tracking.points(rows)
    else:
        _launcher.tell("points", list(rows))


def leave_to_the_first() -> None:
    """End the group, and well each process that is not its first: what is left to do is done by one."""
    if distributed.count() > 1:
        is_first = distributed.rank() == 0
        distributed.leave()
        if not is_first:
            raise SystemExit(0)


@dataclass(frozen=True)
class _Place:
    """Which process this is, of how many, where they meet, and on how many threads it computes."""

    rank: int
    count: int
    port: int
    threads: int


@dataclass
class _Worker:
    """One of the processes, as the launcher knows it."""

    place: _Place
    process: BaseProcess
    pipe: Connection
    returned: Any = None
    error: tuple[float, str, str] | None = None
    """When it failed (the machine's monotonic clock), how, and in what words."""

    @property
    def name(self) -> str:
        return f"process {self.place.rank + 1} of {self.place.count}"


def _started(place: _Place, body: Callable[..., object], arguments: tuple[Any, ...], named: dict[str, Any]) -> _Worker:
    context = multiprocessing.get_context(START_METHOD)
    pipe, other_end = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(place, other_end, body, arguments, named), daemon=True)  # type: ignore[attr-defined]
    process.start()
    other_end.close()  # it is the process's alone: its end is the pipe's
    return _Worker(place, process, pipe)


def _listen(workers: Sequence[_Worker], *, is_stopping: bool = False) -> None:
    """Pass on what the processes say until all have ended; raise for the first bad end, unless they were to stop."""
    talking = {worker.pipe: worker for worker in workers if not worker.pipe.closed}
    ended_badly: float | None = None
    while talking:
        patience_s = _patience_s(worker.process.exitcode for worker in workers)
        if patience_s is not None:  # from the first bad end on, however much the others have to say
            ended_badly = ended_badly or time.monotonic()
            patience_s = max(0.0, ended_badly + patience_s - time.monotonic())
        ready = connection.wait(list(talking), patience_s)
        if not ready:
            break
        for pipe in ready:
            worker = talking[pipe]  # type: ignore[index]
            try:
                kind, value = json.loads(worker.pipe.recv_bytes())
            except (EOFError, OSError):  # the latter: killed in the middle of a word
                del talking[worker.pipe]
                worker.process.join()
            else:
                _hear(worker, kind, value)
    if not is_stopping and any(worker.process.exitcode != 0 for worker in workers):
        raise _reason(workers)


def _patience_s(ends: Iterable[int | None]) -> float | None:
    """Return how long a word of those that still run is waited for, given how the others ended."""
    bad = {end for end in ends if end}
    if not bad:
        return None
    return SAVING_S if bad <= STOPPED else PATIENCE_S


def _hear(worker: _Worker, kind: str, value: Any) -> None:
    if kind == "log":
        name, level, words = value
        logging.getLogger(name).log(level, words)
    elif kind == "points":
        tracking.points(value)
    elif kind == "returned":
        worker.returned = value
    else:
        worker.error = (value[0], kind, value[1])


def _reason(workers: Sequence[_Worker]) -> Exception:
    """Return why processes that ended badly did: not that they lost sight of each other, which follows."""
    errors = sorted((worker.error, worker.name) for worker in workers if worker.error)
    for (_, kind, words), _ in errors:
        if kind in _KINDS:
            return _KINDS[kind](words)
    for worker in workers:
        if (status := worker.process.exitcode or 0) < 0:
            by = signal.Signals(-status).name
            return ChildProcessError(f"{worker.name} was ended by {by}; start again to go on from the last state")
    for (_, _, words), name in errors:
        return RuntimeError(f"{name} failed: {words}")
    ended = next(worker for worker in workers if worker.process.exitcode)
    return ChildProcessError(f"{ended.name} ended with status {ended.process.exitcode}")


_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}


def _work(
    place: _Place, pipe: Connection, body: Callable[..., object], arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """Be one of the processes."""
    global _launcher
    os.setpgid(0, 0)  # Ctrl-C in a terminal comes from the launcher alone, else it would come twice
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    _launcher = _Launcher(pipe, is_first=place.rank == 0)
    log = logging.getLogger("pipeline")
    log.setLevel(logging.INFO)
    log.handlers, log.propagate = [_launcher], False
    torch.set_num_threads(place.threads)
    try:
        with distributed.group(place.rank, place.count, place.port, torch.device(machine.device())):
            _launcher.tell("returned", body(*arguments, **named))
    except ValueError as error:
        _launcher.fail("ValueError", str(error))
    except OSError as error:
        _launcher.fail("OSError", str(error))
    except Exception:  # whatever it is, the launcher says it once for all
        _launcher.fail("Exception", traceback.format_exc())


class _Launcher(logging.Handler):
    """The way to the launcher: what is logged goes there too, of the first process."""

    def __init__(self, pipe: Connection, *, is_first: bool) -> None:
        super().__init__()
        self._pipe = pipe
        self._is_first = is_first
        self._one_at_a_time = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        self.tell("log", [record.name, record.levelno, record.getMessage()])

    def tell(self, kind: str, value: object) -> None:
        """Tell the launcher something, if this is the first process."""
        if self._is_first:
            self._send(kind, value)

    def fail(self, kind: str, words: str) -> None:
        """Tell the launcher why this process ends, and end it."""
        self._send(kind, [time.monotonic(), words])
        raise SystemExit(1)

    def _send(self, kind: str, value: object) -> None:
        with self._one_at_a_time:
            self._pipe.send_bytes(json.dumps([kind, value]).encode())


def _end_with_the_launcher() -> None:
    """Wait for the end of the launcher, however it comes, and end at once: the next one is to have the work alone."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os.kill(os.getpid(), signal.SIGKILL)
