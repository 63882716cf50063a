"""The losses of a tiny pretraining: bit for bit on a machine like that of the record, to 1e-5 elsewhere.

    python tests/golden/test_losses.py

writes losses.json beside this file anew (seed 5, CPU, one thread): for a change that is meant to move the losses.
"""

import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel

from components.gpt.model import GPT, GPTConfig
from components.gpt.weights import write_published
from components.training.loop import TrainingSettings, train
from components.training.losses import next_token
from components.training.optimizer import OptimizerSettings, make
from components.training.schedule import ScheduleSettings
from components.windows.batches import Batches
from components.windows.permutation import permuted
from components.windows.shards import document, write, write_index
from components.windows.windows import Windows
from pipeline.machine import processor

RECORD = Path(__file__).with_name("losses.json")
TEXT = " ".join(
    f"{n} times {n} is {n * n}." for n in range(90)
).encode()  # 113 windows: 40 batches pass into a second epoch
OPTIMIZERS = {
    "adamw": OptimizerSettings("adamw", 0.003, None, 0.1, "matrices", 0.9, 0.95, 0.95),
    # So slow that its bfloat16, which other processors round otherwise, moves no loss by more than 3e-6.
    "muon": OptimizerSettings("muon", 0.001, 0.01, 0.1, "matrices", 0.9, 0.95, 0.95),
}
CONFIG = GPTConfig(128, 16, 32, 4, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")
SETTINGS = TrainingSettings(
    max_steps=20,
    batch_size=4,
    accumulate=2,
    clip_norm=2.0,  # shortens the first three gradients
    precision="float32",
    compile=False,
    evaluate_every=20,
    evaluate_batches=None,
    optimizer=OPTIMIZERS["adamw"],
    schedule=ScheduleSettings("cosine", warmup_steps=4, initial=0.1, minimum=0.2, decay_share=0.0),
    seed=5,
)


def first_model() -> GPT:
    torch.manual_seed(5)
    return GPT(CONFIG)


def losses(optimizer: str, folder: Path) -> list[float]:
    """Return the loss of each step, from bytes to shards, windows, batches, model and loop."""
    ids = np.frombuffer(TEXT, dtype=np.uint8)
    split = write(
        [document(0, ids)], folder, "train", end_of_text=None, vocab_size=128, shard_size=1000, size_bytes=len(ids)
    )
    write_index(folder, [split], context_length=16, stride=16, vocab_size=128)
    settings = dataclasses.replace(SETTINGS, optimizer=OPTIMIZERS[optimizer])
    model = first_model()
    batches = Batches(Windows(folder, "train"), settings.batch_size, settings.seed)
    optimizers = make(model, settings.optimizer)
    steps = train(model, batches, next_token, settings, device=torch.device("cpu"), optimizers=optimizers)
    return [step.loss.item() for step in steps]


def losses_of_transformers(optimizer: str, folder: Path) -> list[float]:
    """Return the loss of each step of transformers' GPT-2 from the same first weights, in plain torch."""
    write_published(first_model(), folder)
    model = GPT2LMHeadModel.from_pretrained(folder)
    windows = [list(TEXT[start : start + 17]) for start in range(0, len(TEXT) - 16, 16)]
    orders = [permuted(np.arange(len(windows)), len(windows), [5, epoch]) for epoch in range(2)]
    whole_batches = len(windows) // 4 * 4
    rows = [windows[k] for order in orders for k in order[:whole_batches]]
    optimizers = plain_optimizers(optimizer, model)
    found = []
    for step in range(20):
        ids = torch.tensor(rows[8 * step : 8 * step + 8])  # two batches of four, as one of eight
        logits = model(ids[:, :-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        rate = 0.1 + 0.9 * step / 4 if step < 4 else 0.2 + 0.4 * (1 + math.cos(math.pi * (step - 4) / 16))
        for each in optimizers:
            for group in each.param_groups:
                group["lr"] = group["peak"] * rate
            each.step()
        model.zero_grad()
        found.append(loss.item())
    return found


def plain_optimizers(name: str, model: GPT2LMHeadModel) -> list[torch.optim.Optimizer]:
    """Return torch's own: Muon for the matrices of the blocks if it is that, AdamW for all others."""
    of_muon = [p for p in model.transformer.h.parameters() if p.ndim == 2] if name == "muon" else []
    others = [p for p in model.parameters() if not any(p is each for each in of_muon)]
    matrices, vectors = ([p for p in others if (p.ndim == 2) == is_matrix] for is_matrix in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    peak = 0.01 if of_muon else 0.003
    adamw = torch.optim.AdamW([group | {"peak": peak} for group in groups], betas=(0.9, 0.95))
    if not of_muon:
        return [adamw]
    parts = [part for matrix in of_muon for part in parts_of(matrix)]
    group = {"params": parts, "peak": 0.001, "weight_decay": 0.1}
    return [torch.optim.Muon([group], momentum=0.95, adjust_lr_fn="match_rms_adamw"), adamw]


def parts_of(matrix: torch.nn.Parameter) -> list[torch.nn.Parameter]:
    """Return views of the three matrices (in, out) that lie in one for queries, keys and values; else the matrix."""
    if matrix.shape != (32, 96):
        return [matrix]
    parts = [torch.nn.Parameter(each) for each in matrix.detach().chunk(3, dim=1)]

    def share_gradient(whole: torch.nn.Parameter) -> None:
        for part, gradient in zip(parts, whole.grad.chunk(3, dim=1), strict=True):
            part.grad = gradient

    matrix.register_post_accumulate_grad_hook(share_gradient)
    return parts


def machine() -> dict[str, object]:
    """Return what the bits depend on: two processors of one capability may round differently."""
    counts = ("num_logical_cores", "num_physical_cores", "num_sockets")
    return {
        "torch": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
        "features": {name: has for name, has in sorted(torch.cpu.get_capabilities().items()) if name not in counts},
        "threads": torch.get_num_threads(),
    }


@pytest.fixture
def record():
    """The record; meanwhile torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield json.loads(RECORD.read_text(encoding="utf-8"))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_tiny_pretraining_has_the_recorded_losses(optimizer, record, tmp_path):
    found = losses(optimizer, tmp_path)
    if machine() == record["machine"]:
        assert found == record["losses"][optimizer]
    else:
        assert found == pytest.approx(record["losses"][optimizer], abs=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_recorded_losses_are_those_of_transformers_and_torch(optimizer, record, tmp_path):
    expected = losses_of_transformers(optimizer, tmp_path)
    assert record["losses"][optimizer] == pytest.approx(expected, abs=1e-5)


def write_record() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = {optimizer: losses(optimizer, Path(folder)) for optimizer in OPTIMIZERS}
    RECORD.write_text(json.dumps({"machine": machine(), "losses": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_record()
