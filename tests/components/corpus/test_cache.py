"""Builds that share a folder take turns at a file, and get what its name says."""

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.corpus.cache import checksum, entry
from components.corpus.streaming import StoppedError

CONTENT = b"All that is gold does not glitter.\n"
SHA256 = "693e4c9e4a97af02090d13e692823190c2f3a8ad4f1356f0e70cad4a448b2b79"
HOLDS = """
import sys, threading
from pathlib import Path
from components.corpus.cache import entry
with entry(Path(sys.argv[1]), sys.argv[2], threading.Event()) as kept:
    print("held", flush=True)
    sys.stdin.readline()
    kept.write_bytes(b"All that is gold does not glitter.\\n")
"""


@pytest.fixture
def other(tmp_path: Path) -> "subprocess.Popen[str]":
    """Another process that has the file's lock, and writes the file when it is told a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path), SHA256],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def test_who_comes_second_waits_says_so_and_has_the_file(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    told: list[str] = []

    def waiting(line: str) -> None:
        told.append(line)
        ended(other)  # its input ends, so that it goes on

    with entry(tmp_path, SHA256, threading.Event(), waiting) as kept:
        assert kept.read_bytes() == CONTENT
    assert told == [f"{tmp_path / SHA256}: another build is fetching it; waiting"]


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    other.kill()
    ended(other)
    told: list[str] = []
    with entry(tmp_path, SHA256, threading.Event(), told.append) as kept:
        assert not kept.exists()
    assert told == []


def test_who_waits_can_be_stopped(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError), entry(tmp_path, SHA256, stop, lambda _: stop.set()):
        pass
    ended(other)


def test_other_files_are_not_waited_for(tmp_path: Path) -> None:
    with entry(tmp_path, SHA256, threading.Event()), entry(tmp_path, "0" * 64, threading.Event()) as kept:
        assert kept == tmp_path / ("0" * 64)


def test_a_damaged_file_is_named_and_removed(tmp_path: Path) -> None:
    (tmp_path / SHA256).write_bytes(CONTENT[:-1])
    told: list[str] = []
    with entry(tmp_path, SHA256, threading.Event(), told.append) as kept:
        assert not kept.exists()
    assert told == [f"{tmp_path / SHA256}: damaged; it is removed and fetched again"]


def test_a_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert checksum(tmp_path / "file") == SHA256 == hashlib.sha256(CONTENT).hexdigest()
