"""A real HTTP server on the loopback that misbehaves as it is told, and a folder that can be read."""

import gzip
import socket
import threading
from collections.abc import Iterator
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
    range; `packed`: gzip, unasked; `moved`: a redirection to the same path with `/moved` before it."""
    asked: list[str] = field(default_factory=list)
    etag: str | None = '"first"'
    closing: threading.Event = field(default_factory=threading.Event)


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted, condition = self.headers.get("range"), self.headers.get("if-range")
            server.asked.append(" ".join(each for each in (self.path, wanted, condition) if each))
            how = server.answers.pop(0) if server.answers else "well"
            if how == "silent":
                server.closing.wait(10)
                self.close_connection = True
            elif how.isdigit():
                self.send_response(int(how))
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
                self.answer(server.files[self.path], how, wanted if condition in (None, server.etag) else None)

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
            if how == "unnamed":
                self.send_header("connection", "close")
            else:
                self.send_header("content-length", str(10**18 if how == "endless" else len(content)))
            self.end_headers()
            is_half = how in ("half", "unnamed")
            self.wfile.write(content[: (len(content) + 1) // 2] if is_half else content)
            self.close_connection = is_half or how == "endless"

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
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
