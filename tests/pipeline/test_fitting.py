"""What the three training stages share: first weights, the loop with its evaluations, the curve."""

import logging

import pytest
import torch
from torch import nn

from components.gpt import checkpoint
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.gpt.weights import write_published
from components.training.loop import TrainingSettings
from components.training.optimizer import OptimizerSettings
from components.training.schedule import ScheduleSettings
from pipeline import fitting, machine, paths

SHAPE = GPTConfig(20, 8, 8, 2, 1, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    return tmp_path


def gpt():
    torch.manual_seed(1)
    return GPT(SHAPE)


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.arange(8).view(1, 8))


def test_base_is_what_pretraining_has_made(folder):
    checkpoint.save(gpt(), paths.BASE)
    assert torch.equal(logits(fitting.first_weights("base")), logits(gpt()))


def test_a_published_size_is_read_from_its_folder_among_the_weights(folder, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "gpt2-355M", SHAPE)  # the real one is too large for a test
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-355M")
    assert torch.equal(logits(fitting.first_weights("gpt2-355M")), logits(gpt()))


def test_a_published_size_whose_folder_holds_another_is_refused(folder):
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-355M")
    with pytest.raises(ValueError) as caught:
        fitting.first_weights("gpt2-355M")
    assert "start_from is gpt2-355M, but data/raw/weights/gpt2-355M/config.json says 1 layers of 2 heads" in str(
        caught.value
    )
    assert "expected 24 layers of 16 heads, 1024 wide, 1024 tokens of 50257, tied" in str(caught.value)


def test_any_folder_with_published_weights_is_taken(folder):
    write_published(gpt(), folder / "theirs")
    assert torch.equal(logits(fitting.first_weights(str(folder / "theirs"))), logits(gpt()))


def test_published_weights_without_a_config_have_the_shape_of_their_name(folder):
    write_published(gpt(), paths.RAW_WEIGHTS / "gpt2-124M")
    (paths.RAW_WEIGHTS / "gpt2-124M/config.json").unlink()
    with pytest.raises(ValueError, match=r"lacks tensor|model wants"):  # those of the 124M are wanted
        fitting.first_weights("gpt2-124M")


def test_any_folder_with_a_checkpoint_is_taken(folder):
    checkpoint.save(gpt(), folder / "mine")
    assert torch.equal(logits(fitting.first_weights(str(folder / "mine"))), logits(gpt()))


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
        fitting.first_weights(start_from)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("vocab_size", "context_length", "said"),
    [(21, 8, "has 20 tokens, the tokenizer's 21"), (20, 9, "reads 8 tokens at once, the windows hold 9")],
)
def test_a_model_that_does_not_fit_is_refused(vocab_size, context_length, said):
    fitting.match(SHAPE, 20, 8)
    with pytest.raises(ValueError, match=said):
        fitting.match(SHAPE, vocab_size, context_length)


def how(**changes):
    optimizer = OptimizerSettings("adamw", 0.5, None, 0.0, "all", 0.0, 0.0, 0.0)
    schedule = ScheduleSettings("constant", 0, 0.0, 0.0, 0.0)
    given = {"max_steps": 3, "batch_size": 1, "accumulate": 1, "clip_norm": None, "precision": "float32"}
    given |= {"compile": False, "evaluate_every": 2, "evaluate_batches": None, "seed": 1}
    return TrainingSettings(**(given | {"optimizer": optimizer, "schedule": schedule} | changes))


class Guess(nn.Module):
    """A number that wants to be another: the loss is half the square of what is missing."""

    def __init__(self):
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))


def half_square(model, batch):
    return ((model.number - batch[0]) ** 2 / 2).sum(), torch.tensor(1)


def test_the_curve_has_a_row_per_step_and_the_validation_loss_where_it_was_evaluated(folder, caplog):
    caplog.set_level(logging.INFO, logger="pipeline")
    model = Guess()
    curve = fitting.fit(model, lambda _: (torch.tensor([2.0]),), half_square, how(), lambda: [(torch.tensor([0.0]),)])
    # AdamW without memory moves by its rate times the gradient's sign: 0, 0.5, 1, 1.5.
    assert model.number.item() == pytest.approx(1.5)
    assert [row["step"] for row in curve] == [0, 1, 2]
    assert [row["training_loss"] for row in curve] == pytest.approx([2.0, 1.125, 0.5])
    assert [row["gradient_norm"] for row in curve] == pytest.approx([2.0, 1.5, 1.0])
    assert [row["learning_rate"] for row in curve] == [0.5] * 3
    assert [row.get("validation_loss") for row in curve] == [pytest.approx(0.125), None, pytest.approx(1.125)]
    assert [record.getMessage() for record in caplog.records] == [
        "step 1 of 3: training loss 2.000, validation loss 0.125 nats",
        "step 3 of 3: training loss 0.500, validation loss 1.125 nats",
    ]


def test_facts_are_the_last_losses_the_hash_of_the_weights_and_the_machine(folder):
    (folder / "model.safetensors").write_bytes(b"weights")
    rows = [{"step": 0, "training_loss": 2.0, "validation_loss": 1.0}, {"step": 1, "training_loss": 0.5}]
    facts = fitting.facts(rows, folder)
    assert {name: facts.pop(name) for name in machine.description()} == machine.description()
    # sha256sum's word for the seven bytes
    sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert facts == {"steps": 2, "training_loss": 0.5, "validation_loss": 1.0, "weights_sha256": sha256}


def test_no_steps_leave_the_model_as_it_is(folder):
    model = Guess()
    curve = fitting.fit(model, lambda _: (torch.tensor([2.0]),), half_square, how(max_steps=0), list)
    assert (curve, model.number.item()) == ([], 0.0)


def test_work_in_progress_stays_after_a_failure_and_goes_when_it_is_done(project):
    (project / "params.yaml").write_text("pretrain: {seed: 1}\n")
    (project / "dvc.yaml").write_text("stages: {pretrain: {cmd: true, params: [pretrain]}}\n")
    with pytest.raises(KeyError), fitting.work("pretrain") as first:
        (first / "half").touch()
        raise KeyError
    assert (first.parent.name, [path.name for path in first.iterdir()]) == (".work", ["half"])
    with fitting.work("pretrain") as again:
        assert again == first
    assert not first.exists()
    (project / "params.yaml").write_text("pretrain: {seed: 2}\n")
    with fitting.work("pretrain") as other:
        assert other != first
