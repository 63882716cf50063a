"""Losses by passage of two documents, against those of their windows read one by one."""

import hashlib
import math
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from components.corpus.documents import Document
from components.gpt.model import GPT, GPTConfig
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows import shards
from components.windows.windows import Windows
from pipeline import encoding, losses, paths
from pipeline.passages import document, passage, passages

# Bytes and some merges, one of which crosses the end of a passage: that token belongs to where it begins.
TOKENIZER = Tokenizer([("e", "r"), ("t", "h"), ("th", "e")], ["<|user|>"])
LONG = "".join(f"Paragraph {number} is here, \u00e9t\u00e9.\n\n" for number in range(180))
LONG += "the" * 1400  # which is cut after 4,000 characters: no multiple of 3
TEXTS = [("tales", LONG), ("notes", "Then the other."), ("tales", "The end.")]


@pytest.fixture
def model():
    torch.manual_seed(1)
    config = GPTConfig(TOKENIZER.vocab_size, 64, 16, 2, 1, 0.0, qkv_bias=False, tie_weights=True, init="gpt2")
    return GPT(config).eval()


def lay(texts=TEXTS, stride=64, end_of_text=TOKENIZER.end_of_text):
    """Write table and shards of some documents."""
    TOKENIZER.save(paths.TOKENIZER)
    found = [
        Document(source, number, text, "validation", f"{source}.txt") for number, (source, text) in enumerate(texts)
    ]
    shutil.rmtree(paths.TOKENS, ignore_errors=True)
    encoding.write(found, TOKENIZER, paths.TOKENS, 1)
    split = shards.write(
        table.ids(paths.TOKENS, "validation"),
        paths.SHARDS,
        "validation",
        end_of_text=end_of_text,
        vocab_size=TOKENIZER.vocab_size,
        shard_size=1000,
        size_bytes=sum(len(text.encode()) for _, text in texts),
    )
    shards.write_index(paths.SHARDS, [split], context_length=64, stride=stride, vocab_size=TOKENIZER.vocab_size)


def nats_by_place(model):
    """Return the loss on each id by its place in the stream, the first window that has it counting."""
    windows = Windows(paths.SHARDS, "validation")
    found = {}
    for k in range(len(windows)):
        ids = torch.tensor(windows[k].astype(np.int64))
        with torch.no_grad():
            its = F.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none").tolist()
        for place, nats in enumerate(its, k * windows.stride + 1):
            found.setdefault(place, nats)
    return found


def expected(model, end_of_text=TOKENIZER.end_of_text):
    """Return tokens, bytes and nats of each passage: an id belongs to the passage that its first byte stands in."""
    nats = nats_by_place(model)
    found, place = {}, 0
    for row in table.read(paths.TOKENS, "validation"):
        _, text = TEXTS[row.document]
        names = [passage(document(row.document, row.place), n) for n, _ in enumerate(passages(text), 1)]
        owner = [name for name, part in zip(names, passages(text), strict=True) for _ in part.encode()]
        at = 0
        for id_ in [*row.ids.tolist(), *([None] if end_of_text else [])]:
            name = names[-1] if id_ is None else owner[at]
            size = 0 if id_ is None else len(TOKENIZER.decode_bytes([id_]))
            if place in nats:
                tokens, size_bytes, sum_ = found.get(name, (0, 0, 0.0))
                found[name] = tokens + 1, size_bytes + size, sum_ + nats[place]
            at, place = at + size, place + 1
    return {name: its for name, its in found.items() if its[1]}


@pytest.mark.parametrize("end_of_text", [TOKENIZER.end_of_text, None])
@pytest.mark.parametrize("stride", [64, 24])
def test_each_id_is_scored_once_in_the_passage_that_it_begins_in(project, model, stride, end_of_text):
    lay(stride=stride, end_of_text=end_of_text)
    found = {each.id: (each.tokens, each.size_bytes, each.nats) for each in losses.by_passage(model, 7)}
    assert found == {
        name: (*its[:2], pytest.approx(its[2], rel=1e-4)) for name, its in expected(model, end_of_text).items()
    }
    assert list(found)[:4] == [f"document 0 (tales.txt), passage {number}" for number in (1, 2, 3, 4)]
    assert sum(tokens for tokens, _, _ in found.values()) == len(nats_by_place(model))


def test_a_passage_bears_its_source_and_the_hash_of_its_text(project, model):
    lay()
    second = list(passages(LONG))[1]
    its = losses.by_passage(model, 7)[1]
    assert (its.group, its.sha256) == ("tales", hashlib.sha256(second.encode()).hexdigest())


def test_of_a_single_source_each_passage_stands_for_itself(project, model):
    lay([("tales", text) for _, text in TEXTS])
    assert all(each.group == each.id for each in losses.by_passage(model, 7))


def test_the_batch_size_changes_nothing(project, model):
    lay()
    for one, other in zip(losses.by_passage(model, 3), losses.by_passage(model, 100), strict=True):
        assert (one.id, one.tokens, one.size_bytes) == (other.id, other.tokens, other.size_bytes)
        assert math.isclose(one.nats, other.nats, rel_tol=1e-5)


OTHER = "data/shards is of other tokens than data/tokens: "


def test_shards_of_other_tokens_are_refused(project, model):
    lay()
    starts = np.load(paths.SHARDS / "validation-documents.npy")
    starts[:, 0] += 1
    np.save(paths.SHARDS / "validation-documents.npy", starts)
    with pytest.raises(ValueError, match=f"{OTHER}it has document 1 where document 0 is expected; run dvc repro shard"):
        losses.by_passage(model, 7)


def test_shards_of_fewer_documents_and_another_vocabulary_are_refused(project, model):
    lay()
    shutil.rmtree(paths.TOKENS)
    encoding.write([Document("a", 0, "One.", "validation", "a.txt")], TOKENIZER, paths.TOKENS, 1)
    with pytest.raises(ValueError, match=f"{OTHER}3 validation documents of .* expected 1 of 4 and 261; run dvc repro"):
        losses.by_passage(model, 7)
    lay()
    Tokenizer([]).save(paths.TOKENIZER)
    with pytest.raises(ValueError, match=f"{OTHER}.* and 261 tokens, expected .* and 257; run dvc repro shard"):
        losses.by_passage(model, 7)


def test_what_was_scored_in_a_passage_without_bytes_counts_in_its_neighbour(project, model):
    # The first id is not scored, and is all of its document: of that only the end was.
    lay([("first", "e"), *TEXTS])
    found = losses.by_passage(model, 7)
    assert found[0].id == "document 1 (tales.txt), passage 1"
    assert sum(each.tokens for each in found) == len(nats_by_place(model))
    assert sum(each.nats for each in found) == pytest.approx(sum(nats_by_place(model).values()), rel=1e-4)
