"""Attention by torch's kernels; training in bfloat16 on a CPU has a backward pass of plain matrix products.

torch's own backward kernel takes 29 ms where the same sums as a few batched products, whose element-wise parts the
compiler fuses, take 9 (48 heads of 64 numbers, 256 tokens, one AMX core, torch 2.13). Uncompiled they win on short rows
only, where the kernel spends 40 % of a small model's step; in float32 and on a GPU they do not.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

ROWS = 128  # queries whose scores are held at once; keys after them are masked, and not computed

Heads = Float[Tensor, "batch head token size"]
Mask = Bool[Tensor, "batch 1 query key"]


def attend(queries: Heads, keys: Heads, values: Heads, *, mask: Mask | None, drop_rate: float) -> Heads:
    """Return for each query the mixture of the values it sees, weighed by softmax(queries keys / sqrt(size)).

    Without a `mask` each sees what is up to its own place; a single query sees everything. A mask for as many queries
    as keys must hide what comes after each. `drop_rate` is the share of weights zeroed. By torch's
    scaled_dot_product_attention, or by an equal (to the precision of the inputs) that trains faster where that is
    known.
    """
    is_known_faster = (
        queries.device.type == "cpu"
        and queries.dtype == torch.bfloat16
        and queries.requires_grad
        and queries.shape == keys.shape
        and drop_rate == 0.0
        and (torch.compiler.is_compiling() or queries.shape[2] <= ROWS)
    )
    if is_known_faster:
        mixed: Heads = _Causal.apply(queries, keys, values, mask)  # type: ignore[no-untyped-call]
        return mixed
    is_causal = mask is None and queries.shape[2] > 1
    return F.scaled_dot_product_attention(queries, keys, values, mask, dropout_p=drop_rate, is_causal=is_causal)


class _Causal(torch.autograd.Function):
    """Source of the backward formulas: Dao et al. 2022, FlashAttention, algorithm 4."""

    @staticmethod
    def forward(context: Any, queries: Heads, keys: Heads, values: Heads, mask: Mask | None) -> Heads:
        hidden = None if mask is None else torch.zeros_like(mask, dtype=queries.dtype).masked_fill(~mask, -torch.inf)
        mixed, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            queries, keys, values, is_causal=mask is None, attn_mask=hidden
        )
        context.save_for_backward(queries, keys, values, mixed, log_sums, mask)
        out: Heads = mixed
        return out

    @staticmethod
    def backward(context: Any, gradient: Heads) -> tuple[Heads, Heads, Heads, None]:
        queries, keys, values, mixed, log_sums, mask = context.saved_tensors
        tokens, scale = queries.shape[2], queries.shape[3] ** -0.5
        own = (gradient.float() * mixed.float()).sum(-1)  # (batch, head, token)
        position = torch.arange(tokens, device=queries.device)
        starts = range(0, tokens, ROWS)
        parts = []
        for start in starts:
            end = min(start + ROWS, tokens)
            rows, upto = slice(start, end), slice(0, end)
            # Keys come first, queries last: two of the three products then read their left side as it lies.
            scores = (keys[:, :, upto] @ queries[:, :, rows].mT).float() * scale
            is_seen = position[upto, None] <= position[None, rows] if mask is None else mask[:, :, rows, upto].mT
            weights = torch.where(is_seen, torch.exp(scores - log_sums[:, :, None, rows]), 0.0)
            of_weights = (values[:, :, upto] @ gradient[:, :, rows].mT).float()
            of_scores = (weights * (of_weights - own[:, :, None, rows]) * scale).to(queries.dtype)
            of_queries = of_scores.mT @ keys[:, :, upto]
            of_keys = of_scores @ queries[:, :, rows]
            of_values = weights.to(queries.dtype) @ gradient[:, :, rows]
            parts.append((of_queries, of_keys, of_values))

        def added(which: int) -> Heads:
            """Add what each block of queries gives to the keys or values it sees."""
            sums = []
            for index, start in enumerate(starts):
                seen = [part[which][:, :, start : start + ROWS].float() for part in parts[index:]]
                sums.append(torch.stack(seen).sum(0) if len(seen) > 1 else seen[0])
            return torch.cat(sums, dim=2).to(queries.dtype)

        return torch.cat([part[0] for part in parts], dim=2), added(1), added(2), None
