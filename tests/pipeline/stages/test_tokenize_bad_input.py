"""Whatever lies in the corpus, good rows survive, bad ones are named, and nothing is half-written, however it ends."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, settings

ROOT = Path(__file__).parents[3]

ENCODE = """
import resource, sys
from components.tokenizer import table
from pipeline import settings, stages
from pipeline.stages import tokenize

table._FILE_IDS = 2**24  # half of what it is, for half the time

sections = settings.read()
how = settings.arguments(stages.find("tokenize"), sections)["tokenize"]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.modules["pipeline.stages.tokenize"].encode.fn(how)
"""
"""Tokenize in a process of its own, as a plain function, where no file may hold more bytes than the argument."""
NO_LIMIT = "-1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with bytes as its vocabulary and an empty corpus."""
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    for name in ("dvc.yaml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("components", "pipeline"):
        (folder / name).symlink_to(ROOT / name)
    sections = settings.read(ROOT / "presets/default.yaml")
    sections["tokenize"]["vocab_size"] = 257
    sections["tokenize"]["split"] = {"by": "document", "validation_share": 0.3, "seed": 1}
    sections["tokenize"]["reading"]["most_unpacked_bytes"] = 250_000_000
    paths.PARAMS.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    paths.RAW_CORPUS.mkdir(parents=True)
    paths.RAW_TOKENIZER.mkdir()
    return folder


def line(source: str, text: str) -> bytes:
    return json.dumps({"source": source, "text": text}).encode() + b"\n"


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def outs() -> dict[str, bytes]:
    """Every file that tokenizing has left, but for the vocabulary, wherever it is under data."""
    files = [file for file in Path("data").rglob("*") if file.is_file()]
    kept = (paths.RAW_CORPUS, paths.TOKENIZER, paths.RAW_TOKENIZER)
    return {str(file): file.read_bytes() for file in files if not any(file.is_relative_to(each) for each in kept)}


GOOD = {
    "tale": "Once upon a time.\n",
    "marked": "before<|endoftext|>after",
    "broken 1": "a line before",
    "broken 3": "and after a broken one",
    "long 1": "before 200 MB",
    "long 3": "after 200 MB",
    "cut 1": "whole",
    "cut 2": "whole too",
    "inside": "a good member",
    "row": "of the right schema",
}
FILES = {
    "tale.txt": GOOD["tale"].encode(),
    "marked.txt": GOOD["marked"].encode(),
    "latin.txt": "caf\u00e9 and more".encode("latin-1"),
    "mixed.txt": "na\u00efve caf\u00e9s, ".encode() * 9 + "d\u00e9j\u00e0 vu".encode("latin-1"),
    "nul.txt": b"one\0two",
    "empty.txt": b"",
    "broken.jsonl": line("broken 1", GOOD["broken 1"]) + b'{"source": "b", "te\n' + line("broken 3", GOOD["broken 3"]),
    "cut.jsonl.gz": gzip.compress(line("cut 1", GOOD["cut 1"]) + line("cut 2", GOOD["cut 2"]))[:-5],
    "climbs.zip": zipped(**{"../evil.txt": b"climbed out", "inside.txt": GOOD["inside"].encode()}),
    "other.parquet": parquet(words=["of another schema"]),
    "right.parquet": parquet(text=[GOOD["row"], None], source=["row", "row 2"]),
}
QUARANTINE = {
    "bomb.jsonl.gz": "packed bytes become more than 250,000,000, which is most_unpacked_bytes",
    "bomb.zip": "300,000,000 bytes unpacked; most_unpacked_bytes is 250,000,000",
    "broken.jsonl line 2": "not JSON",
    "climbs.zip member ../evil.txt": "its name leads out of the archive",
    "cut.jsonl.gz": "nothing is read after cut.jsonl.gz line 2",
    "empty.txt": "blank; expected text",
    "latin.txt": "not UTF-8 (byte 0xe9 at offset 3)",
    "long.jsonl.gz line 2": "a line of 200,000,000 bytes; most_line_bytes is 100,000,000",
    "loop": "a link to a folder, which may lead in a circle",
    "mixed.txt": "not UTF-8 (byte 0xe9 at offset",
    "nul.txt": "a NUL at character 3",
    "other.parquet": "no column 'text', or two; it has words",
    "right.parquet row 2": "expected a string named 'text', got none",
}


def test_good_rows_survive_among_all_kinds_of_bad_input_and_every_bad_one_is_named(
    project, store, prefect_server, by_hand
):
    for name, content in FILES.items():
        (paths.RAW_CORPUS / name).write_bytes(content)
    (paths.RAW_CORPUS / "loop").symlink_to(paths.RAW_CORPUS.resolve())
    (paths.RAW_CORPUS / "bomb.zip").write_bytes(zipped(zeros=b"0" * 300_000_000))
    with gzip.open(paths.RAW_CORPUS / "bomb.jsonl.gz", "wb", compresslevel=1) as bomb:
        bomb.write(b"0" * 300_000_000)
    with gzip.open(paths.RAW_CORPUS / "long.jsonl.gz", "wb", compresslevel=1) as long:
        long.write(line("long 1", GOOD["long 1"]) + b"0" * 200_000_000 + b"\n" + line("long 3", GOOD["long 3"]))
    done = by_hand("tokenize", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    rows = {row.source: row.ids.tolist() for row in table.read(paths.TOKENS)}
    assert {source: tokenizer.decode(ids) for source, ids in rows.items()} == GOOD
    assert all(tokenizer.end_of_text not in ids for ids in rows.values())
    quarantine = {row["place"]: row["reason"] for row in pq.read_table(paths.QUARANTINE).to_pylist()}
    assert list(quarantine) == list(QUARANTINE)
    assert {place: reason for place, reason in quarantine.items() if QUARANTINE[place] not in reason} == {}
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert (numbers["refused"], numbers["duplicates"]) == (len(QUARANTINE), 0)
    assert not list(project.rglob("evil*"))


def encode(most_bytes: str = NO_LIMIT) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ENCODE, most_bytes]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def brought_to_its_end() -> dict[str, bytes]:
    with encode() as child:
        said, _ = child.communicate(timeout=120)
    assert child.returncode == 0, said
    return outs()


def test_a_file_that_the_disk_cannot_take_leaves_nothing_and_a_disk_with_room_has_every_row(project):
    Tokenizer([]).save(paths.TOKENIZER)
    for n in range(100):
        text = "".join(f"{each * 7919 % 10_007} " for each in range(400 * n, 400 * n + 400))
        for name in ("tale", "twin"):
            (paths.RAW_CORPUS / f"{name}{n}.txt").write_text(text)
    for most_bytes in ("100", "20000"):  # too few for the facts of the work, and for the table
        with encode(most_bytes) as child:
            said, _ = child.communicate(timeout=120)
        assert child.returncode == 1
        assert "OSError" in said
        assert outs() == {}
    assert set(brought_to_its_end()) == {f"{paths.TOKENS}/00000.parquet", str(paths.QUARANTINE)}
    assert {row["place"] for row in pq.read_table(paths.QUARANTINE).to_pylist()} == {f"twin{n}.txt" for n in range(100)}
    assert {row.source for row in table.read(paths.TOKENS)} == {f"tale{n}" for n in range(100)}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[list[str]]:
    """A disk of 3 MB where the project will be; the command that makes it larger."""
    folder = tmp_path / "project"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a disk")
    yield ["mount", "-o", "remount,size=20m", str(folder)]
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_with_room_made_the_build_goes_on(
    small_disk, project, tmp_path, store, prefect_server, by_hand
):
    shutil.move(project / "mlflow.db", tmp_path)  # the runs have room
    environment = {"PREFECT_API_URL": prefect_server, "MLFLOW_TRACKING_URI": store.replace("/project/", "/")}
    (paths.RAW_CORPUS / "tales.jsonl").symlink_to(tmp_path / "tales.jsonl")
    with (paths.RAW_CORPUS / "tales.jsonl").open("wb") as file:  # whose table has some 5 MB
        for n in range(200):
            file.write(
                line(f"tale {n}", "".join(f"{each * 7919 % 100_003} " for each in range(9000 * n, 9000 * n + 9000)))
            )
    done = by_hand("tokenize", **environment)
    assert done.returncode == 1
    (said,) = [each for each in done.stderr.splitlines() if each.startswith("error: ")]
    assert said.endswith("No space left on device")
    assert outs() == {}
    subprocess.run(small_disk, check=True)
    done = by_hand("tokenize", **environment)
    assert done.returncode == 0, done.stderr
    assert [row.source for row in table.read(paths.TOKENS)] == [f"tale {n}" for n in range(200)]


def test_a_process_that_was_killed_ends_with_the_bytes_of_one_that_was_not(project):
    Tokenizer([]).save(paths.TOKENIZER)
    with (paths.RAW_CORPUS / "tales.jsonl").open("wb") as file:  # 19 million ids: a full file of the table, and a part
        for n in range(20):
            file.write(line(f"tale {n}", "".join(f"{each * 7919 % 1_000_003} " for each in range(n, 140_000 + n))))
            file.write(b"no JSON\n")
    for left in ("*partial*", "00000.parquet"):
        with encode() as child:
            while child.returncode is None and not list(paths.WORK.glob(f"*/tokens/{left}")):
                with suppress(subprocess.TimeoutExpired):
                    child.wait(0.01)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        assert not paths.TOKENS.exists()
        assert not paths.QUARANTINE.exists()
    (full,) = paths.WORK.glob("*/tokens/00000.parquet")
    kept = full.stat().st_ino
    after = brought_to_its_end()
    assert (paths.TOKENS / "00000.parquet").stat().st_ino == kept  # not made again
    assert list(paths.WORK.iterdir()) == []
    paths.remove(paths.TOKENS)
    paths.remove(paths.QUARANTINE)
    assert brought_to_its_end() == after
    assert {Path(name).name for name in after} == {"documents.parquet", "00000.parquet", "00001.parquet"}
