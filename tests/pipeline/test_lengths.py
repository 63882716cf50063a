"""Contexts: shard.context_length for a model from scratch; GPT-2's is 1,024 tokens at every size."""

from pathlib import Path

import pytest

from pipeline import settings
from pipeline.commands import use
from pipeline.lengths import problems

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "shard": {"context_length": 128},
    "pretrain": {"start_from": "scratch"},
    "finetune_classifier": {"start_from": "base", "max_length": 128},
    "finetune_instructions": {"start_from": "base", "row_tokens": None},
    "respond": {"max_new_tokens": 127},
}


def changed(**sections):
    return SECTIONS | {name: SECTIONS[name] | values for name, values in sections.items()}


def test_what_just_fits_is_no_problem():
    assert problems(SECTIONS) == []


def test_each_setting_past_the_context_of_the_base_model_is_told_with_what_sets_it():
    sections = changed(shard={"context_length": 64}, finetune_instructions={"row_tokens": 65})
    why = "its model reads 64 tokens at once (shard.context_length)"
    assert problems(sections) == [
        f"finetune_classifier.max_length is 128; expected at most 64: {why}",
        f"finetune_instructions.row_tokens is 65; expected at most 64: {why}",
        f"respond.max_new_tokens is 127; expected at most 63: {why}",
    ]


def test_windows_are_no_longer_than_a_published_model_reads():
    sections = changed(pretrain={"start_from": "gpt2-124M"}, shard={"context_length": 2048})
    assert problems(sections) == [
        "shard.context_length is 2048; expected at most 1024: its model reads 1024 tokens at once "
        "(pretrain.start_from: gpt2-124M)"
    ]


def test_a_published_model_has_its_own_context():
    sections = changed(
        finetune_instructions={"start_from": "gpt2-355M", "row_tokens": 1024}, respond={"max_new_tokens": 1024}
    )
    assert problems(sections) == [
        "respond.max_new_tokens is 1024; expected at most 1023: its model reads 1024 tokens at once "
        "(finetune_instructions.start_from: gpt2-355M)"
    ]
    loaded = changed(pretrain={"start_from": "gpt2-124M"}, finetune_classifier={"max_length": 1025})
    assert problems(loaded) == [
        "finetune_classifier.max_length is 1025; expected at most 1024: its model reads 1024 tokens at once "
        "(pretrain.start_from: gpt2-124M)"
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        changed(finetune_classifier={"start_from": "models/mine", "max_length": 5000}),
        changed(shard={"context_length": "long"}),
        changed(shard={"context_length": 0}),
        changed(pretrain={"start_from": "base"}),
        SECTIONS | {"shard": None},
        changed(respond={"max_new_tokens": "many"}),
    ],
    ids=str,
)
def test_what_is_not_known_or_no_number_is_left_to_the_stage(sections):
    assert problems(sections) == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_fits(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert problems(settings.sections(use.combined(name), Path("params.yaml"))) == []
