"""What surrounds a computation: the device its batch lies on, the algorithms it may take, the draws it makes."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.utils.deterministic as torch_deterministic

from components.training.losses import Batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device; from pinned memory the copy goes on beside the computation."""
    return tuple(tensor.to(device, non_blocking=True) for tensor in batch)


def keep_freed_memory() -> None:
    """Have the C library keep what this process frees from now on: each step then finds the memory of the one before.

    Given back to the system, it would be filled with zeros when it is next asked for; docs/performance.md says what
    that takes. Of glibc alone; elsewhere nothing changes. Source: mallopt(3).
    """
    m_trim_threshold, m_mmap_max = -1, -4
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(m_trim_threshold, -1)
        library.mallopt(m_mmap_max, 0)


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
