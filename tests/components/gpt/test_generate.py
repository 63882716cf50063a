"""Generation against the plain loop of the book: the whole model, on the whole window, for every single token."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.gpt.generate import complete, generate, next_token, stream

DRAWN = {"temperature": 1.5, "top_k": 20, "top_p": 0.9}


def plainly(model, ids, max_new_tokens):
    """Return `ids` continued greedily, as chapter 4 does it: no cache, no batch of different lengths."""
    for _ in range(max_new_tokens):
        with torch.no_grad():
            logits = model(ids[:, -model.config.context_length :])[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("prompt_length", [1, 5, 12, 20])
def test_greedy_is_the_loop_that_takes_the_likeliest_token_also_past_the_context(tiny, positions, prompt_length):
    model = tiny(positions=positions)  # reads 12 tokens
    ids = torch.randint(29, (4, prompt_length))
    continued = generate(model, ids, 30)
    assert torch.equal(continued, plainly(model, ids, 30))
    assert len(continued[:, prompt_length:].unique()) > 2  # it says more than one thing


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


def test_rows_of_different_lengths_read_their_prompts_at_once_and_then_a_token_each(tiny):
    model = tiny()
    seen = forwards(model)
    complete(model, [[5], [4, 8, 4, 2, 3]], 4)
    assert seen == [(5, True), (1, True), (1, True), (1, True)]


def test_it_ends_when_every_row_has_said_the_end_token(tiny):
    model = tiny()
    first, second = complete(model, [[5], [4, 8, 4, 2, 3]], 1)
    seen = forwards(model)
    assert complete(model, [[5]], 9, stop_id=first[0]) == [[]]
    assert complete(model, [[4, 8, 4, 2, 3]], 9, stop_id=second[0]) == [[]]
    assert len(seen) == 2


def test_a_row_that_has_ended_costs_no_further_work(tiny):
    model = tiny()
    prompts = [torch.randint(29, (length,)).tolist() for length in (7, 1, 4, 3, 6)]
    free = complete(model, prompts, 15)  # past the context of 12 too
    stop_id = free[0][3]
    rows = []
    model.body.blocks[0].attention.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[0]))
    cut = complete(model, prompts, 15, stop_id=stop_id)
    ends = [len(answer) + 1 for answer in cut]  # forward passes until the end token is said
    assert len(set(ends)) > 2
    assert rows == [sum(end > step for end in ends) for step in range(min(max(ends), 15))]


@pytest.mark.parametrize("how", [{}, {"temperature": 3.0}])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_neighbours_that_end_move_no_answer(tiny, positions, how):
    model = tiny(positions=positions).double()
    prompts = [torch.randint(29, (1 + place % 9,)).tolist() for place in range(24)]
    seeds = range(24)
    free = complete(model, prompts, 20, seeds=seeds, batch_size=1, **how)
    stop_id = free[0][3]
    cut = [answer[: answer.index(stop_id)] if stop_id in answer else answer for answer in free]
    assert len({len(answer) for answer in cut}) > 5
    assert complete(model, prompts, 20, seeds=seeds, batch_size=24, stop_id=stop_id, **how) == cut


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_tokens_before_the_context_do_not_matter(tiny, positions):
    model = tiny(positions=positions)
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


def drawn_shares(probabilities, **settings):
    """Return the share of each token among evenly spread draws."""
    draws = (torch.arange(10_000) + 0.5) / 10_000
    rows = torch.tensor([probabilities]).log().expand(len(draws), -1)
    drawn = next_token(rows, iter([draws]), **settings)
    return (drawn.bincount(minlength=len(probabilities)) / len(draws)).tolist()


@pytest.mark.parametrize(
    ("temperature", "shares"),  # softmax of log p / T, by hand: p^(1/T), then to sum 1
    [(1.0, [0.5, 0.3, 0.2]), (0.5, [0.6579, 0.2368, 0.1053]), (2.0, [0.4154, 0.3218, 0.2628])],
)
def test_tokens_are_drawn_as_often_as_the_temperature_says(temperature, shares):
    assert drawn_shares([0.5, 0.3, 0.2], temperature=temperature) == pytest.approx(shares, abs=2e-4)


def test_a_draw_falls_on_the_token_whose_part_it_is_in():
    logits = torch.tensor([[0.25, 0.5, 0.25]]).log().expand(6, -1)  # parts end at 1/4, 3/4 and 1
    draws = torch.tensor([0.0, 0.24, 0.26, 0.74, 0.76, 1 - 2**-24])
    assert next_token(logits, iter([draws]), temperature=1.0).tolist() == [0, 0, 1, 1, 2, 2]


def test_no_draw_falls_on_a_token_that_is_left_out():
    logits = torch.tensor([[0.0, 0.0, 1.0, 2.0, 0.0]]).expand(2, -1)
    draws = torch.tensor([0.0, 1 - 2**-24])
    assert next_token(logits, iter([draws]), temperature=1.0, top_k=2).tolist() == [2, 3]


def test_top_k_draws_no_token_below_the_kth():
    shares = drawn_shares([0.1, 0.4, 0.3, 0.2], temperature=1.0, top_k=2)
    assert shares == pytest.approx([0, 4 / 7, 3 / 7, 0], abs=2e-4)


def test_top_k_keeps_ties_with_the_kth():
    shares = drawn_shares([0.3, 0.3, 0.3, 0.1], temperature=1.0, top_k=2)
    assert shares == pytest.approx([1 / 3] * 3 + [0], abs=2e-4)


def test_top_k_beyond_the_vocabulary_keeps_every_token():
    assert drawn_shares([0.5, 0.5], temperature=1.0, top_k=50) == pytest.approx([0.5, 0.5], abs=2e-4)


@pytest.mark.parametrize(
    ("top_p", "shares"),
    [
        (0.3, [0, 1, 0, 0]),  # the likeliest alone stays in, and it passes 0.3 by itself
        (0.6, [0, 4 / 7, 3 / 7, 0]),  # 0.4 is not enough, 0.4 + 0.3 is
        (0.8, [0, 4 / 9, 3 / 9, 2 / 9]),
        (1.0, [0.1, 0.4, 0.3, 0.2]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_whose_mass_reaches_it(top_p, shares):
    assert drawn_shares([0.1, 0.4, 0.3, 0.2], temperature=1.0, top_p=top_p) == pytest.approx(shares, abs=2e-4)


def test_top_p_takes_no_further_token_where_its_mass_is_reached_exactly():
    assert drawn_shares([0.25, 0.5, 0.25], temperature=1.0, top_p=0.5) == [0, 1, 0]


def test_top_p_keeps_ties_with_the_last():
    shares = drawn_shares([0.125, 0.5, 0.125, 0.25], temperature=1.0, top_p=0.8)
    assert shares == pytest.approx([0.125, 0.5, 0.125, 0.25], abs=2e-4)


def test_top_p_counts_the_mass_of_what_temperature_and_top_k_leave():
    shares = drawn_shares([0.4, 0.3, 0.2, 0.1], temperature=1.0, top_k=2, top_p=0.55)
    assert shares == [1, 0, 0, 0]  # 4/7 reaches 0.55, 0.4 would not
    assert drawn_shares([0.4, 0.3, 0.2, 0.1], temperature=0.5, top_p=0.5) == [1, 0, 0, 0]  # 0.16 of 0.30


def test_greedy_draws_nothing(tiny):
    model = tiny()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    generate(model, torch.tensor([[5, 4], [8, 4]]), 4)
    assert torch.equal(torch.rand(3), expected)


def test_generate_draws_as_often_as_the_logits_say(tiny):
    model = tiny()
    prompt = torch.tensor([[3, 1, 4]])
    with torch.no_grad():
        shares = (model(prompt)[0, -1].double() / 2).softmax(-1)
    drawn = generate(model, prompt.expand(4000, -1), 1, temperature=2.0, generator=torch.Generator().manual_seed(0))
    counts = Counter(drawn[:, 3].tolist())
    for token, share in enumerate(shares.tolist()):
        deviation = math.sqrt(share * (1 - share) / 4000)
        assert counts[token] / 4000 == pytest.approx(share, abs=4 * deviation + 1e-3)


PROMPTS = st.lists(st.lists(st.integers(0, 28), min_size=1, max_size=20), min_size=1, max_size=8)
VARIED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@VARIED
@given(prompts=PROMPTS, batch_size=st.integers(1, 8))
def test_in_float64_neither_cache_nor_batch_moves_an_answer(tiny, positions, prompts, batch_size):
    model = tiny(
        positions=positions
    ).double()  # reads 12 tokens: short prompts are answered by the cache, long ones slide
    alone = [plainly(model, torch.tensor([prompt]), 9)[0, len(prompt) :].tolist() for prompt in prompts]
    assert complete(model, prompts, 9, batch_size=batch_size) == alone


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@VARIED
@given(prompts=PROMPTS, batch_size=st.integers(1, 8), first_seed=st.integers(0, 2**40))
def test_a_drawn_answer_is_that_of_its_prompt_and_seed_alone(tiny, positions, prompts, batch_size, first_seed):
    model = tiny(positions=positions).double()
    seeds = [first_seed + place for place in range(len(prompts))]
    alone = [
        complete(model, [prompt], 9, seeds=[seed], **DRAWN)[0] for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    assert complete(model, prompts, 9, seeds=seeds, batch_size=batch_size, **DRAWN) == alone
    reverse = complete(model, prompts[::-1], 9, seeds=seeds[::-1], batch_size=batch_size, **DRAWN)
    assert reverse[::-1] == alone


def test_seeds_draw_different_answers_to_one_prompt_and_the_same_ones_again(tiny):
    model = tiny()
    answers = complete(model, [[4, 8, 4]] * 9, 9, seeds=range(9), temperature=2.0)
    assert len({tuple(answer) for answer in answers}) == 9
    assert complete(model, [[4, 8, 4]] * 9, 9, seeds=range(9), temperature=2.0) == answers


def test_a_longer_answer_begins_like_the_shorter_one_of_its_seed(tiny):
    model = tiny()
    short, long = (complete(model, [[4, 8, 4]], length, seeds=[7], temperature=2.0)[0] for length in (5, 30))
    assert long[:5] == short


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_prompts_of_different_lengths_are_answered_as_one_at_a_time(tiny, positions, batch_size):
    model = tiny(positions=positions)
    prompts = [torch.randint(29, (length,)).tolist() for length in (7, 1, 30, 12, 3, 7, 11, 2, 19)]
    alone = [plainly(model, torch.tensor([prompt]), 15)[0, len(prompt) :].tolist() for prompt in prompts]
    assert complete(model, prompts, 15, batch_size=batch_size) == alone


@pytest.mark.parametrize("stop_id", [None, 11])
@pytest.mark.parametrize("how", [{}, DRAWN])
@pytest.mark.parametrize("length", [1, 7, 12, 20])
def test_a_stream_is_what_generate_appends(tiny, length, how, stop_id):
    model = tiny()
    ids = torch.randint(29, (length,))
    for seed in range(5):
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        streamed = list(stream(model, ids.tolist(), 15, stop_id=stop_id, generator=generators[0], **how))
        written = generate(model, ids[None], 15, stop_id=stop_id, generator=generators[1], **how)
        assert streamed == written[0, length:].tolist()


def test_a_stream_gives_a_token_before_the_next_one_is_computed(tiny):
    model = tiny()
    seen = forwards(model)
    tokens = stream(model, [4, 8], 9)
    assert seen == []
    assert next(tokens) in range(29)
    assert len(seen) == 1


def test_a_stream_that_is_closed_leaves_the_model_in_its_mode(tiny):
    model = tiny().train()
    tokens = stream(model, [4, 8], 9)
    next(tokens)
    tokens.close()
    assert model.training


def test_a_stream_refuses_before_its_first_token_is_asked_for(tiny):
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        stream(tiny(), [], 5)


def test_what_is_written_can_be_trained_on(tiny):
    model = tiny()
    model(generate(model, torch.tensor([[4, 8]]), 5)).sum().backward()
    assert model.body.token_embedding.weight.grad is not None


REFUSED = r"prompt 1 has 8 tokens and up to 5 more follow; the model reads 12 at once: shorten either"


def test_a_text_that_would_outgrow_the_context_is_refused_on_request(tiny):
    model = tiny()  # reads 12 tokens
    with pytest.raises(ValueError, match=REFUSED):
        complete(model, [[1], [2] * 8, [3] * 7], 5, past_context="refuse")
    with pytest.raises(ValueError, match="prompt 0 has 8 tokens"):
        generate(model, torch.ones(2, 8, dtype=torch.int64), 5, past_context="refuse")
    with pytest.raises(ValueError, match="prompt 0 has 8 tokens"):
        stream(model, [2] * 8, 5, past_context="refuse")


def test_a_text_that_just_fits_the_context_is_not_refused(tiny):
    model = tiny()
    assert complete(model, [[2] * 7], 5, past_context="refuse") == complete(model, [[2] * 7], 5)


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
        ({"top_p": 0.0}, r"top_p is 0\.0; expected a share above 0 and at most 1"),
        ({"top_p": 1.1}, r"top_p is 1\.1"),
        ({"past_context": "grow"}, "past_context is 'grow'; expected 'slide' or 'refuse'"),
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


def test_seeds_are_one_a_prompt_and_no_generator_beside_them(tiny):
    with pytest.raises(ValueError, match="seeds: expected one for each of 2 prompts and no generator, came 1"):
        complete(tiny(), [[1], [2]], 5, seeds=[3])
    with pytest.raises(ValueError, match="came a generator too"):
        complete(tiny(), [[1]], 5, seeds=[3], generator=torch.Generator())
