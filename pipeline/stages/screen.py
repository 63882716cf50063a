"""Look for what is held out in what is trained on, and end the build where more of it stands there than may."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from components.corpus.cutting import cut
from components.overlap import screening
from components.overlap.found import KINDS, Count, Kind, Overlap
from components.overlap.near import NearSettings
from components.overlap.screening import NEAR, Side, Texts
from components.tasks.classification import Labelled
from components.tasks.files import read_json_lines, read_records, write_records
from components.tasks.instructions import Instruction
from components.tasks.preferences import Preference
from components.tasks.splits import SPLITS, Split
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.table import Row
from pipeline import machine, paths, tracking
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage

BATCH_BYTES = 1_000_000  # of text that a thread looks at once
PASSAGE_CHARACTERS = 4000
TRAINED = "corpus train"
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

    held_out: Side
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
    pairs, overlaps = in_records(settings)
    held_out = list({pair.held_out.name: pair.held_out for pair in pairs}.values())
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    documents = corpus_validation(paths.TOKENS, tokenizer)
    pairs.append(Pair(documents, TRAINED, "documents"))
    pairs += [Pair(side, TRAINED, "pretraining", tuple(kind for kind in KINDS if kind != NEAR)) for side in held_out]
    with progress("screen", int(table.sizes(paths.TOKENS)["size_bytes"].get("train", 0))) as on_read:
        read = corpus_training(paths.TOKENS, tokenizer, on_read)
        near, threads = settings.near.documents, machine.cores()
        overlaps += screening.stream(held_out, documents, TRAINED, read, passages, near, threads)
    with paths.whole(paths.OVERLAPS) as temporary:
        write_records(overlaps, temporary)
    counts = counted(pairs, overlaps, settings)
    with paths.whole(paths.OVERLAP_COUNTS) as temporary:
        temporary.write_text(json.dumps([asdict(each) for each in counts], indent=1) + "\n", encoding="utf-8")
    return counts


def in_records(settings: ScreenSettings) -> tuple[list[Pair], list[Overlap]]:
    """Return the pairs of sides within each task, and their overlaps."""
    labelled = {name: read_records(paths.CLASSIFICATION / f"{name}.jsonl", Labelled) for name in SPLITS}
    asked = {name: read_records(paths.INSTRUCTIONS / f"{name}.jsonl", Instruction) for name in SPLITS}
    texts = {name: side(f"classification {name}", its, lambda each: each.text) for name, its in labelled.items()}
    prompts = {name: side(f"instructions {name}", its, prompt) for name, its in asked.items()}
    compared = [(task[a], task[b]) for task in (texts, prompts) for a, b in COMPARED]
    judged = side("judge items", asked["test"], answered)
    compared.append((judged, side("instructions train, with answers", asked["train"], answered)))
    compared += in_preferences(prompts)
    return (
        [Pair(held_out, seen.name, "records") for held_out, seen in compared],
        [each for pair in compared for each in screening.records(*pair, settings.near.records)],
    )


def in_preferences(prompts: Mapping[Split, Side]) -> list[tuple[Side, Side]]:
    """Return the sides to compare where there are preferences: with each other, and crosswise with the instructions."""
    pairs = {name: read_records(paths.PREFERENCES / f"{name}.jsonl", Preference) for name in SPLITS}
    if not pairs["train"]:
        return []
    preferred = {name: side(f"preferences {name}", its, prompt) for name, its in pairs.items()}
    crosswise = [(prompts["test"], preferred["train"]), (preferred["test"], prompts["train"])]
    return [(preferred[a], preferred[b]) for a, b in COMPARED] + crosswise


def corpus_validation(tokens: Path, tokenizer: Tokenizer) -> Side:
    """Return the held-out documents of a table of tokens, in passages."""
    found = decoded(tokenizer, list(table.read(tokens, "validation")))
    parts = [
        (f"{place}, passage {number}", part)
        for place, text in zip(found.places, found.texts, strict=True)
        for number, part in enumerate(passages(text), 1)
    ]
    return Side([place for place, _ in parts], [part for _, part in parts], "corpus validation")


def passages(text: str) -> Iterator[str]:
    """Yield a document in what is counted: a long text has more in common with others than a short one."""
    return cut(text, PASSAGE_CHARACTERS)


def corpus_training(
    tokens: Path, tokenizer: Tokenizer, on_read: Callable[[int], None] = lambda _: None
) -> Iterator[Callable[[], Texts]]:
    """Yield what decodes the training documents of a table of tokens, batch by batch."""
    return (partial(decoded, tokenizer, rows) for rows in batches(table.read(tokens, "train"), on_read))


def decoded(tokenizer: Tokenizer, rows: Sequence[Row]) -> Texts:
    """Return the texts of some documents, and where each stands."""
    decode = tokenizer.encoding.decode_bytes  # the table's ids have been checked
    texts = [decode(row.ids.tolist()).decode("utf-8", errors="replace") for row in rows]
    return Texts([f"document {row.document} ({row.place})" for row in rows], texts)


def batches(rows: Iterable[Row], on_read: Callable[[int], None]) -> Iterator[list[Row]]:
    """Yield rows in lists that are worth a thread's while; `on_read` is called with the bytes of text of each."""
    held: list[Row] = []
    size_bytes = 0
    for row in rows:
        held.append(row)
        size_bytes += row.size_bytes
        if size_bytes >= BATCH_BYTES:
            on_read(size_bytes)
            yield held
            held, size_bytes = [], 0
    on_read(size_bytes)
    yield held


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
            pair.held_out.name,
            pair.seen,
            kind,
            len(pair.held_out.texts),
            found[pair.held_out.name, pair.seen, kind],
            getattr(getattr(settings, pair.name), f"most_{kind}"),
            f"screen.{pair.name}.most_{kind}",
        )
        for pair in pairs
        for kind in pair.kinds
    ]


@io
def record(counts: Sequence[Count]) -> None:
    """Record how many texts of each held-out side overlap anything at all."""
    rows: Any = read_json_lines(paths.OVERLAPS)
    by_side = Counter(side for side, _ in {(row["held_out"], row["id"]) for row in rows})
    sides = dict.fromkeys(each.held_out for each in counts)
    tracking.record("screen", {f"{side.replace(' ', '_')}_touched": by_side[side] for side in sides})


@io
def check(counts: Sequence[Count]) -> None:
    """End the build where a side overlaps another by more than may be; what was found stays on disk.

    Raises ValueError that names the sides, the kind, the share, the setting and the list.
    """
    for each in counts:
        if each.is_over:
            raise ValueError(
                f"{each.touched} of {each.items} texts of {each.held_out} ({each.touched / each.items:.1%}) overlap "
                f"{each.seen} ({each.kind}); expected at most {each.most:.1%} ({each.setting}); "
                f"each is listed in {paths.OVERLAPS}"
            )
    with paths.whole(paths.PASSED) as temporary:
        temporary.write_text("what is held out overlaps no more than params.yaml lets it\n", encoding="utf-8")
