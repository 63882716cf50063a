"""Ids to text, many documents at once: what `Tokenizer.decode` gives of each, at the speed of memory."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.tokenizer.bpe import Tokenizer

END = b"\n"
"""What is put after each document: part of no character of more bytes, so that it parts what is decoded wrongly too."""


class Decoder:
    """A tokenizer's tokens as bytes, to be put end to end; threads may share it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokens = [tokenizer.encoding.decode_bytes([id_]) for id_ in range(tokenizer.vocab_size)]
        self._vocab_size = len(tokens)
        self._tokens = pa.array([*tokens, END], pa.large_binary())

    def utf8(
        self, ids: npt.NDArray[np.integer[Any]], offsets: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return the UTF-8 of some documents end to end, a line feed after each (byte,), and where that of each ends.

        `ids` are those of all end to end (token,), `offsets` where each document's begin and end (document + 1,). Bytes
        that are not UTF-8 become U+FFFD, as in `decode`.

        Raises ValueError for an id outside the vocabulary.
        """
        if len(ids) and (ids.min() < 0 or ids.max() >= self._vocab_size):
            raise ValueError(f"ids {ids.min()}..{ids.max()} are outside the vocabulary of {self._vocab_size} tokens")
        its = ids.astype(np.min_scalar_type(self._vocab_size), copy=False)
        ended = np.insert(its, offsets[1:], self._vocab_size)
        _, ends_of_tokens, data = self._tokens.take(pa.array(ended)).buffers()
        ends = np.frombuffer(ends_of_tokens, np.int64)[offsets[1:] + np.arange(1, len(offsets))]
        size = int(ends[-1]) if len(ends) else 0
        found = np.frombuffer(data, np.uint8, size) if size else np.zeros(0, np.uint8)
        return (found, ends) if _is_utf8(found) else _replaced(found, ends)


def _is_utf8(data: npt.NDArray[np.uint8]) -> bool:
    whole = pa.Array.from_buffers(
        pa.large_string(), 1, [None, pa.py_buffer(np.array([0, len(data)])), pa.py_buffer(data)]
    )
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _replaced(
    data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the same with U+FFFD for what is no UTF-8."""
    parts = [part.tobytes().decode("utf-8", errors="replace").encode() for part in np.split(data, ends[:-1])]
    return np.frombuffer(b"".join(parts), np.uint8), np.cumsum([len(part) for part in parts], dtype=np.int64)
