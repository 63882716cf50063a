"""The losses of a model on the validation text, passage by passage."""

import hashlib
from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt

from components.gpt.likelihood import losses
from components.gpt.model import GPT
from components.scoring.passage import Passage
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows.batches import in_order
from components.windows.windows import Windows
from pipeline import paths
from pipeline.passages import document, passage, passages

Integers = npt.NDArray[np.int64]
Scored = tuple[Integers, Integers, npt.NDArray[np.float64]]
"""Of some ids: their places in the stream that windows slide over, the ids, and the loss on each in nats (target,)."""


def by_passage(model: GPT, batch_size: int) -> list[Passage]:
    """Return the loss on each passage of the validation windows, no id of which is scored twice.

    The first id of the stream is not scored, for nothing is before it, nor are the last ones, which may fill no window.
    A passage in which no byte was scored is none: what was scored there counts in the one before, or else the next.

    Raises ValueError for shards of other tokens than the table's, and where no byte was scored.
    """
    windows, tokenizer = Windows(paths.SHARDS, "validation"), Tokenizer.load(paths.TOKENIZER)
    _refuse_others(windows, tokenizer)
    sizes = _sizes_bytes(tokenizer)
    found = list(_laid(windows, tokenizer, sizes))
    begins = np.array([begin for begin, *_ in found])
    sums = np.zeros((3, len(found)))
    for places, ids, nats in _scored(model, windows, batch_size):
        its = np.searchsorted(begins, places, side="right") - 1
        first, last = its[[0, -1]].tolist()  # windows come in order: a batch is of few passages
        amounts = np.ones(len(its)), sizes[ids], nats
        sums[:, first : last + 1] += [np.bincount(its - first, each, last + 1 - first) for each in amounts]
    has_sources = len({source for _, _, source, _ in found}) > 1
    return [
        Passage(name, source if has_sources else name, sha256, int(tokens), int(size_bytes), nats)
        for (_, name, source, sha256), (tokens, size_bytes, nats) in zip(found, _merged(sums).T.tolist(), strict=True)
        if size_bytes
    ]


def _merged(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return tokens, bytes and nats of passages (3, passage), those without bytes added to their neighbours."""
    (filled,) = sums[1].nonzero()
    if not len(filled):
        raise ValueError(f"no byte of the validation text in {paths.SHARDS} was scored; add text, or lower the context")
    owners = filled[np.maximum(np.searchsorted(filled, np.arange(sums.shape[1]), side="right") - 1, 0)]
    return np.array([np.bincount(owners, each, sums.shape[1]) for each in sums])


def _refuse_others(windows: Windows, tokenizer: Tokenizer) -> None:
    """Raise ValueError unless the shards can be of the table's tokens."""
    of_table = table.sizes(paths.TOKENS).loc["validation", ["documents", "size_bytes"]].tolist()
    of_shards = [len(windows.starts), windows.size_bytes]
    if of_table != of_shards or windows.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"{paths.SHARDS} is of other tokens than {paths.TOKENS}: {of_shards[0]} validation documents of "
            f"{of_shards[1]} bytes and {windows.vocab_size} tokens, expected {of_table[0]} of {of_table[1]} and "
            f"{tokenizer.vocab_size}; run dvc repro shard"
        )


def _sizes_bytes(tokenizer: Tokenizer) -> Integers:
    """Return the UTF-8 bytes of each token; a special one stands for none."""
    sizes = np.array([len(tokenizer.decode_bytes([id_])) for id_ in range(tokenizer.vocab_size)])
    sizes[list(tokenizer.special_ids.values())] = 0
    return sizes


def _laid(windows: Windows, tokenizer: Tokenizer, sizes: Integers) -> Iterator[tuple[int, str, str, str]]:
    """Yield of each passage the place in the stream of the first id that begins in it, its name, source and sha256."""
    rows = table.read(paths.TOKENS, "validation")
    for row, (number, first) in zip(rows, windows.starts.tolist(), strict=True):
        if row.document != number:
            raise ValueError(
                f"{paths.SHARDS} is of other tokens than {paths.TOKENS}: it has document {number} where document "
                f"{row.document} is expected; run dvc repro shard"
            )
        its = sizes[row.ids]
        begins = np.cumsum(its) - its
        begin = 0
        for n, text in enumerate(passages(tokenizer.decode(row.ids.tolist())), 1):
            name = passage(document(row.document, row.place), n)
            encoded = text.encode()
            yield first + int(np.searchsorted(begins, begin)), name, row.source, hashlib.sha256(encoded).hexdigest()
            begin += len(encoded)


def _scored(model: GPT, windows: Windows, batch_size: int) -> Iterator[Scored]:
    for first, (inputs, targets) in zip(count(step=batch_size), in_order(windows, batch_size)):
        starts = windows.stride * np.arange(first, first + len(inputs))
        places = starts[:, None] + 1 + np.arange(windows.context_length)
        is_scored = targets >= 0
        nats = losses(model, inputs, targets)[is_scored]
        yield places[is_scored.numpy()], targets[is_scored].numpy(), nats.double().numpy()
