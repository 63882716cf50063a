"""Log-likelihoods against the model's own logits, one token at a time, and against what can be told by hand."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.gpt.likelihood import log_likelihoods

IDS = st.lists(st.integers(0, 28), min_size=1, max_size=6)
VARIED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def alone(model, context, continuation):
    """Return the sum, token by token, each behind all that came before it, without batch or padding."""
    total, seen = 0.0, list(context)
    for token in continuation:
        with torch.no_grad():
            total += float(model(torch.tensor([seen]))[0, -1].double().log_softmax(0)[token])
        seen.append(token)
    return total


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@VARIED
@given(pairs=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=7), batch_size=st.integers(1, 4))
def test_neither_batch_nor_padding_moves_a_likelihood(tiny, positions, pairs, batch_size):
    model = tiny(positions=positions).double()
    contexts, continuations = zip(*pairs, strict=True)
    found = log_likelihoods(model, contexts, continuations, batch_size)
    assert found == pytest.approx([alone(model, *pair) for pair in pairs], abs=1e-5)
    assert all(value <= 0 for value in found)


def test_a_model_that_knows_nothing_gives_every_token_the_same_share(tiny):
    model = tiny()
    with torch.no_grad():
        model.output_weight.zero_()
    (found,) = log_likelihoods(model, [[1, 2]], [[3, 4, 5]])
    assert found == pytest.approx(3 * math.log(1 / 29))


def test_the_probabilities_of_all_next_tokens_add_up_to_one(tiny):
    found = log_likelihoods(tiny(), [[1, 2, 3]] * 29, [[token] for token in range(29)], 8)
    assert sum(math.exp(value) for value in found) == pytest.approx(1.0)


def test_a_context_too_long_is_cut_from_the_left(tiny):
    model = tiny()  # reads 12 tokens; the last of the continuation is not read
    long, wanted = [7, *range(1, 12)], [20, 21, 22]
    assert log_likelihoods(model, [long], [wanted]) == log_likelihoods(model, [long[2:]], [wanted])
    assert log_likelihoods(model, [long], [wanted]) != log_likelihoods(model, [long[3:]], [wanted])
    (whole,) = log_likelihoods(model, [[1]], [list(range(12))])
    assert whole == pytest.approx(alone(model, [1], list(range(12))), abs=1e-4)


def test_the_model_stays_in_the_mode_it_was_in(tiny):
    model = tiny(drop_rate=0.5).train()
    assert log_likelihoods(model, [[1]], [[2]]) == log_likelihoods(model, [[1]], [[2]])
    assert model.training


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (([[1]], [[]]), "continuation 0 is empty"),
        (([[1], []], [[1], [2]]), "context 1 is empty"),
        (([[1]], []), "1 contexts and 0 continuations"),
        (([[1]], [[2] * 13]), "continuation 0 has 13 tokens; expected at most the 12"),
        (([[1]], [[2]], 0), "batch_size is 0; expected at least 1"),
    ],
    ids=str,
)
def test_what_has_no_likelihood_is_refused(tiny, given_, message):
    with pytest.raises(ValueError, match=message):
        log_likelihoods(tiny(), *given_)
