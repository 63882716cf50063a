import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import dag

ROOT = Path(__file__).parents[2]
GRAPH = """
stages:
  report:
    cmd: python -m pipeline report
    params: [report]
    deps: [data/scores, data/metrics/score.json, constraints.txt]
    outs: [data/report.html]
  score:
    cmd: python -m pipeline score
    params: [score, judge]
    deps: [data/raw/one.txt, pipeline/stages/score.py]
    outs:
      - data/scores:
          persist: true
    metrics:
      - data/metrics/score.json:
          cache: false
    plots:
      - data/metrics/score.csv
  download:
    cmd: python -m pipeline download
    outs: [data/raw]
"""


def written(folder: Path, text: str = GRAPH) -> Path:
    (folder / "dvc.yaml").write_text(text, encoding="utf-8")
    return folder / "dvc.yaml"


def test_a_stage_comes_after_those_whose_products_it_reads(tmp_path):
    assert [stage.name for stage in dag.stages(written(tmp_path))] == ["download", "score", "report"]


def test_the_order_is_that_of_dvc_yaml_where_that_is_a_running_order():
    names = [stage.name for stage in dag.stages(ROOT / "dvc.yaml")]
    assert names == [
        "download",
        "tokenize",
        "shard",
        "prepare",
        "screen",
        "pretrain",
        "evaluate",
        "finetune_classifier",
        "finetune_instructions",
        "prefer",
        "respond",
        "score",
        "report",
    ]


def test_the_order_is_one_that_dvc_would_take():
    asked = [sys.executable, "-m", "dvc", "dag", "--dot"]
    dot = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    edges = [line.replace('"', "").strip(" ;").split(" -> ") for line in dot.splitlines() if "->" in line]
    stages = dag.stages(ROOT / "dvc.yaml")
    names = [stage.name for stage in stages]
    ours = [[before, name] for name, found in dag.parents(stages).items() for before in found]
    assert all(names.index(before) < names.index(after) for before, after in edges)
    assert sorted(ours) == sorted(edges)


def test_a_stage_knows_what_it_reads_and_makes(tmp_path):
    score = dag.stages(written(tmp_path))[1]
    assert score.command == "python -m pipeline score"
    assert score.params == ("score", "judge")
    assert score.inputs == (Path("data/raw/one.txt"),)
    made = (Path("data/scores"), Path("data/metrics/score.json"), Path("data/metrics/score.csv"))
    assert score.products == made


def test_a_file_inside_a_product_makes_a_parent(tmp_path):
    parents = dag.parents(dag.stages(written(tmp_path)))
    assert parents == {"download": [], "score": ["download"], "report": ["score"]}


def test_stages_that_wait_for_each_other_are_named(tmp_path):
    graph = "stages:\n  a: {cmd: x, deps: [one], outs: [two]}\n  b: {cmd: x, deps: [two], outs: [one]}\n"
    with pytest.raises(ValueError, match="the stages a, b wait for each other"):
        dag.stages(written(tmp_path, graph))


def test_a_files_hash_is_its_sha256(project):
    Path("one").write_bytes(b"abc")
    # The first test vector of FIPS 180-2.
    assert dag.hashes([Path("one"), Path("not there")]) == {
        "one": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }


def test_a_folders_hash_is_that_of_the_list_of_its_files(project):
    Path("data/in").mkdir(parents=True)
    Path("data/b").write_bytes(b"abc")
    Path("data/in/a").write_bytes(b"")
    listing = (
        "b ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
        "in/a e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert dag.hashes([Path("data")]) == {"data": hashlib.sha256(listing.encode()).hexdigest()}
    before = dag.hashes([Path("data")])
    Path("data/in/a").rename("data/in/c")
    assert dag.hashes([Path("data")]) != before


def test_the_key_of_work_changes_with_params_data_and_stage_alone(project):
    Path("data").mkdir()
    Path("data/one").write_bytes(b"abc")
    stage = dag.Stage("score", "python -m pipeline score", ("score",), (Path("data/one"),), (), (), ())
    sections = {"score": {"seed": 1}, "report": {"seed": 1}}
    first = dag.key(dag.facts(stage, sections))
    assert len(first) == 16
    assert dag.key(dag.facts(stage, sections | {"report": {"seed": 2}})) == first
    assert dag.key(dag.facts(stage, sections | {"score": {"seed": 2}})) != first
    assert dag.key(dag.facts(replace(stage, name="respond"), sections)) != first
    Path("data/one").write_bytes(b"abd")
    assert dag.key(dag.facts(stage, sections)) != first


def test_the_key_of_work_changes_with_the_first_weights(project):
    Path("mine").mkdir()
    Path("mine/model.safetensors").write_bytes(b"abc")
    stage = dag.Stage("pretrain", "python -m pipeline pretrain", ("pretrain",), (), (), (), ())
    sections = {"pretrain": {"start_from": "mine"}}
    first = dag.key(dag.facts(stage, sections))
    Path("mine/model.safetensors").write_bytes(b"abd")
    assert dag.key(dag.facts(stage, sections)) != first
