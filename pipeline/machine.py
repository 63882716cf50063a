"""Where the build runs: every environment variable that it reads or sets, and what this machine is.

Nothing here changes a result on its own: what does is in `params.yaml`.
"""

import os
import platform
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import psutil

from pipeline import paths

TOOLS = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # a stage says itself, in a line, what went wrong
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pipeline",  # its pages show what a stage says
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    # What tasks tell is written once a second: at once, it meets the request for the next slot, which SQLite then
    # refuses and the task repeats after two seconds.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "1000",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a cold start: 12 s, if not busy
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own 7 make a dead address known after four minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes more, for what no run here asks
    "TOKENIZERS_PARALLELISM": "true",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # what deterministic algorithms on CUDA need
    "RAY_USAGE_STATS_ENABLED": "0",
}
HANDED_ON = (
    *TOOLS,
    "PREFECT_HOME",
    "DVC_ROOT",
    "PIPELINE_PROCESSES",
    "PIPELINE_SHARDED",
    "PIPELINE_SAVE_STEPS",
    "PIPELINE_SAVE_MINUTES",
    "RAY_ADDRESS",
)
"""What processes on other machines read; no address or key of another server."""
PACKAGES = ("torch", "numpy", "tiktoken", "tokenizers", "pyarrow", "prefect", "dvc", "mlflow", "great-expectations")


def prepare() -> None:
    """Set what the tools read at import: no telemetry, quiet logs, few waits, Prefect's home inside the project.

    A value that the user has set stays. Call it before any of the tools is imported.
    """
    for name, value in TOOLS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(root() / paths.PREFECT_HOME))
    # dvc.yaml says `python`: it is to be the one that runs this, also where its environment is not activated.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def root() -> Path:
    """Return the project's root, absolute; inside a temporary DVC experiment that of the repository it belongs to."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def cores() -> int:
    """Return how many processors this process may use; those of the machine where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device() -> str:
    """Return the torch device: `PIPELINE_DEVICE`, else `cuda` where there is one, else `cpu`.

    Raises ValueError where the device named is not on this machine.
    """
    import torch  # late: 1.2 s that a stage without a model need not pay

    named = os.environ.get("PIPELINE_DEVICE") or None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if named is None:
        return "cuda" if available["cuda"] else "cpu"
    kind, _, index = named.partition(":")
    is_here = available.get(kind, False)
    if index:
        is_here = is_here and kind == "cuda" and index.isdigit() and int(index) < torch.cuda.device_count()
    if not is_here:
        here = ", ".join(name for name, has_it in available.items() if has_it)
        raise ValueError(f"PIPELINE_DEVICE is {named}, which this machine does not have; it has {here}")
    return named


def save_every() -> tuple[int, float]:
    """Return after how many steps and minutes at most a training keeps its state.

    `PIPELINE_SAVE_STEPS` (100) and `PIPELINE_SAVE_MINUTES` (5). Raises ValueError for what is no number above 0.
    """
    return max(1, int(_above_zero("PIPELINE_SAVE_STEPS", 100))), _above_zero("PIPELINE_SAVE_MINUTES", 5)


def _above_zero(name: str, usual: float) -> float:
    given = os.environ.get(name) or str(usual)
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not number > 0.0:
        raise ValueError(f"{name} is {given}; expected a number above 0")
    return number


def processes() -> int:
    """Return how many processes share a training: `PIPELINE_PROCESSES`, 1 unless told, on CUDA one for each GPU used.

    Raises ValueError for what is no number from 1, and where there are not as many devices; a Ray cluster has its own.
    """
    given = os.environ.get("PIPELINE_PROCESSES") or "1"
    if not (given.isdecimal() and int(given) >= 1):
        raise ValueError(f"PIPELINE_PROCESSES is {given}; expected a whole number, 1 or more")
    if int(given) > 1 and ray_address() is None and (named := device()) != "cpu":
        import torch

        here = torch.cuda.device_count() if named == "cuda" else 1
        if int(given) > here:
            raise ValueError(f"PIPELINE_PROCESSES is {given}, but {named} is {here} device(s); expected 1..{here}")
    return int(given)


def is_sharded() -> bool:
    """Tell whether each process holds a shard of the model (`PIPELINE_SHARDED=1`), not all of it.

    Raises ValueError for what is neither 0 nor 1, and where there is one process only.
    """
    given = os.environ.get("PIPELINE_SHARDED") or "0"
    if given not in ("0", "1"):
        raise ValueError(f"PIPELINE_SHARDED is {given}; expected 0 or 1")
    if given == "1" and processes() == 1:
        raise ValueError("PIPELINE_SHARDED is 1, but there is one process; set PIPELINE_PROCESSES to 2 or more")
    return given == "1"


def ray_address() -> str | None:
    """Return `RAY_ADDRESS`, the Ray cluster that tokenizes, shards and trains."""
    return os.environ.get("RAY_ADDRESS") or None


def handed_on() -> dict[str, str]:
    """Return the environment of processes on other machines: the kind of device is the one here."""
    given = {name: value for name, value in os.environ.items() if name in HANDED_ON or name.startswith("RAY_TRAIN_")}
    modules = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**given, "PIPELINE_DEVICE": device().partition(":")[0], "PYTHONPATH": os.pathsep.join(modules)}


def mirror() -> str | None:
    """Return `PIPELINE_MIRROR`: a folder or an http address asked before a source's own addresses."""
    return os.environ.get("PIPELINE_MIRROR") or None


def cache() -> Path | None:
    """Return `PIPELINE_CACHE`, a folder that builds share: what comes over the network is kept there by checksum."""
    given = os.environ.get("PIPELINE_CACHE")
    return Path(given).expanduser() if given else None


def downloads() -> int:
    """Return how many files are fetched at a time: `PIPELINE_DOWNLOADS`, 4 unless told.

    Raises ValueError for what is no number from 1.
    """
    given = os.environ.get("PIPELINE_DOWNLOADS") or "4"
    if not (given.isdecimal() and int(given) >= 1):
        raise ValueError(f"PIPELINE_DOWNLOADS is {given}; expected a whole number, 1 or more")
    return int(given)


def judge() -> tuple[str | None, str | None]:
    """Return `PIPELINE_JUDGE_ADDRESS` and `PIPELINE_JUDGE_KEY`, the server that judges and its key."""
    return os.environ.get("PIPELINE_JUDGE_ADDRESS") or None, os.environ.get("PIPELINE_JUDGE_KEY") or None


def owner(process: int | None = None) -> str:
    """Return the name that a process of this machine leaves on its runs; None is this process."""
    return f"{socket.gethostname()}:{os.getpid() if process is None else process}"


def is_dead(owner_: str) -> bool:
    """Tell whether the owner of a run was a process of this machine that is gone; of another machine's nobody can."""
    host, _, process = owner_.rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    try:
        return bool(psutil.Process(int(process)).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def prefect_address() -> str | None:
    """Return `PREFECT_API_URL`, the Prefect server that the user or an outer command has named."""
    return os.environ.get("PREFECT_API_URL") or None


@contextmanager
def prefect_at(address: str) -> Iterator[None]:
    """Have the children that this process starts in the block use the Prefect server at an address."""
    with _told_children("PREFECT_API_URL", address):
        yield


@contextmanager
def tracking_at(address: str) -> Iterator[None]:
    """Have the children that this process starts in the block keep their runs at an address."""
    with _told_children("MLFLOW_TRACKING_URI", address):
        yield


@contextmanager
def _told_children(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def tracking_address() -> str:
    """Return `MLFLOW_TRACKING_URI`, else the SQLite file in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / paths.MLFLOW_DATABASE}"


def show_prefect_at(address: str) -> None:
    """Tell a Prefect server that is a child of this process where its pages find it; they would ask port 4200."""
    os.environ["PREFECT_SERVER_UI_API_URL"] = address


def keep_runs_of_server(address: str) -> None:
    """Tell an MLflow server that is a child of this process where the runs are, out of sight of `ps`."""
    os.environ["MLFLOW_BACKEND_STORE_URI"] = address


def shown(address: str) -> str:
    """Return an address as it may be shown: without user, password and query.

    >>> shown("postgresql://me:secret@db/runs?token=x")
    'postgresql://db/runs'
    """
    return re.sub(r"(?<=://)[^/]*@", "", address.partition("?")[0])


def dvc_context() -> dict[str, str]:
    """Return what DVC says of the stage it runs: `stage`, `experiment`, `baseline`, as far as they are set."""
    names = {"stage": "DVC_STAGE", "experiment": "DVC_EXP_NAME", "baseline": "DVC_EXP_BASELINE_REV"}
    return {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that make the build."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def description() -> dict[str, str]:
    """Return what the bits of a result depend on beside params, data and code: processor, device, threads.

    And how many processes there are, and whether they hold shards: where there are several. On a Ray cluster, which is
    to be of one make, processor and threads are those of the machine that asks.
    """
    import torch

    many = {"processes": str(processes()), "sharded": str(int(is_sharded()))}
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "device": device(),
        "threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
        **({"ray": "1"} if ray_address() else {}),
        **(many if processes() > 1 else {}),
    }


def processor() -> str:
    """Return the make of the processor, as far as the system tells: two of equal capability may round differently."""
    described = Path("/proc/cpuinfo")
    if not described.is_file():
        return platform.processor()
    return _make(described.read_text(encoding="utf-8"))


def _make(cpuinfo: str) -> str:
    """Return what Linux says of the first processor that tells it from another make."""
    first, _, _ = cpuinfo.partition("\n\n")
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    words = [fields["model name"]] if "model name" in fields else []
    known = ("cpu family", "model", "stepping", "cache size", "CPU implementer", "CPU part")
    return ", ".join([*words, *(f"{name} {fields[name]}" for name in known if name in fields)])
