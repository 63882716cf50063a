"""The classifier, its predictions, and the baselines beside them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from components.gpt import checkpoint, classifier
from components.gpt.model import GPT, GPTConfig
from components.tasks.classification import Labelled
from components.tasks.files import read_records, write_records
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, predictions, settings, stages, tracking
from pipeline.stages.finetune_classifier import untrained

ROOT = Path(__file__).parents[3]


def numbers():
    return json.loads(paths.metrics("finetune_classifier").read_text())


def test_every_test_text_has_its_true_and_its_predicted_label(project):
    records = read_records(paths.CLASSIFICATION / "test.jsonl", Labelled)
    with (paths.PREDICTIONS / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["actual"]) for row in rows] == [(each.id, each.label) for each in records]
    assert {row["predicted"] for row in rows} <= {"function", "class or module"}
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert numbers()["accuracy"] == right / len(rows) == right / numbers()["test_texts"]


def test_the_majority_is_right_as_often_as_the_most_frequent_label_of_training_is(project):
    trained, labels = (
        [each.label for each in read_records(paths.CLASSIFICATION / f"{split}.jsonl", Labelled)]
        for split in ("train", "test")
    )
    is_mostly_functions = trained.count("function") > len(trained) / 2
    most_frequent = "function" if is_mostly_functions else "class or module"
    assert numbers()["majority_accuracy"] == labels.count(most_frequent) / len(labels)
    assert numbers()["bag_of_words_accuracy"] > 0.5
    assert {
        f"{who}{what}"
        for who in ("", "untuned_", "bag_of_words_", "majority_")
        for what in ("precision", "recall", "f1", "calibration_error", "average_precision")
    } <= set(numbers())


def test_the_confusion_matrix_is_a_picture(project):
    assert (paths.PREDICTIONS / "confusion.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_model_knows_its_labels_and_the_curve_every_step(project):
    model = classifier.load(paths.CLASSIFIER)
    assert (model.labels, model.reads) == (("class or module", "function"), "last_token")
    assert [row["step"] for row in tracking.read_curve("finetune_classifier")] == [0, 1, 2]
    assert numbers()["weights_sha256"] == checkpoint.sha256(paths.CLASSIFIER)


def test_as_in_the_book_the_last_block_alone_learns_and_the_last_position_is_read(run):
    run("finetune_classifier", {"train": "last_blocks", "reads": "last_position", "max_length": None})
    base, trained = checkpoint.load(paths.BASE).body.state_dict(), classifier.load(paths.CLASSIFIER).body.state_dict()
    changed = {name.split(".")[0:2][-1] for name in base if not torch.equal(base[name], trained[name])}
    assert changed == {"1", "weight", "bias"}  # of two blocks the second; the final norm
    assert all(
        torch.equal(base[name], trained[name]) for name in base if "embedding" in name or name.startswith("blocks.0")
    )


def test_a_test_split_smaller_than_a_batch_is_no_hindrance(run):
    run("finetune_classifier", {"max_steps": 1, "batch_size": 64})
    assert numbers()["test_texts"] == 40


def test_a_model_with_another_vocabulary_is_one_line(failure, tmp_path):
    config = GPTConfig(299, 16, 8, 2, 1, 0.0, qkv_bias=False, tie_weights=True, init="gpt2")
    checkpoint.save(GPT(config), tmp_path / "mine")
    said = failure("finetune_classifier", {"start_from": str(tmp_path / "mine")})
    assert "the model's vocabulary has 299 tokens, the tokenizer's 300" in said
    assert not paths.CLASSIFIER.exists()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"max_length": 0}, {"last_blocks": 0}, {"patience": 0}], ids=str)
def test_numbers_out_of_range_are_one_line(failure, wrong):
    name, value = next(iter(wrong.items()))
    assert f"{name} is {value}; expected" in failure("finetune_classifier", wrong)


def test_lora_changes_the_chosen_maps_and_the_new_head_alone(run):
    run("finetune_classifier", {"lora": {"rank": 2, "alpha": 4, "layers": ["qkv", "down"]}})
    before, after = checkpoint.load(paths.BASE).state_dict(), classifier.load(paths.CLASSIFIER).state_dict()
    changed = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    maps = ("attention.qkv", "feed_forward.down")
    assert changed == {f"body.blocks.{layer}.{each}.weight" for layer in range(2) for each in maps}


def test_the_weights_of_the_lowest_validation_loss_are_kept_and_named(project):
    curve = tracking.read_curve("finetune_classifier")
    evaluated = {int(row["step"]): row["validation_loss"] for row in curve if "validation_loss" in row}
    assert list(evaluated) == [0, 2]
    assert numbers()["kept_validation_loss"] == min(evaluated.values())
    assert evaluated[numbers()["kept_step"]] == min(evaluated.values())


def test_it_ends_early_where_the_validation_loss_does_not_fall(run):
    rising = {"optimizer": {"learning_rate": 3.0, "adamw_learning_rate": 3.0}, "clip_norm": None}
    run("finetune_classifier", {**rising, "max_steps": 40, "evaluate_every": 1, "patience": 2})
    assert numbers()["steps"] < 40
    assert numbers()["kept_step"] == numbers()["steps"] - 3


def test_the_untuned_model_is_the_frozen_base_under_a_fitted_head(project):
    tokenizer, base = Tokenizer.load(paths.TOKENIZER), checkpoint.load(paths.BASE)
    parts = {split: read_records(paths.CLASSIFICATION / f"{split}.jsonl", Labelled) for split in ("train", "test")}
    with torch.no_grad():
        hidden = {
            split: torch.stack([base.hidden(torch.tensor([tokenizer.encode(each.text)[:32]]))[0, -1] for each in part])
            for split, part in parts.items()
        }
    mean, deviation = hidden["train"].mean(0), hidden["train"].std(0, correction=0)
    head = LogisticRegression(max_iter=2000, tol=1e-8)
    head.fit((hidden["train"] - mean) / deviation, [each.label for each in parts["train"]])
    expected = head.predict_proba((hidden["test"] - mean) / deviation)
    given = predictions.read("untuned")
    assert list(head.classes_) == list(given.labels)
    np.testing.assert_allclose(given.probabilities, expected, atol=0.02)


def test_more_blocks_than_the_model_has_are_one_line(failure):
    said = failure("finetune_classifier", {"train": "last_blocks", "last_blocks": 3})
    assert said.startswith("finetune_classifier.last_blocks is 3; expected 1..2")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_never_saw_is_one_line(failure, split):
    file = paths.CLASSIFICATION / f"{split}.jsonl"
    first, _, rest = file.read_text().partition("\n")
    file.write_text(json.dumps(json.loads(first) | {"id": "r7", "label": "method"}) + "\n" + rest)
    said = failure("finetune_classifier", {"max_steps": 1})
    assert f"record r7 of the {split} split has the label 'method'; training has class or module, function" in said
    assert not paths.CLASSIFIER.exists()


def test_a_batch_larger_than_all_of_training_names_the_setting(failure):
    said = failure("finetune_classifier", {"batch_size": 1_000_000})
    assert said.startswith("finetune_classifier.batch_size is 1000000; expected 1..")


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A task of two long texts and a model that reads 8 tokens at once, in the build's folders."""
    monkeypatch.chdir(tmp_path)
    tokenizer = Tokenizer.trained(["Return the index of the first item, or -1."], 257)
    paths.CLASSIFICATION.mkdir(parents=True)
    (paths.CLASSIFICATION / "task.json").write_text('{"labels": ["a", "b"]}')
    texts = [Labelled("1", "Return the index", "a", "1"), Labelled("2", "Return the index of it", "b", "2")]
    write_records(texts, paths.CLASSIFICATION / "train.jsonl")
    config = GPTConfig(tokenizer.vocab_size, 8, 4, 1, 1, 0.0, qkv_bias=False, tie_weights=True, init="gpt2")
    checkpoint.save(GPT(config), paths.BASE)
    return tokenizer


def parsed(max_length):
    sections = settings.read(ROOT / "presets/default.yaml")
    sections["finetune_classifier"] |= {"max_length": max_length}
    return settings.arguments(stages.find("finetune_classifier"), sections)["finetune_classifier"]


@pytest.mark.parametrize(("max_length", "taken"), [(None, 8), (5, 5), (8, 8)])
def test_only_the_longest_text_is_cut_to_the_context(short, max_length, taken):
    assert untrained(short, parsed(max_length)).max_length == taken


def test_a_max_length_past_the_context_is_refused(short):
    said = r"^finetune_classifier\.max_length is 9; expected 1\.\.8 \(the model's context\), or null"
    with pytest.raises(ValueError, match=said):
        untrained(short, parsed(9))
