"""The values, record by record, whose mean a headline number is: with them two builds are compared in pairs."""

import csv
import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from components.overlap.found import Overlap
from components.scoring.comparison import Value
from components.scoring.margin import Margin
from components.scoring.passage import Passage
from components.scoring.response import CONSTANT, TUNED, Response
from components.scoring.score import Score
from components.tasks.files import read_json_lines, read_records
from components.tasks.multiple_choice import Choice
from pipeline import paths, predictions
from pipeline.findings.headline import labeller, name_of
from pipeline.findings.leakage import PASSAGES, QUESTIONS, TEXTS

R = TypeVar("R", Choice, Margin, Overlap, Passage, Score)
Values = Mapping[str, Value]
"""By the id of the record."""


def values(folder: Path) -> dict[str, Values]:
    """Return the values behind each headline number that is a mean over records, by its name.

    `folder` is laid out as the project is. What it has no file of is left out: so are all of a build without records.
    """
    found = _choices(folder) | _margins(folder)
    for whole, sides in ((_losses(folder), PASSAGES), (_accuracy(folder), TEXTS), (_scores(folder), QUESTIONS)):
        found |= whole | _clean(whole, _touched(folder, sides))
    return found


def _losses(folder: Path) -> dict[str, Values]:
    """Return the bits per byte of each passage of the validation text, known by its hash."""
    found = {
        each.id: Value(each.bits_per_byte, each.group, each.sha256, each.size_bytes)
        for each in _records(folder / paths.LOSSES, Passage)
    }
    return {"bits_per_byte": found} if found else {}


def _accuracy(folder: Path) -> dict[str, Values]:
    """Return 1 for each test text labelled right and 0 for the others, and by how much the classifier's are better."""
    texts = {row["id"]: row["text"] for row in _lines(folder / paths.CLASSIFICATION / "test.jsonl")}
    given: dict[str, dict[str, Value]] = {}
    for who in predictions.WHO:
        if (file := folder / predictions.file(who)).is_file():
            with file.open(encoding="utf-8", newline="") as opened:
                given[who] = {row["id"]: _labelled(row, texts) for row in csv.DictReader(opened)}
    found = {name_of(labeller(who), "accuracy"): its for who, its in given.items()}
    own = given.get(predictions.CLASSIFIER, {})
    for who, theirs in given.items():
        if who != predictions.CLASSIFIER:
            gains = {id: replace(own[id], number=own[id].number - theirs[id].number) for id in own if id in theirs}
            found[name_of("classifier", "minus", labeller(who), "accuracy")] = gains
    return dict(found)


def _labelled(row: Mapping[str, str], texts: Mapping[str, str]) -> Value:
    is_right = float(row["actual"] == row["predicted"])
    return Value(is_right, row["group"], json.dumps([texts.get(row["id"]), row["actual"]]))


def _scores(folder: Path) -> dict[str, Values]:
    """Return the verdicts on each model's answers that could be read, and by how much the tuned model's are better."""
    answered = folder / paths.RESPONSE_LINES
    if not answered.is_file():
        return {}
    asked = {each.id: each for each in read_records(answered, Response)}
    given: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for each in _records(folder / paths.SCORE_LINES, Score):
        if each.value is not None and each.id in asked:
            given[each.model, each.judge][each.id] = each.value
    found = {name_of(*names): _named(asked, numbers) for names, numbers in given.items()}
    for (other, judge), theirs in given.items():
        tuned = given.get((TUNED, judge), {})
        gains = {id: tuned[id] - theirs[id] for id in tuned if id in theirs}
        if other != TUNED:
            found[name_of(TUNED, "minus", other, judge)] = _named(asked, gains)
        if other == CONSTANT:
            for kind in {each.kind for each in asked.values()}:
                of_kind = {id: gain for id, gain in gains.items() if asked[id].kind == kind}
                found[name_of(TUNED, "minus", other, judge, kind)] = _named(asked, of_kind)
    return found


def _named(asked: Mapping[str, Response], numbers: Mapping[str, float]) -> Values:
    return {
        id: Value(number, asked[id].group, json.dumps([asked[id].instruction, asked[id].input, asked[id].expected]))
        for id, number in numbers.items()
    }


def _choices(folder: Path) -> dict[str, Values]:
    """Return 1 for each item whose right ending was chosen and 0 for the others, by number of shots.

    What an item says is not kept: its source, the place of the right ending and the lengths of all stand for it.
    """
    found: defaultdict[str, dict[str, Value]] = defaultdict(dict)
    for each in _records(folder / paths.CHOICES, Choice):
        asked = json.dumps([each.group, each.answer, each.characters])
        name = f"multiple_choice_{each.shots}_shot_accuracy"
        for its, chosen in ((name, each.likeliest), (f"{name}_norm", each.likeliest_by_character)):
            found[its][each.id] = Value(float(chosen == each.answer), each.group, asked)
    return dict(found)


def _margins(folder: Path) -> dict[str, Values]:
    """Return by how much the lead of each pair's preferred answer has grown, and whether it has, by held-out split."""
    found: defaultdict[str, dict[str, Value]] = defaultdict(dict)
    margins = _records(folder / paths.MARGINS, Margin)
    fields = ("instruction", "input", "chosen", "rejected")
    for split in dict.fromkeys(each.split for each in margins):
        pairs = _lines(folder / paths.PREFERENCES / f"{split}.jsonl")
        asked = {row["id"]: [row[field] for field in fields] for row in pairs}
        for each in (one for one in margins if one.split == split):
            for what, number in (("margin", each.margin), ("accuracy", float(each.margin > 0))):
                value = Value(number, each.group, json.dumps(asked.get(each.id)))
                found[f"preferences_{split}_{what}"][each.id] = value
    return dict(found)


def _clean(found: Mapping[str, Values], touched: Collection[str]) -> dict[str, Values]:
    """Return the same without some records, under the names that the report gives them."""
    return {f"{name}_clean": {id: its for id, its in each.items() if id not in touched} for name, each in found.items()}


def _touched(folder: Path, sides: Collection[str]) -> set[str]:
    """Return the ids of the records of some held-out sides that overlap anything that was trained on."""
    return {each.id for each in _records(folder / paths.OVERLAPS, Overlap) if each.held_out in sides}


def _records(path: Path, kind: type[R]) -> list[R]:
    return read_records(path, kind) if path.is_file() else []


def _lines(path: Path) -> list[dict[str, Any]]:
    found: list[Any] = read_json_lines(path) if path.is_file() else []
    return found
