"""Ray Train as a launcher: work in processes of a running Ray cluster, which are one group of torch.distributed."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from integrations import ray_cluster
from integrations.ray_cluster import line

Work = Callable[[int, Callable[[bytes], None], Callable[[], bool]], None]
"""Called in each process with its number, what sends words to the launcher, and what tells whether it is to stop.

It is done where it returns, or ends by SystemExit with status 0 or `STOPPED`; with another it has failed.
"""

STOPPED = 128 + signal.SIGTERM
LISTEN_S = 0.5  # between two looks at whether the processes still run, or are to stop
NOTICE_S = 5  # after a failure: Ray looks every two seconds who is dead, and that may be what made others fail
SAVING_S = 600  # what keeping the state may take where they are to stop


def run(
    work: Work,
    address: str,
    *,
    count: int,
    threads: int,
    on_gpus: bool,
    environment: Mapping[str, str],
    is_asked_to_stop: Callable[[], bool],
) -> Generator[tuple[int, bytes], None, None]:
    """Do work in `count` processes and yield what each sends, with its number, until all have ended.

    Each takes `threads` of the cluster's CPUs, or one GPU, and has `environment`. Once asked to stop they are told so,
    and waited for. Closing ends them.

    Raises ValueError where the address is none, Ray is not installed, or the cluster does not answer or has no room;
    OSError where its machines lack the folder or the modules; ChildProcessError where a process is killed.
    """
    ray_cluster.connect(address, environment)
    import ray
    from ray.util.queue import Empty, Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    beside = {"num_cpus": 0, "scheduling_strategy": here}
    resources = {"GPU": 1, "CPU": 1} if on_gpus else {"CPU": threads}
    with tempfile.TemporaryDirectory(prefix="ray-train-", ignore_cleanup_errors=True) as notes:
        try:
            said, told = Queue(actor_options=beside), Queue(actor_options=beside)
            body = _bootstrap(work, Path.cwd(), said, told)
            # Not in a thread of this process: Ray crashes where one waits for it when another ends it.
            end = ray.remote(max_retries=0, **beside)(_fit).remote(body, count, resources, notes)
            has_begun, asked = False, None
            while True:
                is_over = bool(ray.wait([end], timeout=0)[0])
                try:
                    rank, words = said.get(timeout=LISTEN_S)
                except Empty:
                    if is_over:
                        break
                else:
                    has_begun = True
                    if isinstance(words, str):
                        raise OSError(words)
                    if words:
                        yield rank, words
                if asked is None and is_asked_to_stop():
                    asked = time.monotonic()
                    told.put("stop")
                if asked is not None and (not has_begun or time.monotonic() - asked > SAVING_S):
                    return
            if asked is None:
                _judge(end, count, address, resources)
        finally:
            ray.shutdown()


def _bootstrap(work: Work, folder: Path, said: Any, told: Any) -> Callable[[], None]:
    """Return what a process of the cluster calls."""
    unpack = ray_cluster.packed(work, folder)

    def train() -> None:
        from ray import train as ray_train
        from ray.exceptions import RayError

        rank = ray_train.get_context().get_world_rank()
        is_told = threading.Event()

        def listen() -> None:
            try:
                while told.get():
                    is_told.set()
            except RayError:  # the launcher is gone: the next one is to have the work alone
                os.kill(os.getpid(), signal.SIGKILL)

        said.put((rank, b""))
        threading.Thread(target=listen, daemon=True).start()
        try:
            work = unpack()
        except OSError as error:
            said.put((rank, str(error)))
            return
        try:
            work(rank, lambda words: said.put((rank, words)), is_told.is_set)
        except SystemExit as end:
            if end.code not in (None, 0, STOPPED):
                time.sleep(NOTICE_S)
                raise RuntimeError(f"it ended with status {end.code}") from None

    return train


def _fit(train: Callable[[], None], count: int, resources: Mapping[str, int], notes: str) -> tuple[str, int, str]:
    """Have Ray Train call a function in `count` processes; return how it ended: in what way, in which process, why."""
    from ray.exceptions import RayActorError
    from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchConfig, TorchTrainer

    on_gpus = "GPU" in resources
    never_again = FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=0)
    trainer = TorchTrainer(
        train,
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if on_gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=count, use_gpu=on_gpus, resources_per_worker=dict(resources)),
        run_config=RunConfig(storage_path=notes, failure_config=never_again),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        for rank, failure in sorted(error.worker_failures.items()):
            if isinstance(getattr(failure, "health_check_failure", failure), RayActorError):
                return "killed", rank, ""
        rank = min(error.worker_failures)
        return "failed", rank, line(error.worker_failures[rank])
    except ControllerError as error:
        return "not started", 0, line(error.controller_failure).partition(". ")[0]
    return "done", 0, ""


def _judge(end: Any, count: int, address: str, resources: Mapping[str, int]) -> None:
    """Raise what says how a training ended, unless it was well."""
    import ray

    again = "start again to go on from the last state"
    try:
        way, rank, words = ray.get(end)
    except ray.exceptions.RayError as error:
        lost = f"the Ray cluster at {address} has lost the training: {line(error)}; {again}"
        raise ChildProcessError(lost) from None
    if way == "killed":
        raise ChildProcessError(f"process {rank + 1} of {count} was killed, or its machine; {again}")
    if way == "failed":
        raise RuntimeError(f"process {rank + 1} of {count} failed: {words}")
    if way == "not started":
        here = {name: ray.cluster_resources().get(name, 0) for name in resources}
        raise ValueError(
            f"the Ray cluster at {address} has {here} and did not start {count} process(es) of {dict(resources)}; "
            f"ask for less (PIPELINE_PROCESSES, OMP_NUM_THREADS) or more time "
            f"(RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S); Ray says: {words}"
        )
