"""The comparison with the book's code on a model of two narrow blocks: the same start, and both learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.book import book_settings, compare, report
from components.windows.shards import document, write, write_index
from components.windows.windows import Windows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def windows(tmp_path):
    """Return windows of 8 ids over a text that repeats itself, to train on and to validate with."""
    ids = np.arange(400) % 10
    splits = [
        write(
            [document(0, part)], tmp_path, split, end_of_text=None, vocab_size=10, shard_size=1000, size_bytes=len(part)
        )
        for split, part in (("train", ids[:300]), ("validation", ids[300:]))
    ]
    write_index(tmp_path, splits, context_length=8, stride=8, vocab_size=10)
    return Windows(tmp_path, "train"), Windows(tmp_path, "validation")


def test_the_numbers_are_those_of_the_book(monkeypatch):
    monkeypatch.chdir(ROOT)
    how, shards = book_settings()  # chapter 5, gpt_train.py
    assert (how.batch_size, how.seed, how.clip_norm, how.accumulate, how.precision) == (2, 123, None, 1, "float32")
    assert (how.optimizer.name, how.optimizer.learning_rate, how.optimizer.weight_decay) == ("adamw", 4e-4, 0.1)
    assert (how.optimizer.decay, how.optimizer.beta1, how.optimizer.beta2) == ("all", 0.9, 0.999)
    assert (how.schedule.name, how.schedule.warmup_steps) == ("constant", 0)
    assert (how.model.emb_dim, how.model.n_heads, how.model.n_layers, how.model.drop_rate) == (768, 12, 12, 0.1)
    assert (shards.context_length, shards.stride, shards.separator) == (256, 256, "none")


def test_both_start_at_the_same_losses_and_learn(windows, monkeypatch):
    monkeypatch.chdir(ROOT)
    how, _ = book_settings()
    small = replace(how, model=replace(how.model, emb_dim=16, n_heads=2, n_layers=2))
    ours, book = compare(small, windows, 1)
    assert ours.initial == pytest.approx(book.initial, abs=1e-5)
    for one in (ours, book):
        assert len(one.epochs_s) == 1
        assert one.final[0] < one.initial[0]
        assert one.final[1] < one.initial[1]
    table = report(ours, book).splitlines()
    assert [line.split(" | ")[0] for line in table[2:4]] == ["| ours", "| book"]
