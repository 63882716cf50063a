"""A training that can be killed at any moment: all that a run needs to go on, in a folder for each step kept.

    step-000000120/model.safetensors       the weights
                   optimizer.safetensors   what the optimizers remember, `<optimizer>.<parameter>.<name>`
                   state.json              steps made, their rows, the fingerprint, the files' hashes
    best-000000080/model.safetensors       weights kept for the end (`keep`), with the state.json that they came with

Schedule, batches and dropout are functions of the step's number and the seed, so that nothing of them has to be kept.
Nothing in the folder runs when it is read.

It is written from a copy in main memory, 12 bytes a parameter with AdamW, 8 with Muon, so that training can go on.
Several processes leave the same files as one, written by the first; what is in shards (`distributed.shard`) it gathers
tensor by tensor. To go on each reads the files and keeps its shards of them, so that any number of processes can.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.training import distributed

KEPT = 2
"""States kept: the newest, and the one before it, should the newest be damaged."""

_STATE = "state.json"
_MODEL, _OPTIMIZER = "model.safetensors", "optimizer.safetensors"
_NAME, _KEPT_NAME = "step-{:09d}", "best-{:09d}"

_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64"}
"""Kinds of numbers, as safetensors names them."""
_PIECE = 16 << 20  # bytes written before the disk is waited for

Row = dict[str, float]


class Damaged(ValueError):
    """A state that cannot be used."""


@dataclass(frozen=True)
class Restored:
    """Where a training goes on."""

    rows: list[Row]
    """One for each step made, as they were handed to `begin`; their number is the step that comes next."""
    skipped: tuple[str, ...]
    """Why each newer state could not be used."""


def begin(
    folder: Path, model: nn.Module, optimizers: Sequence[Optimizer], rows: Sequence[Row], fingerprint: str
) -> Callable[[], Path]:
    """Copy the state after `len(rows)` steps into main memory, and return what writes it and returns its folder.

    That can be called from a thread while the training goes on, and must have ended before another is called. The state
    gets a folder of its own in `folder`, and appears whole or not at all: written beside, synced, renamed. Of the older
    ones the newest `KEPT` - 1 stay. `fingerprint` stands for data and settings: `restore` takes only a state with the
    same. Of several processes each is to call both, and the first writes.

    The second raises OSError if the disk takes no more; the earlier states are then as they were.
    """
    final = folder / _NAME.format(len(rows))
    files = {_OPTIMIZER: _copied(_tensors(optimizers)), _MODEL: _copied(model.state_dict())}
    content = {"fingerprint": fingerprint, "rows": [dict(row) for row in rows]}
    is_first = distributed.rank() == 0  # asked now: the group may be gone when it is written
    return lambda: _write(final, files, content) if is_first else final


def restore(folder: Path, model: nn.Module, optimizers: Sequence[Optimizer], fingerprint: str) -> Restored:
    """Give model and optimizers the newest state in `folder` that is whole and of the same fingerprint.

    Without one they stay as they are, and there are no rows. The model keeps its device.
    """
    skipped: list[str] = []
    for state in _states(folder):
        try:
            rows = _read(state, model, optimizers, fingerprint)
        except Damaged as error:
            skipped.append(f"{state}: {error}")
        else:
            return Restored(rows, tuple(skipped))
    return Restored([], tuple(skipped))


def keep(folder: Path, steps: int) -> None:
    """Keep the weights of the state after so many steps, which is written, in place of any kept before.

    `take_kept` reads them. They are the state's own file under a second name, where the disk can do that: nothing is
    written again. Of several processes the first is to call this.

    Raises OSError if the disk takes no more.
    """
    state, final = folder / _NAME.format(steps), folder / _KEPT_NAME.format(steps)
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in (_MODEL, _STATE):
        try:
            os.link(state / name, partial / name)
        except OSError:  # a disk without second names
            shutil.copyfile(state / name, partial / name)
            _sync(partial / name)
    _sync(partial)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    _sync(folder)
    for other in folder.glob("best-*"):
        if other != final:
            shutil.rmtree(other)


def take_kept(folder: Path, steps: int, model: nn.Module, fingerprint: str) -> None:
    """Give a model, whole and of one process, the weights that `keep` has kept after so many steps.

    Raises Damaged where they are not there, or not what was written.
    """
    kept = folder / _KEPT_NAME.format(steps)
    try:
        _, hashes = _read_content(kept, fingerprint)
        model.load_state_dict(_read_tensors(kept, _MODEL, hashes))
    except Damaged as error:
        raise Damaged(f"{kept}: {error}; remove {folder} and train again") from error


def _write(final: Path, files: Mapping[str, dict[str, Tensor]], content: dict[str, Any]) -> Path:
    """Write a state, and remove those that it makes useless."""
    folder, partial = final.parent, final.with_name(f".{final.name}.partial")
    for left in folder.glob(".step-*.partial"):  # by a process that was killed
        shutil.rmtree(left)
    partial.mkdir(parents=True)
    try:
        hashes = {name: _write_tensors(partial / name, tensors) for name, tensors in files.items()}
        hashes["rows"] = _sha256_of_rows(content["rows"])
        (partial / _STATE).write_text(json.dumps(content | {"sha256": hashes}), encoding="utf-8")
        for path in (partial / _STATE, partial):
            _sync(path)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        _sync(folder)
    except OSError as error:
        raise OSError(f"{partial}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    states = _states(folder)
    later = states.index(final)  # damaged, or this run had gone on from it
    for useless in (*states[:later], *states[later + KEPT :]):
        shutil.rmtree(useless)
    return final


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file, synced, and return its hash.

    Piece by piece, each let go of by the system once the disk has it: keeping a gigabyte in memory that nobody reads
    takes the processor several times what writing it takes. Source: https://huggingface.co/docs/safetensors, "Format".
    """
    described, end = {}, 0
    tensors = dict(sorted(tensors.items(), key=lambda each: -each[1].itemsize))  # so that each lies at its own step
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        described[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % 8)
    parts = [tensor.reshape(-1).view(torch.uint8).numpy().data for tensor in tensors.values()]
    digest, unsynced = hashlib.sha256(), 0
    with path.open("wb") as file:
        for part in (memoryview(len(header).to_bytes(8, "little") + header), *parts):
            for start in range(0, len(part), _PIECE):
                piece = part[start : start + _PIECE]
                digest.update(piece)
                unsynced += file.write(piece)
                if unsynced >= _PIECE:
                    _let_go(file)
                    unsynced = 0
        _let_go(file)
    return digest.hexdigest()


def _let_go(file: BinaryIO) -> None:
    """Have the disk hold what is written of a file, and the system's memory none of it, where it can be told so."""
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):  # not on macOS
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _states(folder: Path) -> list[Path]:
    """Return the states in a folder, the newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _read(state: Path, model: nn.Module, optimizers: Sequence[Optimizer], fingerprint: str) -> list[Row]:
    rows, hashes = _read_content(state, fingerprint)
    files = {name: _read_tensors(state, name, hashes) for name in (_MODEL, _OPTIMIZER)}
    targets = model.state_dict()
    model.load_state_dict({k: distributed.like(targets.get(k, each), each) for k, each in files[_MODEL].items()})
    _remember(optimizers, files[_OPTIMIZER])
    return rows


def _read_content(state: Path, fingerprint: str) -> tuple[list[Row], dict[str, str]]:
    """Return the rows of a state and the hashes of its files."""
    try:
        content: dict[str, Any] = json.loads((state / _STATE).read_text(encoding="utf-8"))
        theirs, hashes, rows = content["fingerprint"], content["sha256"], content["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{_STATE} cannot be read ({type(error).__name__})") from error
    if not isinstance(rows, list) or hashes.get("rows") != _sha256_of_rows(rows):
        raise Damaged(f"{_STATE} is not what was written")
    if theirs != fingerprint:
        raise Damaged(f"of other data or settings ({theirs}, expected {fingerprint})")
    return rows, hashes


def _read_tensors(state: Path, name: str, hashes: Mapping[str, str]) -> dict[str, Tensor]:
    path = state / name
    if not path.is_file() or _sha256(path) != hashes.get(name):
        raise Damaged(f"{name} is not what was written")
    tensors: dict[str, Tensor] = safetensors.torch.load_file(path, backend="pread")
    return tensors


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of the tensors, whole, in the main memory of the first process; none in any other."""
    found = {}
    for name, tensor in tensors.items():
        gathered = distributed.whole(tensor.detach())
        if distributed.rank() == 0:
            found[name] = gathered.to("cpu", copy=True).contiguous()
    return found


def _tensors(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """Return what the optimizers remember; their settings are not part of it: they come from the schedule."""
    return {
        f"{place}.{parameter}.{name}": tensor
        for place, optimizer in enumerate(optimizers)
        for parameter, remembered in optimizer.state_dict()["state"].items()
        for name, tensor in remembered.items()
    }


def _remember(optimizers: Sequence[Optimizer], tensors: dict[str, Tensor]) -> None:
    for place, optimizer in enumerate(optimizers):
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        remembered: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            of, parameter, name = key.split(".", 2)
            if int(of) == place:
                target = parameters[int(parameter)]  # what is remembered for each of its numbers lies as it does
                mine = distributed.like(target, tensor) if tensor.shape == target.shape else tensor
                remembered.setdefault(int(parameter), {})[name] = mine
        optimizer.load_state_dict({**optimizer.state_dict(), "state": remembered})


def _sha256_of_rows(rows: Sequence[Row]) -> str:
    return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before anything that comes after."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
