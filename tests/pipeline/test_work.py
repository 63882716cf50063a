import logging
import subprocess
import sys

import pytest

from pipeline.work import work


@pytest.fixture
def stage(project, caplog):
    """What sets the params of a small project."""
    caplog.set_level(logging.INFO, logger="pipeline")
    (project / "dvc.yaml").write_text("stages: {pretrain: {cmd: true, params: [pretrain], deps: [data/in]}}\n")
    (project / "data").mkdir()
    (project / "data/in").write_text("one")

    def params(text):
        (project / "params.yaml").write_text(text)

    params("pretrain: {seed: 1, schedule: {name: linear}}\n")
    return params


def left_undone():
    with pytest.raises(KeyError), work("pretrain") as folder:
        (folder / "half").touch()
        raise KeyError
    return folder


def test_work_stays_after_a_failure_and_goes_when_it_is_done(project, stage):
    first = left_undone()
    assert first.parent == project / ".work"
    assert (first / "half").exists()
    with work("pretrain") as again:
        assert again == first
    assert not first.exists()


def test_work_that_is_found_is_told_of(stage, caplog):
    first = left_undone()
    with work("pretrain"):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        f"work in progress: {first}",
        f"work in progress found: {first}",
    ]


def test_other_settings_and_other_data_are_other_work_and_the_log_says_what_has_changed(project, stage, caplog):
    first = left_undone()
    stage("pretrain: {seed: 2, schedule: {name: linear}}\n")
    (project / "data/in").write_text("two")
    with work("pretrain") as other:
        assert other != first
        assert not (other / "half").exists()
    said = f"begun anew, not from {first}: params.pretrain.seed is 2, was 1; deps.data/in has changed"
    assert said in [record.getMessage() for record in caplog.records]
    assert (first / "half").exists()


def test_in_a_temporary_experiment_the_work_lies_in_the_repository(project, stage, monkeypatch, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    with work("pretrain") as folder:
        assert folder.parent == repository / ".work"


def test_two_processes_are_never_at_the_same_work(project, stage):
    code = "from pipeline.work import work\nwith work('pretrain'): pass"
    with work("pretrain") as folder:
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"ValueError: pretrain: another process is at this very work ({folder}); wait" in second.stderr


def test_a_killed_process_leaves_no_lock(project, stage):
    code = "import os\nfrom pipeline.work import work\n"
    code += "with work('pretrain') as f: (f / 'half').touch(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == -9
    with work("pretrain") as folder:
        assert (folder / "half").exists()
