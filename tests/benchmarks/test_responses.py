"""The comparison of ways to answer many prompts, on a model of two narrow blocks; the figures by hand."""

import json

import pytest

from benchmarks.responses import ALONE, OURS, TRANSFORMERS, compare, contestants, missed, prompts, ratio, report
from components.gpt.model import GPTConfig

CONFIG = GPTConfig(29, 32, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")
ASKED = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [10, 11]]


def test_each_answers_every_prompt_with_as_many_tokens_as_it_is_told():
    for answer in contestants(CONFIG, ASKED, 3).values():
        assert [len(each) for each in answer(5)] == [5] * 4


def test_one_at_a_time_answers_what_the_batches_do():
    ways = contestants(CONFIG, ASKED, 3)
    assert ways[ALONE](9) == ways[OURS](9)


def test_those_who_take_part_are_timed_and_shown():
    times = compare(CONFIG, ASKED, 3, batch_size=3, rounds=2, only=[OURS, TRANSFORMERS])
    assert list(times) == [OURS, TRANSFORMERS]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())
    assert [row.split(" | ")[0] for row in report(times, 12).splitlines()[2:4]] == [f"| {name}" for name in times]
    assert missed(times) == []  # one at a time, which has a target, took no part


MET = {OURS: [1.0, 9.0, 1.0], ALONE: [3.0, 3.0, 30.0], TRANSFORMERS: [2.0, 1.5, 1.0]}


def test_medians_are_compared_and_the_target_can_be_missed():
    assert ratio(MET, ALONE) == 3.0
    assert "| ours, one at a time | 100.0 | 3.00 | 3.00..30.00 | 3.00 | 3 |" in report(MET, 300)
    assert missed(MET) == []
    (failure,) = missed(MET | {ALONE: [2.9] * 3})
    assert failure == "2.90 times as fast as ours, one at a time; expected 3 or more"


def test_what_is_asked_are_the_books_test_records_in_alpacas_words(tmp_path):
    records = [{"instruction": f"Do {number}.", "input": "", "output": "Done."} for number in range(1100)]
    (tmp_path / "asked.json").write_text(json.dumps(records))
    asked = prompts(tmp_path / "asked.json", lambda text: list(text.encode()))
    assert len(asked) == 110  # the book trains on the first 935 and tests on the next 110
    assert bytes(asked[0]).decode().endswith("### Instruction:\nDo 935.\n\n### Response:\n")
    assert bytes(asked[-1]).decode().endswith("### Instruction:\nDo 1044.\n\n### Response:\n")


def test_a_file_of_fewer_records_is_refused(tmp_path):
    (tmp_path / "few.json").write_text(json.dumps([{"instruction": "Do.", "input": "", "output": "Done."}] * 20))
    with pytest.raises(ValueError, match=r"few\.json: 20 records; expected the book's 1,100"):
        prompts(tmp_path / "few.json", lambda text: list(text.encode()))
