"""A real HTTP server on the loopback that misbehaves as it is told, and a folder that can be read."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Server:
    """What a server has, how it shall answer its next requests (afterwards: well), and what it was asked."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    linked: dict[str, str] = field(default_factory=dict)
    """What a HEAD request is told in `x-linked-etag`, with a redirection that leads nowhere, as the model hub does."""
    answers: list[str] = field(default_factory=list)
    """`404`, `500`, ...: this status; `half`: half of what was asked, then hang up; `whole`: no Range; `silent`: none
    until the test ends; `endless`: claims 10 ** 18 bytes; `unnamed`: no length, half of it, hang up; `shifted`: another
    range; `packed`: gzip, unasked; `moved`: a redirection to the same path with `/moved` before it; `stall`: a byte,
    then nothing until the test ends; `drip`: a byte each 0.03 s; `half, then another`: half, and the
    version is another from then on; `promises more`: claims ten bytes that do not come; `keeps back`: claims, and
    sends, ten bytes less."""
    asked: list[str] = field(default_factory=list)
    etag: str | None = '"first"'
    modified: str | None = None
    knows_if_range: bool = True
    retry_after: list[str] = field(default_factory=list)
    """What a refusal says in `retry-after`, one after the other; its clock stands at 07:28:00 of that day."""
    refusing: dict[str, str] = field(default_factory=dict)
    """Statuses that are always given for a path, whatever is next in `answers`."""
    crowd: threading.Barrier | None = None
    """Holds each request for a file until as many are there; once they have not come, none is held any more."""
    at_once: int = 0
    most_at_once: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with server.counting:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                if server.crowd:
                    with suppress(threading.BrokenBarrierError):
                        server.crowd.wait(5)
                self.give()
            finally:
                with server.counting:
                    server.at_once -= 1

        def give(self) -> None:
            wanted, condition = self.headers.get("range"), self.headers.get("if-range")
            server.asked.append(" ".join(each for each in (self.path, wanted, condition) if each))
            how = server.refusing.get(self.path) or (server.answers.pop(0) if server.answers else "well")
            if how == "silent":
                server.closing.wait(60)
                self.close_connection = True
            elif how.isdigit():
                self.send_response_only(int(how))
                if server.retry_after:
                    self.send_header("date", "Wed, 21 Oct 2015 07:28:00 GMT")
                    self.send_header("retry-after", server.retry_after.pop(0))
                self.send_header("content-length", "0")
                self.end_headers()
            elif how == "moved":
                self.send_response(302)
                self.send_header("location", f"/moved{self.path}")
                self.send_header("content-length", "0")
                self.end_headers()
            elif self.path not in server.files:
                self.send_error(404)
            else:
                self.answer(server.files[self.path], how, wanted if self.meets(condition) else None)

        def do_CONNECT(self) -> None:
            server.asked.append(f"CONNECT {self.path}")
            self.send_error(int(server.answers.pop(0)))

        def meets(self, condition: str | None) -> bool:
            return not server.knows_if_range or condition in (None, server.etag, server.modified)

        def do_HEAD(self) -> None:
            server.asked.append(f"HEAD {self.path}")
            status = server.answers.pop(0) if server.answers else "302" if self.path in server.linked else "200"
            self.send_response(int(status))
            if self.path in server.linked:
                self.send_header("x-linked-etag", server.linked[self.path])
                self.send_header("location", "/nowhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def answer(self, whole: bytes, how: str, wanted: str | None) -> None:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and how != "whole" else 0
            if start >= len(whole):
                self.send_response(416)
                self.send_header("content-range", f"bytes */{len(whole)}")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            content = gzip.compress(whole) if how == "packed" else whole[start:]
            self.send_response(206 if start else 200)
            if start:
                shown = start + 1 if how == "shifted" else start
                self.send_header("content-range", f"bytes {shown}-{len(whole) - 1}/{len(whole)}")
            if how == "packed":
                self.send_header("content-encoding", "gzip")
            if server.etag:
                self.send_header("etag", server.etag)
            if server.modified:
                self.send_header("last-modified", server.modified)
            claims = {"endless": 10**18, "promises more": len(content) + 10, "keeps back": len(content) - 10}
            if how == "unnamed":
                self.send_header("connection", "close")
            else:
                self.send_header("content-length", str(claims.get(how, len(content))))
            self.end_headers()
            is_half = how.startswith(("half", "unnamed"))
            sent = {"stall": 1, "drip": 0, "keeps back": len(content) - 10}
            self.wfile.write(content[: (len(content) + 1) // 2 if is_half else sent.get(how, len(content))])
            self.close_connection = is_half or how in claims or how in sent
            if how == "stall":
                server.closing.wait(60)
            elif how == "drip":
                self.drip(content)
            elif how == "half, then another":
                server.etag = f'"{len(server.asked)}"'

        def drip(self, content: bytes) -> None:
            with suppress(ConnectionError):
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    if server.closing.wait(0.03):
                        return

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    behaviour = Server(address="")
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(behaviour))
    behaviour.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield behaviour
    behaviour.closing.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def refused() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder in which one document is good, so that the corpus as a whole can be read."""
    (tmp_path / "0.txt").write_text("good", encoding="utf-8")
    return tmp_path
