"""What a document must be to be kept: limits on its length, its replacement characters and its entropy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from components.corpus.documents import Document, where
from components.corpus.reading import Refused
from components.corpus.texts import Kind

_REPLACEMENT = "\ufffd"
_REPLACEMENT_BYTES = 3
"""In UTF-8."""


@dataclass(frozen=True)
class Limits:
    """What a number of a document may be, and what happens to a document beyond."""

    least: float | None
    """Smallest that is kept; None: any."""
    most: float | None
    """Largest that is kept; None: any."""
    on_breach: Literal["stop", "quarantine"]
    """`stop` ends the build at the first such document; `quarantine` leaves each out, counted, with its reason."""

    def __post_init__(self) -> None:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least is {self.least}; expected at most {self.most} (most)")


@dataclass(frozen=True)
class TokenEntropy:
    """How much ids must differ."""

    least: float
    """Least entropy of the ids of a split, and of its part of a row group, of 1,024 ids or more; bits, 0 or more."""
    on_breach: Literal["stop", "quarantine"]
    """`stop` ends the build; `quarantine` leaves the documents of such a part out, counted, each with its reason, after
    a vocabulary has learned from them. A whole split that is below ends the build in either case."""

    def __post_init__(self) -> None:
        if not self.least >= 0:
            raise ValueError(f"least is {self.least}; expected 0 or more")


@dataclass(frozen=True)
class ValidationShare:
    """How near validation must be to the share that was asked for."""

    tolerance: float
    """How far it may be from `split.validation_share`, of the documents, of the sources by source, of the characters by
    position; above 0. Of n documents or sources that were drawn 1/sqrt(n) more: two standard errors at least."""
    on_breach: Literal["stop", "report"]
    """`stop` ends the build; `report` says so, on the log and in the report. No document is to blame for it, so that
    there is none to leave out."""

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance}; expected above 0")


@dataclass(frozen=True)
class ContractSettings:
    """What documents must be one by one, and the tokens and the split as a whole."""

    size_bytes: Limits
    """UTF-8 bytes of a document."""
    replaced_share: Limits
    """Share of those bytes that are replacement characters (U+FFFD, three each): text that was decoded badly; 0..1."""
    bits_per_byte: Limits
    """Entropy of the bytes of a document, 0..8: that of "aaaa" is 0, of English prose 4 to 5; a document of n bytes has
    log2(n) at most. Where it is limited, documents of 4 kB take a twentieth longer to tokenize."""
    bits_per_token: TokenEntropy
    """Entropy of ids."""
    validation_share: ValidationShare
    """What validation is of the whole."""


@dataclass(frozen=True, slots=True)
class Breach(Refused):
    """A document that is beyond a limit."""

    limited: str
    """What is beyond, such as "size_bytes"."""
    value: float
    """How much it is."""
    limits: Limits
    """What it may be, and what happens now."""
    kind: Kind = field(default="breaches", kw_only=True)
    """What it is counted as."""


def judged(found: Iterable[Document | Refused], contract: ContractSettings) -> Iterator[Document | Refused]:
    """Pass on what is found, with a Breach in place of each document that is beyond a limit.

    Beyond several it is the first that stops the build, or else the first.
    """
    for each in found:
        if isinstance(each, Refused):
            yield each
        else:
            yield min(_breaches(each, contract), key=lambda breach: breach.limits.on_breach != "stop", default=each)


def replaced_share(text: str) -> float:
    """Return the share of a text's UTF-8 bytes that are U+FFFD; 0 for no text."""
    count = text.count(_REPLACEMENT)
    return _REPLACEMENT_BYTES * count / len(text.encode()) if count else 0.0


def bits_per_byte(text: str) -> float:
    """Return the entropy of a text's UTF-8 bytes, 0..8.

    >>> bits_per_byte("abab")
    1.0

    Source: Shannon 1948, A Mathematical Theory of Communication, section 6, of the bytes' frequencies.
    """
    counts = np.bincount(np.frombuffer(text.encode(), np.uint8))
    shares = counts[counts > 0] / counts.sum()
    return float(abs((shares * np.log2(shares)).sum()))


_MEASURES: dict[str, Callable[[str], float]] = {
    "size_bytes": lambda text: len(text.encode()),
    "replaced_share": replaced_share,
    "bits_per_byte": bits_per_byte,
}


def _breaches(document: Document, contract: ContractSettings) -> Iterator[Breach]:
    for name, measure in _MEASURES.items():
        limits: Limits = getattr(contract, name)
        if limits.least is None and limits.most is None:
            continue
        value = measure(document.text)
        if limits.least is not None and value < limits.least:
            reason = f"{name} is {value:.6g}; expected at least {limits.least:.6g}"
        elif limits.most is not None and value > limits.most:
            reason = f"{name} is {value:.6g}; expected at most {limits.most:.6g}"
        else:
            continue
        yield Breach(where(document), reason, name, value, limits)
