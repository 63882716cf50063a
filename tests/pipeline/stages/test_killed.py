"""The first three trainings, in one process and in two, killed at a dozen moments; `make soak` takes two hundred."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import paths

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_training_that_was_killed_ends_with_the_same_bytes_as_one_that_was_not(project, monkeypatch, processes):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "benchmarks.soak", "--moments", "4", "--processes", processes]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["pretrain", "finetune_classifier", "finetune_instructions"]
    for row in rows:
        numbers = dict(zip(header[1:], map(int, row[1:]), strict=True))
        assert numbers["with other bytes"] == 0
        assert numbers["brought to the end"] > 0
        assert sum(count for name, count in numbers.items() if name.startswith("killed")) == 4


@pytest.mark.parametrize(
    ("stage", "model"),
    [
        ("pretrain", paths.BASE),
        ("finetune_classifier", paths.CLASSIFIER),
        ("finetune_instructions", paths.ASSISTANT),
    ],
)
def test_what_a_kill_left_of_a_model_is_no_part_of_the_next(run, stage, model):
    files = {file.name for file in model.iterdir()}
    left = model.with_name(f".{model.name}.partial")
    left.mkdir()
    (left / ".tmpOoxLyr").write_bytes(b"half")  # through such a file safetensors writes
    run(stage)
    assert {file.name for file in model.iterdir()} == files
    assert not left.exists()
