"""A task's training in as many processes as the environment names, which begin, work and end together.

The launcher is the process that runs the stage: it alone has the Prefect run, the MLflow run and the lock of the work.
Its processes train, on this machine or on those of a Ray cluster; the first tells it what to log, how the curve goes on
and what comes back. Ctrl-C and SIGTERM reach the launcher, which hands them on; a process that dies ends all of them,
and so does the launcher's own end.
"""

import json
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist

from components.training import distributed
from pipeline import machine, tracking
from pipeline.stopping import asked_to_stop

P = ParamSpec("P")
R = TypeVar("R")

START_METHOD = "spawn"
"""How multiprocessing makes the processes: a fork would copy locks, threads and GPUs in whatever state they are."""
STOPPED = {-signal.SIGTERM, 128 + signal.SIGTERM}  # how processes end that stop as asked, or with one that was asked
SAVING_S = 600  # what the first may take to keep the state when others have stopped
PATIENCE_S = 5  # between a process's failure and the end of those that wait for it, maybe in vain

log = logging.getLogger(__name__)

_launcher: "_Launcher | None" = None


def run(body: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Return what a function of a module returns: called here, or, of several processes that call it, in the first.

    Arguments are handed on and must bear that; what returns is plain (JSON).

    Raises what the function raises, as far as a user can cause it (ValueError, OSError); ChildProcessError where a
    process is killed; RuntimeError for any other failure of one of several.
    """
    count = machine.processes()
    threads = max(1, torch.get_num_threads() // count)
    call = partial(body, *arguments, **named)
    if (address := machine.ray_address()) is not None:
        return _run_on_ray(address, count, threads, call)
    if count == 1:
        return call()
    store = _store()
    workers: list[_Process] = []
    try:
        for rank in range(count):
            workers.append(_started(_Place(rank, count, store.port, threads), call))
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


def is_asked_to_stop() -> bool:
    """Tell whether the launcher has asked this process to stop where no signal reaches it: in a Ray cluster."""
    return _launcher is not None and _launcher.is_asking()


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


@dataclass(kw_only=True)
class _Worker:
    """What one of the processes has told."""

    name: str
    returned: Any = None
    error: tuple[float, str, str] | None = None
    """When it failed (seconds since 1970), how, and in what words."""


@dataclass(kw_only=True)
class _Process(_Worker):
    """One of this machine's."""

    process: BaseProcess
    pipe: Connection


def _store() -> dist.TCPStore:  # type: ignore[name-defined]
    """Return where the processes meet, which listens on this machine alone: left to itself it would on all networks."""
    with socket.create_server((distributed.HOST, 0)) as server:
        port, listener = server.getsockname()[1], server.detach()
    return dist.TCPStore(distributed.HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener)  # type: ignore[attr-defined]


def _started(place: _Place, body: Callable[[], object]) -> _Process:
    context = multiprocessing.get_context(START_METHOD)
    pipe, other_end = context.Pipe(duplex=False)
    process = context.Process(target=_work_here, args=(place, other_end, body), daemon=True)  # type: ignore[attr-defined]
    process.start()
    other_end.close()  # it is the process's alone: its end is the pipe's
    return _Process(name=_name(place.rank, place.count), process=process, pipe=pipe)


def _name(rank: int, count: int) -> str:
    return f"process {rank + 1} of {count}"


def _run_on_ray(address: str, count: int, threads: int, body: Callable[[], R]) -> R:
    """Return what the body returns in the first of the processes that a Ray cluster runs."""
    from integrations import ray_train  # late: what it needs is an extra

    log.info("%d process(es) on the Ray cluster at %s", count, address)
    workers = [_Worker(name=_name(rank, count)) for rank in range(count)]
    with asked_to_stop() as asked:
        words = ray_train.run(
            partial(_work_there, body, threads),
            address,
            count=count,
            threads=threads,
            on_gpus=machine.device().startswith("cuda"),
            environment=machine.handed_on(),
            is_asked_to_stop=asked,
        )
        seen: Exception | None = None
        try:
            with closing(words):
                for rank, said in words:
                    _hear(workers[rank], *json.loads(said))
                    if (error := workers[rank].error) and error[1] in _KINDS:
                        break  # Ray would see it seconds later
        except (ChildProcessError, RuntimeError) as error_seen:
            seen = error_seen
        if reason := _why(workers, seen):
            raise reason
    returned: R = workers[0].returned
    return returned


def _listen(workers: Sequence[_Process], *, is_stopping: bool = False) -> None:
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


def _reason(workers: Sequence[_Process]) -> Exception:
    """Return why processes of this machine ended badly."""
    killed = None
    for worker in workers:
        if killed is None and (status := worker.process.exitcode or 0) < 0:
            by = signal.Signals(-status).name
            killed = ChildProcessError(f"{worker.name} was ended by {by}; start again to go on from the last state")
    ended = next(worker for worker in workers if worker.process.exitcode)
    return _why(workers, killed) or ChildProcessError(f"{ended.name} ended with status {ended.process.exitcode}")


def _why(workers: Sequence[_Worker], seen: Exception | None) -> Exception | None:
    """Return why processes ended badly, if they did: not that they lost sight of each other, which follows.

    `seen` is what was seen from without: a ChildProcessError where one was killed.
    """
    errors = sorted((worker.error, worker.name) for worker in workers if worker.error)
    for (_, kind, words), _ in errors:
        if kind in _KINDS:
            return _KINDS[kind](words)
    if isinstance(seen, ChildProcessError):
        return seen
    for (_, _, words), name in errors:
        log.error("%s failed: %s", name, words)
        return RuntimeError(f"{name} failed: {words.splitlines()[-1]}; its traceback is in the log above")
    return seen


_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}


def _work_here(place: _Place, pipe: Connection, body: Callable[[], object]) -> None:
    """Be one of this machine's processes."""
    os.setpgid(0, 0)  # Ctrl-C in a terminal comes from the launcher alone, else it would come twice
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_launcher, daemon=True).start()

    def grouped() -> object:
        with distributed.group(place.rank, place.count, place.port, torch.device(machine.device())):
            return body()

    _work(grouped, place.threads, _Launcher(pipe.send_bytes, is_first=place.rank == 0))


def _work_there(
    body: Callable[[], object], threads: int, rank: int, send: Callable[[bytes], None], is_asking: Callable[[], bool]
) -> None:
    """Be one of a Ray cluster's processes, which are a group already."""
    _work(body, threads, _Launcher(send, is_first=rank == 0, is_asking=is_asking))


def _work(body: Callable[[], object], threads: int, launcher: "_Launcher") -> None:
    global _launcher
    _launcher = launcher
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


class _Launcher(logging.Handler):
    """The way to the launcher: what is logged goes there too, of the first process."""

    def __init__(
        self, send: Callable[[bytes], None], *, is_first: bool, is_asking: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__()
        self.is_asking = is_asking
        self._send_bytes = send
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
        self._send(kind, [time.time(), words])
        raise SystemExit(1)

    def _send(self, kind: str, value: object) -> None:
        with self._one_at_a_time:
            self._send_bytes(json.dumps([kind, value]).encode())


def _end_with_the_launcher() -> None:
    """Wait for the end of the launcher, however it comes, and end at once: the next one is to have the work alone."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os.kill(os.getpid(), signal.SIGKILL)
