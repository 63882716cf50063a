"""Tokens and shards made on a real Ray cluster: two nodes of one processor each, of this machine alone.

Run as a program, this file is who uses it: it writes what came of each case, and the tests read it. While it runs the
tests kill what works for it: a process where it tokenizes, and where it shards the whole second node.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from pydoc_data.topics import topics

import psutil
import pytest

from components.corpus.documents import Document
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows.shards import ShardSettings
from integrations import ray_data
from pipeline import encoding
from pipeline.stages import shard

TEXT = "\n\n".join(topics[name] for name in sorted(topics))
DOCUMENTS = 1500
CHARACTERS = 3000  # of each
SHARDS = ShardSettings(context_length=64, stride=64, separator="end_of_text", shard_size=100_000)


def documents():
    for n in range(DOCUMENTS):
        begin = n * 997 % (len(TEXT) - CHARACTERS)
        text = f"{n}: {TEXT[begin : begin + CHARACTERS]}"
        yield Document("topics", n, text, "train" if n % 10 else "validation", f"topics line {n + 1}")


def hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def tokens(folder: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """Tokenize; whatever was between is gone at the end, and on the way there were two rounds of it at most."""

    def read():
        for each in documents():
            assert len(list(folder.glob("texts/*.parquet"))) <= 2 * 2 * ray_data.PIECES_A_CPU
            yield each

    encoding.write(read(), tokenizer, folder / "tokens", processes=2)
    assert [each.name for each in folder.iterdir()] == ["tokens"]
    return hashes(folder / "tokens")


def shards(folder: Path, tokens: Path, tokenizer: Tokenizer) -> dict[str, str]:
    end, size = tokenizer.end_of_text, tokenizer.vocab_size
    shard.lay(tokens, folder / "shards", SHARDS, end_of_text=end, vocab_size=size)
    return hashes(folder / "shards")


def gone_on_with(folder: Path, done: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """Tokenize where the first file is there already."""
    (folder / "tokens").mkdir()
    (folder / "tokens/00000.parquet").write_bytes((done / "00000.parquet").read_bytes())
    return tokens(folder, tokenizer)


def foreign(folder: Path, tokens: Path) -> dict[str, str]:
    """Shard ids that are not of the vocabulary."""
    return shards(folder, tokens, Tokenizer([]))


def on_a_full_disk(folder: Path, tokens: Path, tokenizer: Tokenizer) -> dict[str, str]:
    (folder / "shards").mkdir()
    (folder / "shards/train-00001.npy.partial").symlink_to("/dev/full")
    return shards(folder, tokens, tokenizer)


def without_the_folder(folder: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """Tokenize from a folder that is taken away once a task has been told of it."""
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")

    def read():
        for n, each in enumerate(documents()):
            if n == 1:
                (folder / "gone").rmdir()
            yield each

    try:
        encoding.write(read(), tokenizer, folder / "tokens", processes=2)
    finally:
        os.chdir(folder)
    return hashes(folder / "tokens")


def program(folder: Path) -> None:
    table._FILE_IDS, table._ROW_GROUP_IDS = 2**19, 2**15
    ray_data.PIECE_CHARACTERS = 2**18
    ray_data.PIECES_A_CPU = 2
    tokenizer = Tokenizer.trained([TEXT], 400)
    here, address = folder / "here", os.environ["RAY_ADDRESS"]
    cases = {
        "here": lambda own: {"tokens": tokens(own, tokenizer), "shards": shards(own, own / "tokens", tokenizer)},
        "process killed": lambda own: tokens(own, tokenizer),
        "node killed": lambda own: shards(own, here / "tokens", tokenizer),
        "gone on with": lambda own: gone_on_with(own, here / "tokens", tokenizer),
        "foreign": lambda own: foreign(own, here / "tokens"),
        "on a full disk": lambda own: on_a_full_disk(own, here / "tokens", tokenizer),
        "without the folder": lambda own: without_the_folder(own, tokenizer),
    }
    for name, case in cases.items():
        os.environ["RAY_ADDRESS"] = "" if name == "here" else address
        (folder / name).mkdir()
        try:
            came = case(folder / name)
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
        (folder / f"{name}.json").write_text(json.dumps(came))


def at_work(node: psutil.Process) -> psutil.Process | None:
    """Return a process of a node that is at a task of ours, stopped there."""
    for each in node.children(recursive=True):
        try:
            if each.cmdline()[:1] == ["ray::MapBatches(task)"]:
                each.suspend()
                if each.cmdline()[:1] == ["ray::MapBatches(task)"]:
                    return each
                each.resume()
        except psutil.NoSuchProcess:
            continue
    return None


@pytest.fixture(scope="module")
def found(environment, head, node, tmp_path_factory):
    """Return what came of each case, and how many processes were killed at work, and how many nodes."""
    folder = tmp_path_factory.mktemp("used")
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # off, a second node is refused on loopback
    processes, nodes = 0, 0
    with head(1), node(1) as second:
        command = [sys.executable, str(Path(__file__)), str(folder)]
        with subprocess.Popen(command, cwd=folder, env=environment) as user:
            while user.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    user.wait(0.02)
                if not processes and (worker := at_work(second)):
                    worker.kill()
                    processes += 1
                if not nodes and (folder / "process killed.json").exists() and at_work(second):
                    for each in [second, *second.children(recursive=True)]:
                        each.kill()
                    nodes += 1
        assert user.returncode == 0
    results = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return {**results, "killed": [processes, nodes]}


def test_the_tokens_are_those_of_this_machine_after_the_kill_of_a_process_at_work(found):
    assert found["killed"][0] == 1
    assert len(found["here"]["tokens"]) > 2
    assert found["process killed"] == found["here"]["tokens"]


def test_the_shards_are_those_of_this_machine_after_the_kill_of_a_node_at_work(found):
    assert found["killed"][1] == 1
    assert len(found["here"]["shards"]) > 10
    assert found["node killed"] == found["here"]["shards"]


def test_tokenizing_goes_on_after_the_last_full_file(found):
    assert found["gone on with"] == found["here"]["tokens"]


def test_what_a_component_refuses_is_said_in_its_own_line(found):
    said = found["foreign"]
    assert said.startswith("ValueError: document ")
    assert said.endswith("; the vocabulary of 257 tokens has 0..256")


def test_a_disk_that_is_full_is_named_with_its_machine(found):
    said = found["on a full disk"]
    assert said == f"OSError: {socket.gethostname()}, a machine of the Ray cluster: [Errno 28] No space left on device"


def test_a_folder_that_a_machine_does_not_have_is_named(found):
    said = found["without the folder"]
    assert said.startswith(f"OSError: {socket.gethostname()}, a machine of the Ray cluster: [Errno 2] No such file")
    assert said.endswith("on a disk that all machines share, and one Python environment")


if __name__ == "__main__":
    program(Path(sys.argv[1]))
