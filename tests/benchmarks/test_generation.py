"""The comparison of ways to generate, on a model of two narrow blocks; the figures by hand."""

import torch

from benchmarks.generation import LOOP, OURS, TARGETS, TRANSFORMERS, compare, contestants, missed, ratio, report
from components.gpt.model import GPTConfig

CONFIG = GPTConfig(29, 32, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")


def test_each_writes_as_many_tokens_as_it_is_told():
    ids = torch.randint(29, (1, 16))
    for write in contestants(CONFIG, torch.float32, ids).values():
        written = write(5)
        assert written.shape == (1, 21)
        assert torch.equal(written[:, :16], ids)


def test_the_loop_writes_what_ours_writes():
    ids = torch.randint(29, (1, 16))
    ways = contestants(CONFIG, torch.float64, ids)
    assert torch.equal(ways[OURS](16), ways[LOOP](16))


def test_every_pair_of_precision_and_contestant_is_timed_and_shown():
    times = compare(CONFIG, 3, 2)
    pairs = [(precision, name) for precision in ("float32", "bfloat16") for name in (OURS, LOOP, TRANSFORMERS)]
    assert list(times) == pairs
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())
    rows = report(times, 3).splitlines()[2:8]
    assert [tuple(row.split(" | ")[:2]) for row in rows] == [(f"| {precision}", name) for precision, name in pairs]


MET = {
    ("float32", OURS): [1.0, 9.0, 1.0],
    ("float32", LOOP): [4.0, 4.0, 4.0],
    ("float32", TRANSFORMERS): [1.0, 0.5, 1.0],
    ("bfloat16", OURS): [2.0, 2.0, 2.0],
    ("bfloat16", LOOP): [8.0, 8.0, 7.0],
    ("bfloat16", TRANSFORMERS): [2.4, 2.4, 1.0],
}


def test_medians_are_compared():
    assert ratio(MET, "float32", LOOP) == 4.0
    assert "| bfloat16 | transformers | 125.0 | 2.40 | 1.00..2.40 | 1.20 | 1.2 |" in report(MET, 300)
    assert missed(MET) == []


def test_the_targets_are_those_of_the_two_precisions():
    assert TARGETS == {("float32", LOOP): 4.0, ("float32", TRANSFORMERS): 1.0, ("bfloat16", TRANSFORMERS): 1.2}


def test_each_target_can_be_missed():
    for pair in TARGETS:
        (failure,) = missed(MET | {pair: [MET[pair][0] * 0.9] * 3})
        assert failure.startswith(pair[0])
        assert pair[1] in failure
