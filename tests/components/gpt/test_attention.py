"""The backward pass of matrix products against torch's own attention."""

import pytest
import torch
import torch.nn.functional as F

from components.gpt import attention


@pytest.mark.parametrize("tokens", [1, 5, 8, 21])  # one block of rows, exactly one, several with a last short one
def test_the_gradients_are_those_of_torchs_attention(tokens, monkeypatch):
    monkeypatch.setattr(attention, "ROWS", 8)
    generator = torch.Generator().manual_seed(0)
    heads = [torch.randn(2, 3, tokens, 4, generator=generator) for _ in range(4)]
    ours, theirs = ([each.clone().requires_grad_() for each in heads[:3]] for _ in range(2))
    mixed = attention._Causal.apply(*ours, None)
    expected = F.scaled_dot_product_attention(*theirs, is_causal=True)
    assert torch.allclose(mixed, expected, atol=1e-6)
    mixed.backward(heads[3])
    expected.backward(heads[3])
    for mine, yours in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, yours.grad, atol=1e-5)


def test_the_gradients_under_a_mask_are_those_of_torchs_attention(monkeypatch):
    monkeypatch.setattr(attention, "ROWS", 8)
    generator = torch.Generator().manual_seed(0)
    heads = [torch.randn(2, 3, 21, 4, generator=generator) for _ in range(4)]
    text = torch.tensor([[0] * 5 + [1] * 16, [0] * 20 + [1]])  # two rows, each of two texts
    mask = (text[:, :, None] == text[:, None, :]).tril()[:, None]
    ours, theirs = ([each.clone().requires_grad_() for each in heads[:3]] for _ in range(2))
    mixed = attention._Causal.apply(*ours, mask)
    expected = F.scaled_dot_product_attention(*theirs, mask)
    assert torch.allclose(mixed, expected, atol=1e-6)
    mixed.backward(heads[3])
    expected.backward(heads[3])
    for mine, yours in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, yours.grad, atol=1e-5)


def test_a_single_query_sees_every_key():
    keys = torch.zeros(1, 1, 4, 2)
    values = torch.arange(8.0).view(1, 1, 4, 2)
    mixed = attention.attend(torch.ones(1, 1, 1, 2), keys, values, mask=None, drop_rate=0.0)
    assert mixed.flatten().tolist() == [3.0, 4.0]  # the mean of the values


def test_a_mask_says_what_is_seen():
    values = torch.arange(8.0).view(1, 1, 4, 2)
    mask = torch.tensor([[False, True, False, True]] * 4)
    mixed = attention.attend(torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4, 2), values, mask=mask, drop_rate=0.0)
    assert mixed.flatten().tolist() == [4.0, 5.0] * 4


def test_without_a_mask_each_sees_up_to_its_own_place():
    values = torch.tensor([2.0, 4.0, 12.0]).view(1, 1, 3, 1)
    nothing = torch.zeros(1, 1, 3, 1)
    mixed = attention.attend(nothing, nothing, values, mask=None, drop_rate=0.0)
    assert torch.allclose(mixed.flatten(), torch.tensor([2.0, 3.0, 6.0]))
