"""Prefect: stages as flows, their steps as tasks, one GPU slot, one local server for a whole build."""

import json
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import flow, get_client, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from pipeline import machine, paths, processes

P = ParamSpec("P")
R = TypeVar("R")

GPU = "gpu"
OWNER = "process:"  # before the owner, in the tag of its runs
HOST = "127.0.0.1"
START_LIMIT_S = 120  # eight times a cold start on two cores
ANSWER_LIMIT_S = 5
NO_HEARTBEATS = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}


class ServerError(ValueError):
    """A Prefect server that cannot be used."""


def stage(body: Callable[P, R]) -> Callable[P, R]:
    """Make a function a stage: a Prefect flow of the function's name.

    Its arguments are settings, checked before they come here, so that Prefect does not check them again.
    """
    return flow(name=body.__name__, validate_parameters=False, persist_result=False)(body)


def io(body: Callable[P, R]) -> Callable[P, R]:
    """Make a function a task that fetches, reads, checks or writes; tried twice more when the system fails.

    What a user caused (a ValueError) and a full disk are not tried again.
    """
    made = task(
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=1,
        retry_condition_fn=_is_passing,
    )
    return made(body)


def gpu(body: Callable[P, R]) -> Callable[P, R]:
    """Make a function a task that computes with a model: it takes the one `gpu` slot and is not tried again."""
    made = task(cache_policy=NO_CACHE, persist_result=False, tags={GPU})
    return made(body)


def _is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Tell whether a failure may pass by itself: a connection, not a full disk or a missing file."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ConnectionError | TimeoutError)


@contextmanager
def connected() -> Iterator[None]:
    """Have flows in the block run on the server that is named, else on one that this project has running.

    Without either Prefect starts a temporary one for this process (9 s). Makes sure that the `gpu` slot exists. Raises
    ServerError where a server that the user named does not answer.
    """
    if address := machine.prefect_address() or running():
        with _connected_to(address):
            yield
    else:
        with _owned():
            yield


@contextmanager
def server(*, is_awaited: bool = True) -> Iterator[str]:
    """Yield the address of a Prefect server for the time of the block: the user's, the project's, else a new one.

    A new one listens on loopback only, keeps its files in the project and ends with the block. Flows of this process
    and of its children use it. It takes seconds to come up; where it is not awaited here, flows of children wait for
    it. Raises ServerError where it does not come up.
    """
    if address := machine.prefect_address() or running():
        with _connected_to(address):
            yield address
    else:
        with _started() as address, (_connected_to if is_awaited else machine.prefect_at)(address):
            yield address


def running() -> str | None:
    """Return the address of the server that a build or `make ui` of this project has up, None if there is none."""
    note = machine.root() / paths.SERVER
    if not note.exists():
        return None
    address = str(json.loads(note.read_text(encoding="utf-8"))["address"])
    return address if _answers(address) else None


def serve(body: Callable[..., object]) -> None:
    """Offer a flow as a deployment of its own name until the process is stopped."""
    body.serve(  # type: ignore[attr-defined]  # a Flow
        name=body.__name__,
        print_starting_message=False,
        pause_on_shutdown=False,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


@contextmanager
def _connected_to(address: str) -> Iterator[None]:
    _await(address)
    # The variable is for the children: this process has read it at import, which is past.
    with machine.prefect_at(address), temporary_settings({PREFECT_API_URL: address}):
        try:
            with _owned():
                yield
        except httpx.HTTPError as error:
            raise ServerError(f"Prefect at {address} failed: {error}") from error


@contextmanager
def _owned() -> Iterator[None]:
    """Give flows in the block the tag of this process, by which the next one knows those that have died.

    They send no heartbeats, by which a server could know it, unless the user has set how often: ending those takes up
    to a second for each flow.
    """
    _bury()
    with tags(OWNER + machine.owner()), temporary_settings(set_defaults=NO_HEARTBEATS):
        yield


@contextmanager
def _started() -> Iterator[str]:
    home = machine.root() / paths.PREFECT_HOME
    home.mkdir(parents=True, exist_ok=True)
    note = machine.root() / paths.SERVER
    port = _free_port()
    address = f"http://{HOST}:{port}/api"
    machine.show_prefect_at(address)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    with _words().open("w", encoding="utf-8") as log, processes.child(command, output=log) as process:
        with paths.whole(note) as temporary:
            temporary.write_text(json.dumps({"address": address, "pid": process.pid}), encoding="utf-8")
        try:
            yield address
        finally:
            note.unlink(missing_ok=True)


def _words() -> Path:
    return machine.root() / paths.PREFECT_HOME / "server.log"


def _await(address: str) -> None:
    """Wait until a server answers that this project has just started; any other is asked once."""
    note = machine.root() / paths.SERVER

    def ask() -> None:
        if _answers(address):
            return
        started = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
        if started.get("address") != address:
            raise ServerError(
                f"Prefect at {address} does not answer; start it, or unset PREFECT_API_URL to have one started"
            )
        if machine.is_dead(machine.owner(started["pid"])):
            raise ServerError(f"the Prefect server ended before it answered; its words are in {_words()}")
        raise TimeoutError(f"the Prefect server gave no answer in {START_LIMIT_S} s; its words are in {_words()}")

    wait = Retrying(
        stop=stop_after_delay(START_LIMIT_S),
        wait=wait_fixed(0.2),
        retry=retry_if_exception_type(TimeoutError),
        reraise=True,
    )
    wait(ask)


def _bury() -> None:
    """Make sure that there is the `gpu` slot, and that no dead process of this machine holds it or has a run running.

    Left to itself a slot stays taken for minutes, and a killed run is running for ever.
    """
    running_state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=running_state))
        dead = [run for run in runs if _is_dead(run.tags)]
        for run in dead:
            client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
        try:
            client.read_concurrency_limit_by_tag(GPU)
        except ObjectNotFound:
            client.create_concurrency_limit(GPU, 1)
        else:
            if len(dead) == len(runs):
                # The reset ends leases; a slot whose server died with its holder has none left.
                client.reset_concurrency_limit_by_tag(GPU)
                client.update_global_concurrency_limit(f"tag:{GPU}", GlobalConcurrencyLimitUpdate(active_slots=0))


def _is_dead(run_tags: Collection[str]) -> bool:
    """Tell whether the process that a run's tag names is gone."""
    return any(machine.is_dead(tag.removeprefix(OWNER)) for tag in run_tags if tag.startswith(OWNER))


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=ANSWER_LIMIT_S).status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _free_port() -> int:
    """Return a port that nobody has; not Prefect's usual one, which two builds that start at once would both take."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
