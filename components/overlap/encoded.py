"""Texts as their UTF-8 end to end: many are hashed at once, and only those that are looked at become strings."""

from collections.abc import Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

END = b"\n"
"""What stands after each text: part of no character of more bytes, and of no word."""


class Encoded(Sequence[str]):
    r"""A sequence of texts of which the UTF-8 is at hand.

    `data` is that UTF-8, a line feed after each text (byte,); `ends` is where each text and its line feed end (text,).

    >>> texts = Encoded.of(["To be", "or not"])
    >>> texts.data.tobytes(), texts.ends.tolist(), texts[1]
    (b'To be\nor not\n', [6, 13], 'or not')
    """

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.data = data
        self.ends = ends

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Encoded | Self":
        """Return texts encoded; those that are stay as they are."""
        if isinstance(texts, Encoded):
            return texts
        encoded = [text.encode() + END for text in texts]
        ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...

    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[k] for k in range(*at.indices(len(self)))]
        return self.utf8(range(len(self))[at]).tobytes().decode()

    def utf8(self, number: int) -> NDArray[np.uint8]:
        """Return the UTF-8 of a text (byte,)."""
        begin = int(self.ends[number - 1]) if number else 0
        return self.data[begin : int(self.ends[number]) - len(END)]
