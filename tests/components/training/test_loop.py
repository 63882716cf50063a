"""The loop on models of a few dozen numbers, against plain torch written out."""

import dataclasses
import itertools
import math
import shutil
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from components.training import loop
from components.training.evaluation import mean_loss
from components.training.loop import NonFiniteLoss, Step, check, train
from components.training.losses import Batch, next_token
from components.training.optimizer import make
from components.training.schedule import ScheduleSettings
from tests.components.training.tiny import CPU, SETTINGS, VOCABULARY, Tiny, batch_of, flat, tiny


def stepping(model, settings=SETTINGS, batches=batch_of, loss=next_token, optimizers=None, **more) -> Iterator[Step]:
    optimizers = optimizers or make(model, settings.optimizer)
    return train(model, batches, loss, settings, device=CPU, optimizers=optimizers, **more)


def run(*arguments, **more) -> list[Step]:
    return list(stepping(*arguments, **more))


def test_the_loop_is_the_five_lines_of_plain_torch():
    ours, plain = tiny(), tiny()
    steps = run(ours)
    optimizer = AdamW(plain.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    losses = []
    for step in range(5):
        inputs, targets = batch_of(step)
        loss = nn.functional.cross_entropy(plain(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [step.loss.item() for step in steps] == pytest.approx(losses, abs=1e-6)
    assert torch.allclose(flat(ours), flat(plain), atol=1e-6)


def test_a_model_learns():
    steps = run(tiny(), dataclasses.replace(SETTINGS, max_steps=200))
    assert steps[0].loss.item() == pytest.approx(math.log(VOCABULARY), abs=1.0)
    assert steps[-1].loss.item() < 0.2


def test_steps_are_numbered_from_0_and_count_their_targets():
    steps = run(tiny(), dataclasses.replace(SETTINGS, accumulate=3))
    assert [step.step for step in steps] == [0, 1, 2, 3, 4]
    assert [step.tokens for step in steps] == [3 * 4 * 5] * 5


def test_each_step_asks_for_its_own_batches_in_order():
    asked = []

    def batches(index: int) -> Batch:
        asked.append(index)
        return batch_of(index)

    run(tiny(), dataclasses.replace(SETTINGS, max_steps=4, accumulate=2), batches, first_step=1)
    assert asked == [2, 3, 4, 5, 6, 7]


def accumulated_and_whole(mask: Tensor | None = None, clip_norm: float | None = None) -> tuple[list[Step], list[Step]]:
    """Two models trained on the same 12 rows a step: as 3 batches of 4, and as 1 of 12; their weights must agree."""

    def whole(index: int) -> Batch:
        inputs, targets = batch_of(index, rows=12)
        return inputs, targets if mask is None else targets.masked_fill(mask, -100)

    def third(index: int) -> Batch:
        rows = slice(index % 3 * 4, index % 3 * 4 + 4)
        return tuple(tensor[rows] for tensor in whole(index // 3))

    apart, together = tiny(), tiny()
    settings = dataclasses.replace(SETTINGS, clip_norm=clip_norm)
    steps_apart = run(apart, dataclasses.replace(settings, accumulate=3), third)
    steps_together = run(together, dataclasses.replace(settings, batch_size=12), whole)
    assert torch.allclose(flat(apart), flat(together), rtol=0.0, atol=1e-6)
    return steps_apart, steps_together


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulating_equals_one_big_batch(clip_norm):
    apart, together = accumulated_and_whole(clip_norm=clip_norm)
    assert [s.loss.item() for s in apart] == pytest.approx([s.loss.item() for s in together], abs=1e-6)
    norms = [s.gradient_norm.item() for s in together]
    assert [s.gradient_norm.item() for s in apart] == pytest.approx(norms, abs=1e-6)


def test_accumulating_equals_one_big_batch_when_the_batches_differ_in_targets():
    mask = torch.zeros(12, 5, dtype=torch.bool)
    mask[0:4, 1:] = True  # 4 targets in the first batch,
    mask[4:8] = True  # none in the second,
    apart, together = accumulated_and_whole(mask)  # 20 in the third
    assert [s.tokens for s in apart] == [s.tokens for s in together] == [24] * 5
    assert [s.loss.item() for s in apart] == pytest.approx([s.loss.item() for s in together], abs=1e-6)


def test_a_long_gradient_is_shortened_to_the_norm_and_a_short_one_left_alone():
    # Plain gradient descent shows the gradient itself: weights move by lr * gradient.
    def moved(clip_norm: float | None) -> tuple[float, float]:
        model = tiny()
        before = flat(model)
        optimizer = torch.optim.SGD([{"params": model.parameters(), "peak_learning_rate": 1.0}], lr=1.0, fused=True)
        settings = dataclasses.replace(SETTINGS, max_steps=1, clip_norm=clip_norm)
        (step,) = run(model, settings, optimizers=[optimizer])
        return (flat(model) - before).norm().item(), step.gradient_norm.item()

    free, norm = moved(None)
    assert free == pytest.approx(norm, rel=1e-4)
    assert moved(0.5 * norm) == pytest.approx((0.5 * norm, norm), rel=1e-4)
    assert moved(2.0 * norm) == pytest.approx((norm, norm), rel=1e-4)


def test_the_rate_of_each_step_is_the_schedules():
    schedule = ScheduleSettings("linear", warmup_steps=2, initial=0.0, minimum=0.0, decay_share=0.4)
    steps = run(tiny(), dataclasses.replace(SETTINGS, schedule=schedule))
    assert [step.learning_rate for step in steps] == pytest.approx([0.0, 0.005, 0.01, 0.01, 0.005])


def test_a_rate_of_zero_moves_nothing():
    model = tiny()
    schedule = ScheduleSettings("cosine", warmup_steps=1, initial=0.0, minimum=0.0, decay_share=0.0)
    before = flat(model)
    run(model, dataclasses.replace(SETTINGS, max_steps=1, schedule=schedule))
    assert torch.equal(flat(model), before)


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(name, precision):
    optimizer = dataclasses.replace(SETTINGS.optimizer, name=name)
    settings = dataclasses.replace(SETTINGS, optimizer=optimizer, precision=precision, accumulate=2)
    one, two, other = tiny(drop_rate=0.5), tiny(drop_rate=0.5), tiny(drop_rate=0.5)
    run(one, settings)
    torch.rand(17)  # what else the process draws does not matter
    run(two, settings)
    run(other, dataclasses.replace(settings, seed=4))
    assert torch.equal(flat(one), flat(two))
    assert not torch.equal(flat(one), flat(other))


def test_dropout_differs_from_step_to_step():
    seen = []

    class Watched(Tiny):
        def forward(self, ids: Tensor) -> Tensor:
            seen.append(self.blocks[0].dropout(torch.ones(64)))
            return super().forward(ids)

    torch.manual_seed(0)
    run(Watched(drop_rate=0.5))
    assert all(not torch.equal(one, two) for one, two in itertools.pairwise(seen))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_taken_up_in_the_middle_ends_with_the_same_weights(name):
    settings = dataclasses.replace(SETTINGS, optimizer=dataclasses.replace(SETTINGS.optimizer, name=name))
    through, broken = tiny(drop_rate=0.5), tiny(drop_rate=0.5)
    run(through, settings)
    optimizers = make(broken, settings.optimizer)
    for step in stepping(broken, settings, optimizers=optimizers):
        if step.step == 1:
            break
    taken_up = tiny(drop_rate=0.5)
    taken_up.load_state_dict(broken.state_dict())
    again = make(taken_up, settings.optimizer)
    for new, old in zip(again, optimizers, strict=True):
        new.load_state_dict(old.state_dict())
    steps = run(taken_up, settings, first_step=2, optimizers=again)
    assert [step.step for step in steps] == [2, 3, 4]
    assert torch.equal(flat(taken_up), flat(through))


@pytest.mark.parametrize("first_step", [0, 3, 9])
def test_no_steps_leave_the_model_as_it_is(first_step):
    model = tiny()
    before = flat(model)
    assert run(model, dataclasses.replace(SETTINGS, max_steps=0), first_step=first_step) == []
    assert torch.equal(flat(model), before)


def test_what_the_caller_does_between_steps_changes_nothing():
    quiet, busy = tiny(drop_rate=0.5), tiny(drop_rate=0.5)
    run(quiet)
    for _ in stepping(busy):
        mean_loss(busy, [batch_of(50)], next_token, device=CPU)
        busy.eval()
        torch.manual_seed(99)
    assert torch.equal(flat(quiet), flat(busy))


def test_the_callers_generator_and_choice_of_algorithms_are_kept():
    inside = []

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        inside.append(torch.are_deterministic_algorithms_enabled())
        return next_token(model, batch)

    model = tiny(drop_rate=0.5)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for _ in stepping(model, loss=loss):
        assert not torch.are_deterministic_algorithms_enabled()
    mean_loss(model, [batch_of(0)], loss, device=CPU)
    assert inside == [True] * 6
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_names_the_step_without_moving_the_weights(poison):
    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        total, count = next_token(model, batch[:2])
        return total * batch[2], count

    def batches(index: int) -> Batch:
        return *batch_of(index), torch.tensor(poison if index == 2 else 1.0)

    model, good = tiny(), tiny()
    run(good, dataclasses.replace(SETTINGS, max_steps=2))
    with pytest.raises(NonFiniteLoss, match="step 2: the loss is") as stopped:
        run(model, batches=batches, loss=loss)
    assert (stopped.value.step, stopped.value.batches) == (2, range(2, 3))
    assert torch.equal(flat(model), flat(good))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_where_flags_are_read_late_no_later_step_moves_the_weights_either(monkeypatch, name):
    """As on a device, whose flags are read every few steps only."""

    def batches(index: int) -> Batch:
        return *batch_of(index), torch.tensor(math.nan if index == 2 else 1.0)

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        total, count = next_token(model, batch[:2])
        return total * batch[2], count

    settings = dataclasses.replace(SETTINGS, optimizer=dataclasses.replace(SETTINGS.optimizer, name=name))
    model, good = tiny(), tiny()
    run(good, dataclasses.replace(settings, max_steps=2))
    seen: list[Step] = []
    with monkeypatch.context() as patch:
        patch.setattr(loop, "check", seen.extend)
        run(model, settings, batches, loss)
    assert [bool(step.is_finite) for step in seen] == [True, True, False, False, False]
    assert torch.equal(flat(model), flat(good))
    with pytest.raises(NonFiniteLoss, match="step 2: the loss is nan over 20 targets"):
        check(seen)


def test_the_next_batch_is_fetched_while_one_is_in_use():
    asked: list[int] = []
    fetched = threading.Event()

    def batches(index: int) -> Batch:
        asked.append(index)
        if index == 1:
            fetched.set()
        return batch_of(index)

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        assert fetched.wait(10)
        return next_token(model, batch)

    run(tiny(), batches=batches, loss=loss)
    assert asked == [0, 1, 2, 3, 4]


def test_an_error_in_a_batch_reaches_the_caller():
    def batches(index: int) -> Batch:
        if index == 3:
            raise ValueError("row 7 is damaged")
        return batch_of(index)

    steps = stepping(tiny(), batches=batches)
    with pytest.raises(ValueError, match="row 7 is damaged"):
        list(steps)


def test_a_gradient_that_is_not_finite_stops_too():
    # The square root of zero is finite, its slope is not.
    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        total, count = next_token(model, batch)
        return total + (total - total.detach()).clamp(min=0).sqrt(), count

    model = tiny()
    before = flat(model)
    with pytest.raises(NonFiniteLoss, match=r"step 0: the loss is .* norm of its gradient (inf|nan)"):
        run(model, loss=loss)
    assert torch.equal(flat(model), before)


def test_a_step_without_a_single_target_stops_and_says_so():
    def nothing(index: int) -> Batch:
        inputs, targets = batch_of(index)
        return inputs, torch.full_like(targets, -100)

    with pytest.raises(NonFiniteLoss, match="step 0: the loss is nan over 0 targets"):
        run(tiny(), batches=nothing)


def test_gradients_left_over_from_before_are_not_used():
    clean, stale = tiny(), tiny()
    for parameter in stale.parameters():
        parameter.grad = torch.ones_like(parameter)
    run(clean)
    run(stale)
    assert torch.equal(flat(clean), flat(stale))


def test_frozen_parameters_stay():
    model = tiny()
    model.embedding.requires_grad_(False)
    before, head = model.embedding.weight.clone(), model.head.weight.detach().clone()
    run(model)
    assert torch.equal(model.embedding.weight, before)
    assert not torch.equal(model.head.weight, head)


def test_bfloat16_computes_the_products_in_bfloat16_and_keeps_the_weights_in_float32():
    seen = []

    class Watched(Tiny):
        def forward(self, ids: Tensor) -> Tensor:
            logits = super().forward(ids)
            seen.append(logits.dtype)
            return logits

    torch.manual_seed(0)
    model = Watched()
    steps = run(model, dataclasses.replace(SETTINGS, precision="bfloat16"))
    exact = run(tiny())
    assert set(seen) == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert [s.loss.item() for s in steps] == pytest.approx([s.loss.item() for s in exact], rel=0.02)


def test_evaluation_follows_step_0_every_nth_and_the_last():
    settings = dataclasses.replace(SETTINGS, max_steps=8, evaluate_every=3)
    assert [step for step in range(8) if settings.is_evaluated(step)] == [0, 3, 6, 7]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_steps", -1),
        ("batch_size", 0),
        ("accumulate", 0),
        ("clip_norm", 0.0),
        ("evaluate_every", 0),
        ("evaluate_batches", 0),
        ("seed", -1),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        dataclasses.replace(SETTINGS, **{field: value})


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing its compiler
def test_a_compiled_model_learns_the_same():
    compiled, eager = tiny(), tiny()
    settings = dataclasses.replace(SETTINGS, max_steps=2)

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        if not torch.compiler.is_compiling():
            raise AssertionError("the loss is to be compiled with the model")
        return next_token(model, batch)

    run(compiled, dataclasses.replace(settings, compile=True), loss=loss)
    run(eager, settings)
    assert torch.allclose(flat(compiled), flat(eager), atol=1e-6)
