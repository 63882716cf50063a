"""Small shard sets for the tests beside it."""

import numpy as np

from components.windows.shards import document, write, write_index
from components.windows.windows import Windows


def write_split(folder, ids, split="train", *, context_length, stride, shard_size=1000, vocab_size=100):
    """One document without separator, as in the book."""
    return write_documents(
        folder, [(0, ids)], split, None, context_length=context_length, stride=stride, shard_size=shard_size,
        vocab_size=vocab_size,
    )  # fmt: skip


def write_documents(folder, documents, split, end_of_text, *, context_length, stride, shard_size, vocab_size):
    arrays = [document(number, np.array(ids, dtype=np.int64)) for number, ids in documents]
    written = write(
        arrays, folder, split, end_of_text=end_of_text, vocab_size=vocab_size, shard_size=shard_size, size_bytes=7
    )
    write_index(folder, [written], context_length=context_length, stride=stride, vocab_size=vocab_size)
    return Windows(folder, split)
