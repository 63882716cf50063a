"""The base model: from scratch, from published weights, from a folder, or not at all."""

import json
import os
import subprocess

import pytest
import torch

from components.gpt import checkpoint
from components.gpt.model import GPT, GPTConfig
from components.gpt.weights import write_published
from pipeline import fitting, paths, tracking

SHAPE = {"vocab_size": 300, "context_length": 64, "emb_dim": 8, "n_heads": 2, "n_layers": 1, "drop_rate": 0.0}


def model(**changes):
    torch.manual_seed(1)
    return GPT(GPTConfig(**(SHAPE | {"qkv_bias": True, "tie_weights": True, "init": "gpt2"} | changes)))


def numbers():
    return json.loads(paths.metrics("pretrain").read_text())


def test_the_model_fits_the_windows_and_the_curve_tells_every_step(project):
    config = checkpoint.load(paths.BASE).config
    assert (config.vocab_size, config.context_length, config.emb_dim, config.n_layers) == (300, 64, 16, 2)
    curve = tracking.read_curve("pretrain")
    assert [row["step"] for row in curve] == [0, 1, 2]
    assert ["validation_loss" in row for row in curve] == [True, False, True]
    found = numbers()
    assert (found["training_loss"], found["validation_loss"]) == (
        curve[2]["training_loss"],
        curve[2]["validation_loss"],
    )
    assert (found["steps"], found["weights_sha256"]) == (3, checkpoint.sha256(paths.BASE))


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(project, run):
    first = checkpoint.sha256(paths.BASE)
    run("pretrain")
    assert checkpoint.sha256(paths.BASE) == first
    run("pretrain", {"seed": 124})
    assert checkpoint.sha256(paths.BASE) != first


def test_published_weights_and_no_step_are_a_load(run):
    write_published(model(), paths.RAW_WEIGHTS / "small")
    run("pretrain", {"start_from": str(paths.RAW_WEIGHTS / "small"), "max_steps": 0})
    base = checkpoint.load(paths.BASE)
    ids = torch.arange(10).view(1, 10)
    assert torch.equal(base.eval()(ids), model().eval()(ids))
    assert numbers() == fitting.facts([], paths.BASE)
    assert tracking.read_curve("pretrain") == []
    assert paths.curve("pretrain").read_text().startswith("step")  # dvc.yaml wants the file


def test_a_folder_of_the_users_is_trained_on(run, tmp_path):
    checkpoint.save(model(), tmp_path / "mine")
    run("pretrain", {"start_from": str(tmp_path / "mine"), "max_steps": 1})
    assert numbers()["weights_sha256"] != checkpoint.sha256(tmp_path / "mine")
    assert checkpoint.load(paths.BASE).config.emb_dim == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 299}, "the model's vocabulary has 299 tokens, the tokenizer's 300"),
        ({"context_length": 63}, "the model reads 63 tokens at once, the windows hold 64"),
    ],
)
def test_a_checkpoint_of_another_shape_is_one_line(failure, tmp_path, changes, said):
    checkpoint.save(model(**changes), tmp_path / "mine")
    assert said in failure("pretrain", {"start_from": str(tmp_path / "mine")})
    assert not paths.BASE.exists()


def test_a_truncated_checkpoint_is_one_line(failure, tmp_path):
    checkpoint.save(model(), tmp_path / "mine")
    weights = tmp_path / "mine/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "truncated or not safetensors" in failure("pretrain", {"start_from": str(tmp_path / "mine")})
    assert not paths.BASE.exists()


def test_a_batch_larger_than_the_corpus_is_one_line(failure):
    assert "pretrain.batch_size is 1000000, but there are" in failure("pretrain", {"batch_size": 1_000_000})


def test_a_shape_that_no_model_has_is_one_line(failure):
    assert "emb_dim is 15; expected a multiple of n_heads (2)" in failure("pretrain", {"model": {"emb_dim": 15}})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a small disk")
def test_a_full_disk_is_one_line_and_leaves_nothing(failure, project):
    paths.remove(paths.BASE)
    paths.remove(project / "models")
    (project / "models").mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(project / "models")]
    if subprocess.run(small, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        assert "No space left on device" in failure("pretrain")
        assert list((project / "models").iterdir()) == []
    finally:
        subprocess.run(["umount", str(project / "models")], check=True)
