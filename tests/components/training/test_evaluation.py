"""Mean losses of models whose probabilities are known."""

import math

import pytest
import torch

from components.training.evaluation import MeanLoss, mean_loss
from components.training.losses import next_token
from tests.components.training.tiny import CPU, VOCABULARY, batch_of, tiny


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_restores_the_mode_and_leaves_no_gradient(training):
    model = tiny(drop_rate=0.5).train(training)
    one = mean_loss(model, [batch_of(0)], next_token, device=CPU)
    two = mean_loss(model, [batch_of(0)], next_token, device=CPU)
    assert one == two  # no dropout
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_restores_the_mode_after_an_error_too():
    model = tiny()
    with pytest.raises(IndexError):
        mean_loss(model, [(torch.tensor([[VOCABULARY]]), torch.tensor([[0]]))], next_token, device=CPU)
    assert model.training
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_mean_over_batches_of_unequal_size_is_the_mean_over_targets():
    model = tiny()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.log(torch.tensor([4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0])))
    # Probabilities 1/3 and 1/12, whatever the input: five targets of ln 3, one of ln 12, one ignored.
    batches = [
        (torch.zeros(1, 5).long(), torch.tensor([[0, 0, 0, 0, 0]])),
        (torch.zeros(1, 2).long(), torch.tensor([[3, -100]])),
    ]
    result = mean_loss(model, iter(batches), next_token, device=CPU)
    assert result.count == 6
    assert result.value == pytest.approx((5 * math.log(3) + math.log(12)) / 6, abs=1e-6)


def test_the_mean_over_nothing_is_refused():
    with pytest.raises(ValueError, match="no target"):
        mean_loss(tiny(), [], next_token, device=CPU)


def test_the_mean_loss_is_a_number_in_nats_and_its_count():
    model = tiny()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    result = mean_loss(model, [batch_of(0)], next_token, device=CPU)
    assert result == MeanLoss(pytest.approx(math.log(VOCABULARY), abs=1e-6), 20)
