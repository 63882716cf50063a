"""Nodes of a real Ray cluster, of this machine alone, with a token that they ask for."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return what a cluster's nodes have in their environment, and who uses it."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return os.environ | {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PIPELINE_DEVICE": "cpu",
    }


@pytest.fixture(scope="module")
def head(environment: dict[str, str]) -> Iterator[Callable[[int], AbstractContextManager[psutil.Process]]]:
    """Return what runs the head of a cluster, with so many CPUs."""
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path: sockets stand in it
    port = environment["RAY_ADDRESS"].rpartition(":")[2]
    options = ["--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false"]
    yield lambda cpus: _node(environment, cpus, *options)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def node(environment: dict[str, str]) -> Callable[[int], AbstractContextManager[psutil.Process]]:
    """Return what runs a further node of the cluster, with so many CPUs."""
    return lambda cpus: _node(environment, cpus, f"--address={environment['RAY_ADDRESS']}")


@contextmanager
def _node(environment: dict[str, str], cpus: int, *options: str) -> Iterator[psutil.Process]:
    limits = ["--block", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    command = [str(Path(sys.executable).with_name("ray")), "start", *options, *limits]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        assert any(b"Ray runtime started" in line for line in lines)
        try:
            yield psutil.Process(process.pid)
        finally:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()  # asked to stop, it would take half a minute
