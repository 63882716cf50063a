from pathlib import Path

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from components.gpt.model import GPT, GPTConfig
from components.tasks.instructions import Batches, Example, Row, encode, read_alpaca, row
from components.tasks.packing import PackedBatches, pack
from components.tokenizer.bpe import Tokenizer
from components.training.losses import next_token

DATA = Path(__file__).parents[4] / "shared" / "data"


def test_every_example_stands_in_one_row_and_no_row_is_too_long():
    lengths = [7, 3, 9, 2, 2, 8, 5, 1, 6, 4] * 10
    packed = pack(lengths, 10, seed=1)
    assert sorted(number for row in packed for number in row) == list(range(100))
    assert max(sum(lengths[number] for number in row) for row in packed) <= 10


def test_rows_are_filled_to_the_last_token_where_lengths_allow_it():
    # 3 + 7, 4 + 6 and 5 + 5 make 10, however the seed mixes them.
    assert len(pack([3, 4, 5, 5, 6, 7], 10, seed=3)) == 3


def test_another_seed_puts_others_together():
    lengths = [5] * 20
    assert pack(lengths, 10, seed=1) == pack(lengths, 10, seed=1) != pack(lengths, 10, seed=2)


def test_an_example_longer_than_the_row_is_refused():
    with pytest.raises(ValueError, match="example 1 has 4 tokens; expected at most 3, those of a row"):
        pack([1, 4], 3, seed=1)


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is absent")
def test_the_books_training_records_leave_less_than_2_percent_of_256_tokens_empty():
    tokenizer = Tokenizer.gpt2(DATA / "gpt2_bpe")
    records = read_alpaca(DATA / "book" / "instruction-data.json")[:935]  # int(0.85 * 1100)
    rows = [row(encode(each, "alpaca", tokenizer.encode), 50256, mask_prompt=False) for each in records]
    assert PackedBatches(rows, 256, 2, seed=123, end_of_text=50256).padding_share < 0.02


def rows_of(*lengths: int) -> list[Row]:
    """Return rows whose tokens say where they are from: 10, 11, ... is the first example, 20, 21, ... the second."""
    numbered = (range(10 * number, 10 * number + length) for number, length in enumerate(lengths, start=1))
    return [row(Example([], list(tokens)), 99, mask_prompt=False) for tokens in numbered]


def test_a_packed_row_holds_examples_side_by_side_each_with_its_own_positions():
    batches = PackedBatches(rows_of(3, 2), 6, 1, seed=1, end_of_text=99)
    inputs, targets, positions = batches(0)
    order = [inputs[0, 0].item(), inputs.tolist(), targets.tolist(), positions.tolist()]
    assert order in (
        [10, [[10, 11, 12, 20, 21, 99]], [[11, 12, 99, 21, 99, -100]], [[0, 1, 2, 0, 1, 0]]],
        [20, [[20, 21, 10, 11, 12, 99]], [[21, 99, 11, 12, 99, -100]], [[0, 1, 0, 1, 2, 0]]],
    )
    assert batches.padding_share == pytest.approx(1 / 6)


def test_an_epoch_shows_every_example_once_whatever_the_batch():
    batches = PackedBatches(rows_of(3, 3, 3, 3, 3), 6, 2, seed=1, end_of_text=99)  # three rows, two at a time
    begun = [token for index in range(3) for token in batches(index)[0][:, ::3].flatten().tolist()]
    for epoch in (begun[:6], begun[6:]):
        assert sorted(epoch) == [10, 20, 30, 40, 50, 99]


def test_any_batch_can_be_asked_for_again():
    one, other = (PackedBatches(rows_of(3, 2, 4, 4, 1), 5, 2, seed=5, end_of_text=99) for _ in range(2))
    other(3)
    assert [each.tolist() for each in one(7)] == [each.tolist() for each in other(7)]


def test_in_order_ends_with_a_short_batch():
    batches = PackedBatches(rows_of(5, 5, 5), 5, 2, seed=5, end_of_text=99)
    assert [len(inputs) for inputs, _, _ in batches.in_order()] == [2, 1]


def gpt(positions: str, context_length: int = 24) -> GPT:
    torch.manual_seed(0)
    config = GPTConfig(100, context_length, 16, 2, 2, 0.0, True, False, "gpt2", positions)  # type: ignore[arg-type]
    return GPT(config)


def drawn(*lengths: int) -> list[Row]:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(99, (length,), generator=generator).tolist() for length in lengths]
    return [row(Example(tokens[:2], tokens[2:]), 99, mask_prompt=True) for tokens in ids]


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_packed_records_have_the_loss_and_the_gradients_of_the_same_records_padded(positions: str):
    records = drawn(5, 9, 11, 3, 12, 7, 20)
    (packed,) = PackedBatches(records, 24, 9, seed=1, end_of_text=99).in_order()
    padded = next(Batches(records, len(records), seed=1, end_of_text=99).in_order())
    assert len(packed[0]) == 3  # 67 tokens in three rows of 24
    gradients, losses = [], []
    for batch in (packed, padded):
        model = gpt(positions)
        total, count = next_token(model, batch)
        (total / count).backward()
        losses.append((total / count).item())
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_compiled_model_is_compiled_once_for_all_packed_batches():
    counter = CompileCounter()
    model = torch.compile(gpt("learned"), backend=counter)
    batches = PackedBatches(drawn(5, 9, 11, 3, 12, 7, 20, 24, 2, 13), 24, 2, seed=1, end_of_text=99)
    for index in range(4):
        inputs, _, positions = batches(index)
        model(inputs, positions=positions)
    assert counter.frame_count == 1


def test_a_batch_says_which_examples_it_holds_not_which_rows():
    batches = PackedBatches(rows_of(3, 3, 3, 3, 3), 6, 2, seed=1, end_of_text=99)  # three rows, two at a time
    for index in range(4):
        inputs, _, positions = batches(index)
        begins = inputs[(positions == 0) & (inputs != 99)].tolist()
        assert [10 * (number + 1) for number in batches.chosen(index)] == begins
