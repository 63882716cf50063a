import json
from pathlib import Path

import pytest

from benchmarks import tokenizing
from benchmarks.tokenizing import Turn
from components.tokenizer import table

SHARED = Path(__file__).parents[3] / "shared/data"


def test_a_text_is_parted_at_paragraphs_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(tokenizing, "DOCUMENT_CHARACTERS", 5)
    assert list(tokenizing.parts("a\n\nb\n\ncdef\n\nghijkl\n\nm")) == ["a\n\nb\n\ncdef", "ghijkl", "m"]


def test_no_document_of_the_corpus_stands_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizing, "FILE_BYTES", 400_000)
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora/tale.txt").write_text("Once upon a time.\n\n" * 5000)
    (tmp_path / "out").mkdir()
    size = tokenizing.write_corpus(tmp_path, tmp_path / "out", 1)
    files = sorted((tmp_path / "out").iterdir())
    texts = [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()]
    assert len(files) > 1
    assert len(set(texts)) == len(texts)
    assert sum(map(len, texts)) == size >= 1_000_000


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_both_sides_make_the_same_ids_of_the_same_documents(tmp_path):
    (tmp_path / "corpus").mkdir()
    lines = [json.dumps({"source": "a", "text": f"Text {n}, <|endoftext|>\u20ac"}) for n in range(2100)]
    (tmp_path / "corpus/a.jsonl").write_text("\n".join(lines))
    alone = tokenizing.tiktoken_alone(SHARED, tmp_path / "corpus", tmp_path, 2)
    ours = tokenizing.ours(SHARED, tmp_path / "corpus", tmp_path / "tokens", 2)
    assert alone.ids == ours.ids > 2100
    assert tokenizing.differing(SHARED, tmp_path / "corpus", tmp_path / "tokens") == 0
    rows = list(table.read(tmp_path / "tokens"))
    rows[3] = rows[4]
    table.write(rows, tmp_path / "other", 50257)
    assert tokenizing.differing(SHARED, tmp_path / "corpus", tmp_path / "other") == 1


def turns(**seconds):
    return {name.replace("_", " "): [Turn(each, 10, 500.0) for each in of] for name, of in seconds.items()}


def test_the_median_turn_is_held_against_the_targets():
    good = turns(tiktoken_alone=[9, 10, 30], ours=[11, 9, 10]) | {"ours, one process": [Turn(19, 10, 500.0)]}
    assert tokenizing.missed(good, 10**8) == []
    assert "| ours | 10.00 | 9.0..11.0 | 1.00 | 500 |" in tokenizing.report(good, 10**8)
    slow = good | turns(ours=[11.5]) | {"ours, one process": [Turn(20, 10, 500.0)]}
    assert [words.partition(";")[2] for words in tokenizing.missed(slow, 10**8)] == [
        " expected 0.9 of tiktoken alone",
        " expected 1.8 times one process",
    ]
    (large,) = tokenizing.missed({"ours": [Turn(1, 10, 1200.0)]}, 10**8)
    assert large == "ours holds 1,200 MiB; expected at most 1,000"
