"""A running Ray cluster: being connected to it, and what its processes need before they can do our work.

Ray is the optional extra `ray`, and the cluster is the user's: nothing of it is started here but the job, which ends
with this process. Its machines share the current folder, under one path, and have the same Python environment. What
they do travels pickled, to that cluster and back: who could reach it could run code here, hence `RAY_AUTH_MODE=token`.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

INSTALL = "pip install --constraint constraints.txt --constraint constraints-ray.txt --editable '.[ray]'"
ANSWER_S = 20  # for the cluster's head to say how it is; it takes about one


def connect(address: str, environment: Mapping[str, str]) -> None:
    """Be a driver of the cluster, whose tasks have `environment`; within seconds, or not at all.

    Raises ValueError where the address is none, Ray is not installed, or the cluster does not answer.
    """
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and "/" not in host and port.isdecimal()):
        raise ValueError(f"RAY_ADDRESS is {address}; expected host:port of a running cluster's head, or auto")
    try:
        import ray
    except ImportError:
        raise ValueError(
            f"RAY_ADDRESS is {address}, but Ray is not installed; expected the extra: {INSTALL}; or unset RAY_ADDRESS"
        ) from None
    at_sigterm = signal.getsignal(signal.SIGTERM)
    status = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
        # In a process that can be ended: to what is no head, or a dead one, Ray itself talks for minutes.
        subprocess.run(status, capture_output=True, text=True, timeout=ANSWER_S, check=True, start_new_session=True)
        variables = {"env_vars": dict(environment)}
        ray.init(address=address, runtime_env=variables, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError, ray.exceptions.RayError) as error:
        why = error.stderr.strip().rpartition("\n")[2] if isinstance(error, subprocess.CalledProcessError) else None
        why = f"no answer in {ANSWER_S} s" if isinstance(error, subprocess.TimeoutExpired) else why or line(error)
        raise ValueError(
            f"RAY_ADDRESS is {address}, but that cluster cannot be used from here: {shorten(why, 200)}; "
            f"expected a running one of which this machine is a node (`ray start`); or unset RAY_ADDRESS"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_sigterm)  # Ray has put its own in its place


def packed(work: Any, folder: Path) -> Callable[[], Any]:
    """Return what unpacks work in a process of the cluster, in `folder`.

    It travels as a whole, for there may be nothing of ours at first. It raises OSError where the machine lacks the
    folder or the modules.
    """
    from ray import cloudpickle

    parcel = cloudpickle.dumps(work)

    def unpack() -> Any:
        from ray import cloudpickle

        try:
            os.chdir(folder)
            return cloudpickle.loads(parcel)
        except (OSError, ImportError) as error:
            expected = f"expected {folder} on a disk that all machines share, and one Python environment"
            raise OSError(f"{socket.gethostname()}, a machine of the Ray cluster: {error}; {expected}") from None

    return unpack


def line(error: BaseException) -> str:
    """Return the first line of what an error says, else its name."""
    return next(iter(str(error).splitlines()), type(error).__name__)
