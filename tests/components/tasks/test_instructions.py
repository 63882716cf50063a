import json
from pathlib import Path

import pytest
import tiktoken.load
import torch

from components.tasks import splits
from components.tasks.files import read_records, write_records
from components.tasks.instructions import (
    Batches,
    Example,
    Instruction,
    Row,
    completion,
    encode,
    full,
    prompt,
    read_alpaca,
    row,
    within,
)
from components.tasks.templates import Template

DATA = Path(__file__).parents[4] / "shared" / "data"
BOOK = DATA / "book" / "instruction-data.json"
needs_book = pytest.mark.skipif(not BOOK.exists(), reason="../shared/data/book is absent")


def instruction(question: str = "Say it.", given: str = "", output: str = "It.") -> Instruction:
    return Instruction(id="1", kind="k", group="g", instruction=question, input=given, output=output)


@needs_book
def test_the_books_instructions_lose_25_duplicates_and_split_in_the_books_order():
    records = read_alpaca(BOOK)
    kept = splits.dedupe(records)
    assert (len(records), len(kept)) == (1100, 1075)
    split = splits.by_position(kept, train=0.85, test=0.1)
    # int(1075 * 0.85) = 913, int(1075 * 0.1) = 107, and the rest.
    assert [len(split[name]) for name in ("train", "test", "validation")] == [913, 107, 55]


@needs_book
def test_the_books_prompts_have_the_books_lengths():
    # FACTS of the data: 40 to 91 GPT-2 tokens with the answer; 775 of 1,100 without an input.
    ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(
        str(DATA / "gpt2_bpe" / "vocab.bpe"), str(DATA / "gpt2_bpe" / "encoder.json")
    )
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    gpt2 = tiktoken.Encoding("gpt2-file", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    records = read_alpaca(BOOK)
    examples = [encode(record, "alpaca", gpt2.encode_ordinary) for record in records]
    assert (min(map(len, examples)), max(map(len, examples))) == (40, 91)
    assert sum(not record.input for record in records) == 775
    # Encoding prompt and completion apart gives the ids of the whole text, as the book encodes it.
    assert all(
        example.prompt + example.completion == gpt2.encode_ordinary(full(record, "alpaca"))
        for record, example in zip(records, examples, strict=True)
    )


def test_the_alpaca_prompt_is_the_books():
    # Section 7.2, the printed example of format_input with its response.
    record = instruction(
        "Identify the correct spelling of the following word.", "Ocassion", "The correct spelling is 'Occasion.'"
    )
    assert full(record, "alpaca") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n"
        "\n### Instruction:\nIdentify the correct spelling of the following word.\n"
        "\n### Input:\nOcassion\n"
        "\n### Response:\nThe correct spelling is 'Occasion.'"
    )


def test_the_alpaca_prompt_has_no_input_section_without_input():
    assert "### Input" not in prompt(instruction(given=""), "alpaca")


def test_the_phi3_prompt_is_the_books():
    # Exercise 7.1: format_input_phi and the response that InstructionDatasetPhi appends.
    record = instruction("Identify the correct spelling of the following word.", "Occasion", "The correct spelling is.")
    assert full(record, "phi3") == (
        "<|user|>\nIdentify the correct spelling of the following word.\nOccasion\n<|assistant|>:\n"
        "The correct spelling is."
    )


def test_the_plain_completion_begins_like_a_word_in_running_text():
    record = instruction("What is its name?", "def walk(top)", "walk")
    assert prompt(record, "plain") == "What is its name?\ndef walk(top)\nAnswer:"
    assert completion(record, "plain") == " walk"


@pytest.mark.parametrize("template", ["alpaca", "phi3", "plain"])
def test_a_prompt_never_shows_the_output(template: Template):
    assert "SECRET" not in prompt(instruction(output="SECRET"), template)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"instruction": "a", "output": "b"}, r"row 2: the field 'input' is missing"),
        ({"instruction": "a", "input": "", "output": " "}, r"row 2: the output is empty"),
        ({"instruction": "", "input": "", "output": "b"}, r"row 2: the instruction is empty"),
        ({"instruction": "a", "input": None, "output": "b"}, r"row 2: the field 'input' is NoneType, expected text"),
    ],
)
def test_a_broken_record_is_refused_by_file_and_row(tmp_path: Path, value: object, message: str):
    good = {"instruction": "a", "input": "", "output": "b"}
    (tmp_path / "data.json").write_text(json.dumps([good, value]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.json, " + message):
        read_alpaca(tmp_path / "data.json")


@pytest.mark.parametrize(("text", "message"), [("[{", "not JSON"), ('{"a": 1}', "expected a JSON list of objects")])
def test_a_file_that_is_no_json_list_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "data.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_alpaca(tmp_path / "data.json")


def test_instructions_come_back_as_they_were_written(tmp_path: Path):
    records = [instruction("Say it.\n", "\u2028", '"'), instruction()]
    write_records(records, tmp_path / "train.jsonl")
    assert read_records(tmp_path / "train.jsonl", Instruction) == records


def test_targets_are_the_inputs_shifted_with_the_end_token_last():
    assert row(Example([1, 2], [3, 4]), 50256, mask_prompt=False) == Row([1, 2, 3, 4], [2, 3, 4, 50256])


def test_a_masked_prompt_counts_for_nothing():
    assert row(Example([1, 2], [3, 4]), 50256, mask_prompt=True) == Row([1, 2, 3, 4], [-100, 3, 4, 50256])


def test_padded_batches_are_the_books():
    # Section 7.3, the printed tensors of custom_collate_fn for these three inputs.
    examples = [Example([], [0, 1, 2, 3, 4]), Example([], [5, 6]), Example([], [7, 8, 9])]
    rows = [row(example, 50256, mask_prompt=False) for example in examples]
    inputs, targets = next(Batches(rows, 3, seed=1, end_of_text=50256).in_order())
    assert inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, 50256, 50256, 50256], [7, 8, 9, 50256, 50256]]
    assert targets.tolist() == [[1, 2, 3, 4, 50256], [6, 50256, -100, -100, -100], [8, 9, 50256, -100, -100]]


def test_an_end_token_inside_a_text_is_a_target_like_any_other():
    rows = [row(Example([], [1, 50256, 2]), 50256, mask_prompt=False), row(Example([], [1]), 50256, mask_prompt=False)]
    _, targets = next(Batches(rows, 2, seed=1, end_of_text=50256).in_order())
    assert targets.tolist() == [[50256, 2, 50256], [50256, -100, -100]]


def test_what_pads_the_first_epochs_batches_is_counted():
    rows = [row(Example([], tokens), 0, mask_prompt=False) for tokens in ([1, 2, 3], [1])]
    assert Batches(rows, 2, seed=1, end_of_text=0).padding_share == pytest.approx(2 / 6)


def test_the_same_seed_and_index_give_the_same_batch():
    rows = [row(Example([k], [k + 1]), 0, mask_prompt=True) for k in range(1, 10)]
    one, other = (Batches(rows, 4, seed=5, end_of_text=0) for _ in range(2))
    other(3)
    assert all(torch.equal(a, b) for a, b in zip(one(7), other(7), strict=True))
    assert one.steps_per_epoch == 2


def test_records_too_long_for_the_context_are_told_apart():
    # Characters as tokens; the plain prompt of the first is "Say it.\nAnswer:" (15) and its completion " It." (4).
    short, long = instruction(), instruction(output="It, again.")
    assert within([short, long], "plain", lambda text: list(text.encode()), 19) == ([short], [long])
