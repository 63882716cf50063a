"""What a server's answer says: whether the file comes, from which byte on, whether another try may help, and when."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import httpx

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may change; RFC 9110, RFC 6585 and RFC 8470."""
_LONGEST_WAIT_S = 300.0
"""Seconds that a server may ask us to wait; beyond, another address is quicker, or another day."""
_GONE = frozenset({403, 404, 410})
"""Statuses that say the file is not there; object stores answer 403 for it."""


class StreamError(ValueError):
    """An address that gave no whole file: what it answered, and the next step."""


class MissingError(StreamError):
    """The server is there, the file is not."""


class PassingError(Exception):
    """A failure that another try may not meet."""

    next_step = "run again later, what has come is kept"

    def __init__(self, words: str, asked_wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.asked_wait_s = asked_wait_s


class _NoConnectionError(PassingError):
    """Nobody reached."""

    next_step = "check the network, or ask a mirror"


class _ProxyError(PassingError):
    """A proxy reached, and nobody behind it."""

    next_step = "check HTTPS_PROXY and NO_PROXY"


def request_headers(part: Path, have: int) -> dict[str, str]:
    """Return what asks for the bytes of a file that are not there yet, on condition that it is the same still."""
    headers = {"accept-encoding": "identity"}  # a checksum is of the file, not of its compressed form
    if have:
        headers["range"] = f"bytes={have}-"
        if _validator(part).is_file():
            headers["if-range"] = _validator(part).read_text(encoding="ascii")
    return headers


def refuse_failures(response: httpx.Response) -> None:
    """Raise PassingError, StreamError or its MissingError for an answer without a file."""
    answer = f"answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _PASSING:
        asked_s = _asked_wait_s(response.headers)
        if asked_s > _LONGEST_WAIT_S:
            raise StreamError(f"{answer}, and asks for {asked_s:,.0f} s of rest; run again then")
        raise PassingError(answer, asked_s)
    if response.status_code in _GONE:
        raise MissingError(f"{answer}; check the address")
    if not response.is_success:
        raise StreamError(f"{answer}; check the address")


def _asked_wait_s(headers: httpx.Headers) -> float:
    """Return the seconds that an answer asks us to wait, by number or by the server's own clock; 0 if it does not.

    >>> _asked_wait_s(httpx.Headers({"retry-after": "7"}))
    7.0
    """
    asked = headers.get("retry-after", "")
    if asked.isdecimal():
        return float(asked)
    try:
        moment, now = parsedate_to_datetime(asked), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone beside one with
        return 0.0


def first_byte(response: httpx.Response, part: Path, have: int) -> int:
    """Return the offset of the first byte that the answer brings: `have`, or 0 when the whole comes again.

    Raises PassingError where it is another, or of another version of the file; then the part is gone.
    """
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0
    content_range = response.headers.get("content-range", "")
    if not have or not content_range.startswith(f"bytes {have}-"):
        part.unlink(missing_ok=True)
        raise PassingError(f"sent {content_range or 'an unnamed range'} when asked for the bytes after {have}")
    kept = _validator(part).read_text(encoding="ascii") if _validator(part).is_file() else ""
    if kept.startswith('"') and response.headers.get("etag", kept) != kept:  # it does not know If-Range
        part.unlink()
        raise PassingError(f"sent another version's bytes after {have:,}")
    return have


def keep_validator(response: httpx.Response, part: Path) -> None:
    """Write down what tells this version of the file from another; a weak ETag does not."""
    etag = response.headers.get("etag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    if validator.isascii() and validator:
        _validator(part).write_text(validator, encoding="ascii")
    else:
        _validator(part).unlink(missing_ok=True)


@contextmanager
def failures_told(part: Path | None, timeout_s: float) -> Iterator[None]:
    """Say httpx's failures in our words, and whether another try may help."""
    before = size(part) if part else 0
    try:
        yield
    except httpx.DecodingError as error:
        if part:
            part.unlink(missing_ok=True)
        raise PassingError(f"sent a compressed answer that cannot be read: {error}") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise StreamError(f"{first_line(error)}; check the address") from error
    except httpx.TimeoutException as error:
        raise PassingError(f"silent for {timeout_s:g} s") from error
    except httpx.ConnectError as error:
        raise _NoConnectionError(f"no connection: {first_line(error)}") from error
    except httpx.ProxyError as error:
        raise _ProxyError(f"the proxy answered {first_line(error)}") from error
    except httpx.TransportError as error:
        came = max(before, size(part)) if part else 0
        raise PassingError(f"stopped after {came:,} bytes: {first_line(error)}") from error


def _validator(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def size(part: Path) -> int:
    """Return how many bytes of a file are there; 0 where none is."""
    return part.stat().st_size if part.exists() else 0


def first_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
