"""What surrounds a computation; the algorithms and the generator of the CPU are tested with the loop."""

from contextlib import nullcontext

import torch
import torch.utils.deterministic as torch_deterministic

from components.training.devices import deterministic, global_generator_kept, moved


def test_the_generators_of_every_device_are_kept(monkeypatch):
    kept = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices, device_type: nullcontext(kept.extend(devices)))
    with global_generator_kept(torch.device("cuda", 1)):
        assert kept == [0, 1, 2]  # torch.manual_seed seeds all of them


def test_a_batch_keeps_its_order_and_its_types():
    batch = torch.tensor([[1, 2]]), torch.tensor([0.5])
    assert [each.device.type for each in moved(batch, torch.device("meta"))] == ["meta", "meta"]
    assert [each.dtype for each in moved(batch, torch.device("meta"))] == [torch.int64, torch.float32]


def test_inside_fresh_memory_is_not_filled_and_outside_it_is_as_before():
    assert torch_deterministic.fill_uninitialized_memory
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch_deterministic.fill_uninitialized_memory
    assert torch_deterministic.fill_uninitialized_memory
