"""First weights from every place that `start_from` may name."""

from dataclasses import replace

import pytest
import torch

from components.gpt import checkpoint
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.gpt.weights import write_published
from pipeline import paths, starting

SHAPE = GPTConfig(20, 8, 8, 2, 1, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gpt(positions="learned"):
    torch.manual_seed(1)
    return GPT(replace(SHAPE, positions=positions))


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.arange(8).view(1, 8))


def test_base_is_what_pretraining_has_made(folder):
    checkpoint.save(gpt(), paths.BASE)
    assert torch.equal(logits(starting.first_weights("base")), logits(gpt()))


def test_a_published_size_is_read_from_its_folder_among_the_weights(folder, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "gpt2-355M", SHAPE)  # the real one is too large for a test
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-355M")
    assert torch.equal(logits(starting.first_weights("gpt2-355M")), logits(gpt()))


def test_a_published_size_whose_folder_holds_another_is_refused(folder):
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-355M")
    with pytest.raises(ValueError) as caught:
        starting.first_weights("gpt2-355M")
    assert "start_from is gpt2-355M, but data/raw/weights/gpt2-355M/config.json says 1 layers of 2 heads" in str(
        caught.value
    )
    assert "expected 24 layers of 16 heads, 1024 wide, 1024 tokens of 50257, tied, learned positions" in str(
        caught.value
    )


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_any_folder_with_published_weights_is_taken(folder, positions):
    write_published(gpt(positions), folder / "theirs")
    assert torch.equal(logits(starting.first_weights(str(folder / "theirs"))), logits(gpt(positions)))


def test_a_published_model_of_another_kind_is_refused_by_its_kind(folder):
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with pytest.raises(ValueError, match="model_type is 'llama'; expected 'gpt2' or 'gpt_neox'"):
        starting.first_weights(".")


def test_published_weights_without_a_config_have_the_shape_of_their_name(folder):
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-124M")
    (paths.RAW_WEIGHTS / "gpt2-124M/config.json").unlink()
    with pytest.raises(ValueError, match=r"lacks tensor|model wants"):  # those of the 124M are wanted
        starting.first_weights("gpt2-124M")


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_any_folder_with_a_checkpoint_is_taken(folder, positions):
    checkpoint.save(gpt(positions), folder / "mine")
    assert torch.equal(logits(starting.first_weights(str(folder / "mine"))), logits(gpt(positions)))


@pytest.mark.parametrize(
    ("start_from", "said"),
    [
        ("gpt2-774M", "data/raw/weights/gpt2-774M/model.safetensors is not here; add it to download.sources"),
        ("gpt3", "start_from is gpt3; expected scratch, base, gpt2-124M, gpt2-355M, gpt2-774M, gpt2-1558M or a folder"),
        ("base", "models/base/config.json: no such file"),
    ],
)
def test_weights_that_are_not_here_are_refused_with_the_next_step(folder, start_from, said):
    with pytest.raises(ValueError) as caught:
        starting.first_weights(start_from)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("vocab_size", "context_length", "said"),
    [(21, 8, "has 20 tokens, the tokenizer's 21"), (20, 9, "reads 8 tokens at once, the windows hold 9")],
)
def test_a_model_that_does_not_fit_is_refused(vocab_size, context_length, said):
    starting.match(SHAPE, 20, 8)
    with pytest.raises(ValueError, match=said):
        starting.match(SHAPE, vocab_size, context_length)


@pytest.mark.parametrize("start_from", ["scratch", "gpt2-355M", "."])
def test_what_may_be_is_let_through(folder, start_from):
    starting.check_start(start_from, "scratch")


def test_first_weights_that_cannot_be_are_refused_when_they_are_read(folder):
    said = "start_from is gpt3; expected base, gpt2-124M, gpt2-355M, gpt2-774M, gpt2-1558M or a folder with a model"
    with pytest.raises(ValueError, match=said):
        starting.check_start("gpt3", "base")
