"""Generation against the plain loop of the book: the whole model, on the whole window, for every single token."""

import pytest
import torch

from components.gpt.generate import complete, generate, next_token


def plainly(model, ids, max_new_tokens):
    """Return `ids` continued greedily, as chapter 4 does it: no cache, no batch of different lengths."""
    for _ in range(max_new_tokens):
        with torch.no_grad():
            logits = model(ids[:, -model.config.context_length :])[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids


@pytest.mark.parametrize("prompt_length", [1, 5, 12, 20])
def test_greedy_is_the_loop_that_takes_the_likeliest_token_also_past_the_context(tiny, prompt_length):
    model = tiny()  # reads 12 tokens
    ids = torch.randint(29, (4, prompt_length))
    continued = generate(model, ids, 30)
    assert torch.equal(continued, plainly(model, ids, 30))
    assert len(continued[:, prompt_length:].unique()) > 3  # it says more than one thing


def forwards(model):
    """Return a list that grows by each forward pass: the tokens it reads, and whether it keeps keys and values."""
    seen = []
    attention = model.body.blocks[0].attention
    attention.register_forward_pre_hook(lambda _, inputs: seen.append((inputs[0].shape[1], inputs[1] is not None)))
    return seen


def test_keys_and_values_are_kept_until_the_window_is_full_and_no_longer(tiny):
    model = tiny()  # reads 12 tokens
    seen = forwards(model)
    generate(model, torch.randint(29, (1, 10)), 5)
    assert seen == [(10, True), (1, True), (1, True), (12, False), (12, False)]


def test_a_row_that_has_all_its_tokens_keeps_no_other_running(tiny):
    model = tiny()
    short, long = [5], [4, 8, 4, 2, 3]
    stop_id = complete(model, [long], 1)[0][0]
    (said,) = complete(model, [short], 2, stop_id=stop_id)
    assert len(said) == 2  # it does not end by itself
    seen = forwards(model)
    assert complete(model, [short, long], 2, stop_id=stop_id) == [said, []]
    assert len(seen) == 5  # 4 to the end of the long prompt, and the one that ends it


def test_tokens_before_the_context_do_not_matter(tiny):
    model = tiny()
    ids = torch.randint(29, (1, 20))
    assert torch.equal(generate(model, ids, 9)[:, 20:], generate(model, ids[:, -12:], 9)[:, 12:])


def test_no_new_tokens_are_none(tiny):
    ids = torch.randint(29, (2, 5))
    assert torch.equal(generate(tiny(), ids, 0), ids)


def test_it_stops_before_the_end_token(tiny):
    model = tiny()
    ids = torch.randint(29, (1, 5))
    free = generate(model, ids, 10)
    stop_id = int(free[0, 9])
    first = free[0, 5:].tolist().index(stop_id)
    assert torch.equal(generate(model, ids, 10, stop_id=stop_id), free[:, : 5 + first])


def test_a_row_that_ends_early_is_filled_with_the_end_token(tiny):
    model = tiny()
    ids = torch.randint(29, (8, 5))
    free = generate(model, ids, 10)
    stop_id = int(free[0, 7])
    continued = generate(model, ids, 10, stop_id=stop_id)
    for row, expected in zip(continued[:, 5:].tolist(), free[:, 5:].tolist(), strict=True):
        end = expected.index(stop_id) if stop_id in expected else 10
        assert row[:end] == expected[:end]
        assert set(row[end:]) <= {stop_id}
    assert stop_id in continued[0, 5:]


def test_the_same_seed_writes_the_same_and_another_seed_something_else(tiny):
    model = tiny()
    ids = torch.randint(29, (1, 5))

    def written(seed):
        return generate(model, ids, 20, temperature=2.0, generator=torch.Generator().manual_seed(seed)).tolist()

    assert written(1) == written(1)
    assert written(1) != written(2)


def test_the_nearer_to_zero_the_temperature_the_greedier(tiny):
    model = tiny()
    ids = torch.randint(29, (1, 5))
    assert torch.equal(generate(model, ids, 20, temperature=1e-6), generate(model, ids, 20))


def test_the_single_likeliest_token_is_the_greedy_one(tiny):
    model = tiny()
    ids = torch.randint(29, (1, 5))
    assert torch.equal(generate(model, ids, 20, temperature=1.0, top_k=1), generate(model, ids, 20))


def drawn_shares(logits, **settings):
    """Return how often each token is drawn in 20,000 draws."""
    rows = torch.tensor([logits]).expand(20_000, -1)
    drawn = next_token(rows, generator=torch.Generator().manual_seed(0), **settings)
    return (drawn.bincount(minlength=len(logits)) / len(drawn)).tolist()


@pytest.mark.parametrize(
    ("temperature", "shares"),  # softmax of log p / T, by hand: p^(1/T), then to sum 1
    [(1.0, [0.5, 0.3, 0.2]), (0.5, [0.6579, 0.2368, 0.1053]), (2.0, [0.4154, 0.3218, 0.2628])],
)
def test_tokens_are_drawn_as_often_as_the_temperature_says(temperature, shares):
    logits = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    assert drawn_shares(logits, temperature=temperature) == pytest.approx(shares, abs=0.015)


def test_top_k_draws_no_token_below_the_kth():
    logits = torch.tensor([0.1, 0.4, 0.3, 0.2]).log().tolist()
    assert drawn_shares(logits, temperature=1.0, top_k=2) == pytest.approx([0, 4 / 7, 3 / 7, 0], abs=0.015)


def test_top_k_keeps_ties_with_the_kth():
    assert drawn_shares([0.0, 0.0, 0.0, -1.0], temperature=1.0, top_k=2) == pytest.approx([1 / 3] * 3 + [0], abs=0.015)


def test_top_k_beyond_the_vocabulary_keeps_every_token():
    assert drawn_shares([0.0, 0.0], temperature=1.0, top_k=50) == pytest.approx([0.5, 0.5], abs=0.015)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_prompts_of_different_lengths_are_answered_as_one_at_a_time(tiny, batch_size):
    model = tiny()
    prompts = [torch.randint(29, (length,)).tolist() for length in (7, 1, 30, 12, 3, 7, 11, 2, 19)]
    alone = [plainly(model, torch.tensor([prompt]), 15)[0, len(prompt) :].tolist() for prompt in prompts]
    assert complete(model, prompts, 15, batch_size=batch_size) == alone


def test_each_answer_ends_before_its_own_end_token(tiny):
    model = tiny()
    prompts = [torch.randint(29, (length,)).tolist() for length in (7, 1, 12, 3, 30)]
    free = complete(model, prompts, 15)
    stop_id = free[1][4]
    cut = [answer[: answer.index(stop_id)] if stop_id in answer else answer for answer in free]
    assert complete(model, prompts, 15, stop_id=stop_id) == cut
    assert len({len(answer) for answer in cut}) > 1


def test_an_end_token_within_a_prompt_ends_nothing(tiny):
    model = tiny()
    short, long = [5], [4, 8, 4, 2, 3]
    answers = complete(model, [short, long], 3)
    unsaid = next(token for token in long if token not in answers[0] + answers[1])
    assert complete(model, [short, long], 3, stop_id=unsaid) == answers


def test_no_prompts_are_no_answers(tiny):
    assert complete(tiny(), [], 5) == []


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_left_as_it_was(tiny, training):
    model = tiny(drop_rate=0.5)
    ids = torch.randint(29, (1, 5))
    expected = plainly(model, ids, 10)
    model.train(training)
    assert torch.equal(generate(model, ids, 10), expected)
    assert model.training is training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, r"temperature is -1\.0; expected a number from 0 up"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0; expected at least 1"),
    ],
)
def test_an_impossible_setting_is_refused_by_name_and_value(tiny, settings, message):
    with pytest.raises(ValueError, match=message):
        generate(tiny(), torch.zeros(1, 3, dtype=torch.int64), 5, **settings)


def test_a_negative_number_of_tokens_is_refused(tiny):
    with pytest.raises(ValueError, match="max_new_tokens is -1; expected at least 0"):
        generate(tiny(), torch.zeros(1, 3, dtype=torch.int64), -1)


def test_a_batch_of_no_prompts_is_refused(tiny):
    with pytest.raises(ValueError, match="batch_size is 0; expected at least 1"):
        complete(tiny(), [[1]], 5, batch_size=0)


def test_empty_ids_are_refused(tiny):
    with pytest.raises(ValueError, match=r"ids have shape \(1, 0\)"):
        generate(tiny(), torch.zeros(1, 0, dtype=torch.int64), 5)


def test_an_empty_prompt_is_refused_by_its_place(tiny):
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        complete(tiny(), [[1], [], [2]], 5)
