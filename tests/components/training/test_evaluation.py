"""Mean losses of models whose probabilities are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from components.training.evaluation import MeanLoss, mean_loss
from components.training.losses import Batch, next_token

CPU = torch.device("cpu")
VOCABULARY = 7


class Tiny(nn.Module):
    """An embedding, a block with dropout, a head."""

    def __init__(self, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Dropout(drop_rate))])
        self.head = nn.Linear(6, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.embedding(ids)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden)


def tiny(drop_rate: float = 0.0) -> Tiny:
    torch.manual_seed(0)
    return Tiny(drop_rate)


def batch_of(index: int, rows: int = 4) -> Batch:
    """Batch `index`: 5 tokens a row, each followed by the next number; drawn from its own number only."""
    inputs = torch.randint(0, VOCABULARY, (rows, 5), generator=torch.Generator().manual_seed(100 + index))
    return inputs, (inputs + 1) % VOCABULARY


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
