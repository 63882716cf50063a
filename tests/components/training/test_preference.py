"""The loss against the paper's formula, worked out token by token; and what a training by it does."""

import dataclasses
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from components.training.loop import train
from components.training.losses import Batch
from components.training.optimizer import make
from components.training.preference import all_log_probabilities, dpo, log_probabilities
from tests.components.training.tiny import CPU, SETTINGS, VOCABULARY, tiny

LN_2 = 0.693147180559945
BETA = 0.1


class Same(nn.Module):
    """Gives the same logits for every token: probabilities 1/2, 1/4, 1/4."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.tensor([math.log(2.0), 0.0, 0.0]).expand(*ids.shape, -1)


def pairs_of(index: int, leads: Tensor | None = None) -> Batch:
    """Three pairs of 5 tokens, drawn from their number; the first two targets are prompt, one row ends early."""
    drawn = torch.randint(0, VOCABULARY, (3, 2, 6), generator=torch.Generator().manual_seed(index))
    inputs, targets = drawn[..., :-1].contiguous(), drawn[..., 1:].contiguous()
    targets[:, :, :2] = -100
    targets[1, 0, 4] = -100
    return inputs, targets, torch.zeros(3) if leads is None else leads


def by_hand(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean log-probability of one answer's tokens."""
    shares = model(inputs[None])[0].softmax(-1)
    return torch.stack([shares[k, t].log() for k, t in enumerate(targets.tolist()) if t != -100]).mean()


def test_an_answers_log_probability_is_the_mean_over_its_tokens_alone():
    inputs = torch.zeros(1, 2, 3, dtype=torch.int64)
    targets = torch.tensor([[[-100, 0, 1], [-100, 2, -100]]])
    chosen, rejected = log_probabilities(Same(), (inputs, targets))
    assert chosen.item() == pytest.approx((math.log(1 / 2) + math.log(1 / 4)) / 2)
    assert rejected.item() == pytest.approx(math.log(1 / 4))


def test_the_loss_is_ln_2_for_each_pair_where_the_model_is_the_reference():
    model = tiny()
    batch = pairs_of(1)
    chosen, rejected = all_log_probabilities(model, [batch], device=CPU)
    total, count = dpo(model, (*batch[:2], chosen - rejected), beta=BETA)
    assert (count.item(), count.dtype) == (3, torch.int64)
    assert total.item() / 3 == pytest.approx(LN_2, abs=1e-7)


def test_loss_and_gradient_are_those_of_the_papers_formula():
    torch.manual_seed(5)
    model, reference = tiny(), tiny()
    for parameter in reference.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    inputs, targets, _ = pairs_of(2)
    leads = torch.stack([by_hand(reference, *it[0]) - by_hand(reference, *it[1]) for it in rows(inputs, targets)])
    expected = torch.zeros(())
    for it, lead in zip(rows(inputs, targets), leads.detach(), strict=True):
        ratio = by_hand(model, *it[0]) - by_hand(model, *it[1]) - lead
        expected = expected - torch.log(1 / (1 + torch.exp(-0.7 * ratio)))
    expected.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    total, _ = dpo(model, (inputs, targets, leads.detach()), beta=0.7)
    total.backward()
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)
    assert abs(total.item() / 3 - LN_2) > 1e-3
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def rows(inputs: Tensor, targets: Tensor) -> list[list[tuple[Tensor, Tensor]]]:
    return [[(inputs[k, two], targets[k, two]) for two in range(2)] for k in range(len(inputs))]


@pytest.mark.parametrize(("margin", "loss"), [(2.0, 0.598139), (-2.0, 0.798139), (30.0, 0.048587)])
def test_a_margin_costs_what_the_formula_says(margin, loss):
    # -ln(1 / (1 + exp(-0.1 * margin))), by a calculator; of a model that finds both answers equally likely.
    batch = (torch.zeros(1, 2, 1, dtype=torch.int64), torch.ones(1, 2, 1, dtype=torch.int64), torch.tensor([-margin]))
    assert dpo(Same(), batch, beta=0.1)[0].item() == pytest.approx(loss, abs=1e-6)


def test_all_pairs_are_scored_as_if_dropout_were_off_and_the_model_is_left_as_it_was():
    model = tiny(drop_rate=0.5).train()
    batches = [pairs_of(1), pairs_of(2)]
    chosen, rejected = all_log_probabilities(model, batches, device=CPU)
    assert model.training
    assert not chosen.requires_grad
    assert (len(chosen), len(rejected)) == (6, 6)
    model.eval()
    assert chosen[4].item() == pytest.approx(by_hand(model, batches[1][0][1, 0], batches[1][1][1, 0]).item(), abs=1e-6)


def test_training_begins_at_ln_2_and_makes_the_chosen_answers_likelier():
    model = tiny()
    batch = pairs_of(3)
    chosen, rejected = all_log_probabilities(model, [batch], device=CPU)
    batch = (*batch[:2], chosen - rejected)
    settings = dataclasses.replace(SETTINGS, max_steps=30, batch_size=3)
    optimizers = make(model, settings.optimizer)
    loss = partial(dpo, beta=BETA)
    steps = list(train(model, lambda _: batch, loss, settings, device=CPU, optimizers=optimizers))
    assert steps[0].loss.item() == pytest.approx(LN_2, abs=1e-7)
    assert steps[-1].loss.item() < 0.65
    after = all_log_probabilities(model, [batch], device=CPU)
    assert ((after[0] - after[1]) > (chosen - rejected)).all()
