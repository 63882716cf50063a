"""How fast a step of training is: each setting that makes it faster, the peers, and what the machine allows.

    python -m benchmarks.training                      # every configuration that suits the device
    python -m benchmarks.training --only 13.8M
    python -m benchmarks.training --only 124M --without "the book's code"    # where memory is short

Each rung of the ladder is a process of its own that trains on the same kind of batches (random ids, no dropout); the
processes take turns, round by round, so that all see the same machine, and the median round counts. Compiling and
warming up come first and are stated apart. The ceiling is a process that does nothing but a step's matrix products (in
bfloat16), its attention kernel, forward and backward, and fused AdamW. Prints Markdown; exits 1 if a target is missed.
Takes about 15 minutes on two idle cores and 20 GB of memory. On a CPU for Linux. Run it in the project's root.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import peers, reporting
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.training.devices import keep_freed_memory
from components.training.loop import TrainingSettings, train
from components.training.losses import next_token
from components.training.optimizer import make
from pipeline import paths, settings
from pipeline.commands import use

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "B200": 2250e12, "L40S": 362e12, "4090": 165e12}
"""bfloat16 operations a second without sparsity, by a word of the device's name. Source: NVIDIA's data sheets."""


@dataclass(frozen=True)
class Configuration:
    """A model, its batch, and what ours must reach with it."""

    model: GPTConfig
    batch_size: int
    targets: dict[str, float]
    """Least ratio of our tokens per second to those of a contestant, by its name."""

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch_size * self.model.context_length


def _shape(vocab_size: int, context: int, width: int, heads: int, layers: int, *, tied: bool) -> GPTConfig:
    return GPTConfig(vocab_size, context, width, heads, layers, 0.0, qkv_bias=True, tie_weights=tied, init="gpt2")


FOUND, COMPILED, NANOGPT = "transformers as found", "transformers compiled, bfloat16", "nanoGPT compiled, bfloat16"
CEILING = "ceiling"

CONFIGURATIONS = {
    "tiny": Configuration(_shape(64, 16, 16, 2, 2, tied=True), 2, {}),
    "13.8M": Configuration(_shape(4096, 256, 384, 6, 6, tied=False), 8, {FOUND: 2.0, COMPILED: 1.1, CEILING: 0.88}),
    "124M": Configuration(_shape(50257, 256, 768, 12, 12, tied=True), 4, {FOUND: 2.5, COMPILED: 1.05, CEILING: 0.88}),
    "124M, context 1,024": Configuration(PUBLISHED["gpt2-124M"], 16, {NANOGPT: 1.1}),
}
ON_CPU, ON_GPU = ("13.8M", "124M"), ("13.8M", "124M", "124M, context 1,024")

ADAMW = {"name": "adamw", "learning_rate": 0.0003}  # a rate at which ids without sense leave all numbers finite
PLAIN = {"precision": "float32", "compile": False, "clip_norm": 1.0, "accumulate": 1, "optimizer": ADAMW}
RUNGS: dict[str, dict[str, Any]] = {
    "ours: fused AdamW, torch's attention": {},
    "+ precision: bfloat16": {"precision": "bfloat16"},
    "+ compile: true": {"precision": "bfloat16", "compile": True},
    "+ optimizer.name: muon": {"precision": "bfloat16", "compile": True, "optimizer": {"name": "muon"}},
}
"""Each rung's settings of `pretrain` in params.yaml, over PLAIN."""
OURS = "+ compile: true"

PEERS = {
    "the book's code": peers.book,
    FOUND: peers.transformers_as_found,
    COMPILED: peers.transformers_compiled,
    NANOGPT: peers.nanogpt_compiled,
}


def contestant(name: str, configuration: Configuration, device: torch.device) -> Iterator[object]:
    """Return the endless training steps of a contestant."""
    generator = torch.Generator().manual_seed(0)
    shape = (8, configuration.batch_size, configuration.model.context_length + 1)
    ids = torch.randint(configuration.model.vocab_size, shape, generator=generator).to(device)

    def data(step: int) -> tuple[Tensor, Tensor]:
        rows = ids[step % len(ids)]
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    torch.manual_seed(0)
    if name == CEILING:
        return ceiling(configuration, device)
    if name in PEERS:
        return PEERS[name](configuration.model, data, device)
    how = training_settings(RUNGS[name], configuration.batch_size)
    model = GPT(configuration.model).to(device)
    return train(model, data, next_token, how, device=device, optimizers=make(model, how.optimizer))


def training_settings(rung: dict[str, Any], batch_size: int) -> TrainingSettings:
    """Return what params.yaml's default says of training, with a rung's settings."""
    section = settings.sections(use.combined("default"), paths.PRESETS)["pretrain"]
    optimizer = section["optimizer"] | PLAIN["optimizer"] | rung.get("optimizer", {})
    section |= PLAIN | rung | {"optimizer": optimizer, "max_steps": 10**9, "batch_size": batch_size}
    del section["start_from"], section["model"]
    how: TrainingSettings = settings.parse("pretrain", section, TrainingSettings)
    return how


def ceiling(configuration: Configuration, device: torch.device) -> Iterator[None]:
    """Do what no implementation of a step gets around, and nothing else; on a CPU in memory that is kept, as ours."""
    if device.type == "cpu":
        keep_freed_memory()
    config, tokens = configuration.model, configuration.tokens
    model = GPT(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.bfloat16, device=device)

    weights = [drawn(*shape) for shape in matrices(config)]
    inputs = {width: drawn(tokens, width) for width in {weight.shape[1] for weight in weights}}
    gradients = {width: drawn(tokens, width) for width in {weight.shape[0] for weight in weights}}
    size = config.emb_dim // config.n_heads
    heads = [drawn(configuration.batch_size, config.n_heads, config.context_length, size) for _ in range(4)]
    queries, keys, values = (each.requires_grad_() for each in heads[:3])
    while True:
        for weight in weights:
            above, below = gradients[weight.shape[0]], inputs[weight.shape[1]]
            torch.mm(below, weight.T)
            torch.mm(above, weight)
            torch.mm(above.T, below)
        for _ in range(config.n_layers):
            mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
            torch.autograd.grad(mixed, (queries, keys, values), heads[3])
        optimizer.step()
        yield


def matrices(config: GPTConfig) -> list[tuple[int, int]]:
    """Return the shape of each matrix product's weights, (out, in): each token passes through each once."""
    width = config.emb_dim
    block = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]
    return [*(block * config.n_layers), (config.vocab_size, width)]


def operations_per_token(config: GPTConfig) -> int:
    """Return the floating-point operations of forward and backward for a token, without recomputation.

    Source: Chowdhery et al. 2022, PaLM, appendix B: 6 for each weight of a matrix, and 12 layers x width x context for
    attention, counted as if no half of it were masked.
    """
    weights = sum(out * into for out, into in matrices(config))
    return 6 * weights + 12 * config.n_layers * config.emb_dim * config.context_length


@dataclass(frozen=True)
class Result:
    """What one contestant did."""

    tokens_per_second: float
    """Median over the rounds."""
    spread: tuple[float, float]
    """Slowest and fastest round, tokens per second."""
    start_s: float
    """Time until the first three steps were done, compiling included."""
    memory_mib: float
    """Highest resident memory of the process; on CUDA highest memory allocated on the device."""


def _work(name: str, configuration: Configuration, device_name: str, round_s: float, pipe: Connection) -> None:
    """Be a contestant: say how long starting took, then run a round whenever told to; at last say the memory."""
    device = torch.device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)

    def run(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            next(steps)
        if device.type != "cpu":
            torch.accelerator.synchronize()
        return time.perf_counter() - started

    steps = contestant(name, configuration, device)
    start_s = run(3)
    count = max(1, round(round_s / run(1)))
    pipe.send(start_s)
    while pipe.recv():
        pipe.send(count * configuration.tokens / run(count))
    pipe.send(reporting.peak_memory_mib() if device.type == "cpu" else torch.cuda.max_memory_allocated() / 2**20)


def measure(
    names: list[str], configuration: Configuration, device: torch.device, *, rounds: int, round_s: float
) -> dict[str, Result]:
    """Return each contestant's result, after as many rounds of about `round_s` seconds each in turn."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes, starts = [], {}
    speeds: dict[str, list[float]] = {name: [] for name in names}
    try:
        for name in names:
            pipes[name], theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(name, configuration, str(device), round_s, theirs), daemon=True
            )
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            processes.append(process)
            starts[name] = pipes[name].recv()
            print(f"{name}: started in {starts[name]:.1f} s", file=sys.stderr)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                pipes[name].send(True)
                speeds[name].append(pipes[name].recv())
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        results = {}
        for name in names:
            pipes[name].send(False)
            memory_mib = pipes[name].recv()
            spread = (min(speeds[name]), max(speeds[name]))
            results[name] = Result(statistics.median(speeds[name]), spread, starts[name], memory_mib)
        return results
    finally:
        for process in processes:
            process.kill()
            process.join()


def table(results: dict[str, Result], configuration: Configuration, device: torch.device) -> str:
    """Return the results as a Markdown table."""
    on_gpu = device.type == "cuda"
    peak = next((rate for word, rate in PEAKS.items() if on_gpu and word in torch.cuda.get_device_name()), None)
    lines = [
        f"| | tokens/s | slowest..fastest round | of found | of the ceiling |{' MFU |' if on_gpu else ''}"
        " memory, MiB | start, s |",
        "|---|---|---|---|---|---|---|" + ("---|" if on_gpu else ""),
    ]
    for name, result in results.items():
        rate = result.tokens_per_second
        ratios = [rate / results[other].tokens_per_second for other in (FOUND, CEILING)]
        cells = [
            name,
            f"{rate:,.0f}",
            "{:,.0f}..{:,.0f}".format(*result.spread),
            f"{ratios[0]:.2f}",
            f"{ratios[1]:.0%}",
        ]
        if on_gpu:
            cells.append(f"{rate * operations_per_token(configuration.model) / peak:.0%}" if peak else "peak unknown")
        lines.append(f"| {' | '.join([*cells, f'{result.memory_mib:,.0f}', f'{result.start_s:.0f}'])} |")
    return "\n".join(lines)


def missed(results: dict[str, Result], configuration: Configuration) -> list[str]:
    """Return each target that ours has missed, in words."""
    ours = results[OURS].tokens_per_second
    ratios = {name: ours / results[name].tokens_per_second for name in configuration.targets}
    return [
        f"{ratios[name]:.3f} of {name}; expected {least} or more"
        for name, least in configuration.targets.items()
        if ratios[name] < least
    ]


def main() -> int:
    """Measure and print; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--only", choices=CONFIGURATIONS, action="append", help="a configuration; may be repeated")
    parser.add_argument("--without", choices=[*PEERS, *RUNGS], action="append", default=[], help="who stays out")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that the median is taken of")
    parser.add_argument("--round-s", type=float, default=4.0, help="seconds of a round, at least a step")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic algorithms want it
    failures = []
    print(f"{reporting.description()} Device: {torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'}.")
    for title in arguments.only or (ON_GPU if device.type == "cuda" else ON_CPU):
        configuration = CONFIGURATIONS[title]
        names = [name for name in (*PEERS, *RUNGS, CEILING) if name not in arguments.without]
        results = measure(names, configuration, device, rounds=arguments.rounds, round_s=arguments.round_s)
        print(f"\n{title}, batch {configuration.batch_size}, {configuration.tokens:,} tokens a step\n")
        print(table(results, configuration, device))
        failures += [f"{title}: {failure}" for failure in missed(results, configuration)]
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
