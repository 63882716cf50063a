"""The classifier: what it reads, what of it is trained, and that it comes back the same."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from components.gpt import checkpoint
from components.gpt.classifier import Classifier, choose_trained, load, probabilities, save, vectors
from components.gpt.model import GPT, PUBLISHED

LABELS = ("ham", "spam")


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_it_reads_the_last_token_whatever_pads_the_text(tiny, positions):
    classifier = Classifier(tiny(positions=positions), LABELS, reads="last_token")
    texts = [torch.randint(29, (length,)) for length in (3, 12, 7)]
    lengths = torch.tensor([3, 12, 7])

    def padded(pad_id):
        rows = torch.full((3, 12), pad_id)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = text
        return classifier(rows, lengths)

    alone = torch.cat([classifier(text[None], torch.tensor([len(text)])) for text in texts])
    torch.testing.assert_close(padded(0), alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded(28), alone, atol=1e-5, rtol=1e-5)


def test_it_reads_the_last_position_as_the_book_does(tiny):
    gpt = tiny()
    classifier = Classifier(gpt, LABELS, reads="last_position")
    ids = torch.randint(29, (3, 12))
    expected = gpt.hidden(ids)[:, -1] @ classifier.head.weight.T + classifier.head.bias
    torch.testing.assert_close(classifier(ids, torch.tensor([3, 12, 7])), expected)


def test_the_head_alone_is_trained(tiny):
    classifier = Classifier(tiny(), LABELS)
    choose_trained(classifier, "head")
    assert trained(classifier) == ["head.bias", "head.weight"]


def test_the_last_block_the_final_norm_and_the_head_are_trained(tiny):
    classifier = Classifier(tiny(), LABELS)
    choose_trained(classifier, "last_blocks")
    modules = ["attention.out_proj", "attention.qkv", "attention_norm"]
    modules += ["feed_forward.down", "feed_forward.up", "feed_forward_norm"]
    block = [f"body.blocks.1.{module}.{kind}" for module in modules for kind in ("bias", "weight")]
    assert trained(classifier) == [*block, "body.final_norm.bias", "body.final_norm.weight", "head.bias", "head.weight"]


def test_all_is_trained_and_gets_a_gradient(tiny):
    classifier = Classifier(tiny(tie_weights=False), LABELS)  # the language model's own head is not in it
    choose_trained(classifier, "head")
    choose_trained(classifier, "all")
    classifier(torch.randint(29, (3, 12)), torch.tensor([3, 12, 7])).logsumexp(-1).sum().backward()
    assert [name for name, parameter in classifier.named_parameters() if parameter.grad is None] == []


def trained(classifier):
    return sorted(name for name, parameter in classifier.named_parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("train", "parameters"),  # 124M: head 2 x 768 + 2; norm 2 x 768; block 12 x 768^2 + 13 x 768; all less no head
    [("head", 1_538), ("last_blocks", 1_538 + 1_536 + 7_087_872), ("all", 124_439_808 + 1_538)],
)
def test_so_many_parameters_of_the_124m_are_trained(train, parameters):
    with torch.device("meta"):
        classifier = Classifier(GPT(PUBLISHED["gpt2-124M"]), LABELS)
    choose_trained(classifier, train)
    assert sum(p.numel() for p in classifier.parameters() if p.requires_grad) == parameters


def test_training_the_head_alone_leaves_the_body_as_it_was(tiny):
    gpt = tiny()
    before = {name: weight.clone() for name, weight in gpt.state_dict().items()}
    classifier = Classifier(gpt, LABELS)
    choose_trained(classifier, "head")
    F.cross_entropy(classifier(torch.randint(29, (3, 12)), torch.full((3,), 12)), torch.tensor([0, 1, 0])).backward()
    torch.optim.SGD([p for p in classifier.parameters() if p.requires_grad], lr=1.0).step()
    assert all(torch.equal(weight, before[name]) for name, weight in gpt.state_dict().items())


def test_it_learns_whether_a_text_ends_in_an_even_token():
    torch.manual_seed(0)
    config = replace(PUBLISHED["gpt2-124M"], vocab_size=10, context_length=6, emb_dim=16, n_heads=2, n_layers=1)
    classifier = Classifier(GPT(config), ("odd", "even"))
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-2)
    ids, lengths = torch.randint(10, (64, 6)), torch.randint(1, 7, (64,))
    labels = 1 - ids[torch.arange(64), lengths - 1] % 2
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(classifier(ids, lengths), labels).backward()
        optimizer.step()
    assert torch.equal(classifier(ids, lengths).argmax(-1), labels)


@pytest.mark.parametrize("reads", ["last_token", "last_position"])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_loaded_classifier_gives_the_same_logits_for_the_same_labels(tiny, reads, positions, tmp_path):
    classifier = Classifier(tiny(tie_weights=False, positions=positions), LABELS, reads=reads).eval()
    save(classifier, tmp_path)
    loaded = load(tmp_path).eval()
    ids, lengths = torch.randint(29, (3, 12)), torch.tensor([3, 12, 7])
    assert (loaded.labels, loaded.reads, loaded.body.config.positions) == (LABELS, reads, positions)
    assert torch.equal(loaded(ids, lengths), classifier(ids, lengths))


def test_the_same_classifier_is_the_same_bytes_whatever_the_folder_is_called(tiny, tmp_path):
    classifier = Classifier(tiny(), LABELS)
    save(classifier, tmp_path / "one")
    save(classifier, tmp_path / "two")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_language_model_is_no_classifier_nor_the_other_way_round(tiny, tmp_path):
    checkpoint.save(tiny(), tmp_path / "gpt")
    save(Classifier(tiny(), LABELS), tmp_path / "classifier")
    with pytest.raises(
        ValueError, match=r"config\.json: has vocab_size, .*; expected a classifier's labels, reads, max_length"
    ):
        load(tmp_path / "gpt")
    with pytest.raises(ValueError, match=r"config\.json: lacks context_length, .*; is it a model that this project"):
        checkpoint.load(tmp_path / "classifier")


def test_a_classifier_whose_file_has_a_head_for_other_labels_is_refused(tiny, tmp_path):
    save(Classifier(tiny(), LABELS), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "labels": ["a", "b", "c"]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"head\.weight has shape \(2, 16\), model wants \(3, 16\)"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": 5}, "labels are 5; expected a list of names"),
        ({"labels": "ab"}, "labels are 'ab'; expected a list of names"),
        ({"labels": ["a", 5]}, r"labels are \['a', 5\]; expected a list of names"),
        ({"labels": ["a"]}, "labels are a; expected two or more"),
        ({"reads": "first_token"}, "reads is 'first_token'; expected 'last_token' or 'last_position'"),
        ({"max_length": "5"}, "max_length is '5'; expected a number of tokens"),
        ({"max_length": 99}, "max_length is 99; expected 1..12"),
        ({"reads": []}, r"reads is \[\]; expected"),
    ],
)
def test_a_config_that_is_no_classifiers_is_refused_by_its_file(tiny, tmp_path, changes, message):
    save(Classifier(tiny(), LABELS), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{path}: {message}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"), [((), "labels are none"), (("a",), "labels are a;"), (("a", "a"), "labels are a, a;")]
)
def test_fewer_than_two_labels_are_refused(tiny, labels, message):
    with pytest.raises(ValueError, match=message):
        Classifier(tiny(), labels)


def test_another_word_for_what_is_read_or_trained_is_refused(tiny):
    with pytest.raises(ValueError, match="reads is 'first_token'; expected 'last_token' or 'last_position'"):
        Classifier(tiny(), LABELS, reads="first_token")
    with pytest.raises(ValueError, match="train is 'none'; expected one of head, last_blocks, all"):
        choose_trained(Classifier(tiny(), LABELS), "none")


@pytest.mark.parametrize(("last_blocks", "expected"), [(1, {1}), (2, {0, 1})])
def test_so_many_of_the_last_blocks_are_trained(tiny, last_blocks, expected):
    classifier = Classifier(tiny(), LABELS)
    choose_trained(classifier, "last_blocks", last_blocks)
    blocks = {int(name.split(".")[2]) for name in trained(classifier) if name.startswith("body.blocks.")}
    assert blocks == expected


@pytest.mark.parametrize("last_blocks", [0, 3])
def test_blocks_that_are_not_there_are_refused(tiny, last_blocks):
    with pytest.raises(
        ValueError, match=rf"^mine\.last_blocks is {last_blocks}; expected 1\.\.2 \(the blocks there are\)"
    ):
        choose_trained(Classifier(tiny(), LABELS), "last_blocks", last_blocks, section="mine")


@pytest.mark.parametrize("reads", ["last_token", "last_position"])
def test_probabilities_are_those_of_each_text_alone_in_the_order_given(tiny, reads):
    classifier = Classifier(tiny(drop_rate=0.5), LABELS, reads=reads, max_length=8)
    texts = [torch.randint(28, (length,)).tolist() for length in (3, 11, 1, 7, 5)]
    given = probabilities(classifier, texts, pad_id=28, batch_size=2)
    assert given.sum(1).tolist() == pytest.approx([1.0] * 5)
    for text, row in zip(texts, given, strict=True):
        cut = text[:8] if reads == "last_token" else (text + [28] * 8)[:8]
        logits = classifier(torch.tensor([cut]), torch.tensor([len(text[:8])]))
        torch.testing.assert_close(row, logits.softmax(1)[0], atol=1e-5, rtol=1e-5)
    read = vectors(classifier, texts, pad_id=28, batch_size=3)
    torch.testing.assert_close(classifier.head(read).softmax(1), given, atol=1e-5, rtol=1e-5)


def test_a_loaded_classifier_cuts_texts_where_it_did(tiny, tmp_path):
    save(Classifier(tiny(), LABELS, max_length=5), tmp_path)
    assert load(tmp_path).max_length == 5


@pytest.mark.parametrize("max_length", [0, 13])
def test_a_length_that_the_context_does_not_hold_is_refused(tiny, max_length):
    with pytest.raises(ValueError, match=rf"max_length is {max_length}; expected 1\.\.12 \(the model's context\)"):
        Classifier(tiny(), LABELS, max_length=max_length)
