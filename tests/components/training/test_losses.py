"""The losses against cross entropies worked out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from components.training import losses
from components.training.losses import label, next_token


class Same(nn.Module):
    """Gives the same logits for every token, whatever it is."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits.expand(*ids.shape, -1)


class Pooled(nn.Module):
    """Gives the length of a row as the logit of label 1 and zero for label 0."""

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(ids)), lengths.float()], dim=1)


# Probabilities 1/2, 1/4, 1/4: losses ln 2 and ln 4.
HALF_AND_QUARTERS = [math.log(2.0), 0.0, 0.0]


def test_the_loss_of_the_next_token_is_summed_in_nats_and_counted():
    total, count = next_token(Same(HALF_AND_QUARTERS), (torch.zeros(2, 2).long(), torch.tensor([[0, 1], [2, 0]])))
    assert total.item() == pytest.approx(2 * math.log(2) + 2 * math.log(4), abs=1e-6)
    assert count.item() == 4


def test_an_ignored_target_is_neither_summed_nor_counted():
    total, count = next_token(Same(HALF_AND_QUARTERS), (torch.zeros(1, 3).long(), torch.tensor([[-100, 0, -100]])))
    assert total.item() == pytest.approx(math.log(2), abs=1e-6)
    assert count.item() == 1


def test_a_batch_without_targets_is_a_loss_of_zero_over_none():
    total, count = next_token(Same(HALF_AND_QUARTERS), (torch.zeros(1, 2).long(), torch.tensor([[-100, -100]])))
    assert (total.item(), count.item()) == (0.0, 0)


def test_the_loss_of_bfloat16_logits_is_summed_in_float32():
    model = Same([0.0, 0.0, 0.0]).to(torch.bfloat16)
    total, _ = next_token(model, (torch.zeros(10, 100).long(), torch.zeros(10, 100).long()))
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(1000 * math.log(3), rel=1e-6)


class Embedded(nn.Module):
    """A language model of two tables, with what the loss in parts asks of a GPT."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 3), nn.Linear(3, 7, bias=False)

    def hidden(self, ids: Tensor) -> Tensor:
        return self.embedding(ids)

    @property
    def output_weight(self) -> Tensor:
        return self.head.weight


@pytest.mark.parametrize("rows", [1, 4, 15, 100])
@pytest.mark.parametrize("type", [torch.float32, torch.float64])
def test_logits_made_in_parts_have_the_loss_and_the_gradient_of_all_at_once(monkeypatch, rows, type):
    torch.manual_seed(0)
    model = Embedded().to(type)
    inputs, targets = torch.randint(7, (3, 5)), torch.randint(7, (3, 5))
    targets[1, 2] = -100
    whole = nn.functional.cross_entropy(model.head(model.embedding(inputs)).flatten(0, 1), targets.flatten())
    whole.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(losses, "_ROWS", rows)
    total, count = next_token(model, (inputs, targets))
    (total / count).backward()
    assert count.item() == 14
    assert torch.allclose(total / count, whole, rtol=1e-6, atol=1e-6)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-6, atol=1e-6)


def test_logits_in_parts_are_bfloat16_products_summed_in_float32_under_autocast():
    # 7 tokens are padded to 64 there, which must not show.
    torch.manual_seed(0)
    model = Embedded()
    batch = (torch.randint(7, (3, 5)), torch.randint(7, (3, 5)))
    exact, _ = next_token(model, batch)
    exact.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = next_token(model, batch)
    total.backward()
    assert (total.dtype, model.head.weight.grad.dtype) == (torch.float32, torch.float32)
    assert total.item() == pytest.approx(exact.item(), rel=0.01)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert (parameter.grad - gradient).norm() < 0.02 * gradient.norm()


def test_without_gradients_there_are_none():
    model = Embedded()
    with torch.no_grad():
        total, _ = next_token(model, (torch.zeros(2, 3).long(), torch.ones(2, 3).long()))
    assert not total.requires_grad


def test_a_frozen_head_gets_no_gradient():
    model = Embedded()
    model.head.requires_grad_(False)
    next_token(model, (torch.zeros(2, 3).long(), torch.ones(2, 3).long()))[0].backward()
    assert model.head.weight.grad is None
    assert model.embedding.weight.grad is not None


def test_the_loss_of_a_label_reads_ids_and_lengths():
    # Logits 0 and ln 3: probabilities 1/4 and 3/4.
    batch = (torch.zeros(2, 5).long(), torch.tensor([math.log(3.0)] * 2), torch.tensor([0, 1]))
    total, count = label(Pooled(), batch)
    assert total.item() == pytest.approx(math.log(4) + math.log(4 / 3), abs=1e-6)
    assert count.item() == 2


def test_a_row_without_a_label_is_not_counted():
    batch = (torch.zeros(2, 5).long(), torch.tensor([0.0, 0.0]), torch.tensor([-100, 1]))
    total, count = label(Pooled(), batch)
    assert total.item() == pytest.approx(math.log(2), abs=1e-6)
    assert count.item() == 1
