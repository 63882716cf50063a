import json
import re

import pytest

from pipeline.builds import git, opened
from pipeline.seeds import _full_name


def test_it_says_what_changed_and_by_how_much(two_builds, main, capsys):
    assert main(["compare", "before", "HEAD", "--json", "found.json"]) == 0
    said = capsys.readouterr().out
    before, head = (git("rev-parse", name)[:10] for name in ("before", "HEAD"))
    assert max(len(line) for line in said.splitlines()) <= 100
    assert [re.sub(r"   +", " | ", line) for line in said.splitlines()] == [
        f"A  before: commit {before}",
        f"B  HEAD: commit {head}",
        "",
        "params | pretrain.lessons: 0 -> 2",
        "data | the same",
        "weights | models/base: sha-1 -> sha-3",
        "code | the same",
        "versions  torch: 2.12.0 -> 2.13.0",
        "machine | the same",
        "",
        " | A | B | B - A | 95 % interval records",
        "bits_per_byte | 1.75 | 1.25 | -0.5 | one number",
        "tuned_exact_match | 0.25 | 0.75 | +0.5 | +0 .. +1 | 4",
        "1 of 3 numbers are the same in both.",
        "Intervals: these two models on other records, a group's (a module's) drawn together.",
        "What other seeds would make of it they do not say: --seeds N does.",
    ]
    found = json.loads((two_builds / "found.json").read_text())
    assert found["changed"][0] == {"kind": "params", "name": "pretrain.lessons", "a": "0", "b": "2"}
    assert found["numbers"][2]["pairs"]["difference"]["mean"] == 0.5


def test_the_workspace_is_compared_unless_told(two_builds, main, capsys):
    (two_builds / "make.py").write_text((two_builds / "make.py").read_text() + "# edited\n")
    assert main(["compare", "HEAD"]) == 0
    said = capsys.readouterr().out
    assert (
        "B  workspace: what lies here\n   edited since it was built, so not what would run now: pretrain, report"
        in said
    )
    assert "3 of 3 numbers are the same in both." in said


def test_other_questions_are_not_compared_in_pairs(two_builds, main, capsys):
    path = two_builds / "data/responses/responses.jsonl"
    text = path.read_text()
    path.unlink()  # DVC's own copy may hang on it
    path.write_text(text.replace('"?"', '"another?"', 2))
    assert main(["compare", "before"]) == 0
    said = capsys.readouterr().out
    # Of q3 and q4, which are asked the same, B knows one more.
    assert re.search(r"tuned_exact_match +0\.25 +0\.75 +\+0\.5 +\+0 \.\. \+1 +2/4\n", said)
    assert "n/m  of m records n are in both and asked the same" in said


def test_runs_with_other_seeds_that_are_there_are_used(two_builds, main, capsys):
    before, head = git("rev-parse", "before"), git("rev-parse", "HEAD")
    with opened("before") as a, opened("HEAD") as b:
        git("update-ref", _full_name(a, 1), before)
        git("update-ref", _full_name(b, 1), head)
    assert main(["compare", "before", "HEAD", "--seeds", "1"]) == 0
    said = capsys.readouterr().out
    assert "Over seeds: mean and standard deviation of 2 runs of A and 2 of B" in said
    assert re.search(r"tuned_exact_match +0\.25 +0\.75 +\+0\.5 +\+0\.5 \.\. \+0\.5\n +\+-0 +\+-0\n", said)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nonsense"], "error: nonsense is no revision of git"),
        (["HEAD", "--seeds", "-1"], "error: --seeds is -1; expected 0 or more"),
    ],
)
def test_what_cannot_be_compared_is_one_line(two_builds, main, capsys, words, expected):
    assert main(["compare", *words]) == 1
    assert capsys.readouterr().err.startswith(expected)


def test_a_workspace_with_changes_is_not_run_with_other_seeds(two_builds, main, capsys):
    (two_builds / "notes.txt").write_text("mine\n")
    assert main(["compare", "HEAD", "workspace", "--seeds", "1"]) == 1
    assert "workspace is no commit" in capsys.readouterr().err
