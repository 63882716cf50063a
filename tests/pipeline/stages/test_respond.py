"""Answers of the tuned and the untuned model."""

import json
from collections import Counter

import pytest
import torch
from transformers import AutoModelForCausalLM

from components.gpt import checkpoint
from components.gpt.weights import write_published
from components.scoring.response import SHOWN, TUNED, UNTUNED, Response
from components.scoring.score import Score
from components.tasks.files import read_json_lines, read_records
from components.tasks.instructions import Instruction, full, prompt
from components.tasks.templates import OwnTemplate
from components.tokenizer.bpe import Tokenizer
from pipeline import paths
from pipeline.stages.respond import Round, cut, ends_of_example, of_expected, with_examples


def responses():
    return read_records(paths.RESPONSES / "responses.jsonl", Response)


def records(split="test"):
    return read_records(paths.INSTRUCTIONS / f"{split}.jsonl", Instruction)


def test_each_model_answers_each_record_in_its_order(project):
    found, asked = responses(), records()
    assert [each.model for each in found] == [TUNED] * 8 + [UNTUNED] * 8 + [SHOWN] * 8
    for model in (TUNED, UNTUNED, SHOWN):
        own = [each for each in found if each.model == model]
        assert [(each.id, each.expected) for each in own] == [(each.id, each.output) for each in asked]


def test_how_likely_each_model_finds_each_expected_answer_is_what_transformers_says(project):
    found = [Score(**row) for row in read_json_lines(paths.RESPONSES / "likelihoods.jsonl")]
    assert [each.model for each in found] == [TUNED] * 8 + [UNTUNED] * 8 + [SHOWN] * 8
    assert {(each.judge, each.unit, each.reason) for each in found} == {("likelihood", "nats per token", "")}
    write_published(checkpoint.load(paths.ASSISTANT), project / "exported")
    theirs = AutoModelForCausalLM.from_pretrained(project / "exported")
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    for each, record in zip(found, records(), strict=False):
        asked = tokenizer.encode(prompt(record, "plain"))
        wanted = tokenizer.encode(f" {record.output}")
        ids = torch.tensor([asked + wanted])
        labels = torch.tensor([[-100] * len(asked) + wanted])
        with torch.no_grad():  # their loss is the mean over the labels
            assert each.value == pytest.approx(-float(theirs(ids, labels=labels).loss), abs=1e-5)


def test_an_expected_answer_longer_than_the_context_is_null_with_the_reason(project):
    model = checkpoint.load(paths.ASSISTANT)  # reads 64 tokens
    first, second = of_expected(Round("m", model, []), ["a", "b"], [[1], [2]], [[3] * 65, [4]], 8)
    assert (first.value, first.reason) == (None, "65 tokens; the model reads 64 at once")
    assert second.value < 0


def test_the_numbers_count_the_answers_and_name_the_weights(project):
    numbers = json.loads(paths.metrics("respond").read_text())
    assert (numbers["records"], numbers["responses"]) == (8, 24)
    assert numbers["empty_answers"] == sum(not each.answer for each in responses() if each.model == TUNED)
    assert numbers["weights_sha256"] == checkpoint.sha256(paths.ASSISTANT)


def test_without_examples_there_is_no_third_round_and_the_batch_size_changes_no_answer(project, run):
    before = [each for each in responses() if each.model != SHOWN]
    run("respond", {"examples": 0, "batch_size": 3})
    assert responses() == before


def test_drawn_answers_are_the_same_for_the_same_seed(project, run):
    run("respond", {"examples": 0, "temperature": 1.5, "top_k": 50})
    first = responses()
    run("respond", {"examples": 0, "temperature": 1.5, "top_k": 50})
    assert responses() == first
    run("respond", {"examples": 0, "temperature": 1.5, "top_k": 50, "seed": 7})
    assert responses() != first


def test_examples_are_of_the_records_own_kind_and_as_many_as_fit(project):
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    asked, shown = records(), records("train")
    for text, record in zip(with_examples(asked, shown, "plain", 2, 1000, tokenizer), asked, strict=True):
        *examples, last = text.split("\n\n")
        assert last == prompt(record, "plain")
        assert len(examples) == 2
        assert {kind_of[example] for kind_of in [by_text(shown)] for example in examples} == {record.kind}
    tight = with_examples(asked, shown, "plain", 2, 60, tokenizer)
    assert max(len(tokenizer.encode(text)) for text in tight) <= 60
    assert 0 in Counter(text.count("\n\n") for text in tight)


def by_text(shown):
    return {full(each, "plain"): each.kind for each in shown}


def test_a_truncated_assistant_is_one_line(failure):
    weights = paths.ASSISTANT / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "models/assistant/model.safetensors" in failure("respond")
    assert not paths.RESPONSES.exists()


@pytest.mark.parametrize(
    "wrong", [{"max_new_tokens": 0}, {"temperature": -0.5}, {"top_k": 0}, {"top_p": 1.5}, {"seed": -1}], ids=str
)
def test_numbers_out_of_range_are_one_line(failure, wrong):
    name, value = next(iter(wrong.items()))
    assert f"{name} is {value}; expected" in failure("respond", wrong)


def test_how_many_answer_side_by_side_moves_no_drawn_answer(run):
    how = {"examples": 0, "temperature": 1.5, "top_p": 0.9}
    run("respond", how | {"batch_size": 1})
    alone = (paths.RESPONSES / "responses.jsonl").read_bytes()
    run("respond", how | {"batch_size": 5})
    assert (paths.RESPONSES / "responses.jsonl").read_bytes() == alone


def test_prompts_too_long_for_the_context_are_cut_and_counted_or_refused(run, failure):
    run("respond", {"examples": 0, "max_new_tokens": 60})  # of a context of 64
    assert json.loads(paths.metrics("respond").read_text())["prompts_cut"] == 16
    said = failure("respond", {"examples": 0, "max_new_tokens": 60, "past_context": "refuse"})
    assert "tokens and up to 60 more follow; the model reads 64 at once" in said
    assert not paths.RESPONSES.exists()


def test_empty_answers_are_kept_counted_and_scored(run):
    model = checkpoint.load(paths.ASSISTANT)
    with torch.no_grad():  # it says nothing but the end of text
        model.body.final_norm.weight.zero_()
        model.body.final_norm.bias.fill_(1)
        model.output_weight.zero_()[-1] = 1
    checkpoint.save(model, paths.ASSISTANT)
    run("respond", {"examples": 0})
    assert [each.answer for each in responses() if each.model == TUNED] == [""] * 8
    assert json.loads(paths.metrics("respond").read_text())["empty_answers"] == 8
    run("score", {"metrics": ["exact_match"]})
    scores = read_json_lines(paths.SCORES / "scores.jsonl")
    assert [each["value"] for each in scores if each["model"] == TUNED] == [0.0] * 8


@pytest.mark.parametrize(
    ("response", "output", "end"),
    [
        ("{output}", "4", "\n"),
        (" {output}\n", "4", "\n"),
        ("{output}", "4\n5", "\n\n"),
        ("Answer:\n{output}", "4", "\n\n"),
        ("{output}\nDone.", "4", "\n\n"),
    ],
)
def test_an_example_ends_at_a_line_unless_the_template_or_an_output_has_more(response, output, end):
    record = Instruction("1", "k", "g", "Add 1 and 3.", "", output)
    assert ends_of_example([record], OwnTemplate("{instruction} {input}", None, response)) == [end]


def test_where_outputs_have_blank_lines_an_example_ends_before_the_next_prompt():
    record = Instruction("1", "k", "g", "Write two paragraphs.", "", "One.\n\nTwo.")
    assert ends_of_example([record], "phi3") == ["\n\n<|user|>"]
    own = OwnTemplate("Task: {instruction}\n{input}", "Text: {instruction}", "{output}")
    ends = ends_of_example([record], own)
    assert ends == ["\n\nTask: ", "\n\nText: "]
    assert cut(" One.\n\nTwo.\n\nText: what?\n\nTask: now", ends) == "One.\n\nTwo."


def test_where_the_next_prompt_cannot_be_told_from_an_answer_with_blank_lines_nothing_is_cut():
    record = Instruction("1", "k", "g", "Write two paragraphs.", "", "One.\n\nTwo.")
    assert ends_of_example([record], "plain") == []
    assert cut("One.\n\nTwo.\n\nGreet.", []) == "One.\n\nTwo.\n\nGreet."
