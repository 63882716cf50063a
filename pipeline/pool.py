"""A function called by several processes of this machine at once, its results in order; all end with this one."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 8  # items that each other process is at work on, or has waiting, before this one works too
_WAITING = 16  # results for each process that wait for an earlier one, before this one waits as well
_function: Callable[[Any], Any]  # of a process of the pool, given to it once: it may be large


def in_order(function: Callable[[T], R], items: Iterable[T], processes: int) -> Generator[R, None, None]:
    """Yield the function's result for each item, in order; the number of processes changes the time alone.

    This process is one of them: it reads the items, and calls the function itself where the others have enough to do,
    so that there are no more processes than processors, and as little as can be goes between them. Few items are read
    ahead. Function, items and results are pickled, between processes of this program only.

    Raises what the function raises; ChildProcessError where a process is killed or cannot start.
    """
    if processes == 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks and threads in whatever state they are
    executor = ProcessPoolExecutor(processes - 1, context, initializer=begin, initargs=(function,))
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            if sum(not each.done() for each in waiting) < _AHEAD * (processes - 1):
                waiting.append(executor.submit(_call, item))
            else:
                waiting.append(_done(function, item))
            while waiting and (waiting[0].done() or len(waiting) > _WAITING * processes):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process ended before its time (killed, maybe for memory; its own words stand above); "
            "start again to go on from what is done"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _done(function: Callable[[T], R], item: T) -> "Future[R]":
    """Return what the function makes of an item, or raises, as other processes' results come: for its turn."""
    future: Future[R] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:  # raised again in its turn
        future.set_exception(error)
    return future


def begin(function: Callable[[Any], Any]) -> None:
    """Be a process of a pool: hold its function, leave Ctrl-C to the process that started it, and end with that."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_the_parent, daemon=True).start()


def end_with_the_parent() -> None:
    """Wait for the end of the process that started this one, however it comes, and end at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _call(item: Any) -> Any:
    return _function(item)
