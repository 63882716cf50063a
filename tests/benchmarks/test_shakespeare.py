"""The Shakespeare benchmark on a text that repeats itself: both of ours learn, and what is missed is named."""

from pathlib import Path

import pytest

from benchmarks import shakespeare
from benchmarks.shakespeare import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
def text(tmp_path, monkeypatch):
    """Return a small text as ids, read from a file, and the count of its characters."""
    monkeypatch.chdir(ROOT)
    path = tmp_path / "text.txt"
    path.write_text("abcdefg\n" * 400, encoding="utf-8")
    return shakespeare.read(path)


def test_the_last_tenth_validates(text):
    (training, validation), kinds = text
    assert (len(training), len(validation), kinds) == (2880, 320, 8)
    assert training[:9].tolist() == [1, 2, 3, 4, 5, 6, 7, 0, 1]  # the end of a line sorts first


def test_every_validation_window_is_read_once_in_order(text):
    (_, validation), _ = text
    (inputs, targets), *others = shakespeare.in_order(validation)
    assert others == []
    assert inputs.shape == (4, 64)  # 319 characters have one before them: 4 windows of 64
    assert inputs.flatten().tolist() == validation[:256].tolist()
    assert targets.flatten().tolist() == validation[1:257].tolist()


def test_all_three_run_to_their_ends_and_ours_learn(text):
    outcomes = shakespeare.compare(*text, seed=1, steps={"recipe": 12, "short": 6, "long": 12})
    assert [(one.name, one.steps) for one in outcomes] == [("recipe", 12), ("short", 6), ("long", 12)]
    assert all(one.elapsed_s > 0 for one in outcomes)
    assert max(one.loss for one in outcomes[1:]) < 1.0  # ln 8 = 2.08 without learning
    assert len(shakespeare.report(outcomes).splitlines()) == 5


def test_time_and_loss_that_miss_are_named():
    outcomes = [
        Outcome(1, "recipe", 2000, 100.0, 1.92),
        Outcome(1, "short", 300, 31.0, 1.91),
        Outcome(1, "long", 900, 99.0, 1.66),
    ]
    assert shakespeare.missed(outcomes) == [
        "seed 1, short: 31.0 s; expected at most 30.0",
        "seed 1, long: loss 1.6600; expected at most 1.6500",
    ]
