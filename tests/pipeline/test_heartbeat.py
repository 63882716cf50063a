import io
import logging
import re
import threading

import pytest

from pipeline.heartbeat import heartbeat, progress


@pytest.fixture
def spoken(caplog):
    """The words logged, and an event that is set by the first warning."""
    caplog.set_level(logging.INFO, logger="pipeline")
    return caplog


class Warned(logging.Handler):
    """Knows when a warning has come."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.event = threading.Event()

    def emit(self, record):
        self.event.set()


def test_signs_of_life_are_logged_now_and_then(spoken):
    with heartbeat(speak_every_s=0) as beat:
        beat("step 1 of 2")
    with heartbeat(speak_every_s=3600) as beat:
        beat("step 2 of 2")
    assert [record.getMessage() for record in spoken.records] == ["step 1 of 2"]


def test_silence_is_warned_of_with_the_last_words(spoken):
    warned = Warned()
    log = logging.getLogger("pipeline.heartbeat")
    log.addHandler(warned)
    try:
        with heartbeat(speak_every_s=3600, quiet_s=0.05) as beat:
            beat("step 7 of 9")
            assert warned.event.wait(20)
    finally:
        log.removeHandler(warned)
    assert spoken.records[0].getMessage() == "no sign of life for 0.05 s, after: step 7 of 9; is it stuck?"


def test_the_watcher_ends_with_the_block():
    with heartbeat():
        assert "heartbeat" in [thread.name for thread in threading.enumerate()]
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


def test_progress_is_told_in_bytes_of_all(spoken, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.heartbeat.SPEAK_EVERY_S", 0)
    with progress("reading", 3_000_000) as add:
        add(1_000_000)
        add(2_000_000)
    said = ["reading: 1 of 3 MB read", "reading: 3 of 3 MB read"]
    assert [record.getMessage() for record in spoken.records] == said
    assert capsys.readouterr().err == ""  # a bar is for a terminal


def test_progress_towards_nobody_knows_what_is_told_with_its_rate(spoken, monkeypatch):
    monkeypatch.setattr("pipeline.heartbeat.SPEAK_EVERY_S", 0)
    with progress("download", None) as add:
        add(2_000_000)
    (record,) = spoken.records
    assert re.fullmatch(r"download: 2 MB, [\d,.]+ MB/s", record.getMessage())


def test_on_a_terminal_there_is_a_bar_with_the_time_left_below_the_lines(spoken, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("pipeline.heartbeat.SPEAK_EVERY_S", 0)
    with progress("reading", 3_000_000) as add:
        add(1_000_000)
    assert "reading: 1 of 3 MB read\n" in terminal.getvalue()
    assert re.search(r"33%.*1\.00M/3\.00M \[.*<.*B/s\]", terminal.getvalue())
