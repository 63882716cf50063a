import json

import pytest
import torch

from components.gpt import classifier
from components.gpt.classifier import Classifier
from components.gpt.model import GPT, GPTConfig
from components.tokenizer.bpe import Tokenizer
from pipeline import paths
from pipeline.commands import classify


@pytest.fixture
def model(project):
    """Make a classifier that knows bytes alone, untrained, and its tokenizer."""
    Tokenizer.trained(["Return the index of the first item."], 257).save(paths.TOKENIZER)
    torch.manual_seed(0)
    config = GPTConfig(257, 16, 8, 2, 1, 0.0, qkv_bias=False, tie_weights=True, init="gpt2")
    made = Classifier(GPT(config), ("ham", "spam"))
    made.head.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    classifier.save(made, paths.CLASSIFIER)
    return made.eval()


def told(main, capsys, *words):
    assert main(["classify", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_text_gets_its_label_and_the_probability_of_each(model, main, capsys):
    (row,) = told(main, capsys, "win cash")
    ids = Tokenizer.load(paths.TOKENIZER).encode("win cash")
    logits = model(torch.tensor([ids]), torch.tensor([len(ids)]))
    expected = dict(zip(("ham", "spam"), logits.softmax(1)[0].tolist(), strict=True))
    assert row["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert row["label"] == max(expected, key=expected.get)
    assert row["probability"] == row["probabilities"][row["label"]]


def test_the_likelier_label_is_told_where_the_digits_shown_are_equal(model, main, capsys):
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data = torch.tensor([0.0, 1e-6])  # 0.49999975 and 0.50000025
    classifier.save(model, paths.CLASSIFIER)
    (row,) = told(main, capsys, "win cash")
    assert row == {"label": "spam", "probability": 0.5, "probabilities": {"ham": 0.5, "spam": 0.5}}


def test_each_line_of_a_file_gets_a_row_in_its_order(model, main, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(classify, "BATCH", 2)
    texts = ["a long text that goes on and on", "win", "h\u00e9llo  ", "cash", "and more"]
    file = tmp_path / "texts.txt"
    file.write_text("\r\n".join(texts) + "\r\n", encoding="utf-8-sig", newline="")
    rows = told(main, capsys, "--file", str(file))
    alone = [told(main, capsys, text)[0] for text in texts]
    assert [row["label"] for row in rows] == [row["label"] for row in alone]
    assert [row["probability"] for row in rows] == pytest.approx([row["probability"] for row in alone], abs=2e-6)


def test_a_json_lines_file_is_read_by_its_field(model, main, capsys, tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "win\\ncash", "id": 1}\n{"text": "\u2028h"}\n', encoding="utf-8")
    assert told(main, capsys, "--file", str(file)) == [told(main, capsys, each)[0] for each in ("win\ncash", "\u2028h")]


def test_an_empty_file_has_no_rows(model, main, capsys, tmp_path):
    (tmp_path / "none.txt").touch()
    assert told(main, capsys, "--file", str(tmp_path / "none.txt")) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"win\n\ncash\n", "a.txt, row 2: the text is empty"),
        ("a.txt", b"win\n\xff\n", "a.txt, row 2: not UTF-8"),
        ("a.jsonl", b'{"text": "win"}\nwin\n', "a.jsonl, row 2: not JSON"),
        ("a.jsonl", b'{"txt": "win"}\n', "a.jsonl, row 1: expected an object with the field 'text', got {\"txt\""),
        ("a.jsonl", b'{"text": 5}\n', "a.jsonl, row 1: expected an object with the field 'text'"),
        ("a.jsonl", b'["win"]\n', "a.jsonl, row 1: expected an object with the field 'text'"),
        ("a.jsonl", b'{"text": " "}\n', "a.jsonl, row 1: the text is empty"),
    ],
)
def test_what_is_no_text_is_one_line(model, main, capsys, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert main(["classify", "--file", str(tmp_path / name)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize("words", [[" "], ["--file", "none.txt"], ["win", "--model", "models/none"]])
def test_what_cannot_be_read_is_one_line(model, main, capsys, words):
    assert main(["classify", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_model_of_another_vocabulary_is_refused(model, main, capsys):
    Tokenizer.trained(["Return the index of the first item."] * 2, 260).save(paths.TOKENIZER)
    assert main(["classify", "win"]) == 1
    told = "error: models/classifier knows 257 tokens, the tokenizer in data/tokenizer 260; expected a model trained on"
    assert capsys.readouterr().err == f"{told} its ids\n"
