"""A task's training in as many processes as the environment names, on this machine or on those of a Ray cluster.

The launcher is the process that runs the stage: it alone has the Prefect run, the MLflow run and the lock of the work.
Its processes train; the first tells it what to log, how the curve goes on and what comes back.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import ParamSpec, TypeVar

import torch

from components.training import distributed
from pipeline import children, machine, messages, tracking
from pipeline.messages import Told
from pipeline.stopping import asked_to_stop

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


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
        return _run_on_ray(call, count, threads, address)
    return call() if count == 1 else children.run(call, count, threads)


def points(rows: Sequence[Mapping[str, float]]) -> None:
    """Log rows of a curve to the open run, which is the launcher's."""
    if messages.launcher is None:
        tracking.points(rows)
    else:
        messages.launcher.tell("points", list(rows))


def is_asked_to_stop() -> bool:
    """Tell whether the launcher has asked this process to stop where no signal reaches it: in a Ray cluster."""
    return messages.launcher is not None and messages.launcher.is_asking()


def leave_to_the_first() -> None:
    """End the group, and well each process that is not its first: what is left to do is done by one."""
    if distributed.count() > 1:
        is_first = distributed.rank() == 0
        distributed.leave()
        if not is_first:
            raise SystemExit(0)


def _run_on_ray(body: Callable[[], R], count: int, threads: int, address: str) -> R:
    """Return what the body returns in the first of the processes that a Ray cluster runs."""
    from integrations import ray_train  # late: what it needs is an extra

    log.info("%d process(es) on the Ray cluster at %s", count, address)
    told = Told(count)
    with asked_to_stop() as asked:
        words = ray_train.run(
            partial(messages.work, body, threads),
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
                for rank, message in words:
                    told.hear(rank, message)
                    if told.has_mendable_failure():
                        break  # Ray would see it seconds later
        except (ChildProcessError, RuntimeError) as error:
            seen = error
        if reason := told.reason(seen):
            raise reason
    returned: R = told.returned
    return returned
