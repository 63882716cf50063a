"""The assistant: records as rows, and the training."""

import json

import torch

from components.gpt import checkpoint
from components.tasks.files import read_records, write_records
from components.tasks.instructions import IGNORED, Instruction
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, settings, stages
from pipeline.stages.finetune_instructions import read_rows


def numbers():
    return json.loads(paths.metrics("finetune_instructions").read_text())


def parsed(**changes):
    flow = stages.find("finetune_instructions")
    sections = settings.read()
    sections["finetune_instructions"] |= changes
    return settings.arguments(flow, sections)["finetune_instructions"]


def test_the_assistant_is_the_base_model_changed_and_remembers_it(project):
    assert checkpoint.load(paths.ASSISTANT).config == checkpoint.load(paths.BASE).config
    assert checkpoint.sha256(paths.ASSISTANT) != checkpoint.sha256(paths.BASE)
    assert json.loads((paths.ASSISTANT / "origin.json").read_text()) == {"start_from": "base"}
    assert numbers()["weights_sha256"] == checkpoint.sha256(paths.ASSISTANT)
    assert (numbers()["steps"], numbers()["validation_rows"]) == (3, 8)  # eight records too long to share 64 tokens


def test_only_the_answer_and_the_end_are_learned_where_the_prompt_is_masked(project):
    tokenizer, model = Tokenizer.load(paths.TOKENIZER), checkpoint.load(paths.BASE)
    first = read_records(paths.INSTRUCTIONS / "validation.jsonl", Instruction)[0]
    row = read_rows("validation", model, tokenizer, parsed(row_tokens=None))[0]
    learned = [token for token in row.targets if token != IGNORED]
    assert tokenizer.decode(learned[:-1]) == f" {first.output}"
    assert learned[-1] == tokenizer.end_of_text
    whole = read_rows("validation", model, tokenizer, parsed(row_tokens=None, mask_prompt=False))[0]
    assert IGNORED not in whole.targets


def test_no_step_leaves_the_first_weights_as_they_are(run):
    run("finetune_instructions", {"row_tokens": None, "mask_prompt": False, "max_steps": 0})
    assert checkpoint.sha256(paths.ASSISTANT) == checkpoint.sha256(paths.BASE)
    records = len(read_records(paths.INSTRUCTIONS / "train.jsonl", Instruction))
    assert (numbers()["steps"], numbers()["train_rows"]) == (0, records)


def test_a_record_longer_than_the_context_is_one_line(failure):
    file = paths.INSTRUCTIONS / "train.jsonl"
    records = read_records(file, Instruction)
    write_records([*records, Instruction("long", "name", "g", "Repeat it. " * 20, "", "No.")], file)
    said = failure("finetune_instructions")
    assert f"train.jsonl, row {len(records) + 1}: record long has " in said
    assert said.endswith(
        "finetune_instructions.row_tokens has room for at most 64; "
        "prepare.instructions.max_tokens: 64 leaves such records out"
    )
    assert not paths.ASSISTANT.exists()


def test_a_prompt_longer_than_the_context_is_refused_before_training(failure):
    file = paths.INSTRUCTIONS / "train.jsonl"
    write_records([Instruction("long", "name", "g", "Repeat it. " * 20, "", "No.")], file)
    said = failure("finetune_instructions", {"row_tokens": None})
    assert said.startswith("data/tasks/instructions/train.jsonl, row 1: record long has ")
    assert "of them its prompt; the model reads at most 64; " in said


def test_rows_longer_than_the_context_are_refused(failure):
    said = failure("finetune_instructions", {"row_tokens": 65})
    assert said == "finetune_instructions.row_tokens is 65; expected 1..64 (what the model reads at once), or null"


def test_published_weights_that_no_source_brings_are_one_line(failure):
    said = failure("finetune_instructions", {"start_from": "gpt2-355M"})
    assert "data/raw/weights/gpt2-355M/model.safetensors is not here; add it to download.sources" in said


def test_lora_changes_the_chosen_maps_alone(run):
    run("finetune_instructions", {"lora": {"rank": 2, "alpha": 4, "layers": ["up"]}})
    before, after = checkpoint.load(paths.BASE).state_dict(), checkpoint.load(paths.ASSISTANT).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"body.blocks.{layer}.feed_forward.up.weight" for layer in range(2)}


def test_lora_of_a_head_that_is_tied_is_refused(failure):
    said = failure("finetune_instructions", {"lora": {"rank": 2, "alpha": 4, "layers": ["head"]}})
    assert "lora.layers has head, which this model lacks" in said


def test_a_batch_larger_than_all_of_training_names_the_setting(failure):
    said = failure("finetune_instructions", {"batch_size": 1_000_000, "row_tokens": None})
    assert said.startswith("finetune_instructions.batch_size is 1000000; expected 1..")
