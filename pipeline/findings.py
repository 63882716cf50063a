"""What a build has found, read from its files: scores with intervals, tuned against every other, headline numbers."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.overlap.found import Count
from components.scoring.agreement import Agreement, agreement
from components.scoring.response import Response
from components.scoring.score import Score
from components.scoring.statistics import Interval, Statistic, bootstrap, bootstrap_statistics, paired_difference
from components.tasks.files import read_json_lines, read_records
from pipeline import calibration, labelled, paths, picked, predictions, preferred
from pipeline.calibration import Calibrated
from pipeline.labelled import Labelled
from pipeline.picked import Picked
from pipeline.preferred import Preferences

TUNED, PREFERRED, UNTUNED, CONSTANT = "tuned", "preferred", "untuned", "best constant"  # as respond and score name them
TEXTS, QUESTIONS = ("classification test",), ("instructions test", "judge items")  # the sides that are scored
VERDICTS = "points"  # the unit of a judging model, whose verdicts may be unreadable
NATS = "nats per token"  # the unit of a likelihood, which no answer of a model enters


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int
    """Bootstrap resamples behind each interval; 1 or more."""
    confidence: float
    """Share of the resamples inside an interval; 0.95 for a 95 % interval."""
    seed: int
    """Seed of the resampling."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.resamples < 1:
            raise ValueError(f"resamples is {self.resamples}; expected 1 or more")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; expected a share between 0 and 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected 0 or more")

    def mean(self, values: Sequence[float], groups: Sequence[str]) -> Interval:
        """Return the mean of some values with its interval."""
        return bootstrap(values, resamples=self.resamples, confidence=self.confidence, seed=self.seed, groups=groups)

    def difference(self, a: Sequence[float], b: Sequence[float], groups: Sequence[str]) -> Interval:
        """Return the mean of a - b, record by record, with its interval."""
        return paired_difference(
            a, b, resamples=self.resamples, confidence=self.confidence, seed=self.seed, groups=groups
        )

    def agreement(self, a: Sequence[float], b: Sequence[float], groups: Sequence[str]) -> Agreement:
        """Return how far two judges' scores of the same answers agree."""
        return agreement(a, b, resamples=self.resamples, confidence=self.confidence, seed=self.seed, groups=groups)

    def statistics(self, statistic: Statistic, groups: Sequence[str]) -> list[Interval]:
        """Return the values of a statistic of records with their intervals."""
        return bootstrap_statistics(
            statistic, groups, resamples=self.resamples, confidence=self.confidence, seed=self.seed
        )


@dataclass(frozen=True)
class Standing:
    """One model's answers by one judge, over all questions."""

    judge: str
    unit: str
    """"share" 0..1, "chrF" 0..100, "points" 0..100 or "nats per token" up to 0."""
    model: str
    mean: Interval | None
    """Over the verdicts that could be read; None where none could."""
    answers: int
    """Answers judged; those without a verdict too."""

    @property
    def read(self) -> int:
        """Verdicts that could be read."""
        return self.mean.count if self.mean else 0


@dataclass(frozen=True)
class Comparison:
    """The tuned model against another on the same questions, by one judge; those without both verdicts left out."""

    judge: str
    unit: str
    other: str
    """The model compared with."""
    kind: str | None
    """Kind of question; None for all of them."""
    tuned: float
    """Mean of the tuned model."""
    theirs: float
    """Mean of the other."""
    difference: Interval
    """Mean of tuned minus other, question by question."""


@dataclass(frozen=True)
class Clean:
    """The same on what overlaps nothing that was trained on; empty where all of it does so, or nothing overlaps."""

    texts: int
    """Test texts of the classifier that overlap something, by any measure."""
    labelled: Labelled | None
    """All scores on the others; None as said."""
    questions: int
    """Test questions that overlap something."""
    standings: tuple[Standing, ...]
    """On the others."""


@dataclass(frozen=True)
class Findings:
    """All that is resampled, each once."""

    confidence: float
    """Share inside the intervals."""
    labelled: Labelled
    """How well the classifier and those it must beat label the test texts."""
    standings: tuple[Standing, ...]
    """By judge, then by model, in the order of the scores."""
    comparisons: tuple[Comparison, ...]
    """By judge, other model and kind; all kinds first, single ones only where there are several."""
    clean: Clean
    """Labels and standings once more, without what overlaps."""
    calibration: tuple[Calibrated, ...]
    """Each judge beside a rater whose scores are known; empty without any."""
    picked: tuple[Picked, ...] = ()
    """Choices among endings, by number of shots; empty where there were none."""
    preferences: tuple[Preferences, ...] = ()
    """By held-out split; empty where nothing was taught."""

    @property
    def judges(self) -> list[str]:
        """Every judge once, in the order of the scores."""
        return list(dict.fromkeys(each.judge for each in self.standings))

    def standing(self, judge: str, model: str) -> Standing:
        """Return how one model stands by one judge."""
        return next(each for each in self.standings if (each.judge, each.model) == (judge, model))


def gather(how: Resampling) -> Findings:
    """Return all intervals of the build."""
    asked = {each.id: each for each in responses()}
    its = tuple(standings(how, asked)), tuple(comparisons(how, asked))
    judges = calibration.calibrate(how.agreement)
    labels = labelled.gather(how.statistics)
    more = picked.gather(how.mean), preferred.gather(how.mean)
    return Findings(how.confidence, labels, *its, clean(how, asked), judges, *more)


def numbers(stage: str) -> dict[str, Any]:
    """Return what a stage recorded."""
    found: dict[str, Any] = json.loads(paths.metrics(stage).read_text(encoding="utf-8"))
    return found


def overlap_counts() -> list[Count]:
    """Return how much of each held-out side overlaps each other, by kind."""
    return [Count(**row) for row in json.loads(paths.OVERLAP_COUNTS.read_text(encoding="utf-8"))]


def touched(sides: Collection[str]) -> set[str]:
    """Return the ids of the records of some held-out sides that overlap anything."""
    rows: Any = read_json_lines(paths.OVERLAPS)
    return {row["id"] for row in rows if row["held_out"] in sides}


def responses() -> list[Response]:
    """Return every model's answers."""
    return read_records(paths.RESPONSES / "responses.jsonl", Response)


def scores() -> list[Score]:
    """Return every score."""
    rows: Any = read_json_lines(paths.SCORES / "scores.jsonl")
    return [Score(**row) for row in rows]


def clean(how: Resampling, asked: Mapping[str, Response]) -> Clean:
    """Return labels and standings on what overlaps nothing."""
    ids = set(predictions.read(predictions.CLASSIFIER).ids)
    texts, questions = ids & touched(TEXTS), asked.keys() & touched(QUESTIONS)
    left = {id: each for id, each in asked.items() if id not in questions}
    return Clean(
        len(texts),
        labelled.gather(how.statistics, texts) if 0 < len(texts) < len(ids) else None,
        len(questions),
        tuple(standings(how, left)) if questions else (),
    )


def standings(how: Resampling, asked: Mapping[str, Response]) -> list[Standing]:
    """Return how each model stands by each judge; `asked` gives each question that counts by its id."""
    given: defaultdict[tuple[str, str, str], list[Score]] = defaultdict(list)
    for each in scores():
        if each.id in asked:
            given[each.judge, each.unit, each.model].append(each)
    found = []
    for (judge, unit, model), its in given.items():
        read = [(each.value, asked[each.id].group) for each in its if each.value is not None]
        mean = how.mean([value for value, _ in read], [group for _, group in read]) if read else None
        found.append(Standing(judge, unit, model, mean, len(its)))
    judges = list(dict.fromkeys(each.judge for each in found))
    return sorted(found, key=lambda each: judges.index(each.judge))


def comparisons(how: Resampling, asked: Mapping[str, Response]) -> list[Comparison]:
    """Return the tuned model against every other by each judge, over all questions and over each kind of them.

    `asked` gives the question of each id. A model that a judge has not judged is not compared.
    """
    values: defaultdict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for each in scores():
        if each.value is not None:
            values[each.judge, each.unit, each.model][each.id] = each.value
    judges = list(dict.fromkeys(judge for judge, _, _ in values))
    kinds: list[str | None] = list(dict.fromkeys(each.kind for each in asked.values()))
    found = []
    for (judge, unit, other), theirs in sorted(values.items(), key=lambda item: judges.index(item[0][0])):
        tuned = values.get((judge, unit, TUNED), {})
        for kind in [None, *(kinds if len(kinds) > 1 else [])]:
            ids = [id for id, its in asked.items() if kind in (None, its.kind) and id in tuned and id in theirs]
            if other != TUNED and ids:
                a, b = [tuned[id] for id in ids], [theirs[id] for id in ids]
                means = sum(a) / len(a), sum(b) / len(b)
                found.append(
                    Comparison(judge, unit, other, kind, *means, how.difference(a, b, [asked[id].group for id in ids]))
                )
    return found


def headlines(found: Findings) -> dict[str, float]:
    """Return the numbers by which whole builds are compared, each interval as two more: `_low` and `_high`.

    The units are those of the stages: shares 0..1, chrF and verdicts 0..100. By kind of question the tuned model is
    compared with the best constant alone, which knows the kinds.
    """
    base = numbers("evaluate")
    bits = ("bits_per_byte", "xz_bits_per_byte", "xz_after_training_text_bits_per_byte")
    given = {name: float(base[name]) for name in bits}
    for of in found.picked:
        name = f"multiple_choice_{of.shots}_shot_accuracy"
        given |= _with_ends(name, of.accuracy) | _with_ends(f"{name}_norm", of.accuracy_norm)
    given |= {"classifier_touched": float(found.clean.texts), "assistant_touched": float(found.clean.questions)}
    given |= _labelled(found.labelled, "")
    if found.clean.labelled:
        given |= _labelled(found.clean.labelled, "_clean")
    for each in found.standings:
        name = name_of(each.model, each.judge)
        if each.mean:
            given |= _with_ends(name, each.mean) if each.model == TUNED else {name: each.mean.mean}
        if each.unit in (VERDICTS, NATS):
            given[f"{name}_coverage"] = each.read / each.answers
    for each in found.clean.standings:
        name = f"{name_of(each.model, each.judge)}_clean"
        if each.mean:
            given |= _with_ends(name, each.mean) if each.model == TUNED else {name: each.mean.mean}
    for its in found.preferences:
        given |= _with_ends(f"preferences_{its.split}_margin", its.margin)
        given |= _with_ends(f"preferences_{its.split}_accuracy", its.accuracy)
    for pair in found.comparisons:
        if pair.kind is None or pair.other == CONSTANT:
            words = [TUNED, "minus", pair.other, pair.judge, *([pair.kind] if pair.kind else [])]
            given |= _with_ends(name_of(*words), pair.difference)
    return given | {name_of(name): value for name, value in calibration.headlines(found.calibration).items()}


def _labelled(found: Labelled, end: str) -> dict[str, float]:
    """Return the classifier's measures, those of the others without their intervals, and how far it is above them."""
    classifier, *others = found.scores
    given: dict[str, float] = {}
    for measure in predictions.MEASURES:
        given |= _with_ends(f"classifier_{measure}{end}", getattr(classifier, measure))
        given |= {name_of(labeller(each.who), measure) + end: getattr(each, measure).mean for each in others}
    for each in found.differences:
        for measure in ("accuracy", "f1"):
            given |= _with_ends(
                name_of("classifier", "minus", labeller(each.who), measure) + end, getattr(each, measure)
            )
    return given


def labeller(who: str) -> str:
    """Return who labelled, told apart from the untuned model that answers questions."""
    return f"{who} classifier" if who == predictions.UNTUNED else who


def _with_ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def name_of(*words: str) -> str:
    """Return the words of a headline number, such as a model and a judge, as one name that MLflow takes."""
    return "_".join(re.sub(r"[^A-Za-z0-9_./:-]+", "_", word) for word in words)
