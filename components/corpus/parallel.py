"""Many files fetched at a time; the first that fails ends the others in order."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from components.corpus.fetch import Fetched, fetch
from components.corpus.source import Source
from components.corpus.streaming import Stop, network


def fetch_all(
    wanted: Sequence[tuple[Source, Path]],
    *,
    threads: int,
    partial: Path,
    mirror: str | None = None,
    cache: Path | None = None,
    told: Callable[[str], object] = lambda _: None,
) -> list[Fetched]:
    """Bring each source to its destination, `threads` at a time, and return what came, in the order wanted.

    The rest is as in `fetch`. Each file that came whole stays where it is, and each that did not can be resumed: a
    later call with the same folders goes on with what is missing. `told` is called by these threads.

    Raises the FetchError of the first that fails, once the others have stopped.
    """
    stop = Stop()
    with network(stop=stop) as ours, ThreadPoolExecutor(threads) as pool:
        asked = [
            pool.submit(
                fetch, source, destination, network=ours, partial=partial, mirror=mirror, cache=cache, told=told
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
