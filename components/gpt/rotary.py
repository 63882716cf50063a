"""Rotary positions: a token's place rotates its queries and keys, so that a product of the two knows their distance.

Source: Su et al. 2021, RoFormer, section 3.2.2; the halves of a head are rotated against each other, as in GPT-NeoX.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

BASE = 10_000
"""The slowest pair of numbers rotates by about one radian in so many tokens."""

Angles = tuple[Float[Tensor, "row token 1 1 half"], Float[Tensor, "row token 1 1 half"]]
"""Cosines and sines of the angle of each pair of numbers in a head; one row where all rows stand at equal places."""


def angles(positions: Int64[Tensor, "row token"], size: int) -> Angles:
    """Return the angles at `positions` for heads of `size` numbers, an even count."""
    pairs = torch.arange(0, size, 2, dtype=torch.float32, device=positions.device)
    by = positions[:, :, None, None, None] * BASE ** (-pairs / size)
    return by.cos(), by.sin()


def rotated(x: Float[Tensor, "batch token kind head size"], by: Angles) -> Float[Tensor, "batch token kind head size"]:
    """Return `x` with each head's first half and second half rotated against each other, pair by pair."""
    out: Tensor = _Rotation.apply(x, *by)  # type: ignore[no-untyped-call]
    return out


class _Rotation(torch.autograd.Function):
    """Its gradient is rotated back: less work than the gradient of each of its sums and products."""

    @staticmethod
    def forward(context: Any, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        context.save_for_backward(cosines, sines)
        return _rotated(x, cosines, sines)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cosines, sines = context.saved_tensors
        return _rotated(gradient, cosines, -sines), None, None


def _rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Return `x` rotated, in the precision of the angles or its own, whichever is the finer, and then in its own."""
    first, second = x.chunk(2, dim=-1)
    halves = torch.addcmul(first * cosines, second, -sines), torch.addcmul(second * cosines, first, sines)
    return torch.cat(halves, dim=-1).to(x.dtype)
