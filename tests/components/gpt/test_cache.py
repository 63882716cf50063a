"""What is read through a cache against the same tokens read at once, without one."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.gpt.cache import Cache


def alone(model, texts, lengths):
    """Return the logits behind each prompt and each later token, (row, step, vocab): each text by itself, no cache."""
    with torch.no_grad():
        rows = [model(torch.tensor([text]))[0, length - 1 :] for text, length in zip(texts, lengths, strict=True)]
    steps = min(len(row) for row in rows)
    return torch.stack([row[:steps] for row in rows])


def cached(model, texts, lengths, steps):
    """Return the same logits, read through one cache: the prompts padded on the right, then a token a row."""
    longest = max(lengths)
    prompts = [text[:length] + [0] * (longest - length) for text, length in zip(texts, lengths, strict=True)]
    cache = model.cache(longest + steps, torch.tensor(lengths))
    with torch.no_grad():
        hidden = model.hidden(torch.tensor(prompts), cache)
        logits = [model.logits(hidden[range(len(texts)), [length - 1 for length in lengths]])]
        for step in range(steps - 1):
            new = torch.tensor([[text[length + step]] for text, length in zip(texts, lengths, strict=True)])
            logits.append(model.logits(model.hidden(new, cache)[:, 0]))
    return torch.stack(logits, dim=1)


LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize(("precision", "atol"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=LENGTHS)
def test_neither_cache_nor_neighbours_move_a_logit(tiny, positions, precision, atol, lengths):
    model = tiny(positions=positions).to(precision)  # reads 12 tokens
    texts = [torch.randint(29, (length + 5,)).tolist() for length in lengths]
    expected = alone(model, texts, lengths)
    torch.testing.assert_close(cached(model, texts, lengths, expected.shape[1]), expected, atol=atol, rtol=0)


def test_a_position_counts_the_tokens_before_it_not_the_padding():
    cache = Cache(n_layers=1, capacity=6, lengths=torch.tensor([3, 1, 2]))
    assert cache.positions.tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 2, 3], [0, 1, 1, 2, 3, 4]]


def test_keys_are_kept_in_the_memory_taken_for_the_first_token():
    (layer,) = Cache(n_layers=1, capacity=4, lengths=torch.tensor([2])).layers
    first, _, _ = layer.append(*torch.arange(4.0).view(2, 1, 1, 2, 1))
    second, _, _ = layer.append(*torch.ones(2, 1, 1, 1, 1))
    assert second.flatten().tolist() == [0.0, 1.0, 1.0]
    assert second.data_ptr() == first.data_ptr()


def test_nothing_is_masked_where_prompts_are_of_one_length():
    (layer,) = Cache(n_layers=1, capacity=4, lengths=torch.tensor([2, 2])).layers
    layer.append(*torch.zeros(2, 2, 1, 2, 1))
    assert layer.append(*torch.zeros(2, 2, 1, 1, 1))[2] is None


def test_no_new_token_looks_at_padding():
    (layer,) = Cache(n_layers=1, capacity=4, lengths=torch.tensor([2, 1])).layers
    assert layer.append(*torch.zeros(2, 2, 1, 2, 1))[2] is None
    looks_at = layer.append(*torch.zeros(2, 2, 1, 1, 1))[2]
    assert looks_at[:, 0, 0].tolist() == [[True, True, True], [True, False, True]]


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_more_tokens_than_the_context_are_refused_with_a_cache_too(tiny, positions):
    model = tiny(positions=positions)
    cache = model.cache(13)
    model.hidden(torch.zeros(1, 12, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="ids are 13 tokens long; the model reads at most 12"):
        model.hidden(torch.zeros(1, 1, dtype=torch.int64), cache)


def test_rows_that_go_on_alone_are_read_as_before(tiny):
    model = tiny().double()
    texts, lengths, kept = [torch.randint(29, (11,)).tolist() for _ in range(3)], [2, 5, 3], [2, 0]
    cache = model.cache(8, torch.tensor(lengths))
    prompts = [text[:length] + [0] * (5 - length) for text, length in zip(texts, lengths, strict=True)]
    with torch.no_grad():
        model.hidden(torch.tensor(prompts), cache)
        cache.keep(torch.tensor(kept))
        new = torch.tensor([[texts[row][lengths[row]]] for row in kept])
        logits = model.logits(model.hidden(new, cache)[:, 0])
        for row, came in zip(kept, logits, strict=True):
            expected = model(torch.tensor([texts[row][: lengths[row] + 1]]))[0, -1]
            torch.testing.assert_close(came, expected, atol=1e-12, rtol=0)
