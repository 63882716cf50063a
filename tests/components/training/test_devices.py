"""What surrounds a computation; the algorithms and the generator of the CPU are tested with the loop."""

import os
import platform
import subprocess
import sys
from contextlib import nullcontext

import pytest
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


TRAINED = """
import hashlib
import os
from dataclasses import replace
import torch
from components.gpt.model import GPT, GPTConfig
from components.training.loop import train
from components.training.losses import next_token
from components.training.optimizer import OptimizerSettings, make
from tests.components.training.tiny import CPU, SETTINGS

if "MALLOC_PERTURB_" in os.environ:
    assert set(torch.empty(100_000, dtype=torch.uint8).tolist()) == {0x55}
torch.set_num_threads(1)
muon = OptimizerSettings("muon", 0.01, 0.01, 0.1, "matrices", 0.9, 0.95, 0.95)
for precision in ("float32", "bfloat16"):
    how = replace(SETTINGS, max_steps=3, precision=precision, clip_norm=1.0, accumulate=2, optimizer=muon)
    torch.manual_seed(0)
    model = GPT(GPTConfig(70, 16, 32, 2, 2, 0.1, qkv_bias=True, tie_weights=True, init="gpt2"))
    ids = torch.randint(70, (8, 4, 17))
    batches = lambda index: (ids[index % 8, :, :-1].contiguous(), ids[index % 8, :, 1:].contiguous())
    list(train(model, batches, next_token, how, device=CPU, optimizers=make(model, how.optimizer)))
    print(hashlib.sha256(b"".join(each.detach().numpy().tobytes() for each in model.parameters())).hexdigest())
"""

FAULTS = """
import resource
import torch
from components.training.devices import keep_freed_memory

def faults():
    torch.ones(16_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
print(before, min(faults() for _ in range(5)))  # what lies around a piece may keep the first from fitting again
"""


def printed(script: str, **environment: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True).stdout


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")


@glibc
def test_training_reads_no_memory_that_it_has_not_written():
    # glibc fills what it hands out with the complement of this byte, 0x55, and what is given back with the byte itself.
    plain, filled = printed(TRAINED), printed(TRAINED, MALLOC_PERTURB_="170")
    assert plain == filled
    assert len(set(plain.split())) == 2


@glibc
def test_memory_that_is_freed_is_not_asked_for_again():
    before, after = map(int, printed(FAULTS).split())
    if before < 15_625:  # pages of 4 kB in 64 MB
        pytest.skip("pages are large here")
    assert after < 1000
