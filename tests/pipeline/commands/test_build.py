from prefect import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId

from pipeline import orchestration


def test_the_flow_brings_every_stage_up_to_date_in_running_order(graph, by_hand, prefect_server, monkeypatch):
    done = by_hand("build", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    assert (graph / "two").read_text(encoding="utf-8") == "2\n"
    assert (graph / "dvc.lock").exists()
    assert done.stdout.index("start") < done.stdout.index("double")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with orchestration.connected(), get_client(sync_client=True) as client:
        run = client.read_flow_runs(limit=1, sort="START_TIME_DESC")[0]
        tasks = client.read_task_runs(task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run.id])))
        assert client.read_flow(run.flow_id).name == "build"
    assert run.state.is_completed()
    assert sorted(each.name.rsplit("-", 1)[0] for each in tasks) == ["double", "start"]


def test_the_first_stage_that_fails_ends_the_build_and_says_so_itself(graph, by_hand, prefect_server):
    (graph / "zero").write_text("none", encoding="utf-8")
    done = by_hand("build", PREFECT_API_URL=prefect_server)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: stage start failed with status 255; its own words stand above"
    assert "invalid literal for int()" in done.stderr
    assert not (graph / "two").exists()


def test_a_wrong_setting_is_told_before_the_first_stage(graph, by_hand, prefect_server):
    (graph / "params.yaml").write_text("pretrian: {}\n", encoding="utf-8")
    done = by_hand("build", PREFECT_API_URL=prefect_server)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: pretrian is the section of no stage\n")
