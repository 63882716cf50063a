import pytest
import torch

from components.gpt import checkpoint
from components.gpt.generate import generate
from components.gpt.model import GPT, GPTConfig
from components.tokenizer.bpe import Tokenizer
from pipeline import paths

TEXTS = ["Return the index of the first item."]


@pytest.fixture
def model(project):
    """Make a model that knows bytes alone, untrained, and its tokenizer."""
    Tokenizer.trained(TEXTS, 257).save(paths.TOKENIZER)
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=257,
        context_length=16,
        emb_dim=8,
        n_heads=2,
        n_layers=1,
        drop_rate=0.0,
        qkv_bias=False,
        tie_weights=True,
        init="gpt2",
    )
    checkpoint.save(GPT(config), paths.BASE)
    return config


def written(main, capsys, *words):
    assert main(["generate", *words]) == 0
    return capsys.readouterr().out


def test_the_text_goes_on(model, main, capsys):
    out = written(main, capsys, "Return", "--tokens", "5")
    assert out.startswith("Return")
    assert len(out) > len("Return\n")


def test_what_is_printed_as_it_comes_is_the_whole_text(model, main, capsys):
    ids = torch.tensor([Tokenizer.load(paths.TOKENIZER).encode("Return")])
    whole = generate(checkpoint.load(paths.BASE), ids, 30, temperature=2.0, generator=torch.Generator().manual_seed(3))
    words = ("Return", "--tokens", "30", "--temperature", "2", "--seed", "3")
    # Bytes alone: some are no letters, and some belong to one together.
    assert written(main, capsys, *words) == Tokenizer.load(paths.TOKENIZER).decode(whole[0].tolist()) + "\n"


def test_the_same_words_give_the_same_text(model, main, capsys):
    words = ("Return", "--tokens", "20", "--temperature", "2", "--top-k", "50", "--seed", "1")
    assert written(main, capsys, *words) == written(main, capsys, *words)
    assert written(main, capsys, *words) != written(main, capsys, *words[:-1], "2")


def test_an_empty_text_is_a_beginning_too(model, main, capsys):
    assert len(written(main, capsys, "", "--tokens", "5", "--temperature", "1")) > 1


def test_a_model_that_is_not_there_is_told_in_one_line(model, main, capsys):
    assert main(["generate", "Return", "--model", "models/none"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "models/none" in line


def test_a_model_of_another_vocabulary_is_refused(model, main, capsys):
    Tokenizer.trained(TEXTS * 2, 260).save(paths.TOKENIZER)
    assert main(["generate", "Return"]) == 1
    told = "error: models/base knows 257 tokens, the tokenizer in data/tokenizer 260; expected a model trained on"
    assert capsys.readouterr().err == f"{told} its ids\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--temperature", "-1"],
        ["--tokens", "-1"],
        ["--top-k", "0", "--temperature", "1"],
        ["--top-p", "2", "--temperature", "1"],
    ],
)
def test_a_number_out_of_range_is_told_in_one_line(model, main, capsys, words):
    assert main(["generate", "Return", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
