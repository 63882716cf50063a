"""Every preset: its settings fit every stage, and with shrunken numbers every stage runs, its files from a mirror.

The mirror is a real http server that has each real file at the path of its public address. Published weights are random
ones of a small shape, in the published format.
"""

import hashlib
import json
import shutil
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from ruamel.yaml import YAML

from components.gpt import checkpoint, classifier
from components.gpt.model import GPT, GPTConfig
from components.gpt.weights import write_published
from components.scoring.response import Response
from components.tasks.files import read_records
from components.tasks.instructions import Instruction
from pipeline import dag, fitting, paths, settings, stages, tracking
from pipeline.commands import use

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared/data"
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))

TRAINING = {"max_steps": 1, "batch_size": 2, "evaluate_every": 1, "evaluate_batches": 1}
SHRUNK: dict[str, Any] = {
    "pretrain": {"model": {"emb_dim": 8, "n_heads": 2, "n_layers": 2}, **TRAINING},
    "evaluate": {"batch_size": 64, "max_new_tokens": 2},
    "prepare": {"classification": {"most": 6}, "instructions": {"most": 3}},
    "screen": {"records": {"most_near": 1.0, "most_13_gram": 1.0}, "pretraining": {"most_13_gram": 1.0}},  # so few
    "finetune_classifier": {**TRAINING},
    "finetune_instructions": {**TRAINING},
    "respond": {"max_new_tokens": 2},
    "report": {"resamples": 20},
}

PARTS = {"hellaswag_val.jsonl": "hellaswag_1000.jsonl"}
"""Of these files there is only a part here."""

needs_files = pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")


def preset(name: str) -> dict[str, Any]:
    sections: dict[str, Any] = YAML(typ="safe", pure=True).load(use.combined(name))
    return sections


def overlaid(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {name: overlaid(values[name], each) for name, each in changes.items() if isinstance(each, dict)}
    return values | changes | nested


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_settings_for_every_stage(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    sections = preset(name)
    assert list(sections) == [stage.name for stage in dag.stages()]
    for stage in sections:
        settings.arguments(stages.find(stage), sections)


@pytest.mark.parametrize("name", PRESETS)
def test_every_file_of_a_preset_has_a_checksum_and_one_revision(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    for source in preset(name)["download"]["sources"]:
        assert source["licence"]
        for address in source["addresses"]:
            assert address.startswith(("https://", "pydocs:"))
            assert source["sha256"] or address.startswith("pydocs:")
            assert "/resolve/main/" not in address  # on the model hub a branch moves, a commit does not


def test_params_yaml_is_a_preset(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert settings.read() in [preset(name) for name in PRESETS]


class Mirror:
    """A folder of files at the paths of their addresses, and the sources as they are named then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, source: dict[str, Any]) -> list[dict[str, Any]]:
        """Put a source's file into the folder; published weights become small ones, with a config.json beside them."""
        address = source["addresses"][0]
        if address.startswith("pydocs:"):
            return [source]
        place = self.folder / urlsplit(address).path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if source["role"] == "weights":
            return self.weights(source, place)
        real = next(REAL.rglob(PARTS.get(source["file"], Path(source["file"]).name)))
        if source["file"] in PARTS:
            source |= {"sha256": hashlib.sha256(real.read_bytes()).hexdigest()}
        if source.get("member"):
            with zipfile.ZipFile(place, "w") as archive:
                archive.write(real, source["member"])
        else:
            shutil.copy(real, place)
        return [source]

    @staticmethod
    def weights(source: dict[str, Any], place: Path) -> list[dict[str, Any]]:
        torch.manual_seed(1)
        config = GPTConfig(50257, 256, 8, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")
        write_published(GPT(config), place.parent)
        described = place.with_name("config.json")
        config_source = source | {
            "name": f"{source['name']}, shape",
            "file": f"{source['file'].partition('/')[0]}/config.json",
            "addresses": [source["addresses"][0].replace(place.name, described.name)],
            "sha256": hashlib.sha256(described.read_bytes()).hexdigest(),
        }
        return [source | {"sha256": hashlib.sha256(place.read_bytes()).hexdigest()}, config_source]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path_factory, monkeypatch) -> Iterator[Mirror]:
    folder = tmp_path_factory.mktemp("mirror")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("PIPELINE_MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield Mirror(folder)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(prefect_server, project, mirror) -> Callable[..., None]:
    """What runs every stage of a preset with shrunken numbers, in a folder that is the current one."""
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    for name in ("dvc.yaml", "constraints.txt"):
        shutil.copy(ROOT / name, project)
    for name in ("components", "pipeline", "presets"):
        (project / name).symlink_to(ROOT / name)
    (project / "data").mkdir()
    (project / "data/interpreter.txt").write_text("the one that runs this\n")
    (project / "data/outside.txt").touch()

    def run(name: str, changes: dict[str, Any] | None = None) -> None:
        sections = overlaid(overlaid(preset(name), SHRUNK), changes or {})
        sources = sections["download"]["sources"]
        sections["download"]["sources"] = [named for each in sources for named in mirror.has(each)]
        for stage in ("pretrain", "finetune_classifier", "finetune_instructions"):
            if sections[stage]["start_from"].startswith("gpt2-"):  # as a folder: it holds no such size
                sections[stage] |= {"start_from": str(paths.RAW_WEIGHTS / sections[stage]["start_from"])}
        paths.PARAMS.write_text(json.dumps(sections, indent=1), encoding="utf-8")  # JSON is YAML
        with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="great_expectations|mlflow")
            for stage in dag.stages():
                stages.run(stage.name)

    return run


def fetched_from() -> set[str]:
    return {each["file"] for each in json.loads(paths.SOURCES.read_text())}


def test_preferences_is_the_book_that_goes_on_to_pairs_of_answers(monkeypatch):
    monkeypatch.chdir(ROOT)
    book, more = preset("book"), preset("preferences")
    assert {name for name in book if book[name] != more[name]} == {"prepare", "prefer"}
    for name in ("classification", "instructions"):
        assert more["prepare"][name] == book["prepare"][name]
    assert (book["prepare"]["preferences"], book["prefer"]["max_steps"]) == (None, 0)


@needs_files
def test_the_book_runs_from_the_verdict_sms_and_instructions_to_scores_and_on_to_pairs_of_answers(run):
    run("preferences", {"prefer": TRAINING, "evaluate": {"multiple_choice": {"most": 2}}})
    assert {
        "corpus/the-verdict.txt",
        "tasks/SMSSpamCollection",
        "weights/gpt2-355M/model.safetensors",
    } <= fetched_from()
    tokens, shards, prepared = (tracking.recorded(stage) for stage in ("tokenize", "shard", "prepare"))
    assert tokens["train_bytes"] + tokens["validation_bytes"] == 20479
    # Section 5.2 of the book: 9 training batches of 2 windows and 1 of validation; its 10 epochs are 90 steps.
    assert (shards["train_windows"], shards["validation_windows"]) == (18, 2)
    # What max_steps of both fine-tunings counts on.
    assert abs(prepared["classification_train"] // 8 - 114) <= 2
    assert prepared["instructions_train"] // 8 == 114
    base = checkpoint.load(paths.BASE).config
    assert (base.init, base.tie_weights, base.qkv_bias, base.vocab_size) == ("book", False, False, 50257)
    trained = classifier.load(paths.CLASSIFIER)
    assert (trained.labels, trained.reads, trained.body.config.qkv_bias) == (("ham", "spam"), "last_position", True)
    assert json.loads((paths.ASSISTANT / "origin.json").read_text()) == {"start_from": "data/raw/weights/gpt2-355M"}
    # The book's repository, ch07/03_model-evaluation/scores/correlation-analysis.ipynb.
    assert tracking.recorded("report")["calibration_Llama_3_8B_pearson"] == pytest.approx(0.80489, abs=5e-6)
    # Of 1,100 pairs 6 have two equal answers, 25 others are asked twice; the book (ch07/04 of its repository): 0.6931.
    assert sum(prepared[f"preferences_{split}"] for split in ("train", "validation", "test")) == 1069
    assert tracking.recorded("prefer")["training_loss"] == pytest.approx(0.693147, abs=1e-6)
    assert {each.model for each in read_records(paths.RESPONSE_LINES, Response)} == {"tuned", "preferred", "untuned"}
    assert "Held-out pairs of answers" in paths.REPORT.read_text(encoding="utf-8")
    assert paths.REPORT.stat().st_size > 10_000


@needs_files
def test_gpt2_124m_is_loaded_not_trained_and_fine_tuned_on_the_defaults_tasks(run):
    run("gpt2-124M", {"pretrain": {"max_steps": 0}, "evaluate": {"multiple_choice": {"most": 3}}})
    assert tracking.recorded("evaluate")["multiple_choice_items"] == 3
    base = checkpoint.load(paths.BASE).config
    assert (base.context_length, base.emb_dim, base.qkv_bias) == (256, 8, True)
    assert tracking.recorded("pretrain") == fitting.facts([], paths.BASE)
    assert tracking.recorded("evaluate")["weights_sha256"] == checkpoint.sha256(paths.BASE)
    assert {each.kind for each in read_records(paths.RESPONSE_LINES, Response)} <= {"count", "name", "last", "next"}
    assert "took no step" in paths.REPORT.read_text(encoding="utf-8")


@needs_files
def test_shakespeare_is_read_by_bytes_and_its_tasks_fit_into_64_of_them(run):
    run("shakespeare")
    tokens, prepared = tracking.recorded("tokenize"), tracking.recorded("prepare")
    assert tokens["train_tokens"] == tokens["train_bytes"]
    assert tokens["train_bytes"] + tokens["validation_bytes"] == 1_115_394
    assert checkpoint.load(paths.BASE).config.context_length == 64
    assert prepared["instructions_train"] > 1000
    asked = [
        each
        for split in ("train", "validation", "test")
        for each in read_records(paths.INSTRUCTIONS / f"{split}.jsonl", Instruction)
    ]
    assert max(len(f"{each.instruction}\n{each.input}\nAnswer: {each.output}".encode()) for each in asked) <= 64
    assert tracking.recorded("respond")["prompts_cut"] == 0
