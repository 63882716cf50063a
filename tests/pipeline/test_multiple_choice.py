"""Choices on real items against scores worked out by hand from transformers' logits of the same weights."""

import shutil
from pathlib import Path

import pytest
import torch

from components.gpt.model import GPT, GPTConfig
from components.gpt.weights import write_published
from components.tasks.multiple_choice import Choice
from components.tokenizer.bpe import Tokenizer
from pipeline import multiple_choice, paths
from pipeline.multiple_choice import MultipleChoiceSettings

REAL = Path(__file__).parents[3] / "shared/data"
TWENTY = {"file": "items.jsonl", "most": None, "batch_size": 7, "seed": 1}


@pytest.fixture
def items(tmp_path, monkeypatch):
    """The first 20 real items, and GPT-2's vocabulary, in the build's folders."""
    if not REAL.exists():
        pytest.skip("../shared/data, the real files, is not here")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REAL / "gpt2_bpe", paths.TOKENIZER)
    lines = (REAL / "hellaswag/hellaswag_1000.jsonl").read_text(encoding="utf-8").splitlines()[:20]
    paths.RAW_TASKS.mkdir(parents=True)
    (paths.RAW_TASKS / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def model():
    torch.manual_seed(3)
    model = GPT(GPTConfig(50257, 256, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))  # so that endings differ in more than their length
    return model.eval()


def by_transformers(model, folder):
    """Return the log-likelihood of each ending of each item, as transformers and plain Python have it, zero-shot."""
    import json
    import re

    from transformers import GPT2LMHeadModel

    write_published(model, folder)
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    encode = Tokenizer.load(paths.TOKENIZER).encode

    def cleaned(text):
        return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")

    rows = []
    for line in (paths.RAW_TASKS / "items.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        query = cleaned(f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()}")
        nats = []
        for ending in item["endings"]:
            whole, shown = encode(f"{query} {cleaned(ending)}"), len(encode(query))
            with torch.no_grad():
                logs = theirs(torch.tensor([whole])).logits[0].log_softmax(-1)
            nats.append(sum(logs[place - 1, whole[place]].item() for place in range(shown, len(whole))))
        rows.append((nats, [len(cleaned(ending)) for ending in item["endings"]], item["label"]))
    return rows


def test_twenty_real_items_are_scored_as_by_transformers_and_by_hand(items, model, tmp_path):
    expected = by_transformers(model, tmp_path / "published")
    found = multiple_choice.choices(MultipleChoiceSettings(shots=(0,), **TWENTY), model)
    for choice, (nats, characters, answer) in zip(found, expected, strict=True):
        assert choice.nats == pytest.approx(nats, abs=1e-3)
        assert (list(choice.characters), choice.answer) == (characters, answer)
    right = sum(max(range(4), key=nats.__getitem__) == answer for nats, _, answer in expected)
    normed = [[each / length for each, length in zip(*row[:2], strict=True)] for row in expected]
    right_norm = sum(max(range(4), key=own.__getitem__) == row[2] for own, row in zip(normed, expected, strict=True))
    assert multiple_choice.accuracies(found) == {
        "multiple_choice_items": 20,
        "multiple_choice_0_shot_accuracy": right / 20,
        "multiple_choice_0_shot_accuracy_norm": right_norm / 20,
        "multiple_choice_0_shot_contexts_cut": 0,
    }


def test_each_number_of_shots_scores_the_same_items_and_long_ones_are_cut(items, model):
    found = multiple_choice.choices(MultipleChoiceSettings(shots=(0, 1, 8), **TWENTY | {"most": 3}), model)
    assert [each.shots for each in found] == [0, 0, 0, 1, 1, 1, 8, 8, 8]
    assert len({each.id for each in found}) == 3
    assert len({each.nats for each in found}) == 9
    cut = [multiple_choice.accuracies(found)[f"multiple_choice_{shots}_shot_contexts_cut"] for shots in (0, 1, 8)]
    assert cut == [0, 0, 3]  # eight items are longer than the 256 tokens that the model reads


def test_how_many_are_read_side_by_side_moves_no_likelihood(items, model):
    one, many = (
        multiple_choice.choices(MultipleChoiceSettings(shots=(1,), **TWENTY | {"batch_size": size, "most": 4}), model)
        for size in (1, 16)
    )
    for a, b in zip(one, many, strict=True):
        assert a.nats == pytest.approx(b.nats, abs=1e-3)


def test_no_choices_have_no_accuracy():
    assert multiple_choice.accuracies([]) == {}


def test_accuracy_is_by_the_whole_and_by_character():
    right = Choice("1", "g", 5, 1, (-6.0, -5.0), (12, 5), (3, 2), is_cut=True)  # by character -0.5 and -1
    assert multiple_choice.accuracies([right]) == {
        "multiple_choice_items": 1,
        "multiple_choice_5_shot_accuracy": 1.0,
        "multiple_choice_5_shot_accuracy_norm": 0.0,
        "multiple_choice_5_shot_contexts_cut": 1,
    }


@pytest.mark.parametrize("wrong", [{"shots": ()}, {"shots": (0, 0)}, {"shots": (-1,)}, {"most": 0}, {"batch_size": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} (is|are) .*; expected"):
        MultipleChoiceSettings(**{"shots": (0,), **TWENTY, **wrong})


def test_an_ending_longer_than_the_context_is_named_before_anything_is_scored(items):
    model = GPT(GPTConfig(50257, 20, 4, 1, 1, 0.0, qkv_bias=True, tie_weights=True, init="gpt2"))
    said = (
        r"evaluate\.multiple_choice\.file is items\.jsonl, but ending \d of hellaswag-\d+ has \d+ tokens; "
        r"the model reads 20 at once; take out its row"
    )
    with pytest.raises(ValueError, match=said):
        multiple_choice.choices(MultipleChoiceSettings(shots=(0,), **TWENTY), model)


def test_more_worked_examples_than_there_are_name_the_setting(items, model):
    said = r"evaluate\.multiple_choice\.shots has 40: hellaswag-1: \d+ other items to draw 40 worked examples from; "
    with pytest.raises(ValueError, match=said):
        multiple_choice.choices(MultipleChoiceSettings(shots=(0, 40), **TWENTY), model)
