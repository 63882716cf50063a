"""GPT-2: a pre-norm transformer decoder with learned positions, in every published size; by setting with rotary ones.

Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners; Raschka, Build a Large Language Model
(From Scratch), chapter 4.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from components.gpt.attention import attend
from components.gpt.cache import Cache, LayerCache
from components.gpt.rotary import Angles, angles, rotated


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT and how its first weights are drawn. The names are the book's."""

    vocab_size: int
    """Different tokens; ids are 0..vocab_size - 1."""
    context_length: int
    """Most tokens the model reads at once."""
    emb_dim: int
    """Width of a token's vector; a multiple of n_heads."""
    n_heads: int
    """Attention heads of a block."""
    n_layers: int
    """Blocks, one above the other."""
    drop_rate: float
    """Share of activations zeroed in training, 0 <= drop_rate < 1: embeddings, attention weights, block outputs."""
    qkv_bias: bool
    """Whether queries, keys and values have a bias: yes in GPT-2's published weights, no in the book's fresh ones."""
    tie_weights: bool
    """Whether the token embedding is the output matrix too: yes in GPT-2's published weights, no in the book."""
    init: Literal["gpt2", "zero", "book"]
    """First weights: "gpt2" as OpenAI's; "zero" those, but each block begins by adding nothing; "book" torch's defaults
    in the book's order (its seeds give its losses)."""
    positions: Literal["learned", "rotary"] = "learned"
    """How a token's place is told: by a vector added to the token's, as in GPT-2, or by rotating queries and keys."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim is {self.emb_dim}; expected a multiple of n_heads ({self.n_heads})")
        if not isinstance(self.drop_rate, int | float) or not 0 <= self.drop_rate < 1:
            raise ValueError(f"drop_rate is {self.drop_rate!r}; expected 0 <= drop_rate < 1")
        for name in ("qkv_bias", "tie_weights"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected true or false")
        if self.init not in ("gpt2", "zero", "book"):
            raise ValueError(f"init is {self.init!r}; expected 'gpt2', 'zero' or 'book'")
        if self.positions not in ("learned", "rotary"):
            raise ValueError(f"positions is {self.positions!r}; expected 'learned' or 'rotary'")
        if self.positions == "rotary" and self.emb_dim // self.n_heads % 2:
            raise ValueError(
                f"emb_dim is {self.emb_dim} and n_heads {self.n_heads}: {self.emb_dim // self.n_heads} numbers a head; "
                "rotary positions rotate pairs: expected an even count"
            )


def _published(emb_dim: int, n_heads: int, n_layers: int) -> GPTConfig:
    return GPTConfig(50257, 1024, emb_dim, n_heads, n_layers, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")


PUBLISHED: dict[str, GPTConfig] = {
    "gpt2-124M": _published(emb_dim=768, n_heads=12, n_layers=12),
    "gpt2-355M": _published(emb_dim=1024, n_heads=16, n_layers=24),
    "gpt2-774M": _published(emb_dim=1280, n_heads=20, n_layers=36),
    "gpt2-1558M": _published(emb_dim=1600, n_heads=25, n_layers=48),
}
"""Every published GPT-2 size. Source: the config.json of huggingface.co/openai-community/gpt2, -medium, -large, -xl."""


class Attention(nn.Module):
    """Causal self-attention: each token looks at itself and at the ones before it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.drop_rate = config.drop_rate
        self.qkv = nn.Linear(config.emb_dim, 3 * config.emb_dim, bias=config.qkv_bias)
        self.out_proj = nn.Linear(config.emb_dim, config.emb_dim)

    def forward(
        self,
        x: Float[Tensor, "batch token emb_dim"],
        cache: LayerCache | None = None,
        rotary: Angles | None = None,
        mask: Bool[Tensor, "batch 1 token token"] | None = None,
    ) -> Float[Tensor, "batch token emb_dim"]:
        """Return for each token a mixture of the values it looks at.

        `rotary` are the angles of rotary positions; `mask` says which tokens each looks at (None: itself and all before
        it).
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1))  # (batch, token, 3, heads, emb_dim / heads)
        values = qkv[:, :, 2].transpose(1, 2)  # (batch, heads, token, emb_dim / heads), as are queries and keys
        queries, keys = (qkv[:, :, :2] if rotary is None else rotated(qkv[:, :, :2], rotary)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            keys, values, mask = cache.append(keys, values)
        mixed = attend(queries, keys, values, mask=mask, drop_rate=self.drop_rate if self.training else 0.0)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))  # (batch, token, emb_dim)
        return out


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them, for each token by itself."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.emb_dim, 4 * config.emb_dim)
        self.down = nn.Linear(4 * config.emb_dim, config.emb_dim)

    def forward(self, x: Float[Tensor, "batch token emb_dim"]) -> Float[Tensor, "batch token emb_dim"]:
        """Return the changed vectors."""
        out: Tensor = self.down(_gelu(self.up(x)))
        return out


def _gelu(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Return GELU in its tanh form, with which GPT-2 was trained."""
    if not (torch.compiler.is_compiling() and x.device.type == "cpu"):
        return F.gelu(x, approximate="tanh")
    # (1 + tanh(u)) / 2 = sigmoid(2 u): on a CPU the compiler's tanh takes twice as long as its sigmoid.
    exact = x.float()
    return (exact * torch.sigmoid(math.sqrt(8 / math.pi) * (exact + 0.044715 * exact**3))).to(x.dtype)


class Block(nn.Module):
    """Attention, then feed-forward; each reads normalised vectors and adds to the unnormalised ones."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.emb_dim)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.emb_dim)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.drop_rate)

    def forward(
        self,
        x: Float[Tensor, "batch token emb_dim"],
        cache: LayerCache | None = None,
        rotary: Angles | None = None,
        mask: Bool[Tensor, "batch 1 token token"] | None = None,
    ) -> Float[Tensor, "batch token emb_dim"]:
        """Return the vectors with what this block adds."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cache, rotary, mask))
        out: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return out


class Body(nn.Module):
    """A GPT without its head: embeddings, blocks and the final norm. The classifier shares it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.emb_dim)
        is_learned = config.positions == "learned"
        self.position_embedding = nn.Embedding(config.context_length, config.emb_dim) if is_learned else None
        self.dropout = nn.Dropout(config.drop_rate)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.final_norm = nn.LayerNorm(config.emb_dim)

    def forward(
        self,
        ids: Int64[Tensor, "batch token"],
        cache: Cache | None = None,
        positions: Int64[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token emb_dim"]:
        """Return a vector for each token; with a cache, `ids` are the tokens that follow the cached ones.

        `positions` are as in `GPT`, and go without a cache.

        Raises ValueError for more tokens than context_length.
        """
        assert cache is None or positions is None, "cached tokens have their own positions"
        mask = None if positions is None else _within_texts(positions)
        start = cache.count if cache else 0
        end = start + ids.shape[1]
        if end > self.config.context_length:
            raise ValueError(f"ids are {end} tokens long; the model reads at most {self.config.context_length}")
        if positions is None:
            positions = cache.positions[:, start:end] if cache else torch.arange(start, end, device=ids.device)[None]
        x: Tensor = self.token_embedding(ids)
        rotary = None
        if self.position_embedding is None:
            rotary = angles(positions, self.config.emb_dim // self.config.n_heads)
        else:
            x = x + self.position_embedding(positions)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, cache.layers[layer] if cache else None, rotary, mask)
        out: Tensor = self.final_norm(x)
        return out


def _within_texts(positions: Int64[Tensor, "batch token"]) -> Bool[Tensor, "batch 1 token token"]:
    """Return for each token which it looks at: itself and those before it in its own text."""
    text = (positions == 0).cumsum(dim=1)
    return (text[:, :, None] == text[:, None, :]).tril()[:, None]


class GPT(nn.Module):
    """A language model: for each token, a score for every token that may come next.

    The first weights are drawn from torch's global generator: call `torch.manual_seed` before. Inside
    `torch.device("meta")` nothing is drawn and nothing is allocated.

    >>> GPT(PUBLISHED["gpt2-124M"]).n_parameters
    124439808
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):  # shapes only: torch's modules would draw weights here, in their own order
            self.body = Body(config)
            self.head = None if config.tie_weights else nn.Linear(config.emb_dim, config.vocab_size, bias=False)
        self.to_empty(device=torch.get_default_device())
        draw_weights(self)

    def forward(
        self, ids: Int64[Tensor, "batch token"], positions: Int64[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch token vocab"]:
        """Return the logits of the token that follows each token.

        `positions` tell several texts in one row apart: each token's place in its own text, so that a text begins
        wherever there is a 0. No text sees another: the logits are those of each text alone. None: one text a row.

        Raises ValueError for more tokens than context_length.
        """
        return self.logits(self.hidden(ids, positions=positions))

    def hidden(
        self,
        ids: Int64[Tensor, "batch token"],
        cache: Cache | None = None,
        positions: Int64[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token emb_dim"]:
        """Return each token's vector after the final norm; with a cache, of the tokens that follow the cached ones."""
        hidden: Tensor = self.body(ids, cache, positions)
        return hidden

    def logits(self, hidden: Float[Tensor, "*any emb_dim"]) -> Float[Tensor, "*any vocab"]:
        """Return the logits of the next token from `hidden` vectors."""
        return F.linear(hidden, self.output_weight)

    def cache(self, capacity: int, lengths: Int64[Tensor, " batch"] | None = None) -> Cache:
        """Return an empty cache for at most `capacity` tokens a row.

        `lengths` are those of the prompts that come first, padded on the right to the longest; None: all equal.
        """
        if lengths is None:
            lengths = torch.zeros(1, dtype=torch.int64, device=self.body.token_embedding.weight.device)
        return Cache(len(self.body.blocks), capacity, lengths)

    @property
    def output_weight(self) -> Float[Tensor, "vocab emb_dim"]:
        """The matrix that makes logits: the head's, or the token embedding where they are tied."""
        return self.body.token_embedding.weight if self.head is None else self.head.weight

    @property
    def n_parameters(self) -> int:
        """Weights and biases; a tied matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters())


@torch.no_grad()
def draw_weights(model: GPT) -> None:
    """Draw all weights anew from torch's global generator, as `model.config.init` says."""
    for module in model.modules():  # in the order of the book's draws
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    {"gpt2": _draw_gpt2, "zero": _draw_zero, "book": _draw_book}[model.config.init](model)


def _draw_gpt2(model: GPT) -> None:
    """Draw with deviation 0.02, less for what adds to the residual stream, so that depth does not widen it.

    Source: Radford et al. 2019, section 2.3 (the scale), and github.com/openai/gpt-2, src/model.py (0.02).
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            is_residual = name.endswith(("out_proj", "down"))
            nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * model.config.n_layers) if is_residual else 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _draw_zero(model: GPT) -> None:
    """Draw as GPT-2's, then let each block add nothing at first: what it is to add is learned sooner.

    Source: Zhang et al. 2019, Fixup Initialization, section 3 (rule 1).
    """
    _draw_gpt2(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(("out_proj", "down")):
            nn.init.zeros_(module.weight)


def _draw_book(model: GPT) -> None:
    """Draw torch's defaults in the order of the book's modules: queries, keys and values one after the other."""
    for name, module in model.named_modules():
        if name.endswith("qkv"):
            assert isinstance(module, nn.Linear)
            for part in range(3):
                drawn = nn.Linear(module.in_features, module.in_features, bias=module.bias is not None)
                module.weight.chunk(3)[part].copy_(drawn.weight)
                if module.bias is not None:
                    module.bias.chunk(3)[part].copy_(drawn.bias)
        elif isinstance(module, nn.Linear | nn.Embedding):
            module.reset_parameters()
