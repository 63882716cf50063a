"""The cost of a save, measured on a tiny model; the figures by hand. No time is asserted."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import states
from benchmarks.states import Result
from components.gpt.model import GPT, GPTConfig

ROOT = Path(__file__).parents[2]
TINY = GPTConfig(29, 8, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")
SAVING = Result(
    steps_s=[0.2, 0.1, 0.9],
    saves_s=[0.3, 0.2, 1.0],
    beside_s=[[0.3], [], [0.2, 0.3]],
    size_bytes=14_400_000,
    memory_mib=1234.5,
)


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    """Stand where the presets are."""
    monkeypatch.chdir(ROOT)


def test_steps_and_saves_take_turns_and_steps_alone_leave_nothing(tmp_path):
    case = states.Case(TINY, replace(states.default().how, batch_size=2))
    saving = states.measure(case, steps=6, every=2, folder=tmp_path)
    assert len(saving.saves_s) == len(saving.beside_s) == 3
    assert len(saving.steps_s) + sum(map(len, saving.beside_s)) == 6
    assert sorted(each.name for each in tmp_path.iterdir()) == ["step-000000007", "step-000000009"]
    # 4 bytes for each weight and at least one number remembered for it.
    assert saving.size_bytes > 2 * 4 * GPT(TINY).n_parameters
    assert saving.memory_mib > 50  # torch alone
    alone = states.measure(case, steps=6, every=None, folder=tmp_path / "none")
    assert (len(alone.steps_s), alone.saves_s, alone.beside_s, alone.size_bytes) == (6, [], [], 0)
    assert not (tmp_path / "none").exists()


def test_the_cases_are_those_of_their_names():
    default, large = states.default(), states.gpt2_124m()
    assert (default.model.emb_dim, default.model.context_length, default.how.batch_size) == (128, 128, 16)
    assert (large.model.emb_dim, large.model.context_length, large.how.batch_size) == (768, 256, 4)
    assert (large.how.compile, large.how.precision, large.how.optimizer.name) == (True, "bfloat16", "adamw")


def test_the_share_is_of_a_hundred_median_steps():
    # A step takes 0.2 s: 0.3 + 0.1, 0.2 + 0, 1.0 + 0.0 + 0.1.
    assert states.costs_s(SAVING) == pytest.approx([0.4, 0.2, 1.1])
    assert states.share(SAVING) == pytest.approx(0.4 / 20)
    row = states.row("default", SAVING, replace(SAVING, memory_mib=1000.0))
    assert row == "| default | 14 | 20.0 | 0.300 | 0.400 | 0.200..1.100 | 2.00% | 1,234 | 1,000 |"
    assert [line.count("|") for line in states.HEAD.splitlines()] == [row.count("|")] * 2
