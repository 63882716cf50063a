import json
from dataclasses import replace

import pytest

from pipeline.comparison import seeds
from pipeline.comparison.builds import git, opened


def test_seeds_of_what_is_trained_change_and_no_others(two_builds):
    with opened("HEAD") as build:
        assert seeds.drawn(build, 2) == {"pretrain.seed": 3, "prefer.seed": 7}  # the report's seed draws no model


def test_runs_with_other_seeds_become_experiments_and_leave_the_workspace_alone(two_builds):
    notes = two_builds / "notes.txt"
    notes.write_text("mine\n")
    with opened("before") as build:
        assert (seeds.missing(build, 2), seeds.known(build, 2)) == ([1, 2], [])
        seeds.run(build, 2)
        # Seeds 2 and 3 after 1: an odd one knows an answer of four, an even one none.
        assert [numbers["tuned_exact_match"] for numbers in seeds.known(build, 2)] == [0.0, 0.25]
        assert seeds.missing(build, 3) == [3]
        name = f"compare-{build.commit[:7]}-seeds-1"
    with opened(name) as experiment:
        assert (experiment.params["pretrain.seed"], experiment.params["prefer.seed"]) == (2, 6)
        assert experiment.numbers["bits_per_byte"] == 2.0
    assert git("status", "--porcelain") == "?? notes.txt"
    assert list((two_builds / ".work/compare").iterdir()) == []
    assert json.loads((two_builds / "data/metrics/report.json").read_text())["tuned_exact_match"] == 0.75


def test_a_run_that_fails_says_where_its_files_are(two_builds):
    script = two_builds / "make.py"
    script.write_text(script.read_text().replace("right = its", 'right = 1 // (its["seed"] < 2) + its'))
    git("commit", "-qam", "fails with any other seed")
    with opened("HEAD") as build, pytest.raises(ValueError, match=r"dvc exp run failed in .*\.work/compare/"):
        seeds.run(build, 1)


def test_what_is_no_commit_and_what_trains_nothing_are_refused(two_builds):
    with opened("HEAD") as build:
        with pytest.raises(
            ValueError, match="HEAD is no commit, so it cannot be run with other seeds; git commit first"
        ):
            seeds.run(replace(build, commit=None), 1)
        with pytest.raises(ValueError, match="trains nothing with a seed"):
            seeds.run(replace(build, stages={}), 1)
