"""What of held-out texts stands in others: exactly, nearly, or 13 words in a row."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from components.overlap import ngrams
from components.overlap.encoded import Encoded
from components.overlap.found import Kind, Overlap
from components.overlap.near import NearSettings, signatures
from components.overlap.nearest import Nearest, Signatures
from components.overlap.ngrams import Hashes, Seen, Sought

EXACT: Kind = "exact"
NEAR: Kind = "near"
RUN: Kind = "13_gram"

HASHES: dict[Kind, Callable[[Sequence[str]], Hashes]] = {EXACT: ngrams.exact, RUN: ngrams.runs}
"""By what texts are found that are the same to the letter, or have 13 words in a row in common."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Texts:
    """Some texts, and where each stands, such as a record's id."""

    places: Sequence[str]
    texts: Sequence[str]


@dataclass(frozen=True)
class Side(Texts):
    """All texts that are held out together."""

    name: str
    """Such as "classification test"."""


@dataclass(frozen=True, eq=False)
class Hashed:
    """What is kept of a side, or of some of it, whose texts need not be."""

    places: list[str]
    hashes: dict[Kind, list[Hashes]]
    """By kind, of some texts after the other."""
    name: str
    """The side's."""


@dataclass(frozen=True, eq=False)
class Documents(Hashed):
    """The same of documents, which are compared with what is nearly the same too."""

    signatures: Signatures
    """(text, permutation)"""


def documents(name: str, batches: Iterable[Callable[[], Texts]], near: NearSettings, threads: int) -> Documents:
    """Return what is kept of a side's documents; `batches` are called in threads."""

    def keep(read: Callable[[], Texts]) -> tuple[list[str], dict[Kind, Hashes], Signatures]:
        part = read()
        return list(part.places), _hashes(part), signatures(part.texts, near)

    made = list(_ahead(keep, batches, threads))
    return Documents(
        [place for places, _, _ in made for place in places],
        {kind: [hashes[kind] for _, hashes, _ in made] for kind in HASHES},
        name,
        np.concatenate([signatures([], near), *(each for _, _, each in made)]),
    )


def records(held_out: Side, seen: Side, near: NearSettings) -> list[Overlap]:
    """Return the overlaps of a task's held-out texts with its others.

    Such texts are short, and one word of ten changes half of their n-grams: for `near` each letter and digit is a word.
    """

    def lettered(texts: Sequence[str]) -> Signatures:
        return signatures([" ".join(text) for text in texts], near)

    nearest = Nearest(lettered(held_out.texts))
    nearest.keep(lettered(seen.texts), seen.places)
    screen = Screen([_hashed(held_out)])
    screen.keep(screen.look(seen))
    return screen.overlaps(seen.name) + _near(held_out.name, held_out.places, seen.name, nearest, near)


def stream(
    documents: Documents,
    held_out: Sequence[Side],
    seen: str,
    batches: Iterable[Callable[[], Texts]],
    parts: Callable[[str], Iterable[str]],
    near: NearSettings,
    threads: int,
) -> list[Overlap]:
    """Return the overlaps of held-out `documents` and other texts with documents that stream by.

    `batches` are called in threads, whose number changes the time alone. `near` is asked of `documents` and of the
    `parts` of what streams by, to which theirs are cut alike, and only where the whole has 13 words in a row in common
    with something held out: texts that differ here and there, by less than one word of 13, do.
    """
    with ThreadPoolExecutor(1) as other:  # each sorts what is kept
        making = other.submit(Nearest, documents.signatures)
        screen = Screen([documents, *map(_hashed, held_out)])
        nearest = making.result()

    def look(read: Callable[[], Texts]) -> tuple[Look, Texts, Signatures]:
        texts = read()
        found = screen.look(texts)
        chosen = np.unique(found.seen[RUN].texts).tolist()
        compared = [(texts.places[k], part) for k in chosen for part in parts(texts.texts[k])]
        likely = Texts([place for place, _ in compared], [part for _, part in compared])
        return found, likely, signatures(likely.texts, near)

    for found, likely, made in _ahead(look, batches, threads):
        screen.keep(found)
        nearest.keep(made, likely.places)
    return screen.overlaps(seen) + _near(documents.name, documents.places, seen, nearest, near)


@dataclass(frozen=True, eq=False)
class Look:
    """What some texts have of what is held out."""

    places: Sequence[str]
    seen: dict[Kind, Seen]
    """By kind."""


class Screen:
    """Some sides' texts, looked for in others exactly and by runs of 13 words."""

    def __init__(self, sides: Sequence[Hashed]) -> None:
        self._ids = [(side.name, id) for side in sides for id in side.places]
        self._sought = {kind: Sought([part for side in sides for part in side.hashes[kind]]) for kind in HASHES}

    def look(self, texts: Texts) -> Look:
        """Return what some texts have; threads may look at once."""
        encoded = Encoded.of(texts.texts)
        runs = ngrams.runs(encoded)
        seen = self._sought[RUN].look(runs)
        is_likely = np.diff(runs[1]) == 0  # the same text has the same runs, but one without words has none
        is_likely[seen.texts] = True
        return Look(texts.places, {EXACT: self._sought[EXACT].look(ngrams.exact(encoded, is_likely)), RUN: seen})

    def keep(self, look: Look) -> None:
        """Take over what was seen, in the order of the texts."""
        for kind, sought in self._sought.items():
            sought.keep(look.seen[kind], look.places)

    def overlaps(self, seen: str) -> list[Overlap]:
        """Return all that was kept; `seen` names where it was."""
        return [
            Overlap(name, seen, kind, id, met.place, met.share)
            for kind, sought in self._sought.items()
            for (name, id), met in zip(self._ids, sought.met(), strict=True)
            if met
        ]


def _hashed(side: Side) -> Hashed:
    return Hashed(list(side.places), {kind: [hashes] for kind, hashes in _hashes(side).items()}, side.name)


def _hashes(texts: Texts) -> dict[Kind, Hashes]:
    encoded = Encoded.of(texts.texts)
    return {kind: of(encoded) for kind, of in HASHES.items()}


def _near(held_out: str, ids: Sequence[str], seen: str, nearest: Nearest, near: NearSettings) -> list[Overlap]:
    return [
        Overlap(held_out, seen, NEAR, id, met.place, met.share)
        for id, met in zip(ids, nearest.met(near.threshold), strict=True)
        if met
    ]


def _ahead(of: Callable[[T], U], values: Iterable[T], threads: int) -> Iterator[U]:
    """Yield what a function makes of each value, in order, made in threads; few are ready or waited for at once."""
    with ThreadPoolExecutor(threads) as executor:
        waiting: deque[Future[U]] = deque()
        for value in values:
            waiting.append(executor.submit(of, value))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
