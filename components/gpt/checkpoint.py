"""A model as a folder: config.json and model.safetensors, the same bytes for the same weights; nothing in it runs.

Each file is whole: written under a temporary name and renamed, the weights first. Both together are as safe as their
folder, so a stage writes a new folder and renames that. Every tensor is checked by name and shape.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from components.gpt.model import GPT, GPTConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def save(model: GPT, directory: Path | str) -> None:
    """Write `model` into `directory`, which is made if it is not there.

    Raises OSError if the disk takes no more; the folder's earlier files are then as they were.
    """
    write_folder(Path(directory), dataclasses.asdict(model.config), model.state_dict())


def load(directory: Path | str) -> GPT:
    """Return the model that `save` wrote, on the CPU and in training mode, as a fresh one is.

    Raises ValueError, one line, for a folder without a model, a truncated file, or tensors that are not the model's.
    """
    folder = Path(directory)
    config = parse_config(read_config(folder), folder / CONFIG_FILE)
    with torch.device("meta"):
        model = GPT(config)
    fill(model, read_tensors(folder), folder / WEIGHTS_FILE)
    return model


def sha256(directory: Path | str) -> str:
    """Return the SHA-256 of the weights in `directory`, in hexadecimal."""
    with (Path(directory) / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files of a model, each whole or not at all: the weights first, then what describes them.

    Raises OSError if they cannot be written; where only config.json cannot, the weights are the new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial_config, partial_weights = folder / f".{CONFIG_FILE}.partial", folder / f".{WEIGHTS_FILE}.partial"
    try:
        partial_config.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        # transformers 4 reads only files that say "pt".
        safetensors.torch.save_file(contiguous, partial_weights, metadata={"format": "pt"})
        partial_weights.chmod(partial_config.stat().st_mode)  # safetensors lets nobody else read its files
        partial_weights.replace(folder / WEIGHTS_FILE)
        partial_config.replace(folder / CONFIG_FILE)
    except safetensors.SafetensorError as error:  # safetensors' own word for a full disk
        raise OSError(f"{folder / WEIGHTS_FILE}: cannot be written: {error}") from error
    finally:
        for partial in (partial_config, partial_weights):
            partial.unlink(missing_ok=True)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the object in a folder's config.json.

    Raises ValueError if there is none or it is no JSON object.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a model's folder, with {CONFIG_FILE} and {WEIGHTS_FILE}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: holds a {type(config).__name__}; expected an object")
    return config


def parse_config(values: Mapping[str, Any], path: Path) -> GPTConfig:
    """Return the GPTConfig with these values; `path` is where they came from, for errors.

    Raises ValueError for a missing, unknown or impossible value.
    """
    expected = {field.name for field in dataclasses.fields(GPTConfig)}
    required = {field.name for field in dataclasses.fields(GPTConfig) if field.default is dataclasses.MISSING}
    if missing := required - values.keys():
        raise ValueError(f"{path}: lacks {_listed(missing)}; is it a model that this project saved?")
    if unknown := values.keys() - expected:
        raise ValueError(f"{path}: unknown {_listed(unknown)}; expected only {', '.join(sorted(expected))}")
    try:
        return GPTConfig(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of a folder's model.safetensors, in memory of their own.

    Raises ValueError if there is no such file, or it is truncated or something else.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a model's folder, with {CONFIG_FILE} and {WEIGHTS_FILE}")
    try:
        # Read, not mapped: the weights must outlive the file, which a later stage may write over.
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path, backend="pread")
    except safetensors.SafetensorError as error:
        size_bytes = path.stat().st_size
        raise ValueError(f"{path}: {size_bytes} bytes, truncated or not safetensors: {error}") from error
    return tensors


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Make `tensors` the weights of `module`, which may be on the meta device; `source` is for errors.

    Raises ValueError unless names and shapes are exactly the module's, and all tensors are of one type.
    """
    check(tensors, module.state_dict(), source)
    counts = Counter(tensor.dtype for tensor in tensors.values())
    usual = counts.most_common(1)[0][0]
    for name, tensor in tensors.items():
        if tensor.dtype != usual:
            raise ValueError(f"{source}: {name} holds {tensor.dtype}, others {usual}; expected one type for all")
    module.load_state_dict(tensors, assign=True)


def check(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: Path) -> None:
    """Raise ValueError unless `tensors` have exactly the names and shapes of the `wanted` ones, and hold floats."""
    if missing := wanted.keys() - tensors.keys():
        raise ValueError(f"{source}: lacks tensor {_listed(missing)}; {len(tensors)} there, {len(wanted)} expected")
    if extra := tensors.keys() - wanted.keys():
        raise ValueError(f"{source}: unknown tensor {_listed(extra)}; {len(tensors)} there, {len(wanted)} expected")
    for name, ours in wanted.items():
        theirs = tensors[name]
        if theirs.shape != ours.shape:
            raise ValueError(f"{source}: {name} has shape {tuple(theirs.shape)}, model wants {tuple(ours.shape)}")
        if not theirs.is_floating_point():
            raise ValueError(f"{source}: {name} holds {theirs.dtype}, model wants floating point numbers")


def _listed(names: Iterable[str]) -> str:
    """Return the first three names, and how many more there are."""
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
