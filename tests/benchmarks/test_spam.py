"""The spam benchmark on the real collection, with a bag of words, and on a few rows with a small model."""

from pathlib import Path

import pytest

from benchmarks.spam import main, read, settings

SHARED = Path(__file__).parents[3] / "shared/data"
needs_files = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data, the real files, is not here")


@needs_files
def test_the_split_is_the_books_and_37_of_its_300_test_texts_stand_in_training():
    split = read(SHARED / "book/SMSSpamCollection", "book")
    assert (len(split.train), len(split.test), split.is_new.count(False)) == (1045, 300, 37)


@needs_files
def test_without_duplicates_no_test_text_stands_in_training():
    split = read(SHARED / "book/SMSSpamCollection", "clean")
    assert all(split.is_new)
    assert len(split.test) < 300


@needs_files
def test_the_bag_of_words_reaches_what_the_book_says_of_its_gpt(capsys):
    assert main(["--shared", str(SHARED), "--only", "bag-of-words", "--splits", "book"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("| bag-of-words | the book's split | 300 | 95.67 % | 263 |")


@needs_files
def test_a_small_gpt_takes_a_few_steps_and_is_scored(capsys):
    words = ["--only", "gpt", "--splits", "clean", "--small", "--steps", "2"]
    assert main(["--shared", str(SHARED), *words]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| gpt | every text once | ")


def test_the_hyperparameters_are_the_books():
    how = settings(10, precision="float32", learning_rate=5e-5)  # section 6.7
    assert (how.batch_size, how.optimizer.name, how.optimizer.weight_decay) == (8, "adamw", 0.1)
    assert (how.optimizer.learning_rate, how.schedule.name) == (5e-5, "constant")
