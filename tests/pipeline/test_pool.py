import os
import signal
import subprocess
import sys
import time
from functools import partial
from operator import mul, truediv
from pathlib import Path

import psutil
import pytest

from pipeline.pool import in_order

WAITING = """
import time
from pipeline.pool import in_order

if __name__ == "__main__":
    print(*in_order(time.sleep, [0, 0, 600, 600, 600, 600], 3), flush=True)
"""


def begun():
    """Return the processes of pools that are there; what multiprocessing has for its semaphores stays for good."""
    return [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_results_are_in_order_with_any_number_of_processes(processes):
    assert list(in_order(partial(mul, 3), range(20), processes)) == list(range(0, 60, 3))


def test_one_process_is_this_one_and_of_several_it_is_one():
    ask = ["__import__('os').getpid()"] * 33
    assert set(in_order(eval, ask, 1)) == {os.getpid()}
    for processes in (2, 3):
        asked = list(in_order(eval, ask, processes))
        assert os.getpid() not in asked[: 8 * (processes - 1)]  # the others are given enough to do first
        assert os.getpid() in asked
        assert 2 <= len(set(asked)) <= processes


def test_few_items_are_read_ahead():
    asked = []
    results = in_order(abs, (asked.append(n) or n for n in range(100)), 2)
    assert next(results) == 0
    assert len(asked) < 40
    assert sum(results) == 4950


@pytest.mark.parametrize("place", [0, 2, 9])
def test_what_the_function_raises_is_raised_in_its_turn_and_nothing_stays_behind(place):
    items = [1, 2, 4] * 5
    items[place] = 0
    came = []
    with pytest.raises(ZeroDivisionError):
        for each in in_order(partial(truediv, 8), items, 2):
            came.append(each)
    assert came == [8 / item for item in items[:place]]
    assert begun() == []


class Unstartable:
    """A function that no process of a pool can be given."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return Path.read_text, (Path("gone.txt"),)


@pytest.mark.parametrize(
    ("function", "items"), [(signal.raise_signal, [signal.SIGKILL] * 2), (Unstartable(), [1, 2, 3])]
)
def test_a_process_that_is_killed_or_cannot_start_is_one_line(function, items):
    with pytest.raises(ChildProcessError) as caught:
        list(in_order(function, items, 2))
    assert str(caught.value) == (
        "a process ended before its time (killed, maybe for memory; its own words stand above); "
        "start again to go on from what is done"
    )


def test_the_processes_end_with_one_that_is_killed(tmp_path):
    (tmp_path / "waiting.py").write_text(WAITING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, tmp_path / "waiting.py"], env=environment) as process:
        parent, children = psutil.Process(process.pid), []
        deadline = time.monotonic() + 60
        while len(children) < 3 and time.monotonic() < deadline:  # two at work, and one that looks after semaphores
            children = parent.children()
        assert len(children) == 3
        process.kill()
        assert psutil.wait_procs(children, timeout=30)[1] == []
