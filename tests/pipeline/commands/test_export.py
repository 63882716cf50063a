"""The exported folder against transformers, which it is for."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, GPT2Tokenizer, GPTNeoXForCausalLM

from components.gpt import checkpoint, classifier
from components.gpt.classifier import Classifier
from components.gpt.model import GPT, GPTConfig
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, starting

ROTARY = paths.BASE.with_name("rotary")
TEXTS = ["Return the index of the first item.", "  def f(x):\n\n    return 'caf\u00e9 123'", ""]


def made(vocab_size=270, **changes):
    """Return a small model that knows the tokenizer's ids."""
    torch.manual_seed(0)
    config = {"context_length": 16, "emb_dim": 8, "n_heads": 2, "n_layers": 2, "drop_rate": 0.1, "qkv_bias": False}
    return GPT(GPTConfig(**{"vocab_size": vocab_size, **config, "tie_weights": True, "init": "book", **changes})).eval()


@pytest.fixture
def build(project):
    """Make a tokenizer, a base model and, of other kinds, an assistant and models/rotary; return the folder."""
    Tokenizer.trained(TEXTS * 3, 270).save(paths.TOKENIZER)
    checkpoint.save(made(), paths.BASE)
    checkpoint.save(made(tie_weights=False, qkv_bias=True), paths.ASSISTANT)
    checkpoint.save(made(positions="rotary"), ROTARY)
    return project


def logits(model):
    with torch.no_grad():
        answer = model.eval()(torch.arange(16).view(1, 16))
    return answer if isinstance(answer, torch.Tensor) else answer.logits


@pytest.mark.parametrize(
    ("folder", "kind"),
    [(paths.BASE, GPT2LMHeadModel), (paths.ASSISTANT, GPT2LMHeadModel), (ROTARY, GPTNeoXForCausalLM)],
)
def test_transformers_loads_the_folder_with_equal_logits(build, main, capsys, folder, kind):
    assert main(["export", str(folder), "out/theirs"]) == 0
    model = checkpoint.load(folder)
    told = f"out/theirs: {kind.__name__} of {model.n_parameters:,} parameters and its GPT2Tokenizer\n"
    assert capsys.readouterr().out == told
    for loader in (kind, AutoModelForCausalLM):
        theirs = loader.from_pretrained("out/theirs")
        assert isinstance(theirs, kind)
        assert (logits(theirs) - logits(model)).abs().max() < 1e-4


@pytest.mark.parametrize("folder", [paths.BASE, ROTARY])
def test_transformers_tokenizer_gives_the_same_ids(build, main, folder):
    assert main(["export", str(folder), "out"]) == 0
    ours = Tokenizer.load(paths.TOKENIZER)
    for loader in (GPT2Tokenizer, AutoTokenizer):
        theirs = loader.from_pretrained("out")
        assert len(theirs) == ours.vocab_size  # no token that the model does not know
        assert [theirs(text)["input_ids"] for text in TEXTS] == [ours.encode(text) for text in TEXTS]
        assert [theirs.decode(ours.encode(text)) for text in TEXTS] == TEXTS
        assert theirs.eos_token_id == ours.end_of_text


@pytest.mark.parametrize("folder", [paths.ASSISTANT, ROTARY])
def test_an_exported_folder_is_a_start_for_training(build, main, folder):
    assert main(["export", str(folder), "out"]) == 0
    assert torch.equal(logits(starting.first_weights("out")), logits(checkpoint.load(folder)))


def test_an_empty_folder_is_taken(build, main):
    (build / "out").mkdir()
    assert main(["export", "models/base", "out"]) == 0
    names = ["config.json", "merges.txt", "model.safetensors", "tokenizer_config.json", "vocab.json"]
    assert sorted(path.name for path in (build / "out").iterdir()) == names


def refused(main, capsys, *words):
    assert main(["export", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_target_with_something_in_it_is_left_alone(build, main, capsys):
    (build / "out").mkdir()
    (build / "out" / "mine").write_text("kept", encoding="utf-8")
    said = "is there already; expected a new folder, or an empty one"
    assert refused(main, capsys, "models/base", "out") == f"error: out {said}"
    assert refused(main, capsys, "models/base", "out/mine") == f"error: out/mine {said}"
    assert [(path.name, path.read_text(encoding="utf-8")) for path in (build / "out").iterdir()] == [("mine", "kept")]


def test_a_folder_without_a_model_is_told(build, main, capsys):
    assert refused(main, capsys, "models/none", "out").startswith("error: models/none/config.json: no such file; exp")
    assert not (build / "out").exists()


def test_a_classifier_is_refused(build, main, capsys):
    classifier.save(Classifier(made(), ("ham", "spam")), paths.CLASSIFIER)
    told = "error: models/classifier holds a classifier; expected a language model, such as models/base"
    assert refused(main, capsys, "models/classifier", "out") == told


def test_a_model_of_another_vocabulary_is_refused(build, main, capsys):
    checkpoint.save(made(vocab_size=300), paths.BASE)
    told = "error: models/base knows 300 tokens, the tokenizer in data/tokenizer 270; expected a model trained on its"
    assert refused(main, capsys, "models/base", "out") == f"{told} ids"


def test_damaged_weights_leave_nothing_behind(build, main, capsys):
    weights = paths.BASE / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "truncated or not safetensors" in refused(main, capsys, "models/base", "out")
    assert sorted(path.name for path in build.iterdir()) == ["data", "models"]


def test_a_target_that_cannot_be_written_is_told_and_leaves_nothing(build, main, capsys):
    (build / "file").write_text("", encoding="utf-8")
    assert refused(main, capsys, "models/base", "file/out").startswith("error: ")
    assert sorted(path.name for path in build.iterdir()) == ["data", "file", "models"]
