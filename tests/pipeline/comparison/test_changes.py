import json

import pytest

from pipeline.comparison import builds, changes
from pipeline.comparison.builds import Build, Stage
from pipeline.comparison.changes import Change


@pytest.fixture
def made(tmp_path):
    """What makes a build of some stages; `versions` is its constraints.txt, `device` that of its training."""

    def make(name, stages, versions="", device="cpu", weights="aa"):
        folder = tmp_path / name
        (folder / "data/metrics").mkdir(parents=True)
        (folder / "constraints.txt").write_text(versions)
        recorded = {"weights_sha256": weights, "device": device, "threads": "2"}
        (folder / "data/metrics/pretrain.json").write_text(json.dumps(recorded))
        return Build(name, name, folder, stages, None)

    return make


def stage(params=None, deps=None, outs=None):
    return Stage(params or {}, deps or {}, outs or {})


def test_nothing_changes_between_a_build_and_itself(made):
    stages = {"pretrain": stage({"pretrain": {"seed": 1}}, {"a.py": "1"}, {"models/base": "2"})}
    assert changes.between(made("a", stages), made("b", stages)) == []


def test_each_kind_of_change_is_told_with_both_sides(made):
    a = {
        "download": stage(outs={"data/raw/corpus": "0" * 32 + ".dir", "data/checks/raw.json": "1"}),
        "pretrain": stage({"pretrain": {"seed": 1, "lora": None}}, {"a.py": "1"}, {"models/base": "x"}),
    }
    b = {
        "download": stage(outs={"data/raw/corpus": "5" * 32 + ".dir", "data/checks/raw.json": "2"}),
        "pretrain": stage(
            {"pretrain": {"seed": 2}},
            {"a.py": "2", "data/raw/corpus": "5", "data/metrics/x.json": "1"},
            {"models/base": "y"},
        ),
    }
    found = changes.between(
        made("a", a, "# pins\ntorch==2.12.0\nnumpy==2.4.6\n"),
        made("b", b, "# pins\ntorch==2.13.0\nnumpy==2.4.6\n", "cuda", "bb"),
    )
    assert found == [
        Change("params", "pretrain.seed", "1", "2"),
        Change("params", "pretrain.lora", "null", "-"),
        Change("data", "data/raw/corpus", "0" * 12, "5" * 12),
        Change("weights", "models/base", "aa", "bb"),
        Change("code", "a.py", "1", "2"),
        Change("versions", "torch", "2.12.0", "2.13.0"),
        Change("machine", "device", "cpu", "cuda"),
    ]


def test_a_stage_of_one_build_alone_shows_in_what_it_has(made):
    a = {"pretrain": stage({"pretrain": {"seed": 1}})}
    b = a | {"align": stage({"align": {"beta": 0.1}}, {"align.py": "1"})}
    found = changes.between(made("a", a), made("b", b))
    assert found == [Change("params", "align.beta", "-", "0.1"), Change("code", "align.py", "-", "1")]


def test_what_the_report_took_is_left_out_where_one_build_does_not_know_it(made):
    a = {"pretrain": stage({"pretrain": {"seed": 1}})}
    b = a | {builds.REPORT: stage({"report": {"seed": 1}}, {"page.py": "1"})}
    assert changes.between(made("a", a), made("b", b)) == []


def test_the_stages_that_read_a_file_are_those_of_both_builds(made):
    a = made("a", {"pretrain": stage(deps={"a.py": "1"}), "score": stage(deps={"b.py": "1"})})
    b = made("b", {"pretrain": stage(deps={"a.py": "2"}), "score": stage(deps={"a.py": "2"})})
    assert changes.readers(a, b, "a.py") == ["pretrain", "score"]
