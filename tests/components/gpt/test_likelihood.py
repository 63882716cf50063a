"""Likelihoods against torch's cross-entropy of each text by itself."""

import math

import pytest
import torch
import torch.nn.functional as F

from components.gpt.likelihood import Likelihood, likelihoods, losses

PAIRS = [([1, 2, 3], [4, 5]), ([6], [7]), ([8, 9, 10, 11, 12], [13, 14, 15]), ([2, 3], [4] * 9)]


def alone(model, context, ending):
    """Return the log-likelihood of an ending, its text read by itself."""
    ids = torch.tensor([*context, *ending])
    with torch.no_grad():
        logits = model(ids[None, :-1])[0, -len(ending) :]
    return -F.cross_entropy(logits, ids[-len(ending) :], reduction="sum").item()


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_an_ending_is_as_likely_as_the_model_by_itself_says_whatever_stands_beside_it(tiny, positions, batch_size):
    model = tiny(positions=positions)  # reads 12 tokens
    found = likelihoods(model, PAIRS, batch_size=batch_size)
    assert [each.nats for each in found] == pytest.approx([alone(model, *pair) for pair in PAIRS], abs=1e-4)
    assert [each.tokens for each in found] == [2, 1, 3, 9]
    assert [each.tokens_cut for each in found] == [0, 0, 0, 0]


def test_more_logits_than_are_held_at_once_change_nothing(tiny, monkeypatch):
    model = tiny()
    whole = likelihoods(model, PAIRS)
    monkeypatch.setattr("components.gpt.likelihood.POSITIONS", 2)
    assert [each.nats for each in likelihoods(model, PAIRS)] == pytest.approx([each.nats for each in whole], abs=1e-5)


def test_a_context_too_long_loses_its_beginning(tiny):
    model = tiny()
    (cut,) = likelihoods(model, [(list(range(20)), [21, 22])])
    (rest,) = likelihoods(model, [(list(range(9, 20)), [21, 22])])  # 11 + 2 tokens: 12 are read, the last predicted
    assert cut == Likelihood(rest.nats, 2, rest.is_greedy, tokens_cut=9)
    assert rest.tokens_cut == 0


def test_an_ending_that_greedy_writes_is_greedy_and_another_is_not(tiny):
    model = tiny()
    with torch.no_grad():
        first = int(model(torch.tensor([[3, 1]]))[0, -1].argmax())
        second = int(model(torch.tensor([[3, 1, first]]))[0, -1].argmax())
    greedy, half = likelihoods(model, [([3, 1], [first, second]), ([3, 1], [first, (second + 1) % 29])])
    assert (greedy.is_greedy, half.is_greedy) == (True, False)


def test_the_mean_over_tokens_divides_by_the_endings():
    assert Likelihood(nats=-6.0, tokens=4, is_greedy=False, tokens_cut=0).nats_per_token == -1.5


def test_a_model_that_knows_nothing_finds_all_tokens_alike(tiny):
    model = tiny()
    with torch.no_grad():
        model.body.token_embedding.weight.zero_()
    (found,) = likelihoods(model, [([1], [2, 3, 4])])
    assert found.nats == pytest.approx(-3 * math.log(29), abs=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_left_as_it_was(tiny, training):
    model = tiny(drop_rate=0.5)
    expected = likelihoods(model, PAIRS)
    assert likelihoods(model.train(training), PAIRS) == expected
    assert model.training is training


def test_no_pairs_have_no_likelihood(tiny):
    assert likelihoods(tiny(), []) == []


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (([], [1]), "pair 1: the context is empty; expected at least one token"),
        (([1], []), "pair 1: the ending is empty; expected at least one token"),
        (([1], [2] * 13), "pair 1: the ending has 13 tokens; the model reads 12 at once"),
    ],
)
def test_what_has_no_likelihood_is_refused_by_its_place(tiny, pair, message):
    with pytest.raises(ValueError, match=message):
        likelihoods(tiny(), [([1], [2]), pair])


def test_a_batch_of_none_is_refused(tiny):
    with pytest.raises(ValueError, match="batch_size is 0; expected at least 1"):
        likelihoods(tiny(), PAIRS, batch_size=0)


@pytest.mark.parametrize("held", [2, 1024])
def test_the_loss_of_each_target_is_its_cross_entropy_and_none_where_there_is_no_target(tiny, monkeypatch, held):
    monkeypatch.setattr("components.gpt.likelihood.POSITIONS", held)
    model = tiny().eval()
    inputs, targets = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[2, 3, 4], [-100, 6, -100]])
    found = losses(model, inputs, targets)
    with torch.no_grad():
        expected = F.cross_entropy(model(inputs).transpose(1, 2), targets, ignore_index=-100, reduction="none")
    assert found == pytest.approx(expected, abs=1e-5)
    assert found[1, 0] == found[1, 2] == 0.0


def test_a_batch_without_targets_has_no_losses(tiny):
    assert losses(tiny(), torch.tensor([[1, 2]]), torch.tensor([[-100, -100]])).tolist() == [[0.0, 0.0]]
