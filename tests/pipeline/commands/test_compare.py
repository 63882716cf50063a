import json
import re

import pytest

from components.scoring.comparison import Spread
from components.scoring.statistics import Interval
from pipeline.commands.compare import lines
from pipeline.comparison.builds import git, opened
from pipeline.comparison.comparison import Compared, Scatter
from pipeline.comparison.seeds import _full_name

OF_THREE = "mean and standard deviation of 3 runs of A and 3 of B"


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


def test_numbers_that_not_every_run_has_are_marked_and_those_of_none_are_named(two_builds):
    exact = Scatter("exact", Spread(0.5, 0.1, 3), Spread(0.25, 0.2, 3), Interval(-0.25, -0.5, 0.25, 6))
    points = Scatter("points", Spread(50.0, None, 1), Spread(60.0, 1.5, 3), Interval(10.0, 5.0, 15.0, 4))
    with opened("before") as a, opened("HEAD") as b:
        said = list(lines(a, b, Compared((), (), (), (points, exact), ("f1", "chrf")), 0.95))
    assert [re.sub(r"   +", " | ", line) for line in said[said.index("Over seeds: " + OF_THREE) + 2 :]] == [
        "points | 50 | 60 | +10 | +5 .. +15 * | 1+3",
        " | one run | +-1.5",
        "exact | 0.5 | 0.25 | -0.25 | -0.5 .. +0.25",
        " | +-0.1 | +-0.2",
        "*  more than the spread: Student's interval of the difference of the means leaves out zero.",
        "n+m  only n runs of A and m of B have this number.",
        "In no run with other seeds: f1, chrf.",
    ]


def test_a_single_run_has_no_deviation_and_what_is_written_is_json(two_builds, main):
    path = two_builds / "data/metrics/report.json"
    path.write_text(path.read_text().replace('"bits_per_byte"', '"new"'))
    git("commit", "-qam", "a run without a number")
    with opened("before") as a, opened("HEAD~1") as b:
        git("update-ref", _full_name(a, 1), git("rev-parse", "HEAD"))
        git("update-ref", _full_name(b, 1), git("rev-parse", "HEAD~1"))
    assert main(["compare", "before", "HEAD~1", "--seeds", "1", "--json", "found.json"]) == 0

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads((two_builds / "found.json").read_text(), parse_constant=refuse)
    assert found["over_seeds"][0]["a"] == {"mean": 1.75, "deviation": None, "count": 1}


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
