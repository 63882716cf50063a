"""A training's processes on this machine: the launcher's children, which begin, work and end together.

Ctrl-C and SIGTERM reach the launcher, which hands them on; a process that dies ends all of them, and so does the
launcher's own end.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

import torch
import torch.distributed as dist

from components.training import distributed
from pipeline import machine, messages, pool
from pipeline.messages import Told

R = TypeVar("R")

START_METHOD = "spawn"
"""How multiprocessing makes the processes: a fork would copy locks, threads and GPUs in whatever state they are."""
STOPPED = {-signal.SIGTERM, 128 + signal.SIGTERM}  # how processes end that stop as asked, or with one that was asked
SAVING_S = 600  # what the first may take to keep the state when others have stopped
PATIENCE_S = 5  # between a process's failure and the end of those that wait for it, maybe in vain


def run(body: Callable[[], R], count: int, threads: int) -> R:
    """Return what a body returns in the first of `count` processes, one group, that call it on so many threads each.

    Raises what the body raises, as far as a user can cause it (ValueError, OSError); ChildProcessError where a process
    is killed or ends without a word; RuntimeError for any other failure.
    """
    store, told = _store(), Told(count)
    children: list[_Child] = []
    try:
        for rank in range(count):
            children.append(_started(partial(_work, body, count, threads, store.port, rank)))
        _listen(children, told)
        if any(child.process.exitcode for child in children):
            raise _reason(children, told)  # held by no variable: in a cycle with it the store would outlive this call
        returned: R = told.returned
        return returned
    except (KeyboardInterrupt, SystemExit):
        for child in children:
            child.process.terminate()
        _listen(children, told)  # until the state is kept; a second signal ends it
        raise
    finally:
        for child in children:
            child.process.kill()
            child.process.join()
            child.pipe.close()


@dataclass(frozen=True)
class _Child:
    """A process, and the end of the pipe at which it is heard."""

    process: BaseProcess
    pipe: Connection


def _store() -> dist.TCPStore:  # type: ignore[name-defined]
    """Return where the processes meet, which listens on this machine alone: left to itself it would on all networks."""
    with socket.create_server((distributed.HOST, 0)) as server:
        port, listener = server.getsockname()[1], server.detach()
    return dist.TCPStore(distributed.HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener)  # type: ignore[attr-defined]


def _started(work: Callable[[Connection], None]) -> _Child:
    context = multiprocessing.get_context(START_METHOD)
    pipe, other_end = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(other_end,), daemon=True)  # type: ignore[attr-defined]
    process.start()
    other_end.close()  # it is the process's alone: its end is the pipe's
    return _Child(process, pipe)


def _work(body: Callable[[], object], count: int, threads: int, port: int, rank: int, pipe: Connection) -> None:
    """Be one of the processes."""
    os.setpgid(0, 0)  # Ctrl-C in a terminal comes from the launcher alone, else it would come twice
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=pool.end_with_the_parent, daemon=True).start()

    def grouped() -> object:
        with distributed.group(rank, count, port, torch.device(machine.device())):
            return body()

    messages.work(grouped, threads, rank, pipe.send_bytes)


def _listen(children: Sequence[_Child], told: Told) -> None:
    """Hear what the processes tell until all have ended, or one badly and the others have had their time."""
    talking = {child.pipe: rank for rank, child in enumerate(children)}
    ended_badly: float | None = None
    while talking:
        patience_s = _patience_s(child.process.exitcode for child in children)
        if patience_s is not None:  # from the first bad end on, however much the others have to say
            ended_badly = ended_badly or time.monotonic()
            patience_s = max(0.0, ended_badly + patience_s - time.monotonic())
        ready = connection.wait(list(talking), patience_s)
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):  # the latter: killed in the middle of a word
                children[talking.pop(pipe)].process.join()
            else:
                told.hear(talking[pipe], message)


def _patience_s(ends: Iterable[int | None]) -> float | None:
    """Return how long a word of those that still run is waited for, given how the others ended."""
    bad = {end for end in ends if end}
    if not bad:
        return None
    return SAVING_S if bad <= STOPPED else PATIENCE_S


def _reason(children: Sequence[_Child], told: Told) -> Exception:
    """Return why processes ended badly."""
    ends = [(told.name(rank), child.process.exitcode or 0) for rank, child in enumerate(children)]
    killed = next(
        (
            ChildProcessError(
                f"{name} was ended by {signal.Signals(-end).name}; start again to go on from the last state"
            )
            for name, end in ends
            if end < 0
        ),
        None,
    )
    ended, status = next((name, end) for name, end in ends if end)
    return told.reason(killed) or ChildProcessError(f"{ended} ended with status {status}")
