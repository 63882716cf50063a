"""One http address streamed into a file: retried with back-off, and resumed where an earlier try stopped."""

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
import tenacity
from tenacity.wait import wait_base

from components.corpus.answers import (
    PassingError,
    StreamError,
    failures_told,
    first_byte,
    first_line,
    keep_validator,
    refuse_failures,
    request_headers,
    size,
)

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
"""Called with the bytes there and the bytes of the whole, None where the server does not say."""

BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=30)
"""Seconds between tries: 1, 2, 4, ..., at most 30, each with up to one more, so that clients do not come in step."""

_LEAST_BYTES_PER_S = 100
"""Over the longest silence; less is a stall. The slowest mobile data there was, GSM's, brought ten times as much."""


class DiskFullError(ValueError):
    """The file does not fit on the disk: bytes needed and free, and the next step."""


class StoppedError(Exception):
    """Given up because it was told to stop; what has come is kept."""


class Stop(threading.Event):
    """Once it is set, whatever is under way ends with StoppedError: waits are cut short, connections are shut."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []

    def heed(self, event: str, info: dict[str, Any]) -> None:
        """Remember each connection that is opened: httpx's request extension `trace`."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self.is_set():  # since this connection was asked for
                self.set()

    def set(self) -> None:
        """Stop. A thread that waits for a silent server would else do so until its time-out."""
        super().set()
        for each in self._sockets:
            with suppress(OSError):  # closed by now
                each.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Streamed:
    """How a file came."""

    is_sure: bool
    """Whether it came in one answer of an announced length. If not, a wrong checksum may be the journey's fault, and
    fetching it afresh may help."""


@dataclass(frozen=True)
class Network:
    """What asks http addresses, with patience; threads may share it, and with it its connections."""

    client: Callable[[], httpx.Client]
    """Opens it at first use. Raises StreamError where the environment's proxy or certificates are none."""
    attempts: int
    """Tries in a row that bring nothing new; one that brings more counts anew."""
    timeout_s: float
    """Longest silence in seconds, not the longest download."""
    wait: wait_base
    """How long between tries; longer where the server asks for it, up to five minutes."""
    stop: Stop
    """Ends it."""

    def download(self, address: str, part: Path, progress: Progress | None = None) -> Streamed:
        """Bring what an http address holds into the file `part`, and return how it came.

        What `part` holds already is taken as the beginning of the file: only the rest is asked for, on condition that
        the server's file is the same (`If-Range`, with the ETag or date kept in `<part>.validator`). A server that
        sends the whole again is obeyed. When this fails `part` stays, to be resumed.

        Raises StreamError, or its MissingError, for an address that gives no whole file; DiskFullError; StoppedError.
        Source: RFC 9110, sections 10.2.3 (Retry-After), 13.1.5 (If-Range), 14.2 (Range) and 15.3.7 (206).
        """
        stop = _Stop(part, self.attempts, round(_LEAST_BYTES_PER_S * self.timeout_s))
        return self._patiently(stop, lambda: _attempt(self, address, part, progress))

    def announced_sha256(self, address: str) -> str | None:
        """Return the checksum that the server announces for an address, hexadecimal; None where it announces none.

        Asked by HEAD, no redirection followed: the model hub names the sha256 of a large file's content in the header
        `x-linked-etag` of its redirection to the store that has it.

        Raises StreamError, or its MissingError, for an address that fails; StoppedError.
        Source: huggingface_hub, file_download.py, get_hf_file_metadata.
        """
        return self._patiently(tenacity.stop_after_attempt(self.attempts), lambda: _announced(self, address))

    def _patiently(self, stop: Callable[[tenacity.RetryCallState], bool], ask: Callable[[], T]) -> T:
        retry = tenacity.Retrying(
            stop=stop,
            wait=self._wait_s,
            sleep=self._sleep,
            retry=tenacity.retry_if_exception_type(PassingError),
            reraise=True,
        )
        try:
            return retry(ask)
        except PassingError as error:
            tries = "1 try" if self.attempts == 1 else f"{self.attempts} tries"
            raise StreamError(f"{error} ({tries}); {error.next_step}") from error.__cause__

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return max(self.wait(state), failure.asked_wait_s if isinstance(failure, PassingError) else 0.0)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise StoppedError


@contextmanager
def network(
    *,
    attempts: int = 5,
    timeout_s: float = 30.0,
    wait: wait_base = BACKOFF,
    stop: Stop | None = None,
) -> Iterator[Network]:
    """Yield the network as the environment's HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, for the time of the block.

    They are looked at when the first address is asked: what asks none can do with any.
    """
    opened: list[httpx.Client] = []
    opening = threading.Lock()
    with ExitStack() as closing:

        def client() -> httpx.Client:
            with opening:
                if not opened:
                    opened.append(closing.enter_context(_client()))
                return opened[0]

        yield Network(client, attempts, timeout_s, wait, stop or Stop())


def _client() -> httpx.Client:
    try:
        return httpx.Client(follow_redirects=True)
    except OSError as error:
        raise StreamError(f"certificates: {first_line(error)}; check SSL_CERT_FILE and SSL_CERT_DIR") from error
    except (ImportError, ValueError, httpx.InvalidURL) as error:  # httpx's own words for a proxy it cannot speak to
        next_step = "set HTTPS_PROXY, HTTP_PROXY and ALL_PROXY to http://host:port, or unset them"
        raise StreamError(f"{first_line(error)}; {next_step}") from error


class _Stop:
    """Stops after some tries in a row that brought nothing new, or next to nothing."""

    def __init__(self, part: Path, attempts: int, least_bytes: int) -> None:
        self.part, self.attempts, self.least_bytes = part, attempts, max(1, least_bytes)
        self.most_bytes = size(part)
        self.in_vain = 0

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        self.in_vain = self.in_vain + 1 if size(self.part) - self.most_bytes < self.least_bytes else 1
        self.most_bytes = max(self.most_bytes, size(self.part))
        return self.in_vain >= self.attempts


def _attempt(network: Network, address: str, part: Path, progress: Progress | None) -> Streamed:
    have = size(part)
    with (
        failures_told(part, network.timeout_s),
        network.client().stream(
            "GET",
            address,
            headers=request_headers(part, have),
            timeout=network.timeout_s,
            extensions={"trace": network.stop.heed},
        ) as response,
    ):
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("content-range") == f"bytes */{have}":
                return Streamed(is_sure=False)  # all there: an earlier run ended before it could check
            part.unlink(missing_ok=True)
            raise PassingError(f"answered 416 for the bytes after {have}")
        refuse_failures(response)
        start = first_byte(response, part, have)
        length = response.headers.get("content-length")
        total = start + int(length) if length and "content-encoding" not in response.headers else None
        if total is not None:
            refuse_without_space(part.parent, total - start)
        if start == 0:
            keep_validator(response, part)
        with part.open("ab" if start else "wb") as out:
            for chunk in _steady(response.iter_bytes(), network):
                out.write(chunk)
                if progress is not None:
                    progress(out.tell(), total)
    return Streamed(is_sure=start == 0 and total is not None)


def _steady(chunks: Iterator[bytes], network: Network) -> Iterator[bytes]:
    """Pass on what comes until it stops coming: a byte now and then keeps a connection open, and brings no file."""
    came, since = 0, time.monotonic()
    for chunk in chunks:
        if network.stop.is_set():
            raise StoppedError
        yield chunk
        came += len(chunk)
        if time.monotonic() - since >= network.timeout_s:
            if came < _LEAST_BYTES_PER_S * network.timeout_s:
                raise PassingError(f"sent {came:,} bytes in {network.timeout_s:g} s")
            came, since = 0, time.monotonic()


def _announced(network: Network, address: str) -> str | None:
    extensions = {"trace": network.stop.heed}
    with failures_told(None, network.timeout_s):
        response = network.client().head(
            address, follow_redirects=False, timeout=network.timeout_s, extensions=extensions
        )
    if not response.is_redirect:
        refuse_failures(response)
    announced = response.headers.get("x-linked-etag", "").strip('"')
    return announced if re.fullmatch("[0-9a-f]{64}", announced) else None


def refuse_without_space(folder: Path, needed_bytes: int) -> None:
    """Raise DiskFullError unless a folder's disk has room for some more bytes."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(f"needs {needed_bytes:,} more bytes in {folder}, {free:,} are free; make room")
