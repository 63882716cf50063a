"""Processes of gloo on this processor, started as torchrun starts them, against one process.

Run as a program, this file is one of the processes: it writes what it has found, and the tests read it.
"""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from components.training import distributed, state
from components.training.evaluation import mean_loss
from components.training.loop import TrainingSettings, train
from components.training.losses import Batch, next_token
from components.training.optimizer import make
from tests.components.training.tiny import CPU, SETTINGS, Tiny, batch_of, flat

ROOT = Path(__file__).parents[3]
ROWS = 5  # of a batch: neither two nor three processes have equal parts
WAYS = ("whole", "shards")
HOW = list(itertools.product(("adamw", "muon"), (1, 3)))
CASES = [(way, *each) for way in WAYS for each in HOW]


class Tied(Tiny):
    """Its embedding is the head too."""

    def __init__(self, drop_rate: float) -> None:
        super().__init__(drop_rate)
        del self.head

    def forward(self, ids: Tensor) -> Tensor:
        return self.normed(ids) @ self.embedding.weight.T


def tied(drop_rate: float = 0.0) -> Tied:
    torch.manual_seed(0)
    return Tied(drop_rate)


def masked(index: int, rows: int = ROWS) -> Batch:
    """Of the last two rows one has one target, the other none."""
    inputs, targets = batch_of(index, rows)
    targets[-2:, 1:] = -100
    targets[-1] = -100
    return inputs, targets


def how(optimizer: str = "adamw", accumulate: int = 1, **changes) -> TrainingSettings:
    """Return settings of four steps, some of whose gradients are shortened."""
    chosen = dataclasses.replace(SETTINGS.optimizer, name=optimizer)
    here = {"max_steps": 4, "batch_size": ROWS, "clip_norm": 0.3}
    return dataclasses.replace(SETTINGS, optimizer=chosen, accumulate=accumulate, **(here | changes))


class Run:
    """A training in this process, or in this one and others: its model, optimizers and numbers."""

    def __init__(self, way: str, settings: TrainingSettings, drop_rate: float = 0.0) -> None:
        self.plain, self.settings = tied(drop_rate), settings
        self.sharded = distributed.shard(self.plain, next_token, CPU) if way == "shards" else None
        self.model = self.sharded.model if self.sharded else self.plain
        self.optimizers = make(self.model, settings.optimizer)
        self.objective = (self.sharded, distributed.objective_loss) if self.sharded else (self.plain, next_token)
        self.numbers: list[list[float]] = []

    def go(self, first_step: int = 0, steps: int | None = None, batches=masked) -> "Run":
        model, loss = self.objective
        settings = self.settings if steps is None else dataclasses.replace(self.settings, max_steps=steps)
        for step in train(
            model, batches, loss, settings, device=CPU, optimizers=self.optimizers, first_step=first_step
        ):
            self.numbers.append([step.loss.item(), step.gradient_norm.item(), step.tokens.item()])
        return self

    def evaluated(self) -> float:
        model, loss = self.objective
        held_out = [masked(50), masked(51, rows=1)]
        return mean_loss(model, held_out, loss, device=CPU).value

    def weights(self) -> Tensor:
        if self.sharded:
            distributed.gather(self.sharded, self.plain)
        return flat(self.plain)


def program(folder: Path) -> None:
    """Be one of several processes; leave numbers and weights in `folder`, and states."""
    store = f"file://{folder / 'store'}"
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
    numbers: dict[str, object] = {"place": [distributed.rank(), distributed.count()]}
    weights: dict[str, Tensor] = {}
    numbers["any_of"] = [distributed.any_of(rank == 1, False), distributed.any_of(False, True)]
    numbers["is_same"] = [distributed.is_same(7), distributed.is_same(rank)]
    sums = [torch.full((3,), rank + 1.0), torch.tensor([[rank]]), torch.ones(2, 2, dtype=torch.float64)]
    distributed.add_up(sums)
    numbers["sums"] = [each.tolist() for each in sums]
    numbers["part"] = [part.tolist() for part in distributed.part((torch.arange(5), torch.arange(10).view(5, 2)))]
    for way, optimizer, accumulate in CASES:
        name = f"{way} {optimizer} {accumulate}"
        run = Run(way, how(optimizer, accumulate)).go()
        numbers[name], numbers[f"{name} evaluated"], weights[name] = run.numbers, run.evaluated(), run.weights()
        torch.rand(rank)  # what else a process draws does not matter
        weights[f"{name} dropped"] = Run(way, how(optimizer, accumulate), 0.5).go().weights()
        weights[f"{name} dropped again"] = Run(way, how(optimizer, accumulate), 0.5).go().weights()
        run = Run(way, how(optimizer, accumulate)).go(steps=2)
        state.begin(folder / name, run.model, run.optimizers, [{"step": 0}, {"step": 1}], "key")()
        taken_up = Run(way, how(optimizer, accumulate))
        dist.barrier()
        for kept in (name, f"whole {optimizer} {accumulate}"):
            found = state.restore(folder / kept, taken_up.model, taken_up.optimizers, "key")
            weights[f"{name} from {kept}"] = taken_up.go(first_step=len(found.rows)).weights()
    for name, batches, settings in (("few rows", masked, how(batch_size=1)), ("not finite", poisoned, how())):
        run = Run("whole", settings)
        try:
            run.go(batches=batches)
        except ValueError as error:
            numbers[name] = f"{type(error).__name__}: {error}"
        weights[name] = run.weights()
    safetensors.torch.save_file(weights, folder / f"weights-{rank}.safetensors")
    (folder / f"numbers-{rank}.json").write_text(json.dumps(numbers))
    dist.destroy_process_group()


def poisoned(index: int) -> Batch:
    """Step 2 has no target at all."""
    inputs, targets = masked(index)
    return inputs, torch.full_like(targets, -100) if index == 2 else targets


def start(folder: Path, count: int) -> tuple[list[dict], list[dict[str, Tensor]]]:
    """Return the numbers and the weights that each of `count` processes has found."""
    environment = os.environ | {"WORLD_SIZE": str(count), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__)), str(folder)]
    processes = [subprocess.Popen(command, env=environment | {"RANK": str(rank)}) for rank in range(count)]
    assert [process.wait(120) for process in processes] == [0] * count
    numbers = [json.loads((folder / f"numbers-{rank}.json").read_text()) for rank in range(count)]
    return numbers, [safetensors.torch.load_file(folder / f"weights-{rank}.safetensors") for rank in range(count)]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return *start(folder, 2), folder


@pytest.mark.parametrize(("way", "optimizer", "accumulate"), CASES)
def test_two_processes_make_the_steps_of_one(two, way, optimizer, accumulate):
    numbers, weights, _ = two
    alone = Run("whole", how(optimizer, accumulate)).go()
    name = f"{way} {optimizer} {accumulate}"
    assert alone.numbers[0][2] == 16 * accumulate  # of 25 targets a batch four and five are masked
    for step, expected in zip(numbers[0][name], alone.numbers, strict=True):
        assert step == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(weights[0][name], alone.weights(), atol=1e-5)
    assert numbers[0][f"{name} evaluated"] == pytest.approx(alone.evaluated(), abs=1e-5)


@pytest.mark.parametrize(("way", "optimizer", "accumulate"), CASES)
def test_all_processes_hold_the_same_numbers_bit_for_bit(two, way, optimizer, accumulate):
    numbers, weights, _ = two
    name = f"{way} {optimizer} {accumulate}"
    assert numbers[0][name] == numbers[1][name]
    assert torch.equal(weights[0][name], weights[1][name])
    assert torch.equal(weights[0][f"{name} dropped"], weights[1][f"{name} dropped"])


@pytest.mark.parametrize(("way", "optimizer", "accumulate"), CASES)
def test_two_processes_twice_give_the_same_bits(two, way, optimizer, accumulate):
    _, (weights, _), _ = two
    name = f"{way} {optimizer} {accumulate}"
    assert torch.equal(weights[f"{name} dropped"], weights[f"{name} dropped again"])
    assert not torch.equal(weights[f"{name} dropped"], weights[name])


@pytest.mark.parametrize(("optimizer", "accumulate"), HOW)
def test_dropout_is_the_same_in_both_ways_and_another_in_another_number_of_processes(two, optimizer, accumulate):
    _, (weights, _), _ = two
    whole, shards = (weights[f"{way} {optimizer} {accumulate} dropped"] for way in WAYS)
    alone = Run("whole", how(optimizer, accumulate), 0.5).go().weights()
    assert torch.allclose(whole, shards, atol=1e-5)
    assert not torch.allclose(whole, alone, atol=1e-3)


@pytest.mark.parametrize(("way", "optimizer", "accumulate"), CASES)
def test_two_processes_go_on_from_a_state_as_if_never_stopped(two, way, optimizer, accumulate):
    _, (weights, _), _ = two
    name, other = f"{way} {optimizer} {accumulate}", f"whole {optimizer} {accumulate}"
    assert torch.equal(weights[f"{name} from {name}"], weights[name])
    assert torch.allclose(weights[f"{name} from {other}"], weights[name], atol=1e-5)


@pytest.mark.parametrize(("way", "optimizer", "accumulate"), CASES)
def test_one_process_goes_on_from_the_state_of_two(two, way, optimizer, accumulate):
    _, _, folder = two
    alone, taken_up = (Run("whole", how(optimizer, accumulate)) for _ in range(2))
    name = f"{way} {optimizer} {accumulate}"
    found = state.restore(folder / name, taken_up.model, taken_up.optimizers, "key")
    assert found == state.Restored([{"step": 0}, {"step": 1}], ())
    assert torch.allclose(taken_up.go(first_step=2).weights(), alone.go().weights(), atol=1e-5)


def test_a_state_of_shards_is_the_files_of_one_process(two, tmp_path):
    _, _, folder = two
    alone = Run("whole", how()).go(steps=2)
    plain = state.begin(tmp_path, alone.model, alone.optimizers, [{"step": 0}, {"step": 1}], "key")()
    for file in plain.glob("*.safetensors"):
        ours = safetensors.torch.load_file(file)
        theirs = safetensors.torch.load_file(folder / "shards adamw 1" / plain.name / file.name)
        assert {name: each.shape for name, each in theirs.items()} == {name: each.shape for name, each in ours.items()}


def test_each_process_knows_its_place_and_takes_its_rows(two):
    numbers, _, _ = two
    assert [each["place"] for each in numbers] == [[0, 2], [1, 2]]
    assert numbers[0]["part"] == [[0, 1, 2], [[0, 1], [2, 3], [4, 5]]]
    assert numbers[1]["part"] == [[3, 4], [[6, 7], [8, 9]]]


def test_tensors_of_every_kind_are_added_up_and_flags_and_numbers_compared(two):
    for each in two[0]:
        assert each["sums"] == [[3.0, 3.0, 3.0], [[1]], [[2.0, 2.0], [2.0, 2.0]]]
        assert each["any_of"] == [[True, False], [False, True]]
        assert each["is_same"] == [True, False]


def test_a_batch_with_fewer_rows_than_processes_is_refused(two):
    said = "ValueError: batch_size is 1, fewer rows than the 2 processes; expected one or more for each"
    assert [each["few rows"] for each in two[0]] == [said, said]


def test_a_loss_that_is_not_finite_stops_all_at_the_same_step(two):
    numbers, weights, _ = two
    for each in numbers:
        assert each["not finite"].startswith("NonFiniteLoss: step 2: the loss is nan over 0 targets")
    good = Run("whole", how(max_steps=2)).go()
    for each in weights:
        assert torch.allclose(each["not finite"], good.weights(), atol=1e-5)


def test_alone_everything_stays_as_it_is():
    batch = (torch.arange(3), torch.arange(6).view(3, 2))
    assert distributed.part(batch) is batch
    sums = [torch.ones(2)]
    distributed.add_up(sums)
    assert sums[0].tolist() == [1.0, 1.0]
    assert (distributed.rank(), distributed.count()) == (0, 1)
    assert (distributed.any_of(True, False), distributed.is_same(3)) == ([True, False], True)
    assert distributed.whole(sums[0]) is distributed.local(sums[0]) is distributed.like(sums[0], sums[0]) is sums[0]
    model = tied()
    distributed.gather(distributed.Objective(model, next_token), model)
    total, count = distributed.objective_loss(distributed.Objective(model, next_token), masked(0))
    assert (total, count) == next_token(model, masked(0))


def test_sums_larger_than_a_bucket_come_in_several(monkeypatch):
    monkeypatch.setattr(distributed, "BUCKET", 4)
    tensors = [torch.zeros(3), torch.zeros(2), torch.zeros(9), torch.zeros(1), torch.zeros(1, dtype=torch.int64)]
    found = [[each.numel() for each in bucket] for bucket in distributed._buckets(tensors)]
    assert found == [[3, 2], [9], [1], [1]]


if __name__ == "__main__":
    program(Path(sys.argv[1]))
