"""What of held-out texts stands in others: exactly, nearly, or 13 words in a row."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from components.overlap import ngrams
from components.overlap.found import Kind, Overlap
from components.overlap.near import NearSettings, signatures
from components.overlap.nearest import Nearest, Signatures
from components.overlap.ngrams import Seen, Sought

EXACT: Kind = "exact"
NEAR: Kind = "near"
RUN: Kind = "13_gram"

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


def records(held_out: Side, seen: Side, near: NearSettings) -> list[Overlap]:
    """Return the overlaps of a task's held-out texts with its others.

    Such texts are short, and one word of ten changes half of their n-grams: for `near` each letter and digit is a word.
    """

    def lettered(texts: Sequence[str]) -> Signatures:
        return signatures([" ".join(text) for text in texts], near)

    nearest = Nearest(lettered(held_out.texts))
    nearest.keep(lettered(seen.texts), seen.places)
    screen = Screen([held_out])
    screen.keep(screen.look(seen))
    return screen.overlaps(seen.name) + [
        Overlap(held_out.name, seen.name, NEAR, id, met.place, met.share)
        for id, met in zip(held_out.places, nearest.met(near.threshold), strict=True)
        if met
    ]


def stream(
    held_out: Sequence[Side],
    documents: Side,
    seen: str,
    batches: Iterable[Callable[[], Texts]],
    parts: Callable[[str], Iterable[str]],
    near: NearSettings,
    threads: int,
) -> list[Overlap]:
    """Return the overlaps of held-out texts with documents that stream by, and of held-out `documents` with them too.

    `batches` are called in threads, whose number changes the time alone. `near` is asked of `documents` and of the
    `parts` of what streams by, to which theirs are cut alike, and only where the whole has 13 words in a row in common
    with something held out: texts that differ here and there, by less than one word of 13, do.
    """
    screen = Screen([documents, *held_out])
    nearest = Nearest(signatures(documents.texts, near))

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
    return screen.overlaps(seen) + [
        Overlap(documents.name, seen, NEAR, id, met.place, met.share)
        for id, met in zip(documents.places, nearest.met(near.threshold), strict=True)
        if met
    ]


@dataclass(frozen=True, eq=False)
class Look:
    """What some texts have of what is held out."""

    places: Sequence[str]
    seen: dict[Kind, Seen]
    """By kind."""


class Screen:
    """Some sides' texts, looked for in others exactly and by runs of 13 words."""

    hashes: ClassVar = {EXACT: ngrams.exact, RUN: ngrams.runs}

    def __init__(self, sides: Sequence[Side]) -> None:
        self._sides = sides
        texts = [text for side in sides for text in side.texts]
        self._sought = {kind: Sought(of(texts)) for kind, of in self.hashes.items()}

    def look(self, texts: Texts) -> Look:
        """Return what some texts have; threads may look at once."""
        seen = {kind: self._sought[kind].look(of(texts.texts)) for kind, of in self.hashes.items()}
        return Look(texts.places, seen)

    def keep(self, look: Look) -> None:
        """Take over what was seen, in the order of the texts."""
        for kind, sought in self._sought.items():
            sought.keep(look.seen[kind], look.places)

    def overlaps(self, seen: str) -> list[Overlap]:
        """Return all that was kept; `seen` names where it was."""
        ids = [(side.name, id) for side in self._sides for id in side.places]
        return [
            Overlap(name, seen, kind, id, met.place, met.share)
            for kind, sought in self._sought.items()
            for (name, id), met in zip(ids, sought.met(), strict=True)
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
