import shutil

import pytest
from mlflow import MlflowClient

from pipeline import tracking
from pipeline.comparison import builds
from pipeline.comparison.builds import git, opened

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own


def test_a_revision_of_git_is_what_was_built_there(two_builds):
    with opened("before") as build:
        assert build.commit == git("rev-parse", "HEAD~1")
        assert build.params["pretrain.lessons"] == 0
        assert build.numbers["tuned_exact_match"] == 0.25
        assert build.recorded("pretrain")["weights_sha256"] == "sha-1"
        assert build.recorded("respond") == {}
        assert (build.folder / "data/scores/scores.jsonl").read_text().count("\n") == 4
        assert build.drifted() == []
        folder = build.folder
    assert not folder.exists()
    assert (two_builds / "data/metrics/report.json").read_text().count("0.75") == 1  # what lies here is HEAD


def test_an_experiment_is_found_by_its_name(two_builds):
    head, before = git("rev-parse", "HEAD"), git("rev-parse", "before")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/warm-hill", before)
    with opened("warm-hill") as build:
        assert (build.commit, build.numbers["tuned_exact_match"]) == (before, 0.25)


def test_the_workspace_is_its_commit_until_it_is_edited(two_builds):
    with opened("workspace") as build:
        assert (build.commit, build.drifted()) == (git("rev-parse", "HEAD"), [])
    params = two_builds / "params.yaml"
    params.write_text(params.read_text().replace("lessons: 2", "lessons: 4"))
    with opened("workspace") as build:
        assert (build.commit, build.drifted()) == (None, ["pretrain"])
        assert build.params["pretrain.lessons"] == 2  # what it was built with
    with (two_builds / "make.py").open("a") as file:
        file.write("# edited\n")
    with opened("workspace") as build:
        assert build.drifted() == ["pretrain", "report"]


def test_a_run_in_mlflow_keeps_all_that_is_read_of_a_build(two_builds, store):
    (two_builds / "fetched").mkdir()
    with tracking.run("build", {}, {}) as run:
        builds.keep(run)
    (two_builds / "dvc.lock").unlink()
    tracking.fetch(run.run_id, "build", two_builds / "fetched")
    folder = two_builds / "fetched" / "build"
    made = ("data/responses/responses.jsonl", "data/predictions/predictions.csv", "data/scores/scores.jsonl")
    expected = [*made, "data/metrics/pretrain.json", "data/metrics/report.json", "params.yaml", "dvc.lock"]
    assert [path for path in expected if not (folder / path).is_file()] == []
    assert "lessons: 2" in (folder / "dvc.lock").read_text()


def test_a_run_in_mlflow_is_found_by_id_and_by_a_name_of_its_own(two_builds, store):
    with tracking.run("build", {}, {}) as run:
        builds.keep(run)
    with opened(run.run_id) as build:
        assert (build.commit, build.origin) == (None, f"MLflow run {run.run_id}")
        assert list(build.stages) == ["pretrain", "prefer"]  # when a report is written, dvc.lock knows the last one's
        assert build.drifted() == []
    with tracking.run("build", {}, {}), pytest.raises(ValueError, match="MLflow has 2 runs named build; name one by"):
        opened("build").__enter__()
    MlflowClient(store).update_run(run.run_id, name="best so far")
    with opened("best so far") as build:
        assert build.numbers["tuned_exact_match"] == 0.75


def test_a_run_of_a_stage_is_no_build(two_builds, store):
    with (
        tracking.run("score", {}, {}),
        pytest.raises(ValueError, match="run score keeps no build; expected a build's run"),
    ):
        opened("score").__enter__()


@pytest.mark.parametrize("name", ["nonsense", "it's"])
def test_what_a_name_can_be_is_said_where_it_is_nothing(two_builds, name):
    with pytest.raises(
        ValueError, match=r"is no revision of git, no experiment of DVC and no run in MLflow; .*workspace"
    ):
        opened(name).__enter__()
    assert not (two_builds / "mlflow.db").exists()


def test_a_revision_before_the_first_build_is_refused(two_builds):
    git("rm", "-q", "--cached", "dvc.lock")
    git("commit", "-q", "-m", "no record")
    with pytest.raises(ValueError, match=r"HEAD has no dvc\.lock: nothing was built there"):
        opened("HEAD").__enter__()
    git("rm", "-q", "--cached", "data/metrics/report.json")
    (two_builds / "data/metrics/report.json").unlink()
    with pytest.raises(ValueError, match=r"workspace has no data/metrics/report\.json: no build was finished there"):
        opened("workspace").__enter__()


def test_lost_outputs_are_named_with_the_way_to_have_them(two_builds):
    shutil.rmtree(two_builds / ".dvc/cache")
    with pytest.raises(
        ValueError, match=r"before: data/predictions/predictions\.csv is neither in DVC's cache nor .*pull"
    ):
        opened("before").__enter__()


def test_outside_git_git_says_so(project):
    with pytest.raises(ValueError, match=r"git rev-parse failed: .*not a git repository"):
        opened("HEAD").__enter__()
