"""Pairs of answers: read, encoded and put into batches; tokens are letters, as numbers."""

import json

import pytest
import torch

from components.tasks.instructions import Instruction, Row
from components.tasks.preferences import Batches, Pair, Preference, pair, read_pairs

END = 0


def encode(text):
    return [ord(letter) for letter in text]


def written(tmp_path, rows):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


RECORD = {"instruction": "Add.", "input": "1 1", "chosen": "2", "rejected": "3"}


def test_a_list_of_objects_becomes_records_named_by_their_row(tmp_path):
    found = read_pairs(written(tmp_path, [RECORD | {"output": "is not read"}, RECORD]))
    assert found[0] == Preference("preference-1", "preference-1", "Add.", "1 1", "2", "3")
    assert [each.id for each in found] == ["preference-1", "preference-2"]


def test_a_record_has_the_content_of_the_instruction_that_asks_the_same():
    record = Preference("p", "p", "Add.", "1 1", "2", "3")
    assert record.content == Instruction("i", "sum", "i", "Add.", "1 1", "two").content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chosen": " "}, "the chosen is empty"),
        ({"rejected": ""}, "the rejected is empty"),
        ({"instruction": "\n"}, "the instruction is empty"),
        ({"rejected": "2 "}, "chosen and rejected are the same; expected two different answers"),
        ({"rejected": 3}, "the field 'rejected' is int, expected text"),
    ],
)
def test_what_is_no_pair_is_named_by_file_and_row(tmp_path, change, said):
    path = written(tmp_path, [RECORD, RECORD | change])
    with pytest.raises(ValueError) as refused:
        read_pairs(path)
    assert str(refused.value) == f"{path}, row 2: {said}"


def test_a_missing_column_is_named(tmp_path):
    path = written(tmp_path, [{"instruction": "Add.", "input": "1 1", "output": "2"}])
    with pytest.raises(ValueError, match="row 1: the field 'chosen' is missing"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("text", "said"), [("[{", "not JSON"), ('{"a": 1}', "expected a JSON list of objects, got dict")]
)
def test_a_file_that_is_no_list_is_named(tmp_path, text, said):
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_pairs(path)


def test_empty_and_equal_answers_can_be_left_out(tmp_path):
    left_out = []
    path = written(tmp_path, [RECORD, RECORD | {"chosen": ""}, RECORD | {"chosen": "3"}])
    assert [each.id for each in read_pairs(path, left_out.append)] == ["preference-1"]
    assert left_out == [
        ("pairs.json row 2", "the chosen is empty"),
        ("pairs.json row 3", "chosen and rejected are the same; expected two different answers"),
    ]


def test_both_answers_stand_behind_the_prompt_and_only_they_and_the_end_are_targets():
    made = pair(Preference("p", "p", "Q", "", "ab", "c"), "plain", encode, END)
    prompt = encode("Q\nAnswer:")
    assert made.chosen == Row(prompt + encode(" ab"), [-100] * 8 + [*encode(" ab"), END])
    assert made.rejected == Row(prompt + encode(" c"), [-100] * 8 + [*encode(" c"), END])
    assert len(made) == len(prompt) + 3


def pairs(count):
    """Pair k: prompt 7, chosen k + 1 tokens of 1, rejected one of 2."""
    return [Pair(Row([7] + [1] * (k + 1), [1] * (k + 1) + [END]), Row([7, 2], [2, END])) for k in range(count)]


def test_both_rows_of_a_pair_are_padded_to_the_longest_of_the_batch():
    batches = Batches(pairs(2), torch.tensor([0.5, -0.25]), 2, 1, end_of_text=END)
    inputs, targets, leads = next(batches.in_order())
    assert inputs.tolist() == [[[7, 1, 0], [7, 2, 0]], [[7, 1, 1], [7, 2, 0]]]
    assert targets.tolist() == [[[1, 0, -100], [2, 0, -100]], [[1, 1, 0], [2, 0, -100]]]
    assert leads.tolist() == [0.5, -0.25]


def test_a_batch_is_the_same_for_its_seed_and_index_and_an_epoch_has_each_pair_once():
    leads = torch.arange(6.0)
    batches, again = (Batches(pairs(6), leads, 2, 3, end_of_text=END) for _ in range(2))
    assert batches.steps_per_epoch == 3
    assert sorted(row for index in range(3) for row in batches.chosen(index)) == list(range(6))
    for index in (4, 0):
        for one, other in zip(batches(index), again(index), strict=True):
            assert torch.equal(one, other)
        assert batches(index)[2].tolist() == [float(row) for row in batches.chosen(index)]


def test_in_order_each_pair_comes_once_and_the_last_batch_is_short():
    found = list(Batches(pairs(5), torch.arange(5.0), 2, 1, end_of_text=END).in_order())
    assert [leads.tolist() for _, _, leads in found] == [[0.0, 1.0], [2.0, 3.0], [4.0]]


def test_more_in_a_batch_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"batch_size is 3; expected 1\.\.2"):
        Batches(pairs(2), torch.zeros(2), 3, 1, end_of_text=END)
