"""The ladder on a tiny model: every contestant runs, and the table says what was measured. No time is asserted."""

from pathlib import Path

import pytest
import torch

from benchmarks import training
from benchmarks.training import CEILING, COMPILED, CONFIGURATIONS, FOUND, OURS, RUNGS, Result

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
UNCOMPILED = ["the book's code", FOUND, *list(RUNGS)[:2], CEILING]


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    """Stand where the presets are."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", UNCOMPILED)
def test_a_contestant_makes_step_after_step(name):
    steps = training.contestant(name, CONFIGURATIONS["tiny"], CPU)
    for _ in range(3):
        next(steps)


def test_every_rung_is_settings_that_a_user_could_write():
    rungs = [training.training_settings(rung, batch_size=4) for rung in RUNGS.values()]
    assert [(how.precision, how.compile, how.optimizer.name) for how in rungs] == [
        ("float32", False, "adamw"),
        ("bfloat16", False, "adamw"),
        ("bfloat16", True, "adamw"),
        ("bfloat16", True, "muon"),
    ]
    assert {(how.batch_size, how.clip_norm) for how in rungs} == {(4, 1.0)}


def test_contestants_take_turns_in_processes_of_their_own():
    names = [FOUND, CEILING]
    results = training.measure(names, CONFIGURATIONS["tiny"], CPU, rounds=2, round_s=0.01)
    assert list(results) == names
    for result in results.values():
        slowest, fastest = result.spread
        assert 0 < slowest <= result.tokens_per_second <= fastest
        assert result.memory_mib > 50  # torch alone
    assert len(training.table(results, CONFIGURATIONS["tiny"], CPU).splitlines()) == 4


def test_the_configurations_are_those_of_their_names():
    sizes = {name: training.GPT(CONFIGURATIONS[name].model).n_parameters for name in ("13.8M", "124M")}
    # nanoGPT leaves position embeddings out of its count.
    assert (sizes["13.8M"] - 256 * 384) / 1e6 == pytest.approx(13.8, abs=0.05)
    assert sizes["124M"] / 1e6 == pytest.approx(124, abs=1)


def test_operations_are_six_a_weight_and_attentions():
    # 2 layers, 16 wide, context 16, 64 tokens: 2 x 12 x 16^2 + 64 x 16 weights, 12 x 2 x 16 x 16 for attention.
    assert training.operations_per_token(CONFIGURATIONS["tiny"].model) == 6 * (6144 + 1024) + 6144


def test_a_missed_target_is_named():
    rates = {FOUND: 1000.0, COMPILED: 2000.0, CEILING: 2400.0, OURS: 2190.0}
    results = {name: Result(rate, (rate, rate), 0.0, 0.0) for name, rate in rates.items()}
    assert training.missed(results, CONFIGURATIONS["13.8M"]) == [f"1.095 of {COMPILED}; expected 1.1 or more"]
