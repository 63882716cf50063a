"""Many files fetched at a time; the first that fails ends the others in order."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from components.corpus.fetch import Fetched, fetch
from components.corpus.source import Source
from components.corpus.streaming import Progress, Stop, network


def fetch_all(
    wanted: Sequence[tuple[Source, Path]],
    *,
    threads: int,
    partial: Path,
    mirror: str | None = None,
    cache: Path | None = None,
    told: Callable[[str], object] = lambda _: None,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> list[Fetched]:
    """Bring each source to its destination, `threads` at a time, and return what came, in the order wanted.

    The rest is as in `fetch`. Each file that came whole stays where it is, and each that did not can be resumed: a
    later call with the same folders goes on with what is missing. `told` is called by these threads, and so is
    `on_bytes`, one at a time, with each number of bytes that comes over the network, and of a file that is resumed with
    those that were there.

    Raises the FetchError of the first that fails, once the others have stopped.
    """
    stop, lock = Stop(), threading.Lock()
    with network(stop=stop) as ours, ThreadPoolExecutor(threads) as pool:
        asked = [
            pool.submit(
                fetch,
                source,
                destination,
                network=ours,
                partial=partial,
                mirror=mirror,
                cache=cache,
                told=told,
                progress=_added(on_bytes, lock),
            )
            for source, destination in wanted
        ]
        try:
            for done in as_completed(asked):
                done.result()
        except BaseException:
            stop.set()
            for each in asked:
                each.cancel()
            raise
        return [each.result() for each in asked]


def _added(on_bytes: Callable[[int], object], lock: threading.Lock) -> Progress:
    """Return what tells of one file how many bytes there are more, or again where it is fetched afresh."""
    before = 0

    def progress(there: int, total: int | None) -> None:
        nonlocal before
        with lock:
            on_bytes(there - before if there > before else there)
        before = there

    return progress
