"""Scores of the base model, worked out once more another way, and its samples."""

import json
import lzma
import math

import pytest
import torch
import torch.nn.functional as F

from components.gpt import checkpoint
from components.tasks.files import read_records
from components.tasks.multiple_choice import Choice
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows.windows import Windows
from pipeline import paths, settings
from pipeline.stages import evaluate
from pipeline.stages.evaluate import EvaluateSettings


def numbers():
    return json.loads(paths.metrics("evaluate").read_text())


def test_the_loss_is_the_mean_over_every_validation_window(project):
    model, windows = checkpoint.load(paths.BASE).eval(), Windows(paths.SHARDS, "validation")
    ids = torch.stack([torch.tensor(windows[k].tolist()) for k in range(len(windows))])
    with torch.no_grad():
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).item()
    found = numbers()
    assert found["validation_loss"] == pytest.approx(loss, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert found["windows"] == len(windows)
    assert found["weights_sha256"] == checkpoint.sha256(paths.BASE) == trained_sha256()


def trained_sha256():
    return json.loads(paths.metrics("pretrain").read_text())["weights_sha256"]


def test_bits_per_byte_count_the_text_that_was_scored_not_the_tokens(project):
    texts = split("validation")
    size_bytes = sum(len(text.encode()) for text in texts)
    tokens = sum(len(row.ids) + 1 for row in table.read(paths.TOKENS, "validation"))  # each document's end too
    found = numbers()
    assert (found["bytes"], found["tokens"]) == (size_bytes, tokens)
    assert found["scored_tokens"] == found["windows"] * 64  # windows of 64 that do not overlap
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    ids = [id_ for row in table.read(paths.TOKENS, "validation") for id_ in [*row.ids.tolist(), tokenizer.end_of_text]]
    first, rest = ids[:1], ids[found["scored_tokens"] + 1 :]
    unscored = sum(len(tokenizer.decode_bytes([id_])) for id_ in first + rest if id_ != tokenizer.end_of_text)
    assert found["scored_bytes"] == size_bytes - unscored < size_bytes
    nats = found["validation_loss"] * found["scored_tokens"]
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / found["scored_bytes"])
    assert found["xz_bits_per_byte"] == pytest.approx(8 * compressed(texts) / size_bytes, rel=1e-3)


def test_the_compressor_that_has_read_the_training_text_needs_what_the_rest_adds(project):
    seen, texts = split("train"), split("validation")
    more = compressed(["\n".join(seen) + texts[0], *texts[1:]]) - compressed(seen)
    size_bytes = len("\n".join(texts).encode())
    found = numbers()
    assert found["xz_after_training_text_bits_per_byte"] == pytest.approx(8 * more / size_bytes, rel=1e-3)
    assert found["xz_after_training_text_bits_per_byte"] < found["xz_bits_per_byte"]
    assert found["xz_training_bytes"] == len("\n".join(seen).encode())


def test_of_a_long_training_text_the_compressor_reads_the_beginning(run, monkeypatch):
    monkeypatch.setattr(evaluate, "SEEN_BYTES", 100)
    run("evaluate")
    texts = "\n".join(split("validation")).encode()
    seen = "\n".join(split("train")).encode()[:100]
    preset = 9 | lzma.PRESET_EXTREME
    more = len(lzma.compress(seen + texts, preset=preset)) - len(lzma.compress(seen, preset=preset))
    found = numbers()
    assert found["xz_training_bytes"] == 100
    assert found["xz_after_training_text_bits_per_byte"] == pytest.approx(8 * more / len(texts), rel=1e-3)


def split(name):
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    return [tokenizer.decode(row.ids.tolist()) for row in table.read(paths.TOKENS, name)]


def compressed(texts):
    return len(lzma.compress("\n".join(texts).encode(), preset=9 | lzma.PRESET_EXTREME))


def test_every_prompt_has_a_greedy_and_a_drawn_sample(project):
    samples = json.loads(paths.SAMPLES.read_text())
    assert [(each["prompt"], each["kind"]) for each in samples] == [
        ("Return the", "greedy"),
        ("Return the", "temperature 0.8, top 40"),
    ]
    assert all(each["text"] for each in samples)


def test_a_prompt_longer_than_the_context_and_an_empty_one_can_be_gone_on_from(run):
    run("evaluate", {"prompts": ["word " * 100, ""], "top_k": None})
    samples = json.loads(paths.SAMPLES.read_text())
    assert [each["kind"] for each in samples] == ["greedy", "temperature 0.8, top all"] * 2


def test_without_items_there_is_nothing_chosen(project):
    assert paths.CHOICES.read_bytes() == b""
    assert not [name for name in numbers() if name.startswith("multiple_choice")]


ITEM = {"activity_label": "Baking", "ctx_a": "He takes flour.", "ctx_b": "then", "endings": ["he kneads it.", "a dog."]}


def test_right_endings_are_counted_zero_and_one_shot_from_the_same_items(run):
    items = [ITEM | {"source_id": f"video-{number}", "label": number % 2} for number in range(4)]
    (paths.RAW_TASKS / "items.jsonl").write_text("".join(json.dumps(each) + "\n" for each in items))
    how = {"file": "items.jsonl", "shots": [0, 1], "most": None, "batch_size": 3, "seed": 1}
    run("evaluate", {"multiple_choice": how})
    choices = read_records(paths.CHOICES, Choice)
    assert [(each.shots, each.answer) for each in choices] == [(shots, k % 2) for shots in (0, 1) for k in range(4)]
    zero = choices[:4]
    assert len({each.nats for each in zero}) == 1  # four times the same item, whose answers are two of each kind
    found = numbers()
    assert found["multiple_choice_items"] == 4
    assert found["multiple_choice_0_shot_accuracy"] == found["multiple_choice_0_shot_accuracy_norm"] == 0.5
    assert {"multiple_choice_1_shot_accuracy", "multiple_choice_1_shot_accuracy_norm"} < found.keys()


def test_a_file_of_items_that_is_not_there_is_one_line(failure):
    how = {"file": "absent.jsonl", "shots": [0], "most": None, "batch_size": 1, "seed": 1}
    assert "evaluate.multiple_choice.file is absent.jsonl, but data/raw/tasks/absent.jsonl is not here" in failure(
        "evaluate", {"multiple_choice": how}
    )


def test_a_truncated_base_model_is_one_line(failure):
    weights = paths.BASE / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "models/base/model.safetensors: 1000 bytes, truncated or not safetensors" in failure("evaluate")
    assert not paths.SAMPLES.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"max_new_tokens": 0}, {"temperature": 0.0}, {"top_k": 0}, {"top_p": 0.0}, {"seed": -1}],
    ids=str,
)
def test_numbers_out_of_range_are_refused(wrong):
    right = {"batch_size": 1, "prompts": [], "max_new_tokens": 1, "temperature": 1.0, "seed": 0}
    right |= {"top_k": None, "top_p": None, "multiple_choice": None}
    with pytest.raises(settings.SettingsError, match=f"evaluate.*{next(iter(wrong))}"):
        settings.parse("evaluate", right | wrong, EvaluateSettings)
