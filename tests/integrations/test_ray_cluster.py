"""Addresses at which there is no cluster; that a real one answers is shown where something is done on it."""

import socket
import sys

import pytest

from integrations import ray_cluster


def refused(address: str) -> str:
    """Return why there is no cluster at an address."""
    with pytest.raises(ValueError) as caught:
        ray_cluster.connect(address, {})
    return str(caught.value)


@pytest.mark.parametrize("address", ["ray://head:10001", "http://127.0.0.1:8265", "local", "head", "head:", ":6379"])
def test_what_is_no_address_of_a_head_is_refused(address):
    assert refused(address) == f"RAY_ADDRESS is {address}; expected host:port of a running cluster's head, or auto"


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = "RAY_ADDRESS is auto, but Ray is not installed; expected the extra: pip install "
    assert refused("auto").startswith(said)


def test_a_cluster_that_does_not_answer_is_named_at_once():
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    said = refused(address)
    assert said.startswith(
        f"RAY_ADDRESS is {address}, but that cluster cannot be used from here: [Errno 111] Connection"
    )


def test_what_listens_and_is_no_cluster_is_given_up_soon(monkeypatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setattr(ray_cluster, "ANSWER_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refused(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "cannot be used from here: no answer in 1 s; expected a running one of which this machine is a node" in said


def test_work_is_unpacked_in_its_folder(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.chdir(tmp_path.parent)
    unpack = ray_cluster.packed({"a": 1}, tmp_path)
    assert (unpack(), tmp_path.cwd()) == ({"a": 1}, tmp_path)


def test_a_machine_without_the_folder_is_named(tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    gone = tmp_path / "gone"
    with pytest.raises(OSError) as caught:
        ray_cluster.packed(1, gone)()
    said = str(caught.value)
    assert said.startswith(f"{socket.gethostname()}, a machine of the Ray cluster: [Errno 2] No such file or directory")
    assert said.endswith(f"; expected {gone} on a disk that all machines share, and one Python environment")


def test_of_an_error_the_first_line_is_said_else_its_name():
    assert ray_cluster.line(ValueError("bad\nand worse")) == "bad"
    assert ray_cluster.line(KeyError()) == "KeyError"
