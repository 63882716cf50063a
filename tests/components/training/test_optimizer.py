"""Which parameter is moved by what, and how far."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from components.training.optimizer import OptimizerSettings, make, set_learning_rates, step

ADAMW = OptimizerSettings(
    name="adamw",
    learning_rate=0.01,
    adamw_learning_rate=None,
    weight_decay=0.1,
    decay="matrices",
    beta1=0.9,
    beta2=0.95,
    momentum=0.95,
)
MUON = dataclasses.replace(ADAMW, name="muon", adamw_learning_rate=0.003)


class Blocks(nn.Module):
    """The shape of a language model: embedding, two blocks, a norm, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 3)) for _ in range(2))
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 5, bias=False)


def names_of(model: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    return {name for name, parameter in model.named_parameters() if any(parameter is p for p in parameters)}


def give_gradients(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def str_of_bits(state: object) -> str:
    """Return text that differs where a bit of a tensor does, minus zero and zero included."""
    if isinstance(state, torch.Tensor):
        return state.detach().numpy().tobytes().hex()
    if isinstance(state, dict):
        return str({key: str_of_bits(value) for key, value in state.items()})
    return str([str_of_bits(value) for value in state]) if isinstance(state, list) else str(state)


def test_one_adamw_step_is_the_formula_of_the_paper():
    # Loshchilov and Hutter 2019, algorithm 2, by hand: after one step m-hat = g and v-hat = g^2, so the
    # adaptive part is lr * sign(g) and the decay is lr * wd * weight.
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0]]))
    model.weight.grad = torch.tensor([[0.5, -4.0]])
    make(model, ADAMW)[0].step()
    expected = [[1.0 - 0.01 * 0.1 * 1.0 - 0.01, -2.0 + 0.01 * 0.1 * 2.0 + 0.01]]
    assert torch.allclose(model.weight, torch.tensor(expected), atol=1e-6)


def test_adamw_with_everything_decaying_is_torchs_own_over_many_steps():
    torch.manual_seed(0)
    ours, theirs = Blocks(), Blocks()
    theirs.load_state_dict(ours.state_dict())
    (our_optimizer,) = make(ours, dataclasses.replace(ADAMW, decay="all"))
    their_optimizer = AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(5):
        give_gradients(ours)
        give_gradients(theirs)
        our_optimizer.step()
        their_optimizer.step()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, yours, atol=1e-7)


def test_only_matrices_and_embeddings_decay():
    model = Blocks()
    (optimizer,) = make(model, ADAMW)
    decayed, kept = optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    matrices = {"embedding.weight", "blocks.0.1.weight", "blocks.1.1.weight", "head.weight"}
    assert names_of(model, decayed["params"]) == matrices
    assert names_of(model, kept["params"]) == {name for name, _ in model.named_parameters()} - matrices


def test_everything_decays_if_asked():
    (optimizer,) = make(Blocks(), dataclasses.replace(ADAMW, decay="all"))
    (group,) = optimizer.param_groups
    assert group["weight_decay"] == 0.1
    assert len(group["params"]) == 12


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = Blocks()
    muon, adamw = make(model, MUON)
    assert isinstance(muon, Muon)
    assert isinstance(adamw, AdamW)
    (matrices,) = muon.param_groups
    assert names_of(model, matrices["params"]) == {"blocks.0.1.weight", "blocks.1.1.weight"}
    assert (matrices["lr"], matrices["momentum"], matrices["adjust_lr_fn"]) == (0.01, 0.95, "match_rms_adamw")
    assert [group["lr"] for group in adamw.param_groups] == [0.003, 0.003]
    assert names_of(model, adamw.param_groups[0]["params"]) == {"embedding.weight", "head.weight"}
    assert sum(len(group["params"]) for group in adamw.param_groups) == 10


def test_muon_moves_a_matrix_as_far_as_adamw_would():
    # Liu et al. 2025, eq. 4: 0.2 sqrt(max(rows, columns)) times an orthogonal matrix has a root mean square of 0.2 at
    # full rank, what AdamW's steps have; torch's five Newton-Schulz steps reach singular values of 0.7 to 1.2.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64, bias=False))
    before = model[0].weight.detach().clone()
    give_gradients(model)
    (optimizer,) = make(model, dataclasses.replace(MUON, weight_decay=0.0))
    optimizer.step()
    moved = (model[0].weight.detach() - before).square().mean().sqrt().item()
    assert 0.7 * 0.2 * 0.01 < moved < 1.2 * 0.2 * 0.01


def test_without_a_rate_of_its_own_adamw_shares_muons():
    _, adamw = make(Blocks(), dataclasses.replace(MUON, adamw_learning_rate=None))
    assert {group["lr"] for group in adamw.param_groups} == {0.01}


def test_a_tied_head_is_moved_once_and_not_by_muon():
    model = Blocks()
    model.head.weight = model.embedding.weight
    muon, adamw = make(model, MUON)
    moved = [p for optimizer in (muon, adamw) for group in optimizer.param_groups for p in group["params"]]
    assert sum(p is model.head.weight for p in moved) == 1
    assert all(p is not model.head.weight for p in muon.param_groups[0]["params"])


def test_frozen_parameters_are_left_out():
    model = Blocks()
    model.blocks.requires_grad_(False)
    optimizers = make(model, MUON)
    assert [type(optimizer) for optimizer in optimizers] == [AdamW]
    moved = [p for group in optimizers[0].param_groups for p in group["params"]]
    assert names_of(model, moved) == {"embedding.weight", "norm.weight", "norm.bias", "head.weight"}


def test_the_schedule_scales_each_group_from_its_own_peak():
    optimizers = make(Blocks(), MUON)
    set_learning_rates(optimizers, 0.5)
    set_learning_rates(optimizers, 0.25)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == [0.0025, 0.00075, 0.00075]


@pytest.mark.parametrize("settings", [ADAMW, MUON])
def test_saved_state_goes_on_bit_for_bit(settings):
    torch.manual_seed(0)
    model, twin = Blocks(), Blocks()
    optimizers, copied = make(model, settings), make(twin, settings)
    for _ in range(2):
        give_gradients(model)
        for optimizer in optimizers:
            optimizer.step()
    twin.load_state_dict(model.state_dict())
    for optimizer, other in zip(optimizers, copied, strict=True):
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # shares the tensors otherwise
    for each, its in ((model, optimizers), (twin, copied)):
        give_gradients(each)
        for optimizer in its:
            optimizer.step()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other)


class Wide(nn.Module):
    """Two blocks with a tall, a wide and a square matrix each."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((8, 24), (8, 8), (32, 8))
        self.blocks = nn.ModuleList(nn.ModuleList(nn.Linear(*shape, bias=False) for shape in shapes) for _ in range(2))


def test_muon_is_torchs_bit_for_bit():
    torch.manual_seed(0)
    ours, theirs = Wide(), Wide()
    theirs.load_state_dict(ours.state_dict())
    (our_muon,) = make(ours, MUON)
    their_muon = Muon(theirs.parameters(), lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for model, muon in ((ours, our_muon), (theirs, their_muon)):
            give_gradients(model)
            muon.step()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, yours)
        assert torch.equal(our_muon.state[mine]["momentum_buffer"], their_muon.state[yours]["momentum_buffer"])


def test_muon_moves_queries_keys_and_values_as_torchs_moves_three_matrices():
    torch.manual_seed(0)
    ours = nn.ModuleList([nn.ModuleDict({"qkv": nn.Linear(8, 24, bias=False)})])
    fused = ours[0]["qkv"].weight
    three = [nn.Parameter(part.clone()) for part in fused.detach().chunk(3)]
    (our_muon,) = make(ours, MUON)
    their_muon = Muon(three, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        give_gradients(ours)
        for part, gradient in zip(three, fused.grad.chunk(3), strict=True):
            part.grad = gradient.clone()
        our_muon.step()
        their_muon.step()
    assert torch.equal(fused, torch.cat(three))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1.0])
@pytest.mark.parametrize("settings", [ADAMW, MUON])
def test_a_cancelled_update_leaves_weights_and_state_bit_for_bit(settings, poison):
    torch.manual_seed(0)
    model = Blocks()
    optimizers = make(model, settings)
    give_gradients(model)
    step(optimizers, torch.tensor(True))
    before = copy.deepcopy([model.state_dict(), *(optimizer.state_dict() for optimizer in optimizers)])
    for parameter in model.parameters():
        parameter.grad.view(-1)[0] = poison
    step(optimizers, torch.tensor(False))
    after = [model.state_dict(), *(optimizer.state_dict() for optimizer in optimizers)]
    assert str_of_bits(after) == str_of_bits(before)
    give_gradients(model)
    step(optimizers, torch.tensor(True))
    assert str_of_bits([model.state_dict()]) != str_of_bits(before[:1])


@pytest.mark.parametrize("settings", [ADAMW, MUON])
def test_a_cancelled_first_update_makes_no_difference_to_the_next(settings):
    torch.manual_seed(0)
    model, twin = Blocks(), Blocks()
    twin.load_state_dict(model.state_dict())
    optimizers, others = make(model, settings), make(twin, settings)
    for parameter in twin.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    step(others, torch.tensor(False))
    for each, its in ((model, optimizers), (twin, others)):
        give_gradients(each)
        step(its, torch.tensor(True))
    assert str_of_bits(twin.state_dict()) == str_of_bits(model.state_dict())


@pytest.mark.parametrize("settings", [ADAMW, MUON])
def test_an_update_that_is_not_cancelled_is_the_plain_one(settings):
    torch.manual_seed(0)
    model, twin = Blocks(), Blocks()
    twin.load_state_dict(model.state_dict())
    optimizers, others = make(model, settings), make(twin, settings)
    for _ in range(3):
        give_gradients(model)
        give_gradients(twin)
        step(optimizers, torch.tensor(True))
        for other in others:
            other.step()
    assert str_of_bits(twin.state_dict()) == str_of_bits(model.state_dict())


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="no parameter to train"):
        make(Blocks().requires_grad_(False), ADAMW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("adamw_learning_rate", -1.0),
        ("weight_decay", -0.1),
        ("beta1", 1.0),
        ("beta2", -0.5),
        ("momentum", 1.0),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        dataclasses.replace(ADAMW, **{field: value})
