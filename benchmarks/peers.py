"""What ours is measured against: models and training steps as others write them.

Each peer is an endless iterator; `next` makes one training step on the same kind of batch as ours.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.book import BookGPT
from components.gpt.model import GPTConfig

Data = Callable[[int], tuple[Tensor, Tensor]]
"""The inputs and targets of a step, int64 (batch, token), on the device."""


def book(config: GPTConfig, data: Data, device: torch.device) -> Iterator[None]:
    """Train the book's model as chapter 5 does: float32, AdamW, nothing else."""
    model = BookGPT(config)
    if config.tie_weights:
        model.out_head.weight = model.tok_emb.weight
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, weight_decay=0.1)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

    return _steps(model, loss, data, optimizer, device, clip_norm=None)


def transformers_as_found(config: GPTConfig, data: Data, device: torch.device) -> Iterator[None]:
    """Train transformers' GPT-2 as its documentation does: float32, torch's AdamW, gradients clipped to 1."""
    model = _transformers(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, weight_decay=0.1)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        return cast(Tensor, model(inputs, labels=inputs).loss)  # it shifts the labels itself

    return _steps(model, loss, data, optimizer, device)


def transformers_compiled(config: GPTConfig, data: Data, device: torch.device) -> Iterator[None]:
    """Train transformers' GPT-2 compiled: bfloat16 autocast, fused AdamW, no cache of keys."""
    model = _transformers(config).to(device)
    model.config.use_cache = False
    forward: Any = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, weight_decay=0.1, fused=True)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        return cast(Tensor, forward(inputs, labels=inputs).loss)

    return _steps(model, loss, data, optimizer, device, bfloat16=True)


def nanogpt_compiled(config: GPTConfig, data: Data, device: torch.device) -> Iterator[None]:
    """Train a model like nanoGPT's, compiled with its loss inside: bfloat16 autocast, fused AdamW."""
    model = NanoGPT(config).to(device)
    forward = cast(NanoGPT, torch.compile(model))
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)
    return _steps(model, forward, data, optimizer, device, bfloat16=True)


def _steps(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    data: Data,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    *,
    bfloat16: bool = False,
    clip_norm: float | None = 1.0,
) -> Iterator[None]:
    """Yield after each step of the usual loop."""
    model.train()
    step = 0
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            value = loss(*data(step))
        value.backward()  # type: ignore[no-untyped-call]
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        yield


def _transformers(config: GPTConfig) -> Any:
    """Return transformers' GPT-2 of this shape, without dropout."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context_length,
            n_embd=config.emb_dim,
            n_head=config.n_heads,
            n_layer=config.n_layers,
            tie_word_embeddings=config.tie_weights,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


class NanoGPT(nn.Module):
    """A GPT as nanoGPT has it: one matrix for queries, keys and values, torch's attention, exact GELU, the loss inside.

    Written from the description in github.com/karpathy/nanoGPT (README and model.py's comments), not copied.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.emb_dim
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Embedding(config.context_length, width)
        self.blocks = nn.ModuleList(_NanoBlock(width, config.n_heads) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        if config.tie_weights:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of targets (batch, token) after ids (batch, token)."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1), ignore_index=-1)


class _NanoBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.qkv(self.attention_norm(x)).split(width, dim=2)
        q, k, v = (part.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(batch, tokens, width))
        out: Tensor = x + self.down(F.gelu(self.up(self.mlp_norm(x))))
        return out
