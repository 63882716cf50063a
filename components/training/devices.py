"""What surrounds a computation: the device its batch lies on, the algorithms it may take, the draws it makes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic as torch_deterministic

from components.training.losses import Batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device; from pinned memory the copy goes on beside the computation."""
    return tuple(tensor.to(device, non_blocking=True) for tensor in batch)


@contextmanager
def deterministic() -> Iterator[None]:
    """Use deterministic algorithms only, inside; outside what the process had chosen.

    Fresh memory is not filled first, as torch then does: nothing here reads what it has not written.
    """
    was_on = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    was_filling = torch_deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch_deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=was_warning)
        torch_deterministic.fill_uninitialized_memory = was_filling  # type: ignore[attr-defined]


@contextmanager
def global_generator_kept(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were, whatever is seeded and drawn inside.

    `torch.manual_seed` seeds every device of the machine, so each one of `device`'s kind is put back.
    """
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
    else:
        every = range(torch.get_device_module(device).device_count())
        with torch.random.fork_rng(devices=every, device_type=device.type):
            yield
