"""Rotary positions against Su et al.'s formula with complex numbers, and against what it is for."""

import cmath
import math

import pytest
import torch

from components.gpt.rotary import angles, rotated


def by_hand(numbers, position):
    """Return a head's `numbers` at `position`: the pair (j, j + half) is a complex number, times e^(i m theta_j).

    Source: Su et al. 2021, RoFormer, equations 12 to 15: theta_j = 10000^(-2 (j - 1) / d), j from 1 to d / 2.
    """
    size, half = len(numbers), len(numbers) // 2
    turned = [
        complex(numbers[j], numbers[j + half]) * cmath.exp(1j * position * 10_000 ** (-2 * j / size))
        for j in range(half)
    ]
    return [number.real for number in turned] + [number.imag for number in turned]


def at(x, positions):
    """Return `x`, (token, size), turned at `positions`: one row, one head of one kind."""
    return rotated(x[None, :, None, None], angles(torch.tensor([positions]), x.shape[-1]))[0, :, 0, 0]


def test_a_quarter_turn_of_a_single_pair():
    by = torch.tensor(0.0), torch.tensor(1.0)  # the cosine and sine of 90 degrees
    assert rotated(torch.tensor([[[[[3.0, 4.0]]]]]), by).flatten().tolist() == [-4.0, 3.0]


def test_a_pair_rotates_by_its_position_over_a_power_of_ten_thousand():
    cosines, sines = angles(torch.tensor([[0, 3]]), 4)
    radians = [0.0, 0.0, 3.0, 0.03]  # 3 x 10000^0 and 3 x 10000^(-2/4)
    assert cosines.shape == sines.shape == (1, 2, 1, 1, 2)
    assert cosines.flatten().tolist() == pytest.approx([math.cos(angle) for angle in radians])
    assert sines.flatten().tolist() == pytest.approx([math.sin(angle) for angle in radians])


@pytest.mark.parametrize("size", [2, 8, 64])
@pytest.mark.parametrize("positions", [[0, 1, 2], [5, 1023, 11]])
def test_it_is_the_papers_formula(size, positions):
    x = torch.randn(3, size, generator=torch.Generator().manual_seed(0))
    expected = [by_hand(row.tolist(), position) for row, position in zip(x, positions, strict=True)]
    torch.testing.assert_close(at(x, positions), torch.tensor(expected), atol=2e-4, rtol=0)  # 1023 rad in float32


def test_at_the_first_place_nothing_rotates():
    x = torch.randn(1, 8)
    assert torch.equal(at(x, [0]), x)


def test_a_rotation_changes_no_length():
    x = torch.randn(4, 8)
    torch.testing.assert_close(at(x, [1, 7, 50, 900]).norm(dim=-1), x.norm(dim=-1))


def test_the_product_of_a_query_and_a_key_depends_on_their_distance_alone():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 16, generator=generator).double()

    def product(query_at, key_at):
        return (at(query[None], [query_at]) * at(key[None], [key_at])).sum().item()

    for distance in (0, 1, 9):
        products = [product(place + distance, place) for place in (0, 3, 40)]
        assert products == pytest.approx([products[0]] * 3, abs=1e-4)
    assert abs(product(1, 0) - product(9, 0)) > 0.1
    assert abs(product(1, 0) - product(0, 1)) > 0.1  # before is not behind


def test_rows_may_stand_at_different_places_and_heads_rotate_alike():
    x = torch.randn(2, 1, 2, 3, 8)  # 2 rows, 1 token, queries and keys, 3 heads
    both = rotated(x, angles(torch.tensor([[4], [9]]), 8))
    for row, position in enumerate((4, 9)):
        expected = at(x[row].view(6, 8), [position] * 6).view(1, 2, 3, 8)
        torch.testing.assert_close(both[row], expected)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float64])
def test_the_precision_is_that_of_what_is_rotated(precision):
    assert at(torch.randn(1, 8).to(precision), [3]).dtype == precision
