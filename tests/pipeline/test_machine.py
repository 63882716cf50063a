import os
import platform
import subprocess
from pathlib import Path

import pytest

from pipeline import machine


def test_the_tools_are_made_quiet_and_their_home_is_in_the_project(project, monkeypatch):
    for name in [*machine.TOOLS, "PREFECT_HOME"]:
        monkeypatch.delenv(name, raising=False)
    machine.prepare()
    assert os.environ["PREFECT_HOME"] == str(project.resolve() / ".prefect")
    assert {name: os.environ[name] for name in machine.TOOLS} == machine.TOOLS


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    machine.prepare()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"


def test_the_root_is_the_current_folder_or_what_dvc_says(project, monkeypatch):
    assert machine.root() == project.resolve()
    monkeypatch.setenv("DVC_ROOT", "/somewhere")
    assert machine.root() == Path("/somewhere")
    assert machine.tracking_address() == "sqlite:////somewhere/mlflow.db"


def test_runs_are_kept_where_mlflows_own_variable_says(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert machine.tracking_address() == "http://localhost:5000"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives a process no processors of its own")
def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.cores() == os.cpu_count()


def test_the_device_is_the_processor_where_it_is_named(monkeypatch):
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    assert machine.device() == "cpu"


@pytest.mark.parametrize("named", ["tpu", "cuda:99", "gpu", "cuda:x"])
def test_a_device_that_is_not_here_is_refused(monkeypatch, named):
    monkeypatch.setenv("PIPELINE_DEVICE", named)
    with pytest.raises(ValueError, match=f"PIPELINE_DEVICE is {named}, which this machine does not have; it has cpu"):
        machine.device()


def test_mirror_and_judge_are_none_unless_set(monkeypatch):
    for name in ("PIPELINE_MIRROR", "PIPELINE_JUDGE_ADDRESS", "PIPELINE_JUDGE_KEY"):
        monkeypatch.setenv(name, "")
    assert machine.mirror() is None
    assert machine.judge() == (None, None)
    monkeypatch.setenv("PIPELINE_MIRROR", "/data")
    monkeypatch.setenv("PIPELINE_JUDGE_ADDRESS", "http://localhost:11434")
    monkeypatch.setenv("PIPELINE_JUDGE_KEY", "secret")
    assert machine.mirror() == "/data"
    assert machine.judge() == ("http://localhost:11434", "secret")


@pytest.mark.parametrize("before", [None, "http://localhost:1/api"])
def test_a_prefect_server_is_used_for_the_time_of_a_block(monkeypatch, before):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    if before is not None:
        monkeypatch.setenv("PREFECT_API_URL", before)
    with machine.prefect_at("http://localhost:2/api"):
        assert machine.prefect_address() == "http://localhost:2/api"
    assert machine.prefect_address() == before


def test_children_keep_their_runs_at_an_address_for_the_time_of_a_block(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    with machine.tracking_at("sqlite:////runs/mlflow.db"):
        assert machine.tracking_address() == "sqlite:////runs/mlflow.db"
    assert machine.tracking_address() == "http://localhost:1"


def test_what_dvc_says_of_its_stage_is_told(monkeypatch):
    for name in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    assert machine.dvc_context() == {}
    monkeypatch.setenv("DVC_STAGE", "score")
    monkeypatch.setenv("DVC_EXP_NAME", "warm-hill")
    assert machine.dvc_context() == {"stage": "score", "experiment": "warm-hill"}


def test_the_machine_is_described_by_what_moves_bits():
    assert set(machine.description()) == {"system", "device", "threads", "cpu_capability", "processor"}
    versions = machine.versions()
    assert versions["python"] == platform.python_version()
    assert {"torch", "prefect", "dvc", "mlflow", "great-expectations"} < set(versions)


def test_states_are_kept_every_hundred_steps_and_five_minutes_unless_told(monkeypatch):
    assert machine.save_every() == (100, 5.0)
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "7")
    monkeypatch.setenv("PIPELINE_SAVE_MINUTES", "0.5")
    assert machine.save_every() == (7, 0.5)


def test_one_process_trains_unless_told(monkeypatch):
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    assert (machine.processes(), machine.is_sharded()) == (1, False)
    monkeypatch.setenv("PIPELINE_PROCESSES", "3")
    assert (machine.processes(), machine.is_sharded()) == (3, False)
    monkeypatch.setenv("PIPELINE_SHARDED", "1")
    assert machine.is_sharded()
    assert set(machine.description()) == {
        "system",
        "device",
        "threads",
        "cpu_capability",
        "processor",
        "processes",
        "sharded",
    }
    assert (machine.description()["processes"], machine.description()["sharded"]) == ("3", "1")


def test_a_cluster_is_that_of_rays_own_variable(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert machine.ray_address() is None
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert machine.ray_address() == "127.0.0.1:6379"


def test_a_training_elsewhere_gets_what_it_reads_and_no_key(project, monkeypatch):
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    monkeypatch.setenv("PIPELINE_PROCESSES", "2")
    monkeypatch.setenv("PIPELINE_JUDGE_KEY", "secret")
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "1")
    monkeypatch.setenv("PYTHONPATH", "/modules")
    expected = {
        "PIPELINE_DEVICE": "cpu",
        "PIPELINE_PROCESSES": "2",
        "PYTHONPATH": f"{project}:/modules",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    handed_on = machine.handed_on()
    assert expected.items() <= handed_on.items()
    assert "secret" not in handed_on.values()


@pytest.mark.parametrize("given", ["0", "-2", "two", "1.5"])
def test_processes_are_counted_from_one(monkeypatch, given):
    monkeypatch.setenv("PIPELINE_PROCESSES", given)
    with pytest.raises(ValueError, match=f"PIPELINE_PROCESSES is {given}; expected a whole number, 1 or more"):
        machine.processes()


@pytest.mark.parametrize(
    ("given", "said"), [("yes", "is yes; expected 0 or 1"), ("1", "is 1, but there is one process")]
)
def test_shards_are_said_with_0_or_1_and_need_several_processes(monkeypatch, given, said):
    monkeypatch.setenv("PIPELINE_SHARDED", given)
    with pytest.raises(ValueError, match=f"PIPELINE_SHARDED {said}"):
        machine.is_sharded()


@pytest.mark.parametrize("given", ["0", "-1", "often", "nan"])
@pytest.mark.parametrize("name", ["PIPELINE_SAVE_STEPS", "PIPELINE_SAVE_MINUTES"])
def test_states_cannot_be_kept_every_nothing(monkeypatch, name, given):
    monkeypatch.setenv(name, given)
    with pytest.raises(ValueError, match=f"{name} is {given}; expected a number above 0"):
        machine.save_every()


def test_a_process_of_this_machine_is_known_to_be_dead_and_no_other():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert machine.is_dead(machine.owner(gone.pid))
    assert not machine.is_dead(machine.owner())
    assert not machine.is_dead(f"elsewhere:{gone.pid}")
    assert not machine.is_dead("")


@pytest.mark.parametrize(
    ("cpuinfo", "make"),
    [
        (
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Xeon(R) 2.0\n"
            "stepping\t: 3\ncache size\t: 39424 KB\n\nprocessor\t: 1\ncpu family\t: 7\n",
            "Xeon(R) 2.0, cpu family 6, model 85, stepping 3, cache size 39424 KB",
        ),
        (
            "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n",
            "CPU implementer 0x41, CPU part 0xd0c",
        ),
        ("a line without a colon\n", ""),
    ],
)
def test_the_make_of_a_processor_is_read_from_what_linux_says(cpuinfo, make):
    assert machine._make(cpuinfo) == make


def test_the_cache_is_where_the_environment_says_or_nowhere(monkeypatch):
    assert machine.cache() is None
    monkeypatch.setenv("PIPELINE_CACHE", "~/files")
    assert machine.cache() == Path.home() / "files"


def test_four_files_are_fetched_at_a_time_unless_told(monkeypatch):
    assert machine.downloads() == 4
    monkeypatch.setenv("PIPELINE_DOWNLOADS", "16")
    assert machine.downloads() == 16
    monkeypatch.setenv("PIPELINE_DOWNLOADS", "0")
    with pytest.raises(ValueError, match="PIPELINE_DOWNLOADS is 0; expected a whole number, 1 or more"):
        machine.downloads()
