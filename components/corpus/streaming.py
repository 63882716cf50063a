"""One http address streamed into a file: retried with back-off, and resumed where an earlier try stopped."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import tenacity
from tenacity.wait import wait_base

Progress = Callable[[int, int | None], None]
"""Called with the bytes there and the bytes of the whole, None where the server does not say."""

BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=30)
"""Seconds between tries: 1, 2, 4, ..., at most 30, each with up to one more, so that clients do not come in step."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may change; RFC 9110, RFC 6585 and RFC 8470."""
_GONE = frozenset({403, 404, 410})
"""Statuses that say the file is not there; object stores answer 403 for it."""


class StreamError(ValueError):
    """An address that gave no whole file: what it answered, and the next step."""


class MissingError(StreamError):
    """The server is there, the file is not."""


class DiskFullError(ValueError):
    """The file does not fit on the disk: bytes needed and free, and the next step."""


@dataclass(frozen=True)
class Streamed:
    """How a file came."""

    is_sure: bool
    """Whether it came in one answer of an announced length. If not, a wrong checksum may be the journey's fault, and
    fetching it afresh may help."""


def stream(
    address: str,
    part: Path,
    *,
    attempts: int,
    timeout_s: float,
    wait: wait_base = BACKOFF,
    progress: Progress | None = None,
) -> Streamed:
    """Bring what an http address holds into the file `part`, and return how it came.

    What `part` holds already is taken as the beginning of the file: only the rest is asked for, on condition that the
    server's file is the same (`If-Range`, with the ETag or date kept in `<part>.validator`). A server that sends the
    whole again is obeyed. `attempts` are tries in a row that bring nothing new; a try that brings more counts anew.
    `timeout_s` is the longest silence in seconds, not the longest download. When this fails `part` stays, to be
    resumed.

    Raises StreamError, or its MissingError, for an address that gives no whole file; DiskFullError.
    Source: RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 15.3.7 (206).
    """
    retry = tenacity.Retrying(
        stop=_Stop(part, attempts),
        wait=wait,
        retry=tenacity.retry_if_exception_type(_PassingError),
        reraise=True,
    )
    with httpx.Client(follow_redirects=True, timeout=timeout_s) as client:
        try:
            return retry(_attempt, client, address, part, timeout_s, progress)
        except _PassingError as error:
            tries = "1 try" if attempts == 1 else f"{attempts} tries"
            raise StreamError(f"{error} ({tries}); {error.next_step}") from error.__cause__


def linked_sha256(
    address: str, part: Path, *, attempts: int, timeout_s: float, wait: wait_base = BACKOFF
) -> str | None:
    """Return the checksum that the server announces for an address, hexadecimal; None where it announces none.

    Asked by HEAD, no redirection followed: the model hub names the sha256 of a large file's content in the header
    `x-linked-etag` of its redirection to the store that has it. `part`, `attempts`, `timeout_s` and `wait` are as in
    `stream`; nothing is written.

    Raises StreamError, or its MissingError, for an address that fails.
    Source: huggingface_hub, file_download.py, get_hf_file_metadata.
    """
    retry = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        retry=tenacity.retry_if_exception_type(_PassingError),
        reraise=True,
    )
    try:
        return retry(_announced, address, part, timeout_s)
    except _PassingError as error:
        raise StreamError(f"{error}; {error.next_step}") from error.__cause__


class _PassingError(Exception):
    """A failure that another try may not meet."""

    next_step = "run again later, what has come is kept"


class _NoConnectionError(_PassingError):
    """Nobody reached."""

    next_step = "check the network, or ask a mirror"


class _Stop:
    """Stops after some tries in a row that brought nothing new."""

    def __init__(self, part: Path, attempts: int) -> None:
        self.part, self.attempts = part, attempts
        self.most_bytes = _size(part)
        self.in_vain = 0

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        self.in_vain = self.in_vain + 1 if _size(self.part) <= self.most_bytes else 1
        self.most_bytes = max(self.most_bytes, _size(self.part))
        return self.in_vain >= self.attempts


def _attempt(client: httpx.Client, address: str, part: Path, timeout_s: float, progress: Progress | None) -> Streamed:
    have = _size(part)
    with _failures_told(part, timeout_s), client.stream("GET", address, headers=_headers(part, have)) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("content-range") == f"bytes */{have}":
                return Streamed(is_sure=False)  # all there: an earlier run ended before it could check
            part.unlink(missing_ok=True)
            raise _PassingError(f"answered 416 for the bytes after {have}")
        _refuse_failures(response)
        start = _start(response, part, have)
        length = response.headers.get("content-length")
        total = start + int(length) if length and "content-encoding" not in response.headers else None
        if total is not None:
            refuse_without_space(part.parent, total - start)
        if start == 0:
            _keep_validator(response, part)
        with part.open("ab" if start else "wb") as out:
            for chunk in response.iter_bytes():
                out.write(chunk)
                if progress is not None:
                    progress(out.tell(), total)
    return Streamed(is_sure=start == 0 and total is not None)


def _announced(address: str, part: Path, timeout_s: float) -> str | None:
    with _failures_told(part, timeout_s):
        response = httpx.head(address, timeout=timeout_s)
    if not response.is_redirect:
        _refuse_failures(response)
    announced = response.headers.get("x-linked-etag", "").strip('"')
    return announced if re.fullmatch("[0-9a-f]{64}", announced) else None


def _headers(part: Path, have: int) -> dict[str, str]:
    headers = {"accept-encoding": "identity"}  # a checksum is of the file, not of its compressed form
    if have:
        headers["range"] = f"bytes={have}-"
        if _validator(part).is_file():
            headers["if-range"] = _validator(part).read_text(encoding="ascii")
    return headers


def _refuse_failures(response: httpx.Response) -> None:
    answer = f"answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _PASSING:
        raise _PassingError(answer)
    if response.status_code in _GONE:
        raise MissingError(f"{answer}; check the address")
    if not response.is_success:
        raise StreamError(f"{answer}; check the address")


def _start(response: httpx.Response, part: Path, have: int) -> int:
    """Return the offset of the first byte that the answer brings: `have`, or 0 when the whole comes again."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0
    content_range = response.headers.get("content-range", "")
    if not have or not content_range.startswith(f"bytes {have}-"):
        part.unlink(missing_ok=True)
        raise _PassingError(f"sent {content_range or 'an unnamed range'} when asked for the bytes after {have}")
    return have


def _keep_validator(response: httpx.Response, part: Path) -> None:
    """Write down what tells this version of the file from another; a weak ETag does not."""
    etag = response.headers.get("etag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    if validator.isascii() and validator:
        _validator(part).write_text(validator, encoding="ascii")
    else:
        _validator(part).unlink(missing_ok=True)


@contextmanager
def _failures_told(part: Path, timeout_s: float) -> Iterator[None]:
    """Say httpx's failures in our words, and whether another try may help."""
    before = _size(part)
    try:
        yield
    except httpx.DecodingError as error:
        part.unlink(missing_ok=True)
        raise _PassingError(f"sent a compressed answer that cannot be read: {error}") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise StreamError(f"{_first_line(error)}; check the address") from error
    except httpx.TimeoutException as error:
        raise _PassingError(f"silent for {timeout_s:g} s") from error
    except httpx.ConnectError as error:
        raise _NoConnectionError(f"no connection: {_first_line(error)}") from error
    except httpx.TransportError as error:
        raise _PassingError(f"stopped after {max(before, _size(part)):,} bytes: {_first_line(error)}") from error


def refuse_without_space(folder: Path, needed_bytes: int) -> None:
    """Raise DiskFullError unless a folder's disk has room for some more bytes."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(f"needs {needed_bytes:,} more bytes in {folder}, {free:,} are free; make room")


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
