"""Look for what is held out in what is trained on, and end the build where more of it stands there than may."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from components.overlap import screening
from components.overlap.encoded import Encoded
from components.overlap.found import KINDS, Count, Kind, Overlap
from components.overlap.near import NearSettings
from components.overlap.screening import NEAR, Documents, Side, Texts
from components.tasks.classification import Labelled
from components.tasks.files import read_records, write_records
from components.tasks.instructions import Instruction
from components.tasks.preferences import Preference
from components.tasks.splits import SPLITS, Split
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.decoding import Decoder
from components.tokenizer.table import Group
from pipeline import machine, paths, tracking
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage
from pipeline.passages import document, passage, passages

HELD_OUT_BYTES = 1 << 27
"""Bytes of the corpus's validation that are looked for at once, with about six times as much memory; for what is more
the training documents are read once more."""
TRAINED, VALIDATION = "corpus train", "corpus validation"
NOT_NEAR: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != NEAR)
COMPARED: tuple[tuple[Split, Split], ...] = (
    ("validation", "train"),
    ("test", "train"),
    ("test", "validation"),
)  # of a task, held out and seen

R = TypeVar("R", Labelled, Instruction, Preference)


@dataclass(frozen=True)
class Near:
    """When two texts are nearly the same."""

    documents: NearSettings
    """Of passages of two documents, compared only where these have 13 words in a row in common."""
    records: NearSettings
    """Of two records, which are short: each letter and digit counts as a word."""


@dataclass(frozen=True)
class Most:
    """The most of a held-out side that may overlap another."""

    most_exact: float
    """Share of its texts that may stand there to the letter; 0..1."""
    most_13_gram: float
    """Share that may have 13 words in a row in common with it; a text of fewer words counts as a whole; 0..1."""

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; expected a share, 0..1")


@dataclass(frozen=True)
class MostOfAlike(Most):
    """The same for two sides whose texts are of one kind, so that nearness means something."""

    most_near: float
    """Share that may nearly stand there; 0..1."""


@dataclass(frozen=True)
class ScreenSettings:
    """What counts as near, and how much may overlap."""

    near: Near
    """What counts as near."""
    documents: MostOfAlike
    """Of the corpus's validation, in passages of some 4,000 characters, in its training documents."""
    records: MostOfAlike
    """Of a task's held-out records in its training records, and of its test in its validation; of what instructions are
    tested on in the training preferences, and the reverse."""
    pretraining: Most
    """Of a task's held-out records in the corpus's training documents."""


@dataclass(frozen=True)
class Pair:
    """A held-out side and one that it is looked for in."""

    held_out: str
    items: int
    """Texts of the held-out side."""
    seen: str
    name: str
    """The section of the settings that says how much may overlap."""
    kinds: tuple[Kind, ...] = KINDS


@stage
def screen(screen: ScreenSettings) -> None:
    """Write `data/overlap`, and end the build where too much overlaps."""
    counts = find(screen)
    record(counts)
    check(counts)


@io
def find(settings: ScreenSettings) -> list[Count]:
    """Write each overlap, and how many there are of each pair of sides and kind; return the latter."""
    paths.remove(paths.PASSED)
    compared, overlaps = in_records(settings)
    held_out = list({side.name: side for side, _ in compared}.values())
    count, in_corpus = in_documents(held_out, settings.near.documents)
    pairs = [
        *(Pair(side.name, len(side.texts), seen.name, "records") for side, seen in compared),
        Pair(VALIDATION, count, TRAINED, "documents"),
        *(Pair(side.name, len(side.texts), TRAINED, "pretraining", NOT_NEAR) for side in held_out),
    ]
    overlaps += in_corpus
    with paths.whole(paths.OVERLAPS) as temporary:
        write_records(overlaps, temporary)
    counts = counted(pairs, overlaps, settings)
    with paths.whole(paths.OVERLAP_COUNTS) as temporary:
        temporary.write_text(json.dumps([asdict(each) for each in counts], indent=1) + "\n", encoding="utf-8")
    return counts


def in_records(settings: ScreenSettings) -> tuple[list[tuple[Side, Side]], list[Overlap]]:
    """Return the sides of each task, a held-out one with one that it is looked for in, and their overlaps."""
    labelled = {name: read_records(paths.CLASSIFICATION / f"{name}.jsonl", Labelled) for name in SPLITS}
    asked = {name: read_records(paths.INSTRUCTIONS / f"{name}.jsonl", Instruction) for name in SPLITS}
    texts = {name: side(f"classification {name}", its, lambda each: each.text) for name, its in labelled.items()}
    prompts = {name: side(f"instructions {name}", its, prompt) for name, its in asked.items()}
    compared = [(task[a], task[b]) for task in (texts, prompts) for a, b in COMPARED]
    judged = side("judge items", asked["test"], answered)
    compared.append((judged, side("instructions train, with answers", asked["train"], answered)))
    compared += in_preferences(prompts)
    return compared, [each for pair in compared for each in screening.records(*pair, settings.near.records)]


def in_preferences(prompts: Mapping[Split, Side]) -> list[tuple[Side, Side]]:
    """Return the sides to compare where there are preferences: with each other, and crosswise with the instructions."""
    pairs = {name: read_records(paths.PREFERENCES / f"{name}.jsonl", Preference) for name in SPLITS}
    if not pairs["train"]:
        return []
    preferred = {name: side(f"preferences {name}", its, prompt) for name, its in pairs.items()}
    crosswise = [(prompts["test"], preferred["train"]), (preferred["test"], prompts["train"])]
    return [(preferred[a], preferred[b]) for a, b in COMPARED] + crosswise


def in_documents(held_out: Sequence[Side], near: NearSettings) -> tuple[int, list[Overlap]]:
    """Return how many passages the corpus's validation has, and what overlaps its training documents: these and others.

    Memory holds hashes of HELD_OUT_BYTES of validation, and no text of it; the training documents stream by.
    """
    decoder = Decoder(Tokenizer.load(paths.TOKENIZER))
    sizes = table.sizes(paths.TOKENS)["size_bytes"]
    readings = math.ceil(sizes.get("validation", 0) / HELD_OUT_BYTES)
    count, overlaps = 0, list[Overlap]()
    with progress("screen", int(sizes.get("train", 0)) * readings) as on_read:
        for documents in corpus_validation(paths.TOKENS, decoder, near):
            count += len(documents.places)
            training = corpus_training(paths.TOKENS, decoder, on_read)
            overlaps += screening.stream(documents, held_out, TRAINED, training, passages, near, machine.cores())
            held_out = []  # they have been looked for
    return count, overlaps


def corpus_validation(tokens: Path, decoder: Decoder, near: NearSettings) -> Iterator[Documents]:
    """Yield the held-out documents of a table of tokens in passages, as many together as are looked for at once."""
    for portion in portions(table.groups(tokens, "validation")):
        batches = (partial(in_passages, decoder, group) for group in portion)
        yield screening.documents(VALIDATION, batches, near, machine.cores())


def portions(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Yield groups of documents in lists of HELD_OUT_BYTES or a little more; of no groups an empty one."""
    held: list[Group] = []
    size_bytes = 0
    has_more = True
    for group in groups:
        held.append(group)
        size_bytes += group.size_bytes
        has_more = size_bytes < HELD_OUT_BYTES
        if not has_more:
            yield held
            held, size_bytes = [], 0
    if has_more:
        yield held


def in_passages(decoder: Decoder, group: Group) -> Texts:
    """Return the texts of some documents in what is counted."""
    texts = decoded(decoder, group)
    parts = [
        (passage(place, number), part)
        for place, text in zip(texts.places, texts.texts, strict=True)
        for number, part in enumerate(passages(text), 1)
    ]
    return Texts([place for place, _ in parts], [part for _, part in parts])


def corpus_training(
    tokens: Path, decoder: Decoder, on_read: Callable[[int], None] = lambda _: None
) -> Iterator[Callable[[], Texts]]:
    """Yield what decodes the training documents of a table of tokens, row group by row group.

    `on_read` is called with the bytes of text of each.
    """
    for group in table.groups(tokens, "train"):
        on_read(group.size_bytes)
        yield partial(decoded, decoder, group)


def decoded(decoder: Decoder, group: Group) -> Texts:
    """Return the texts of some documents, and where each stands."""
    places = [document(number, place) for number, place in zip(group.documents, group.places, strict=True)]
    return Texts(places, Encoded(*decoder.utf8(group.ids, group.offsets)))


def side(name: str, records: Sequence[R], text: Callable[[R], str]) -> Side:
    """Return some records as a side, each as the text that a function makes of it."""
    return Side([each.id for each in records], [text(each) for each in records], name)


def prompt(record: Instruction | Preference) -> str:
    """Return what is asked: instruction and input."""
    return "\n".join(filter(None, (record.instruction, record.input)))


def answered(record: Instruction) -> str:
    """Return what is asked with the expected answer: what a judge is shown beside a model's own."""
    return f"{prompt(record)}\n{record.output}"


def counted(pairs: Sequence[Pair], overlaps: Sequence[Overlap], settings: ScreenSettings) -> list[Count]:
    """Return how many texts of each pair overlap, by kind."""
    found = Counter((each.held_out, each.seen, each.kind) for each in overlaps)
    return [
        Count(
            pair.held_out,
            pair.seen,
            kind,
            pair.items,
            found[pair.held_out, pair.seen, kind],
            getattr(getattr(settings, pair.name), f"most_{kind}"),
            f"screen.{pair.name}.most_{kind}",
        )
        for pair in pairs
        for kind in pair.kinds
    ]


@io
def record(counts: Sequence[Count]) -> None:
    """Record how many texts of each held-out side overlap anything at all."""
    overlaps = read_records(paths.OVERLAPS, Overlap)
    by_side = Counter(side for side, _ in {(each.held_out, each.id) for each in overlaps})
    sides = dict.fromkeys(each.held_out for each in counts)
    tracking.record("screen", {f"{side.replace(' ', '_')}_touched": by_side[side] for side in sides})


@io
def check(counts: Sequence[Count]) -> None:
    """End the build where a side overlaps another by more than may be; what was found stays on disk.

    Raises ValueError that names each of them: the sides, the kind, the share, the setting; and the list.
    """
    if over := [each for each in counts if each.is_over]:
        said = (
            f"{each.touched} of {each.items} texts of {each.held_out} ({each.touched / each.items:.1%}) overlap "
            f"{each.seen} ({each.kind}); expected at most {each.most:.1%} ({each.setting})"
            for each in over
        )
        raise ValueError(f"{'; '.join(said)}; each is listed in {paths.OVERLAPS}")
    with paths.whole(paths.PASSED) as temporary:
        temporary.write_text("what is held out overlaps no more than params.yaml lets it\n", encoding="utf-8")
