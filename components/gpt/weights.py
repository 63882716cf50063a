"""GPT-2 as it is published, and GPT-NeoX, as our model, and back: other names, other layouts, no TensorFlow.

A model with learned positions is a GPT-2, one with rotary positions a GPT-NeoX with GPT-2's blocks: transformers runs
such, but none is published. NeoX-20B's and Pythia's blocks add attention and feed-forward side by side.

Source: huggingface.co/openai-community/gpt2 (names; matrices lie as (in, out)); huggingface.co/EleutherAI/pythia-160m
(names; queries, keys and values lie together for each head); transformers, modeling_gpt2.py and modeling_gpt_neox.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from components.gpt.checkpoint import CONFIG_FILE, WEIGHTS_FILE, check, read_config, read_tensors, write_folder
from components.gpt.model import GPT, GPTConfig
from components.gpt.rotary import BASE

INDEX_FILE = "model.safetensors.index.json"
"""What transformers writes beside weights that it splits into several files: the file of each tensor."""

_SHAPE = ("vocab_size", "context_length", "emb_dim", "n_heads", "n_layers")
"""Our fields that a published config.json says too, under other names."""


@dataclass(frozen=True)
class _Architecture:
    """What a published architecture calls the parts of our model."""

    name: str
    loaded_by: str
    """The class of transformers that loads it."""
    says: Mapping[str, Any]
    """What a config.json may say, and our model does in one way only."""
    assumed: Mapping[str, Any]
    """What transformers takes for granted where a config.json says nothing, if that is not what `says` has."""
    shape: tuple[str, str, str, str, str]
    """The published fields that say the same as ours in _SHAPE."""
    widths: tuple[str, ...]
    """What must say that a feed-forward is four times as wide as a token's vector."""
    dropouts: tuple[str, ...]
    prefix: str
    """What may stand before the name of every tensor but the output matrix."""
    written_prefix: str
    blocks: str
    modules: Mapping[str, str]
    left_out: tuple[str, ...]
    """The ends of the names of what is no weight: causal masks, angles."""


_GPT2 = _Architecture(
    name="GPT-2",
    loaded_by="GPT2LMHeadModel",
    says={
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    assumed={"tie_word_embeddings": True},
    shape=("vocab_size", "n_positions", "n_embd", "n_head", "n_layer"),
    widths=(),
    dropouts=("embd_pdrop", "attn_pdrop", "resid_pdrop"),
    prefix="transformer.",
    written_prefix="",
    blocks="h",
    modules={
        "token_embedding": "wte",
        "position_embedding": "wpe",
        "final_norm": "ln_f",
        "head": "lm_head",
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.out_proj": "attn.c_proj",
        "feed_forward_norm": "ln_2",
        "feed_forward.up": "mlp.c_fc",
        "feed_forward.down": "mlp.c_proj",
    },
    left_out=(".attn.bias", ".attn.masked_bias"),
)

_NEOX = _Architecture(
    name="GPT-NeoX with GPT-2's blocks",
    loaded_by="GPTNeoXForCausalLM",
    says={
        "model_type": "gpt_neox",
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "use_parallel_residual": False,
        "attention_bias": True,
        # The turns are said twice, once to transformers 5 and once to those before it.
        "rope_parameters": {"rope_type": "default", "rope_theta": float(BASE), "partial_rotary_factor": 1.0},
        "rotary_pct": 1.0,
        "rotary_emb_base": BASE,
        "rope_scaling": None,
    },
    assumed={
        "hidden_act": "gelu",
        "use_parallel_residual": True,
        "rotary_pct": 0.25,
        "intermediate_size": 24_576,
        "tie_word_embeddings": False,
    },
    shape=("vocab_size", "max_position_embeddings", "hidden_size", "num_attention_heads", "num_hidden_layers"),
    widths=("intermediate_size",),
    dropouts=("attention_dropout", "hidden_dropout"),
    prefix="gpt_neox.",
    written_prefix="gpt_neox.",
    blocks="layers",
    modules={
        "token_embedding": "embed_in",
        "final_norm": "final_layer_norm",
        "head": "embed_out",
        "attention_norm": "input_layernorm",
        "attention.qkv": "attention.query_key_value",
        "attention.out_proj": "attention.dense",
        "feed_forward_norm": "post_attention_layernorm",
        "feed_forward.up": "mlp.dense_h_to_4h",
        "feed_forward.down": "mlp.dense_4h_to_h",
    },
    left_out=(".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"),
)

_ARCHITECTURES: dict[Literal["learned", "rotary"], _Architecture] = {"learned": _GPT2, "rotary": _NEOX}
"""Which one a model is, by the positions of its GPTConfig."""


def load_published(directory: Path | str, config: GPTConfig | None = None) -> GPT:
    """Return the model in `directory`: config.json and model.safetensors, as published or as transformers saves them.

    That is, with or without the prefix (`transformer.` or `gpt_neox.`), the causal masks, and a copy of the tied output
    matrix; in one file or in several. Weights become float32; drop_rate is 0, whatever the file says. `config` (one of
    PUBLISHED) is the shape of a folder that holds the weights alone.

    Raises ValueError, one line, for another architecture, a missing or unknown tensor, another shape, a truncated file.
    """
    folder = Path(directory)
    if config is None or (folder / CONFIG_FILE).is_file():
        config = _our_config(read_config(folder), folder / CONFIG_FILE)
    with torch.device("meta"):
        model = GPT(config)
    tensors = _without_extras(_read_files(folder), config, folder / WEIGHTS_FILE)
    check(tensors, _as_published(model.state_dict(), config), folder / WEIGHTS_FILE)
    names = {ours: _their_name(ours, _ARCHITECTURES[config.positions]) for ours in model.state_dict()}
    parts = (config.n_heads, 3)
    # Taken out one by one, so that two copies of the model are never in memory.
    weights = {ours: _laid(theirs, tensors.pop(theirs), parts).float().contiguous() for ours, theirs in names.items()}
    model.load_state_dict(weights, assign=True)
    return model


def write_published(model: GPT, directory: Path | str) -> None:
    """Write `model` as its kind is published, for every program that reads that: the inverse of `load_published`.

    That is as a GPT-2, or with rotary positions as a GPT-NeoX: config.json names the class of transformers. A model
    without biases of queries, keys and values gets zeros for them; an untied output matrix lies beside the rest. The
    last id ends a text, as in GPT-2's vocabulary.

    Raises OSError if the disk takes no more.
    """
    architecture = _ARCHITECTURES[model.config.positions]
    shape = {theirs: getattr(model.config, ours) for ours, theirs in zip(_SHAPE, architecture.shape, strict=True)}
    config = {
        "architectures": [architecture.loaded_by],
        **architecture.says,
        **shape,
        **dict.fromkeys(architecture.widths, 4 * model.config.emb_dim),
        **dict.fromkeys(architecture.dropouts, model.config.drop_rate),
        **dict.fromkeys(("bos_token_id", "eos_token_id"), model.config.vocab_size - 1),
        "tie_word_embeddings": model.config.tie_weights,
    }
    head = _their_name("head.weight", architecture)
    # Beside an output matrix transformers 4 reads a GPT-2's tensors by their long names only.
    prefix = architecture.written_prefix if model.config.tie_weights else architecture.prefix
    tensors = {
        name if name == head else prefix + name: tensor
        for name, tensor in _as_published(model.state_dict(), model.config).items()
    }
    write_folder(Path(directory), config, tensors)


def _as_published(weights: Mapping[str, Tensor], config: GPTConfig) -> dict[str, Tensor]:
    """Return our `weights` under the published names, without prefix, and in the published layout."""
    published = {}
    for ours, weight in weights.items():
        theirs = _their_name(ours, _ARCHITECTURES[config.positions])
        published[theirs] = _laid(theirs, weight, (3, config.n_heads))
        if ours.endswith("qkv.weight"):
            published[theirs.replace("weight", "bias")] = weight.new_zeros(weight.shape[0])  # ours, if any, comes next
    return published


def _their_name(ours: str, architecture: _Architecture) -> str:
    """Return the published name of our weight.

    >>> _their_name("body.blocks.3.feed_forward.up.bias", _GPT2)
    'h.3.mlp.c_fc.bias'
    """
    module, kind = ours.removeprefix("body.").rsplit(".", 1)
    if not module.startswith("blocks."):
        return f"{architecture.modules[module]}.{kind}"
    _, layer, module = module.split(".", 2)
    return f"{architecture.blocks}.{layer}.{architecture.modules[module]}.{kind}"


def _laid(theirs: str, weight: Tensor, parts: tuple[int, int]) -> Tensor:
    """Return a weight in the other layout; most lie alike.

    GPT-2 keeps the matrices of a block as (in, out), we keep (out, in). GPT-NeoX keeps the rows of queries, keys and
    values as (head, 3, size), we keep (3, head, size): `parts` are the first two of these, as `weight` has them.
    """
    if theirs.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return weight.t()
    if ".query_key_value." in theirs:
        return weight.reshape(*parts, -1, *weight.shape[1:]).transpose(0, 1).reshape(weight.shape)
    return weight


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
    """Return `tensors` without prefix, without masks, and without the copy of a tied matrix.

    Raises ValueError if that copy is none.
    """
    architecture = _ARCHITECTURES[config.positions]
    embedding, head = (_their_name(ours, architecture) for ours in ("body.token_embedding.weight", "head.weight"))
    plain = {
        name.removeprefix(architecture.prefix): tensor
        for name, tensor in tensors.items()
        if not name.endswith(architecture.left_out)
    }
    if "lm_head.weight" in plain:  # GPT-NeoX's, as transformers 5 calls it in memory
        plain[head] = plain.pop("lm_head.weight")
    if config.tie_weights and head in plain:
        copy = plain.pop(head)
        if embedding in plain and not torch.equal(copy, plain[embedding]):
            raise ValueError(f"{source}: {head} differs from {embedding}, and {CONFIG_FILE} says that they are tied")
    return plain


def _our_config(theirs: Mapping[str, Any], path: Path) -> GPTConfig:
    """Return the GPTConfig that a published config.json describes.

    Raises ValueError if it describes a model that ours cannot be.
    """
    positions_of = {architecture.says["model_type"]: positions for positions, architecture in _ARCHITECTURES.items()}
    kind = theirs.get("model_type", "gpt2")
    if kind not in tuple(positions_of):
        raise ValueError(f"{path}: model_type is {kind!r}; expected {' or '.join(map(repr, positions_of))}")
    positions = positions_of[kind]
    architecture = _ARCHITECTURES[positions]
    if missing := [name for name in architecture.shape if name not in theirs]:
        asked = f"is it a {architecture.name} as huggingface.co publishes it?"
        raise ValueError(f"{path}: lacks {', '.join(missing)}; {asked}")
    shape = {ours: theirs[name] for ours, name in zip(_SHAPE, architecture.shape, strict=True)}
    tied = theirs.get("tie_word_embeddings", architecture.assumed["tie_word_embeddings"])
    try:
        config = GPTConfig(**shape, drop_rate=0.0, qkv_bias=True, tie_weights=tied, init="gpt2", positions=positions)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    inner = 4 * config.emb_dim
    expected = {**architecture.says, **dict.fromkeys(architecture.widths, inner), "n_inner": None}
    also = {"n_inner": inner, "hidden_act": "gelu_pytorch_tanh"}
    assumed = {**expected, **architecture.assumed}
    if "rope_parameters" in theirs:  # transformers 5 says there what was rotary_pct
        assumed["rotary_pct"] = 1.0
    for name, one in expected.items():
        said = theirs.get(name, assumed[name])
        if said not in (one, also.get(name, one)):
            raise ValueError(f"{path}: {name} is {said!r}; expected {one!r}, as in {architecture.name}")
    return config
