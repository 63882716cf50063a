"""Documents become rows of the token table: encoded by processes of this machine or a Ray cluster, the same bytes."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.corpus.documents import Document
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.table import Row
from pipeline import machine
from pipeline.pool import in_order

log = logging.getLogger(__name__)

BATCH_CHARACTERS = 2**18
"""Characters that a process encodes at once."""
LEAST_BYTES = 2**24
"""Bytes of text, about a second's work, below which no process is begun for it."""

Integers = npt.NDArray[np.unsignedinteger]
"""Ids of a text (token,), of any width."""

_REPLACEMENT = "\ufffd"


def write(found: Iterable[Document], tokenizer: Tokenizer, folder: Path, processes: int) -> None:
    """Write a row for each document that the folder has none for yet; who encodes changes the time alone."""
    done = table.count(folder)
    waiting: deque[Callable[..., Row]] = deque()  # rows of texts being encoded, which want their ids; no texts

    def texts() -> Iterator[str]:
        for each in islice(found, done, None):
            waiting.append(_row(each))
            yield each.text

    with closing(_ids(texts(), tokenizer, folder, processes)) as ids:
        table.write((waiting.popleft()(ids=its) for its in ids), folder, tokenizer.vocab_size)
    assert not waiting, f"{len(waiting)} texts have no ids"


def processes(size_bytes: int) -> int:
    """Return how many processes encode so many bytes soonest: one for each processor, with this one, or it alone."""
    return machine.cores() if size_bytes >= LEAST_BYTES else 1


def encoded(texts: Iterable[str], tokenizer: Tokenizer, processes: int) -> Generator[Integers, None, None]:
    """Yield the ids of each text, in order, by processes of this machine, this one among them."""
    with closing(in_order(tokenizer.encode_joined, _batches(texts), processes)) as batches:
        for ids, ends in batches:
            yield from np.split(ids, ends[:-1])


def _ids(texts: Iterable[str], tokenizer: Tokenizer, folder: Path, processes: int) -> Generator[Integers, None, None]:
    """Yield the ids of each text, in order: from a Ray cluster where the environment names one, else from here."""
    if (address := machine.ray_address()) is None:
        yield from encoded(texts, tokenizer, processes)
    else:
        from integrations import ray_data  # late: what it needs is an extra

        log.info("encoding on the Ray cluster at %s", address)
        between = folder.with_name("texts")
        yield from ray_data.encode_each(texts, tokenizer, between, address, machine.handed_on())


def _row(document: Document) -> Callable[..., Row]:
    """Return a row but for its ids."""
    return partial(
        Row,
        document=document.index,
        source=document.source,
        split=document.split,
        place=document.place,
        begin=document.begin,
        size_bytes=len(document.text.encode()),
        characters=len(document.text),
        replacements=document.text.count(_REPLACEMENT),
    )


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in batches that are worth a process's while; a long one is the last of its batch."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
