"""Signs of life: what runs long says now and then how far it is, and a warning is given when it has gone quiet."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

SPEAK_EVERY_S = 30
QUIET_S = 300


@contextmanager
def heartbeat(speak_every_s: float = SPEAK_EVERY_S, quiet_s: float = QUIET_S) -> Iterator[Callable[[str], None]]:
    """Yield what is to be called at each sign of life, with words on how far things are.

    The words are logged, but not more often than every `speak_every_s`. After `quiet_s` without a sign (at most twice
    that), and again each time as long, a warning repeats the last ones. A person sees both on the console and Prefect
    on the flow run's page.
    """
    ended, alive = threading.Event(), threading.Event()
    last, spoken = "nothing yet", time.monotonic()

    def beat(words: str) -> None:
        nonlocal last, spoken
        alive.set()
        last = words
        if time.monotonic() - spoken >= speak_every_s:
            spoken = time.monotonic()
            log.info(words)

    def watch() -> None:
        while not ended.wait(quiet_s):
            if not alive.is_set():
                log.warning("no sign of life for %g s, after: %s; is it stuck?", quiet_s, last)
            alive.clear()

    # In the caller's context, in which Prefect knows the run that the words belong to.
    watcher = threading.Thread(target=contextvars.copy_context().run, args=(watch,), name="heartbeat", daemon=True)
    watcher.start()
    try:
        yield beat
    finally:
        ended.set()
        watcher.join()


@contextmanager
def progress(words: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what is to be called with each number of bytes done: a bar with rate and time left, and signs of life.

    Where nobody knows how many there will be (None) these tell the rate so far.
    """
    done, started = 0, time.monotonic()
    bar = tqdm(desc=words, total=total_bytes, unit="B", unit_scale=True, disable=None)  # None: but on a terminal
    lines_above = nullcontext() if bar.disable else logging_redirect_tqdm([logging.getLogger("pipeline")])
    with heartbeat(SPEAK_EVERY_S) as beat, bar, lines_above:

        def add(count: int) -> None:
            nonlocal done
            done += count
            bar.update(count)
            if total_bytes is None:
                rate = done / 1e6 / max(time.monotonic() - started, 1e-9)
                beat(f"{words}: {done / 1e6:,.0f} MB, {rate:,.1f} MB/s")
            else:
                beat(f"{words}: {done / 1e6:,.0f} of {total_bytes / 1e6:,.0f} MB read")

        yield add
