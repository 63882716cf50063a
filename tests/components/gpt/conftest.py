"""Models small enough for a test, with weights large enough that every part of them shows in the logits."""

from collections.abc import Callable

import pytest
import torch

from components.gpt.model import GPT, GPTConfig


@pytest.fixture
def tiny() -> Callable[..., GPT]:
    """Return a maker of models of 2 blocks, 2 heads, 16 wide, that read 12 tokens of 29; arguments change fields."""

    def make(**changes: object) -> GPT:
        fields = {
            "vocab_size": 29,
            "context_length": 12,
            "emb_dim": 16,
            "n_heads": 2,
            "n_layers": 2,
            "drop_rate": 0.0,
            "qkv_bias": True,
            "tie_weights": True,
            "init": "gpt2",
        }
        torch.manual_seed(0)
        model = GPT(GPTConfig(**{**fields, **changes}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.normal_(mean=float("norm.weight" in name), std=0.1 if parameter.ndim == 1 else 0.6)
        return model.eval()

    return make
