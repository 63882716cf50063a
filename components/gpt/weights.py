"""GPT-2's published weights as our model, and back: other names, matrices transposed, no TensorFlow.

Source: huggingface.co/openai-community/gpt2 (names; matrices lie as (in, out)); transformers, modeling_gpt2.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from components.gpt.checkpoint import CONFIG_FILE, WEIGHTS_FILE, check, read_config, read_tensors, write_folder
from components.gpt.model import GPT, GPTConfig

INDEX_FILE = "model.safetensors.index.json"
"""What transformers writes beside weights that it splits into several files: the file of each tensor."""

_SHAPE = {
    "vocab_size": "vocab_size",
    "context_length": "n_positions",
    "emb_dim": "n_embd",
    "n_heads": "n_head",
    "n_layers": "n_layer",
}
"""Our fields and the published ones that say the same."""

_ARCHITECTURE = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
"""What a config.json may say, and our model does in one way only."""

_OUTER = {
    "body.token_embedding.weight": "wte.weight",
    "body.position_embedding.weight": "wpe.weight",
    "body.final_norm.weight": "ln_f.weight",
    "body.final_norm.bias": "ln_f.bias",
    "head.weight": "lm_head.weight",
}
_IN_BLOCK = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out_proj": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}


def load_published(directory: Path | str, config: GPTConfig | None = None) -> GPT:
    """Return the GPT-2 in `directory`: config.json and model.safetensors, as published or as transformers saves them.

    That is, with or without the `transformer.` prefix, the causal masks, and a copy of the tied output matrix; in one
    file or in several. Weights become float32; drop_rate is 0, whatever the file says. `config` (one of PUBLISHED) is
    the shape of a folder that holds the weights alone.

    Raises ValueError, one line, for another architecture, a missing or unknown tensor, another shape, a truncated file.
    """
    folder = Path(directory)
    if config is None or (folder / CONFIG_FILE).is_file():
        config = _our_config(read_config(folder), folder / CONFIG_FILE)
    with torch.device("meta"):
        model = GPT(config)
    tensors = _without_extras(_read_files(folder), config, folder / WEIGHTS_FILE)
    check(tensors, _as_published(model.state_dict()), folder / WEIGHTS_FILE)
    names = {ours: _their_name(ours) for ours in model.state_dict()}
    # Taken out one by one, so that two copies of the model are never in memory.
    weights = {ours: _turned(theirs, tensors.pop(theirs)).float().contiguous() for ours, theirs in names.items()}
    model.load_state_dict(weights, assign=True)
    return model


def write_published(model: GPT, directory: Path | str) -> None:
    """Write `model` as GPT-2 is published, for every program that reads that: the inverse of `load_published`.

    A model without biases of queries, keys and values gets zeros for them; an untied output matrix is `lm_head.weight`.
    The last id ends a text, as in GPT-2's vocabulary.

    Raises OSError if the disk takes no more.
    """
    shape = {theirs: getattr(model.config, ours) for ours, theirs in _SHAPE.items()}
    config = {
        "architectures": ["GPT2LMHeadModel"],
        **_ARCHITECTURE,
        **shape,
        **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), model.config.drop_rate),
        **dict.fromkeys(("bos_token_id", "eos_token_id"), model.config.vocab_size - 1),
        "tie_word_embeddings": model.config.tie_weights,
    }
    write_folder(Path(directory), config, _as_published(model.state_dict()))


def _as_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our `weights` under GPT-2's names and in its layout."""
    published = {}
    for ours, weight in weights.items():
        theirs = _their_name(ours)
        published[theirs] = _turned(theirs, weight)
        if theirs.endswith("c_attn.weight"):
            published[theirs.replace("weight", "bias")] = weight.new_zeros(weight.shape[0])  # ours, if any, comes next
    return published


def _their_name(ours: str) -> str:
    """Return GPT-2's name of our weight.

    >>> _their_name("body.blocks.3.feed_forward.up.bias")
    'h.3.mlp.c_fc.bias'
    """
    if ours in _OUTER:
        return _OUTER[ours]
    layer, part = ours.removeprefix("body.blocks.").split(".", 1)
    module, kind = part.rsplit(".", 1)
    return f"h.{layer}.{_IN_BLOCK[module]}.{kind}"


def _turned(theirs: str, weight: Tensor) -> Tensor:
    """Return a block's matrix transposed, all else as it is: GPT-2 keeps (in, out), we keep (out, in)."""
    return weight.t() if theirs.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else weight


def _read_files(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of a folder whose weights are in one file, or in several that an index names.

    Raises ValueError if a file is missing, truncated or something else.
    """
    if (folder / WEIGHTS_FILE).is_file() or not (folder / INDEX_FILE).is_file():
        return read_tensors(folder)
    try:
        weight_map = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / INDEX_FILE}: expected JSON with a weight_map, tensor to file: {error!r}"
        ) from error
    tensors: dict[str, Tensor] = {}
    for name in names:
        try:
            tensors |= safetensors.torch.load_file(folder / name, backend="pread")
        except (OSError, safetensors.SafetensorError) as error:
            raise ValueError(f"{folder / name}: named in {INDEX_FILE}, but cannot be read: {error}") from error
    return tensors


def _without_extras(tensors: Mapping[str, Tensor], config: GPTConfig, source: Path) -> dict[str, Tensor]:
    """Return `tensors` without prefix, without causal masks, and without the copy of a tied matrix.

    Raises ValueError if that copy is none.
    """
    masks = (".attn.bias", ".attn.masked_bias")
    plain = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items() if not name.endswith(masks)}
    if config.tie_weights and "lm_head.weight" in plain:
        head = plain.pop("lm_head.weight")
        if "wte.weight" in plain and not torch.equal(head, plain["wte.weight"]):
            raise ValueError(
                f"{source}: lm_head.weight differs from wte.weight, and {CONFIG_FILE} says that they are tied"
            )
    return plain


def _our_config(theirs: Mapping[str, Any], path: Path) -> GPTConfig:
    """Return the GPTConfig that a published config.json describes.

    Raises ValueError if it describes a model that ours cannot be.
    """
    if missing := [name for name in _SHAPE.values() if name not in theirs]:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; is it a GPT-2 as huggingface.co publishes it?")
    shape = {ours: theirs[name] for ours, name in _SHAPE.items()}
    for name, expected in {**_ARCHITECTURE, "n_inner": None}.items():
        said = theirs.get(name, expected)
        if said != expected and not (name == "n_inner" and said == 4 * shape["emb_dim"]):
            raise ValueError(f"{path}: {name} is {said!r}; expected {expected!r}, as in GPT-2")
    tied = theirs.get("tie_word_embeddings", True)
    try:
        return GPTConfig(**shape, drop_rate=0.0, qkv_bias=True, tie_weights=tied, init="gpt2")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
