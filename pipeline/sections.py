"""The findings of a build laid out as the sections of a page; nothing on it says when or how fast it was made."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.page.facts import (
    Block,
    Column,
    ConfusionMatrix,
    Curves,
    Facts,
    Figure,
    Graph,
    Headline,
    KeyValues,
    Line,
    Panel,
    Sample,
    Section,
    Table,
    Text,
    Value,
)
from pipeline import comparing, dag, findings, leakage, machine, paths, tracking
from pipeline.comparing import estimate, percent, readable, scale, spoken
from pipeline.findings import TUNED, Findings, numbers

HEADLINE_JUDGES = 3  # with loss and accuracy five figures, as many as read well
GPT2_TOKENS = 50_257  # in its vocabulary, as published
MACHINE = ("system", "device", "threads", "cpu_capability", "processor")  # as the training stages record it
TRAINED = ("pretrain", "finetune_classifier", "finetune_instructions")


def facts(found: Findings) -> Facts:
    """Return the whole page."""
    models = base(), classifier(found), assistant(found)
    sections = (headline(found), graph(), corpus(), *models, leakage.section(found), checks(), origin())
    return Facts(
        title="From text to an assistant",
        subtitle="What one build read, trained and found",
        sections=sections,
        footer="The same inputs on the same machine give this page byte for byte. "
        "How long each stage took stands in timings.html beside it.",
    )


def timings() -> Facts:
    """Return the page of durations: seconds of each stage's last run on this machine."""
    rows: list[tuple[Value, ...]] = []
    for stage in dag.stages():
        file = paths.timings(stage.name)
        if stage.name != "report":  # still running
            seconds = json.loads(file.read_text(encoding="utf-8"))["elapsed_s"] if file.exists() else None
            rows.append((stage.name, seconds))
    total = sum(seconds for _, seconds in rows if isinstance(seconds, float))
    columns = (Column("stage"), Column("time", "s", 1))
    note = "A dash: not run on this machine, its products came from the cache. The report is still being written."
    table = Table("Seconds per stage", columns, (*rows, ("together", total)), note)
    return Facts("How long it took", "The last run of each stage on this machine", (Section("Stages", (table,)),))


def headline(found: Findings) -> Section:
    """Return the headline figures, and in words what they come to."""
    base, classifier = numbers("evaluate"), numbers("finetune_classifier")
    figures = [
        Figure(
            "Base model",
            base["bits_per_byte"],
            "bits per byte",
            2,
            f"xz on the same held-out text {base['xz_bits_per_byte']:.2f}",
        ),
        Figure(
            "Classifier, test accuracy",
            estimate(found.accuracy, 100),
            "%",
            1,
            f"bag of words {100 * classifier['bag_of_words_accuracy']:.1f}, "
            f"majority {100 * classifier['majority_accuracy']:.1f}",
        ),
    ]
    for judge in found.judges[:HEADLINE_JUDGES]:
        tuned = found.standing(judge, TUNED)
        factor, unit, _ = scale(tuned.unit)
        others = [each for each in found.standings if each.judge == judge and each.model != TUNED and each.mean]
        note = ", ".join(f"{readable(each.model)} {factor * each.mean.mean:.1f}" for each in others if each.mean)
        value = estimate(tuned.mean, factor) if tuned.mean else None
        figures.append(Figure(f"Assistant, {spoken(judge)}", value, unit, 1, note))
    said = [comparing.conclusion(found, judge) for judge in found.judges]
    interval = f"Brackets hold {percent(found.confidence)} bootstrap intervals; "
    interval += "questions of one group (a module) are drawn together."
    return Section("Headline figures", (Headline(tuple(figures)), Text("\n\n".join([*said, interval]))))


def graph() -> Section:
    """Return the stages and what runs before what."""
    stages = dag.stages()
    edges = tuple((before, name) for name, parents in dag.parents(stages).items() for before in parents)
    note = "Read from dvc.yaml. Arrows that others imply are left out."
    drawn = Graph("Stages, each below those whose products it reads", tuple(each.name for each in stages), edges, note)
    return Section("The graph", (drawn,))


def corpus() -> Section:
    """Return sources, sizes, how well the vocabulary fits, and the records of both tasks."""
    sources = json.loads(paths.SOURCES.read_text(encoding="utf-8"))
    tokens, shards, records = numbers("tokenize"), numbers("shard"), numbers("prepare")
    by_source: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in sources:
        by_source.setdefault((each["name"], each["file"].partition("/")[0]), []).append(each)
    listed = Table(
        "Sources",
        (Column("source"), Column("for"), Column("licence"), Column("files"), Column("size", "bytes")),
        tuple(
            (name, role, files[0]["licence"], len(files), sum(each["size_bytes"] for each in files))
            for (name, role), files in by_source.items()
        ),
    )
    hashes = KeyValues(
        "SHA-256 of the sources",
        tuple(
            (files[0]["file"], files[0]["sha256"])
            if len(files) == 1
            else (f"{name}, {len(files)} files", f"each in {paths.SOURCES}")
            for (name, _), files in by_source.items()
        ),
    )
    splits = Table(
        "The corpus by split",
        (
            Column("split"),
            Column("documents"),
            Column("bytes"),
            Column("tokens"),
            Column("windows"),
            Column("bytes per token", "", 2),
            Column("tokens per word", "", 2),
        ),
        tuple(
            (
                split,
                tokens[f"{split}_documents"],
                tokens[f"{split}_bytes"],
                tokens[f"{split}_tokens"],
                shards[f"{split}_windows"],
                tokens[f"{split}_bytes"] / tokens[f"{split}_tokens"],
                tokens.get(f"{split}_tokens_per_word"),
            )
            for split in ("train", "validation")
        ),
        "Validation text is held out: neither the vocabulary nor the model has learned from it. "
        "Words are what white space parts. "
        f"Left out: {tokens['duplicates']} duplicates, {tokens['near_duplicates']} near duplicates, "
        f"{tokens['refused']} that could not be read, {tokens['breaches']} that broke the contract.",
    )
    tasks = Table(
        "Records of the two tasks by split",
        (Column("task"), Column("train"), Column("validation"), Column("test")),
        tuple(
            (task, *(records[f"{task}_{split}"] for split in ("train", "validation", "test")))
            for task in ("classification", "instructions")
        ),
        "Without duplicates, none on two sides.",
    )
    return Section("The corpus and its tokens", (listed, hashes, splits, _vocabulary(tokens), tasks))


def base() -> Section:
    """Return the base model's curve, its losses beside the compressor, and samples."""
    found = numbers("evaluate")
    ours, theirs = found["bits_per_byte"], found["xz_bits_per_byte"]
    said = (
        f"On {found['bytes']:,} bytes of held-out text the base model needs {ours:.2f} bits per byte, and "
        f"xz -9e on the same text {theirs:.2f}: the model needs {100 * abs(1 - ours / theirs):.0f} % "
        f"{'less' if ours < theirs else 'more'}."
    )
    scored = KeyValues(
        "The base model on all validation windows",
        (
            ("loss, nats per token", found["validation_loss"]),
            ("perplexity", found["perplexity"]),
            ("bits per byte", ours),
            ("bits per byte, xz -9e", theirs),
            (
                f"bits per byte, xz -9e after {found['xz_training_bytes']:,} bytes of training text",
                found["xz_after_training_text_bits_per_byte"],
            ),
            ("windows", found["windows"]),
            ("tokens", found["tokens"]),
        ),
    )
    samples = json.loads(paths.SAMPLES.read_text(encoding="utf-8"))
    shown = [Sample(f"Sample, {each['kind']}", _shortened(each["text"]), each["prompt"]) for each in samples]
    return Section("The base model", (Text(said), _training("pretrain", "Training of the base model"), scored, *shown))


def classifier(found: Findings) -> Section:
    """Return the test results beside both baselines, the confusion matrix and the curve."""
    given = numbers("finetune_classifier")
    names = {"classifier": "", "bag of words": "bag_of_words_", "majority": "majority_"}
    measures = ("accuracy", "precision", "recall", "f1")
    results = Table(
        "Test results",
        (Column("labelled by"), *(Column(name, "%", 1) for name in ("accuracy", "precision", "recall", "F1"))),
        tuple((who, *(100 * given[f"{prefix}{name}"] for name in measures)) for who, prefix in names.items()),
        "Precision, recall and F1 are means over the labels. Bag of words is a logistic regression on word counts, "
        "majority the most frequent label in training.",
    )
    by_accuracy, by_f1 = (100 * (given[name] - given[f"bag_of_words_{name}"]) for name in ("accuracy", "f1"))
    accuracy = found.accuracy
    said = (
        f"On {given['test_texts']:,} test texts the classifier is right on {100 * accuracy.mean:.1f} % "
        f"({percent(found.confidence)} interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}). "
        f"Its accuracy is {comparing.points(by_accuracy)} that of bag of words, its F1 {comparing.points(by_f1)}."
    )
    return Section(
        "The classifier",
        (Text(said), results, _confusion(), _training("finetune_classifier", "Training of the classifier")),
    )


def assistant(found: Findings) -> Section:
    """Return the curve, every model's scores, the differences to the tuned one, and answers."""
    curve = _training("finetune_instructions", "Training of the assistant")
    return Section("The assistant", (curve, *comparing.scores(found), *comparing.answers(found.judges[0])))


def checks() -> Section:
    """Return what was expected at each border, and whether it held."""
    rows: list[tuple[Value, ...]] = []
    for path in (path for stage in dag.stages() for path in stage.outs if path == paths.checks(path.stem)):
        kept = json.loads(path.read_text(encoding="utf-8"))
        expected = "\n".join(_expectation(each) for each in kept["expectations"])
        rows.append((kept["border"], kept["rows"], expected, all(each["holds"] for each in kept["expectations"])))
    columns = (Column("border"), Column("rows"), Column("expectations"), Column("all hold"))
    note = (
        "Great Expectations; a border that does not hold ends the build. "
        f"Its Data Docs, a page for each border, are in {paths.CHECKS}; what was left out, with its place and reason, "
        f"is in {paths.QUARANTINE.parent}."
    )
    return Section("Data checks", (Table("Tables checked between stages", columns, tuple(rows), note),))


def origin() -> Section:
    """Return hashes of the weights, versions, and the machine of each training."""
    weights = tuple((each, numbers(each)["weights_sha256"]) for each in TRAINED)
    scored = (("scored by evaluate", numbers("evaluate")["weights_sha256"]),)
    answered = (("answering in respond", numbers("respond")["weights_sha256"]),)
    machines = tuple((each, *(numbers(each)[name] for name in MACHINE)) for each in TRAINED)
    columns = (Column("stage"), *(Column(name.replace("_", " ")) for name in MACHINE))
    return Section(
        "Weights, versions and machine",
        (
            KeyValues("SHA-256 of the weights, as trained and as used", (*weights, *scored, *answered)),
            KeyValues("Versions", tuple(machine.versions().items())),
            Table(
                "The machine of each training", columns, machines, "On an equal machine the weights are these again."
            ),
        ),
    )


def _vocabulary(tokens: Mapping[str, Any]) -> Block:
    """Return how well the vocabulary fits, beside GPT-2's own on the same text."""
    if "gpt2_validation_tokens_per_word" not in tokens:
        return Text(
            "GPT-2's vocabulary was not at hand: with its two files among download.sources, role tokenizer, as "
            "presets/book.yaml names them, it is compared here with this build's."
        )
    fits = ("validation_bytes_per_token", "validation_tokens_per_word")
    return Table(
        "The vocabulary beside GPT-2's, on validation text",
        (
            Column("vocabulary"),
            Column("size", "tokens"),
            Column("bytes per token", "", 2),
            Column("tokens per word", "", 2),
        ),
        (
            ("this build's", tokens["vocab_size"], *(tokens[name] for name in fits)),
            ("GPT-2's", GPT2_TOKENS, *(tokens[f"gpt2_{name}"] for name in fits)),
        ),
        "More bytes per token (compression) and fewer tokens per word (fertility) let a context hold more text. Models "
        "of different vocabularies compare in bits per byte.",
    )


def _training(stage: str, title: str) -> Block:
    rows = tracking.read_curve(stage)
    if not rows:
        return Text(f"{stage} took no step: the first weights stayed as they were.")
    columns = {"training_loss": "training", "validation_loss": "validation"}
    losses = tuple(_line(rows, name, label) for name, label in columns.items())
    rate = Panel("learning rate", (_line(rows, "learning_rate", "learning rate"),))
    note = "Training loss is that of each step's own batch. Steps count from 0."
    return Curves(title, "step", (Panel("loss (nats)", losses), rate), note)


def _line(rows: Sequence[dict[str, float]], name: str, label: str) -> Line:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return Line(label, tuple(x for x, _ in points), tuple(y for _, y in points))


def _shortened(text: str) -> str:
    """Return a sample with long runs of line ends counted instead of shown: a model of few steps writes little else."""
    return re.sub(r"\n{4,}", lambda run: f"\n[{len(run[0])} line ends]\n", text)


def _confusion() -> ConfusionMatrix:
    found = [(actual, predicted) for *_, actual, predicted in findings.predictions()]
    labels = tuple(sorted({label for pair in found for label in pair}))
    count = Counter(found)
    counts = tuple(tuple(count[actual, predicted] for predicted in labels) for actual in labels)
    return ConfusionMatrix("Test texts by label", labels, counts, "Shaded by the share of the true label's texts.")


def _expectation(kept: Mapping[str, Any]) -> str:
    """Return an expectation of Great Expectations in a few words."""
    given = kept["arguments"]
    low, high = given.get("min_value"), given.get("max_value")
    ends = [f"{word} {end:,.10g}" for word, end in (("at least", low), ("at most", high)) if end is not None]
    limits = f"exactly {low:,.10g}" if low is not None and low == high else " and ".join(ends)
    column = given.get("column", "")
    columns = ", ".join(given.get("column_list", []))
    values = "; ".join(given.get("value_set", []))
    said = {
        "expect_table_row_count_to_be_between": f"number of rows is {limits}",
        "expect_column_values_to_be_between": f"{column} is {limits}",
        "expect_column_values_to_not_be_null": f"{column} is there",
        "expect_column_values_to_be_unique": f"{column} is unique",
        "expect_compound_columns_to_be_unique": f"{columns} are unique together",
        "expect_column_values_to_be_in_set": f"{column} is one of {values}",
        "expect_column_distinct_values_to_contain_set": f"{column} has each of {values}",
    }
    words = said.get(kept["expectation"], f"{column} {kept['expectation']}".strip())
    return words if kept["holds"] else f"{words}: DOES NOT HOLD"
