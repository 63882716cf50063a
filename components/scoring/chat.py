"""A model behind a server, asked over HTTP: Ollama's API or OpenAI's, which many servers speak."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx
import tenacity

_PATHS = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_QUOTE = 160  # characters of a server's own words in an error or a reason
_LONGEST_REST_S = 300.0  # that a server may ask for; for longer ones nobody waits beside the machine
_MOST_BYTES = 4_000_000  # of an answer; a verdict takes a few hundred
_BACKOFF = tenacity.wait_exponential(multiplier=1, max=30)  # 1, 2, 4, ... seconds, where a server does not say

Request = dict[str, Any]
"""The API spoken ("api") and the JSON sent ("body"): all that a reply depends on, neither address nor key."""
Message = dict[str, Any]
"""The message of a reply as the server sent it; its "content" is a text, or null for a refusal."""


class JudgeError(ValueError):
    """The judge cannot be asked: it is down, refuses, or does not speak the API that the settings name."""


class _PassingError(JudgeError):
    """A failure that may pass by itself, after the rest that the server asks for, seconds; None where it does not."""

    def __init__(self, words: str, rest_s: float | None = None) -> None:
        super().__init__(words)
        self.rest_s = rest_s


@dataclass(frozen=True)
class JudgeSettings:
    """Which model judges, and how patiently it is asked."""

    kind: Literal["ollama", "openai"]
    """API of the server: Ollama's /api/chat or OpenAI's /v1/chat/completions."""
    model: str
    """Name of the judging model, as the server knows it."""
    timeout_s: float
    """Longest silence, and longest that an answer may take to come to its end, seconds; above 0."""
    attempts: int
    """Times that one question is asked before the judge counts as down; at least 1."""
    seed: int
    """Seed of the judge's own sampling, sent along with temperature 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of range."""
        if not self.model.strip():
            raise ValueError("model is empty; expected the name of a model that the judge's server has")
        if not self.timeout_s > 0:
            raise ValueError(f"timeout_s is {self.timeout_s}; expected seconds, above 0")
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; expected at least 1")


def request(settings: JudgeSettings, prompt: str) -> Request:
    """Return the request of one question, at temperature 0 and with the seed; patience is no part of it."""
    chat = {"model": settings.model, "messages": [{"role": "user", "content": prompt}], "stream": False}
    sampling = {"temperature": 0, "seed": settings.seed}
    body = {**chat, "options": sampling} if settings.kind == "ollama" else {**chat, **sampling}
    return {"api": settings.kind, "body": body}


class ChatServer:
    """A server behind an address, its connection kept open between answers. Use it in a `with` block.

    `address` is the server's, such as http://127.0.0.1:11434; an OpenAI one may end in /v1. `api_key` is sent as a
    bearer token and shown nowhere. `sleep` waits between attempts, seconds. Proxies are taken as httpx takes them.

    Raises JudgeError for an address that is none, a key that cannot stand in a header, or a key beside a password in
    the address: a request carries one of them.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        address: str,
        *,
        api_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self._url = _endpoint(address, settings.kind)
        self._shown = f"the judge at {self._url.scheme}://{self._url.netloc.decode('ascii')}{self._url.path}"
        self._secrets = [secret for secret in (api_key, self._url.password) if secret]
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key):
            raise JudgeError(f"{self._shown}: the API key is empty or holds white space or letters outside ASCII")
        if api_key is not None and self._url.userinfo:
            raise JudgeError(f"{self._shown}: there is an API key, and a user or password in the address; keep one")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}"} if api_key is not None else None, timeout=settings.timeout_s
        )
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            stop=tenacity.stop_after_attempt(settings.attempts),
            wait=_pause_s,
            sleep=sleep,
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, request: Request) -> Message:
        """Return the message that answers a request, asked again after a failure that may pass.

        Between attempts it rests as long as the server's Retry-After says, else 1, 2, 4, ... up to 30 seconds.

        Raises JudgeError, one line, when the server cannot be reached, is too slow, asks for a rest of more than five
        minutes, refuses, or answers anything but a chat.
        """
        message: Message = self._retrying(self._ask_once, request)
        return message

    def _ask_once(self, request: Request) -> Message:
        deadline = time.monotonic() + self.settings.timeout_s
        try:
            with self._client.stream("POST", self._url, json=request["body"]) as response:
                text = self._read(response, deadline)
        except httpx.TimeoutException:
            raise _PassingError(
                f"{self._shown} gave no answer within {self.settings.timeout_s:g} s, "
                f"asked {self._times()}; is the model too large for the machine?"
            ) from None
        except httpx.HTTPError as error:
            raise _PassingError(
                f"{self._shown} cannot be reached, asked {self._times()}: {self._quoted(str(error))}; is it running?"
            ) from None
        if not response.is_success:
            raise self._failure(response, text)
        return self._message(text)

    def _read(self, response: httpx.Response, deadline: float) -> str:
        """Return the whole text; httpx's own time limit is that of each piece, and pieces may drip for ever."""
        came = bytearray()
        for piece in response.iter_bytes():
            came += piece
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("not at its end")
            if len(came) > _MOST_BYTES:
                raise JudgeError(f"{self._shown} answered more than {_MOST_BYTES:,} bytes; expected a verdict")
        return came.decode("utf-8", "replace")

    def _failure(self, response: httpx.Response, text: str) -> JudgeError:
        said = f"{self._shown} answered {response.status_code} for model {self.settings.model}"
        if response.status_code not in _WORTH_ANOTHER_TRY:
            return JudgeError(f"{said}: {self._quoted(text)}")
        rest_s = _rest_s(response.headers)
        if rest_s is not None and rest_s > _LONGEST_REST_S:
            return JudgeError(f"{said} and asks for {rest_s:,.0f} s of rest; run again then, what is judged is kept")
        return _PassingError(f"{said}, asked {self._times()}: {self._quoted(text)}", rest_s)

    def _message(self, text: str) -> Message:
        try:
            body = json.loads(text)
            message = body["message"] if self.settings.kind == "ollama" else body["choices"][0]["message"]
        except (ValueError, LookupError, TypeError, RecursionError):
            message = None
        if not is_message(message):
            raise JudgeError(
                f"{self._shown} answered something that is no {self.settings.kind} chat: {self._quoted(text)}"
            )
        found: Message = message
        return found

    def _times(self) -> str:
        return "once" if self.settings.attempts == 1 else f"{self.settings.attempts} times"

    def _quoted(self, text: str) -> str:
        """Return a server's words on one line, shortened, secrets blotted out."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return one_line(text) or "nothing"


def is_message(value: object) -> bool:
    """Tell whether a value is a chat's message: an object whose content is a text, or null."""
    return isinstance(value, dict) and isinstance(value.get("content", 0), str | None)


def one_line(text: str) -> str:
    """Return a text on one line, without control characters, cut to a length that can be read."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_QUOTE else line[:_LONGEST_QUOTE] + "..."


def _pause_s(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt: those that the server asks for, else ever longer ones."""
    error = state.outcome.exception() if state.outcome else None
    return error.rest_s if isinstance(error, _PassingError) and error.rest_s is not None else _BACKOFF(state)


def _rest_s(headers: httpx.Headers) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or as a moment by the server's clock; None without.

    >>> _rest_s(httpx.Headers({"Retry-After": "7"}))
    7.0
    """
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]+", asked):
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - parsedate_to_datetime(headers["date"])).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None


def _endpoint(address: str, kind: Literal["ollama", "openai"]) -> httpx.URL:
    base = address.strip().rstrip("/")
    try:
        url = httpx.URL((base.removesuffix("/v1") if kind == "openai" else base) + _PATHS[kind])
    except httpx.InvalidURL:
        raise JudgeError("the judge's address is no address; expected one such as http://127.0.0.1:11434") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise JudgeError("the judge's address is not http(s)://host[:port][/path], such as http://127.0.0.1:11434")
    return url
