"""The assistant taught to prefer: off, on, from a state, and with what cannot be."""

import json
import logging

import pytest
import torch

from components.gpt import checkpoint
from components.scoring.margin import Margin
from components.tasks.files import read_json_lines, read_records, write_records
from components.tasks.instructions import Instruction
from components.tasks.preferences import Preference
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, settings, stages, tracking
from pipeline.stages import prefer

LN_2 = 0.693147180559945
STEPS = {
    "max_steps": 4,
    "batch_size": 4,
    "evaluate_every": 2,
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"name": "constant"},
}


def numbers():
    return json.loads(paths.metrics("prefer").read_text())


@pytest.fixture
def paired(run):
    """What runs a stage where there are pairs: to questions of the instruction task, of which one answer is right."""
    for split, most in (("train", 24), ("validation", 6), ("test", 6)):
        asked = read_records(paths.INSTRUCTIONS / f"{split}.jsonl", Instruction)[:most]
        pairs = [
            Preference(each.id, each.group, each.instruction, each.input, each.output, f"not {each.output}")
            for each in asked
        ]
        write_records(pairs, paths.PREFERENCES / f"{split}.jsonl")
    (paths.PREFERENCES / "task.json").write_text('{"template": "plain"}')
    return run


def test_without_steps_the_preferred_model_is_the_assistant_and_nothing_is_asked_of_it(project):
    files = {file.name: file.read_bytes() for file in paths.ASSISTANT.iterdir()}
    assert {file.name: file.read_bytes() for file in paths.PREFERRED.iterdir()} == files
    assert (numbers()["steps"], numbers()["weights_sha256"]) == (0, checkpoint.sha256(paths.ASSISTANT))
    assert paths.MARGINS.read_text() == ""
    assert tracking.read_curve("prefer") == []
    assert not [name for name in numbers() if name.startswith(("validation", "test"))]


def test_steps_begin_at_ln_2_with_no_margin_and_end_with_one(paired):
    paired("prefer", STEPS)
    curve = tracking.read_curve("prefer")
    assert curve[0]["training_loss"] == pytest.approx(LN_2, abs=1e-7)
    assert [row["step"] for row in curve] == [0, 1, 2, 3]
    assert curve[-1]["training_loss"] < LN_2
    assert curve[-1]["validation_loss"] < LN_2
    rows = [Margin(**row) for row in read_json_lines(paths.MARGINS)]
    assert [each.split for each in rows] == ["validation"] * 6 + ["test"] * 6
    found = numbers()
    assert (found["steps"], found["test_pairs"]) == (4, 6)
    assert found["test_margin"] > 0
    assert found["test_margin"] == pytest.approx(found["test_lead"] - found["test_lead_before"])
    assert found["test_reward_margin"] == pytest.approx(0.1 * found["test_margin"])
    assert found["validation_accuracy"] == sum(each.margin > 0 for each in rows[:6]) / 6
    assert found["weights_sha256"] == checkpoint.sha256(paths.PREFERRED) != checkpoint.sha256(paths.ASSISTANT)
    assert (paths.PREFERRED / "origin.json").read_bytes() == (paths.ASSISTANT / "origin.json").read_bytes()


def test_a_step_that_moves_nothing_leaves_every_margin_at_zero(paired):
    paired("prefer", STEPS | {"max_steps": 1, "schedule": {"warmup_steps": 2, "initial": 0.0}})
    assert {Margin(**row).margin for row in read_json_lines(paths.MARGINS)} == {0.0}
    assert checkpoint.sha256(paths.PREFERRED) == checkpoint.sha256(paths.ASSISTANT)


def test_a_run_that_was_killed_goes_on_with_the_assistant_as_its_reference(paired, monkeypatch, caplog):
    paired("prefer", STEPS)
    products = (paths.PREFERRED / "model.safetensors", paths.MARGINS, paths.curve("prefer"), paths.metrics("prefer"))
    before = [path.read_bytes() for path in products]
    loss, calls = prefer.dpo, []

    def killing(*given, **named):
        calls.append(given)
        if len(calls) == 5:  # a step, two batches of validation, a step
            raise RuntimeError("killed")
        return loss(*given, **named)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(prefer, "dpo", killing)
        paired("prefer", STEPS)
    caplog.set_level(logging.INFO, logger="pipeline")
    paired("prefer", STEPS)
    assert "going on after step 1" in caplog.messages
    assert [path.read_bytes() for path in products] == before


def test_lora_changes_the_chosen_maps_alone(paired):
    paired("prefer", STEPS | {"lora": {"rank": 2, "alpha": 4, "layers": ["up"]}})
    assert tracking.read_curve("prefer")[0]["training_loss"] == pytest.approx(LN_2, abs=1e-7)
    before, after = (checkpoint.load(folder).state_dict() for folder in (paths.ASSISTANT, paths.PREFERRED))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"body.blocks.{layer}.feed_forward.up.weight" for layer in range(2)}


def test_a_preferred_model_answers_beside_the_tuned_one_and_is_scored_and_reported(paired):
    paired("prefer", STEPS | {"optimizer": {"learning_rate": 0.1}})
    for stage in ("respond", "score", "report"):
        paired(stage)
    answered = json.loads(paths.metrics("respond").read_text())
    assert answered["responses"] == 8 * 4
    assert answered["preferred_weights_sha256"] == checkpoint.sha256(paths.PREFERRED)
    assert "preferred_exact_match" in json.loads(paths.metrics("score").read_text())
    reported = json.loads(paths.metrics("report").read_text())
    assert {"preferences_test_margin_low", "tuned_minus_preferred_exact_match"} <= reported.keys()
    assert "the preferred model is" in paths.REPORT.read_text(encoding="utf-8")


def test_steps_without_pairs_are_one_line(failure):
    said = failure("prefer", {"max_steps": 1})
    assert said == (
        "prefer.max_steps is not 0, but there are no pairs; set it to 0, or name a file in prepare.preferences"
    )
    assert not paths.PREFERRED.exists()


def test_a_pair_longer_than_the_context_is_named(paired):
    long = Preference("long", "g", "Repeat it. " * 20, "", "Yes.", "No.")
    with pytest.raises(
        ValueError, match=r"record long has \d+ tokens with its prompt; the model reads at most 64; set "
    ):
        prefer.read_pairs([long], checkpoint.load(paths.ASSISTANT), Tokenizer.load(paths.TOKENIZER))


@pytest.mark.parametrize("beta", [0, -0.1, float("inf")])
def test_a_beta_out_of_range_is_refused_by_its_dotted_name(project, beta):
    sections = settings.read()
    sections["prefer"] |= {"beta": beta}
    with pytest.raises(settings.SettingsError, match=r"prefer\.beta is "):
        settings.arguments(stages.find("prefer"), sections)


def test_a_batch_larger_than_all_of_training_names_the_setting(paired, failure):
    said = failure("prefer", {"max_steps": 1, "batch_size": 1_000_000})
    assert said.startswith("prefer.batch_size is 1000000; expected 1..")
