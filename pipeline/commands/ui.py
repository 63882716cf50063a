"""Show the runs: MLflow's pages and Prefect's, on this machine only, until stopped."""

import argparse
import signal
import sys

from pipeline import machine, paths, processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where MLflow listens."""
    parser.add_argument("--port", type=int, default=5000, help="MLflow's port (default 5000)")


def run(arguments: argparse.Namespace) -> int:
    """Start both servers, say where they are, and end both with Ctrl-C.

    Runs that another server keeps (`MLFLOW_TRACKING_URI`) are shown by that server. Raises ValueError where MLflow's
    ends by itself, for want of its port for one.
    """
    from pipeline import orchestration  # late: Prefect reads the environment when it is imported

    store = machine.tracking_address()
    is_elsewhere = store.startswith("http")
    with orchestration.server() as address:
        print(f"Prefect  {address.removesuffix('/api')}")
        print(f"MLflow   {machine.shown(store) if is_elsewhere else f'http://{orchestration.HOST}:{arguments.port}'}")
        print("Ctrl-C ends what was started here", flush=True)
        if is_elsewhere:
            signal.pause()
        words = machine.root() / paths.MLFLOW_LOG
        words.parent.mkdir(parents=True, exist_ok=True)
        machine.keep_runs_of_server(store)
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", orchestration.HOST, "--port", str(arguments.port)]
        with words.open("w", encoding="utf-8") as log, processes.child(command, output=log) as process:
            status = process.wait()
    raise ValueError(f"MLflow's server ended with status {status}; its words are in {words}; --port names another port")
