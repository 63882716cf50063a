import os
import signal

import pytest

from pipeline.stopping import asked_to_stop


class Left(Exception):
    """The handler of the block's caller has run."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request):
    def leave(_number, _frame):
        raise Left

    before = signal.signal(request.param, leave)
    yield request.param
    signal.signal(request.param, before)


def test_the_first_signal_is_noted_and_acts_at_the_end_of_the_block(number):
    done = []
    with pytest.raises(Left), asked_to_stop() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
        done.append("saved")
    assert done == ["saved"]


def test_the_second_signal_acts_at_once(number):
    with pytest.raises(Left), asked_to_stop():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        pytest.fail("still here")


def test_a_block_that_fails_fails_with_its_own_error(number):
    with pytest.raises(KeyError), asked_to_stop():
        os.kill(os.getpid(), number)
        raise KeyError


def test_handlers_are_given_back(number):
    before = signal.getsignal(number)
    with asked_to_stop():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asked_to_stop() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, before)
