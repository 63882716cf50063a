import json
import logging

import pytest
import torch

from pipeline import messages
from pipeline.messages import Told

KILLED = ChildProcessError("process 1 of 2 was ended by SIGKILL")
LOST = b'["Exception", [20.0, "Traceback\\nRuntimeError: Connection closed by peer"]]'
ODD = b'["Exception", [10.0, "Traceback\\nZeroDivisionError: what nobody thought of"]]'
REFUSED = b'["ValueError", [30.0, "batch_size is 0"]]'


@pytest.fixture
def work(monkeypatch):
    """Return what does a body's work as a process of a training, and lists what it tells the launcher."""
    ours = logging.getLogger("pipeline")
    handlers, propagate, level = ours.handlers, ours.propagate, ours.level
    monkeypatch.setattr(messages, "launcher", None)

    def work(body, rank, told):
        messages.work(body, torch.get_num_threads(), rank, lambda message: told.append(json.loads(message)))

    yield work
    ours.handlers, ours.propagate = handlers, propagate
    ours.setLevel(level)


def logging_a_step():
    logging.getLogger("pipeline.case").info("step %d", 1)
    return {"loss": 1.5}


def without_room():
    raise OSError(28, "No space left on device")


def failing():
    raise ZeroDivisionError("what nobody thought of")


def test_the_first_alone_tells_what_it_logs_and_returns(work):
    first, second = [], []
    work(logging_a_step, 0, first)
    work(logging_a_step, 1, second)
    assert first == [["log", ["pipeline.case", 20, "step 1"]], ["returned", {"loss": 1.5}]]
    assert second == []


@pytest.mark.parametrize("rank", [0, 1])
def test_each_tells_how_it_failed_and_ends(work, rank):
    told = []
    for body in (without_room, failing):
        with pytest.raises(SystemExit, match="1"):
            work(body, rank, told)
    (kind, (_, words)), (other_kind, (_, other_words)) = told
    assert (kind, words) == ("OSError", "[Errno 28] No space left on device")
    assert other_kind == "Exception"
    assert other_words.startswith("Traceback")
    assert other_words.endswith("ZeroDivisionError: what nobody thought of\n")


def test_what_a_process_logs_is_logged_here_and_what_it_returns_is_kept(caplog):
    told = Told(2)
    told.hear(0, b'["log", ["pipeline.case", 30, "step 1"]]')
    told.hear(0, b'["returned", {"loss": 1.5}]')
    assert caplog.record_tuples == [("pipeline.case", logging.WARNING, "step 1")]
    assert told.returned == {"loss": 1.5}
    assert told.reason(None) is None


def test_an_error_that_the_user_can_mend_is_the_reason_whatever_else_is_known():
    told = Told(2)
    told.hear(0, LOST)
    assert not told.has_mendable_failure()
    told.hear(1, REFUSED)
    assert told.has_mendable_failure()
    assert repr(told.reason(KILLED)) == "ValueError('batch_size is 0')"


def test_a_process_that_was_killed_is_the_reason_before_what_others_say_of_it():
    told = Told(2)
    told.hear(1, LOST)
    assert told.reason(KILLED) is KILLED


def test_of_other_failures_the_first_is_the_reason_in_one_line_and_its_traceback_is_logged(caplog):
    told = Told(2)
    told.hear(0, LOST)
    told.hear(1, ODD)
    reason = told.reason(RuntimeError("it ended with status 1"))
    said = "process 2 of 2 failed: ZeroDivisionError: what nobody thought of; its traceback is in the log above"
    assert repr(reason) == f"RuntimeError('{said}')"
    assert caplog.messages == ["process 2 of 2 failed: Traceback\nZeroDivisionError: what nobody thought of"]


def test_what_was_seen_is_the_reason_where_nobody_told_one():
    seen = RuntimeError("process 2 of 2 failed: it ended with status 3")
    assert Told(2).reason(seen) is seen
