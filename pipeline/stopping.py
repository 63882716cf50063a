"""Being asked to stop, and doing so where nothing is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether this process was asked to stop, by Ctrl-C or SIGTERM.

    Within the block the first signal is only noted, for in the middle of a step nothing could be kept; it acts at the
    end of the block. A second one acts at once.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread alone
        yield lambda: False
        return
    noted: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def note(number: int, _frame: FrameType | None) -> None:
        # Nothing more: a handler that logs would wait for ever where the step that it interrupts is logging.
        noted.append(number)
        give_back()

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(noted)
    finally:
        give_back()
    if noted:
        signal.raise_signal(noted[0])
