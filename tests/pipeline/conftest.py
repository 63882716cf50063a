"""A finished build, its files written by hand: small enough that each number of its report can be worked out."""

import csv
import json
import math
import shutil
import subprocess
import sys

import pytest

GRAPH = """\
stages:
  download:
    cmd: python -m pipeline download
    outs: [data/raw/sources.json, data/checks/raw.json]
  pretrain:
    cmd: python -m pipeline pretrain
    deps: [data/raw/sources.json, code.py]
    outs: [models/base]
  report:
    cmd: python -m pipeline report
    deps: [data/raw/sources.json, models/base]
    outs: [data/report.html]
"""
PARAMS = """\
pretrain:
  seed: 123
report:
  resamples: 4000
  confidence: 0.95
  seed: 1
"""
MACHINE = {"system": "Linux x86_64", "device": "cuda", "threads": "2", "cpu_capability": "AVX512", "processor": "Xeon"}
METRICS = {
    "tokenize": {
        "train_documents": 8,
        "train_tokens": 400,
        "train_bytes": 1200,
        "validation_documents": 2,
        "validation_tokens": 80,
        "validation_bytes": 200,
        "validation_bytes_per_token": 2.5,
        "validation_tokens_per_word": 2.25,
        "vocab_size": 300,
        "duplicates": 1,
        "near_duplicates": 2,
        "refused": 3,
        "breaches": 1,
    },
    "shard": {"train_ids": 408, "train_windows": 3, "validation_ids": 82, "validation_windows": 1},
    "pretrain": {"steps": 2, "weights_sha256": "aa", "training_loss": 2.5, "validation_loss": 2.25, **MACHINE},
    "evaluate": {
        "validation_loss": 2.25,
        "perplexity": 9.4877,
        "bits_per_byte": 1.5,
        "xz_bits_per_byte": 2.0,
        "xz_after_training_text_bits_per_byte": 1.75,
        "xz_training_bytes": 1200,
        "windows": 1,
        "tokens": 82,
        "scored_tokens": 64,
        "bytes": 200,
        "scored_bytes": 190,
        "weights_sha256": "aa",
    },
    "prepare": {f"{task}_{split}": 4 for task in ("classification", "instructions") for split in ("train", "test")}
    | {"classification_validation": 1, "instructions_validation": 2, "empty_records": 3, "labelled_surplus": 0},
    "finetune_classifier": {
        "steps": 2,
        "weights_sha256": "bb",
        **MACHINE,
        "test_texts": 4,
        "kept_step": 1,
        "kept_validation_loss": 2.25,
    },
    "finetune_instructions": {"steps": 2, "weights_sha256": "cc", "train_rows": 4, "validation_rows": 2, **MACHINE},
    "prefer": {"steps": 0, "weights_sha256": "cc", **MACHINE},
    "respond": {"records": 4, "responses": 12, "weights_sha256": "cc"},
}
CURVE = [
    {"step": 0, "training_loss": 3.5, "learning_rate": 0.01, "gradient_norm": 1.0, "validation_loss": ""},
    {"step": 1, "training_loss": 2.5, "learning_rate": 0.005, "gradient_norm": 0.5, "validation_loss": 2.25},
]
QUESTIONS = [  # id, kind, instruction, input, expected
    ("c1", "count", "How many parameters?", "def f(a)", "1"),
    ("c2", "count", "How many parameters?", "def g(a, b)", "2"),
    ("n1", "name", "What is it called?", "def h()", "h"),
    ("n2", "name", "What is it called?", "def k()", "k"),
]
EXACT = {  # 1 for a right answer, in the order of the questions
    "tuned": [1, 1, 1, 0],
    "untuned": [0, 0, 0, 0],
    "untuned, shown examples": [1, 1, 0, 0],
    "best constant": [1, 0, 0, 0],
    "copied input": [0, 0, 0, 1],
}
LABELLED = {  # how likely each of four texts is code; the first two are
    "predictions": [0.9, 0.4, 0.2, 0.1],
    "untuned": [0.6, 0.6, 0.6, 0.6],
    "bag_of_words": [0.7, 0.3, 0.7, 0.3],
    "majority": [0.25, 0.25, 0.25, 0.25],
}
ANSWERED = ("tuned", "untuned", "untuned, shown examples")


PASSAGES = [  # id, source, bytes, bits per byte: 300 bits on 200 bytes
    ("document 8 (tales.txt), passage 1", "tales", 100, 1.0),
    ("document 8 (tales.txt), passage 2", "tales", 50, 1.0),
    ("document 9 (notes.txt), passage 1", "notes", 50, 3.0),
]
OVERLAPS = [  # a passage, a text, and a question by two measures
    ("corpus validation", "document 9 (notes.txt), passage 1", "13_gram", "document 0 (tales.txt)", 0.5),
    ("classification test", "1", "exact", "t9", 1.0),
    ("instructions test", "c1", "near", "q7", 0.875),
    ("judge items", "c1", "13_gram", "q7", 0.5),
]


@pytest.fixture
def build(tmp_path, monkeypatch):
    """The folder of the build, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    for folder in ("raw", "checks", "metrics", "overlap", "predictions", "responses", "scores"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for stage, numbers in METRICS.items():
        (tmp_path / f"data/metrics/{stage}.json").write_text(json.dumps(numbers))
    for stage in ("pretrain", "finetune_classifier", "finetune_instructions"):
        with (tmp_path / f"data/metrics/{stage}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(CURVE[0]))
            writer.writeheader()
            writer.writerows(CURVE)
    (tmp_path / "data/metrics/prefer.csv").write_text("step,training_loss,validation_loss\n")
    (tmp_path / "data/margins.jsonl").touch()
    source = {"file": "corpus/tales.txt", "name": "Tales", "sha256": "dd", "size_bytes": 1400, "licence": "CC0-1.0"}
    (tmp_path / "data/raw/sources.json").write_text(json.dumps([source]))
    kept = [
        {"expectation": "expect_table_row_count_to_be_between", "arguments": {"min_value": 1}, "holds": True},
        {"expectation": "expect_column_values_to_be_unique", "arguments": {"column": "file"}, "holds": True},
    ]
    (tmp_path / "data/checks/raw.json").write_text(json.dumps({"border": "raw", "rows": 1, "expectations": kept}))
    samples = [{"prompt": "Once", "kind": "greedy", "text": " upon a time"}]
    (tmp_path / "data/samples.json").write_text(json.dumps(samples))
    write_lines(
        tmp_path / "data/losses.jsonl",
        [
            {"id": id, "group": group, "sha256": f"hash of {id}", "tokens": size_bytes // 2, "size_bytes": size_bytes}
            | {"nats": bits * size_bytes * math.log(2)}
            for id, group, size_bytes, bits in PASSAGES
        ],
    )
    (tmp_path / "data/choices.jsonl").touch()
    for name, shares in LABELLED.items():
        rows = ["id,group,actual,predicted,probability of code,probability of prose"]
        for place, (label, code) in enumerate(zip(["code", "code", "prose", "prose"], shares, strict=True)):
            said = "code" if code >= 0.5 else "prose"
            rows.append(f"{place + 1},{'abcd'[place]},{label},{said},{code},{1 - code:.9g}")
        (tmp_path / f"data/predictions/{name}.csv").write_text("\n".join(rows) + "\n")
    write_lines(
        tmp_path / "data/overlap/overlaps.jsonl",
        [
            {"held_out": held_out, "seen": "x", "kind": kind, "id": id, "place": place, "similarity": similarity}
            for held_out, id, kind, place, similarity in OVERLAPS
        ],
    )
    count = {"held_out": "classification test", "seen": "classification train", "kind": "13_gram"}
    count |= {"items": 4, "touched": 1, "most": 0.5, "setting": "screen.records.most_13_gram"}
    (tmp_path / "data/overlap/counts.json").write_text(json.dumps([count]))
    write_lines(
        tmp_path / "data/responses/responses.jsonl",
        [
            {
                "model": model,
                "id": id,
                "kind": kind,
                "group": id,
                "instruction": instruction,
                "input": input,
                "expected": expected,
                "answer": expected if EXACT[model][place] else f"no {id}",
            }
            for model in ANSWERED
            for place, (id, kind, instruction, input, expected) in enumerate(QUESTIONS)
        ],
    )
    write_lines(
        tmp_path / "data/scores/scores.jsonl",
        [
            {"model": model, "id": id, "judge": "exact_match", "value": value, "unit": "share", "reason": ""}
            for model, values in EXACT.items()
            for (id, *_), value in zip(QUESTIONS, values, strict=True)
        ],
    )
    (tmp_path / "data/scores/calibration.jsonl").touch()
    return tmp_path


@pytest.fixture
def preferred(build):
    """The same build, in which the assistant was taught to prefer: two pairs a split, better answers to no question."""
    (build / "data/metrics/prefer.csv").write_text((build / "data/metrics/pretrain.csv").read_text())
    write_lines(
        build / "data/margins.jsonl",
        [
            {
                "id": f"{split}-{k}",
                "group": f"{split}-{k}",
                "split": split,
                "chosen_before": -2.0,
                "rejected_before": -1.5,
                "chosen": -1.0 - k,
                "rejected": -1.5 - k,
            }
            for split in ("validation", "test")
            for k in range(2)
        ],
    )
    for name, value in (("responses/responses", "no c1"), ("scores/scores", 0)):
        path = build / f"data/{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        taught = [row | {"model": "preferred"} for row in rows if row["model"] == "tuned"]
        taught[0] |= {"value": value} if "value" in taught[0] else {"answer": value}
        write_lines(path, rows + taught)
    return build


@pytest.fixture
def judged(build):
    """The same build, judged by a model alone that could not be read on every answer, of one kind of question."""
    verdicts = {"tuned": [80, 60, None, 40], "untuned": [10, None, 20, 0], "untuned, shown examples": [None] * 4}
    write_lines(
        build / "data/scores/scores.jsonl",
        [
            {
                "model": model,
                "id": id,
                "judge": "llama3:8b",
                "value": value,
                "unit": "points",
                "reason": "" if value is not None else "prose",
            }
            for model, values in verdicts.items()
            for (id, *_), value in zip(QUESTIONS, values, strict=True)
        ],
    )
    path = build / "data/responses/responses.jsonl"
    path.write_text(path.read_text().replace('"count"', '"instruction"').replace('"name"', '"instruction"'))
    return build


RATED = {  # by judge, for each of two answers to two records
    "GPT-4": {("first", "1"): 0, ("first", "2"): 100, ("second", "1"): 50, ("second", "2"): None},
    "chrf": {("first", "1"): 10.0, ("first", "2"): 30.0, ("second", "1"): 20.0, ("second", "2"): 5.0},
    "Llama": {("first", "1"): 40, ("first", "2"): None},
    "mute": {("first", "1"): None},
}


@pytest.fixture
def calibrated(build):
    """The same build, with the scores that GPT-4 gave other answers beside those of three other judges."""
    units = {"chrf": "chrF"}
    write_lines(
        build / "data/scores/calibration.jsonl",
        [
            {
                "model": model,
                "id": id,
                "judge": judge,
                "value": value,
                "unit": units.get(judge, "points"),
                "reason": "" if value is not None else "prose",
            }
            for judge, values in RATED.items()
            for (model, id), value in values.items()
        ],
    )
    return build


LIKELIHOOD = {"tuned": [-0.25, -0.5, -0.5, -0.75], "untuned": [-4.0, -5.0, None, -6.0]}


@pytest.fixture
def likely(build):
    """The same build, with how likely two models find the expected answers; one answer was too long for one model."""
    path = build / "data/scores/scores.jsonl"
    rows = [
        {
            "model": model,
            "id": id,
            "judge": "likelihood",
            "value": value,
            "unit": "nats per token",
            "reason": "" if value is not None else "too long",
        }
        for model, values in LIKELIHOOD.items()
        for (id, *_), value in zip(QUESTIONS, values, strict=True)
    ]
    path.write_text(path.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    return build


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


TINY_GRAPH = """\
stages:
  pretrain:
    cmd: python make.py pretrain
    params: [pretrain]
    deps: [make.py, constraints.txt]
    outs: [models/base]
    metrics: [{data/metrics/pretrain.json: {cache: false}}]
  prefer:
    cmd: echo none > models/preferred
    params: [prefer]
    deps: [models/base]
    outs: [models/preferred]
  report:
    cmd: python make.py report
    params: [report]
    deps: [make.py, models/base]
    outs: [data/predictions, data/responses, data/scores]
    metrics: [{data/metrics/report.json: {cache: false}}]
"""
TINY_PARAMS = """\
pretrain: {start_from: scratch, seed: 1, max_steps: 1, lessons: 0}
prefer: {seed: 5, max_steps: 0}
report: {resamples: 1000, confidence: 0.95, seed: 1}
"""
TINY_STAGES = """\
import json, pathlib, sys
from ruamel.yaml import YAML

def write(path, text):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)

if sys.argv[1] == "pretrain":  # four questions; a lesson teaches one, and so does an odd seed
    its = YAML(typ="safe").load(pathlib.Path("params.yaml").read_text())["pretrain"]
    right = its["lessons"] + its["seed"] % 2
    write("models/base/right", str(right))
    write("data/metrics/pretrain.json", json.dumps({"weights_sha256": f"sha-{right}", "device": "cpu"}))
else:
    right = int(pathlib.Path("models/base/right").read_text())
    ids = ["q1", "q2", "q3", "q4"]
    fields = {"model": "tuned", "kind": "k", "instruction": "?", "input": "", "expected": "!", "answer": "!"}
    scored = {"model": "tuned", "judge": "exact_match", "unit": "share", "reason": ""}
    write("data/predictions/predictions.csv", "id,group,actual,predicted\\n1,a,code,code\\n2,b,code,prose\\n")
    rows = [{**fields, "id": id, "group": id} for id in ids]
    write("data/responses/responses.jsonl", "".join(json.dumps(row) + "\\n" for row in rows))
    rows = [{**scored, "id": id, "value": float(place < right)} for place, id in enumerate(ids)]
    write("data/scores/scores.jsonl", "".join(json.dumps(row) + "\\n" for row in rows))
    numbers = {"bits_per_byte": 2 - right / 4, "classifier_accuracy": 0.5, "tuned_exact_match": right / 4}
    write("data/metrics/report.json", json.dumps({**numbers, "tuned_exact_match_low": 0.0}))
"""


@pytest.fixture(scope="session")
def _two_builds(tmp_path_factory):
    """A repository with two builds: the first, tagged `before`, knows one answer of four, the second, HEAD, three."""
    folder = tmp_path_factory.mktemp("builds")

    def do(*words):
        subprocess.run(words, cwd=folder, check=True, capture_output=True)

    do("git", "init", "-q", "-b", "main")
    for name in ("name", "email"):
        do("git", "config", f"user.{name}", "tests")
    do(sys.executable, "-m", "dvc", "init", "-q")
    do(sys.executable, "-m", "dvc", "config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(TINY_GRAPH)
    (folder / "make.py").write_text(TINY_STAGES)
    (folder / "constraints.txt").write_text("# pins\ntorch==2.12.0\n")
    (folder / ".gitignore").write_text("/models\n/data/*\n!/data/metrics\n/.work\n/mlflow.db\n/mlartifacts\n")
    for lessons, version in ((0, "2.12.0"), (2, "2.13.0")):
        (folder / "params.yaml").write_text(TINY_PARAMS.replace("lessons: 0", f"lessons: {lessons}"))
        (folder / "constraints.txt").write_text(f"# pins\ntorch=={version}\nnumpy==2.4.6\n")
        do(sys.executable, "-m", "dvc", "repro", "-q")
        do("git", "add", "-A")
        do("git", "commit", "-q", "-m", f"{lessons} lessons")
    do("git", "tag", "before", "HEAD~1")
    return folder


@pytest.fixture
def two_builds(_two_builds, project):
    """A copy of them, which is the current folder."""
    shutil.copytree(_two_builds, project, dirs_exist_ok=True, symlinks=True)
    return project


@pytest.fixture
def chosen(build):
    """The build, with items of which an ending was chosen, zero- and one-shot; the first ending is right."""
    likeliest = [(-4.0, -6.0), (-4.0, -6.0), (-4.0, -6.0), (-6.0, -5.0)]
    rows = [
        {"id": str(k), "group": str(k), "shots": shots, "answer": 0, "nats": nats, "characters": (4, 20)}
        | {"tokens": (6, 4), "is_cut": (shots, k) == (0, 0)}
        for shots in (0, 1)
        for k, nats in enumerate(likeliest)
    ]
    write_lines(build / "data/choices.jsonl", rows)
    return build
