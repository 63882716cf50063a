"""An address is streamed into a file, whatever the server does on the way. The server is real: conftest.py."""

import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tenacity import wait_none

from components.corpus.answers import MissingError, StreamError
from components.corpus.streaming import (
    DiskFullError,
    Stop,
    StoppedError,
    Streamed,
    network,
    refuse_without_space,
)

CONTENT = bytes(range(256)) * 400  # 102,400 bytes: more than one chunk


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


class Noted(Stop):
    """Waits for nothing, and notes how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def fetched(
    address: str, part: Path, progress: Any = None, attempts: int = 3, timeout_s: float = 5.0, **more: Any
) -> Streamed:
    with network(attempts=attempts, timeout_s=timeout_s, wait=wait_none(), **more) as ours:
        return ours.download(address, part, progress)


def announced(address: str, attempts: int = 2) -> str | None:
    with network(attempts=attempts, timeout_s=5.0, wait=wait_none()) as ours:
        return ours.announced_sha256(address)


def test_a_file_comes_whole_and_tells_its_progress(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    told: list[tuple[int, int | None]] = []
    assert fetched(f"{server.address}/file", part, progress=lambda *each: told.append(each)) == Streamed(is_sure=True)
    assert part.read_bytes() == CONTENT
    assert told[-1] == (102_400, 102_400)
    assert sorted(told) == told


def test_a_server_that_fails_twice_is_asked_a_third_time(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["500", "503"]
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT
    assert server.asked == ["/file"] * 3


def test_a_server_that_always_fails_is_asked_as_often_as_allowed(server: Any, part: Path) -> None:
    server.answers += ["500"] * 10
    with pytest.raises(StreamError, match=r"^answered 500 Internal Server Error \(3 tries\); run again later"):
        fetched(f"{server.address}/file", part)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", ["404", "410", "403"])
def test_a_file_that_is_not_there_is_asked_for_once(server: Any, part: Path, status: str) -> None:
    server.answers += [status]
    with pytest.raises(MissingError, match=f"^answered {status} .*; check the address"):
        fetched(f"{server.address}/file", part)
    assert len(server.asked) == 1
    assert not part.exists()


def test_a_refusal_that_no_retry_changes_is_final(server: Any, part: Path) -> None:
    server.answers += ["401"]
    with pytest.raises(StreamError, match=r"^answered 401 Unauthorized; check the address"):
        fetched(f"{server.address}/file", part)
    assert len(server.asked) == 1


def test_nobody_listening_is_said(refused: str, part: Path) -> None:
    with pytest.raises(StreamError, match=r"^no connection: .*Connection refused.* \(3 tries\); check the network"):
        fetched(f"{refused}/file", part)


def test_a_silent_server_is_left_after_the_timeout(server: Any, part: Path) -> None:
    server.answers += ["silent"]
    with pytest.raises(StreamError, match=r"^silent for 0\.05 s \(1 try\)"):
        fetched(f"{server.address}/file", part, attempts=1, timeout_s=0.05)


def test_a_download_that_stops_half_way_goes_on_where_it_stopped(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "half"]
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=False)
    assert part.read_bytes() == CONTENT
    assert server.asked == ["/file", '/file bytes=51200- "first"', '/file bytes=76800- "first"']


def test_tries_that_bring_something_are_not_counted_against_a_long_download(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "500", "half", "500", "half", "500", "half"]
    fetched(f"{server.address}/file", part, attempts=3)
    assert part.read_bytes() == CONTENT


def test_a_later_call_resumes_what_an_earlier_one_left(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "500"]
    with pytest.raises(StreamError, match="what has come is kept"):
        fetched(f"{server.address}/file", part, attempts=1)
    assert part.read_bytes() == CONTENT[:51_200]
    server.answers.clear()
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT
    assert server.asked[-1] == '/file bytes=51200- "first"'


def test_where_it_stopped_is_said(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half"]
    with pytest.raises(StreamError, match=r"^stopped after 51,200 bytes: .* \(1 try\)"):
        fetched(f"{server.address}/file", part, attempts=1)


def test_a_server_that_ignores_the_range_sends_the_whole_again(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "whole"]
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=True)
    assert part.read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_fetched_afresh(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half"]
    with pytest.raises(StreamError):
        fetched(f"{server.address}/file", part, attempts=1)
    server.files["/file"], server.etag = CONTENT[::-1], '"second"'
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=True)
    assert part.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_rest_is_asked_for_without_condition(
    server: Any, part: Path, etag: str | None
) -> None:
    server.files["/file"], server.etag = CONTENT, etag
    server.answers += ["half"]
    fetched(f"{server.address}/file", part)
    assert server.asked == ["/file", "/file bytes=51200-"]
    assert part.read_bytes() == CONTENT


def test_a_file_that_is_all_there_is_not_sent_again(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    part.write_bytes(CONTENT)
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=False)
    assert part.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    part.write_bytes(CONTENT + b"more")
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=True)
    assert part.read_bytes() == CONTENT


def test_another_range_than_asked_is_not_taken(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "shifted"]
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT
    assert server.asked[-1] == "/file"


def test_a_file_of_unnamed_length_is_not_sure(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["unnamed"]
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=False)


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["endless"]
    with pytest.raises(DiskFullError, match=r"^needs 1,000,000,000,000,000,000 more bytes in .*, [\d,]+ are free"):
        fetched(f"{server.address}/file", part)
    assert not part.exists()


def test_a_disk_that_fills_up_raises_what_the_system_says(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        fetched(f"{server.address}/file", part)


def test_a_redirection_is_followed_and_resumed_through(server: Any, part: Path) -> None:
    server.files["/moved/file"] = CONTENT
    server.answers += ["moved", "half", "moved"]
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT
    assert server.asked[2:] == ['/file bytes=51200- "first"', '/moved/file bytes=51200- "first"']


def test_an_answer_compressed_unasked_is_unpacked(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["packed"]
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT


def test_an_address_without_a_server_name_is_refused(part: Path) -> None:
    with pytest.raises(StreamError, match="check the address"):
        fetched("http://", part)


def test_the_rest_of_a_file_is_asked_room_for_too(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half", "endless"]
    with pytest.raises(DiskFullError, match=r"^needs 1,000,000,000,000,000,000 more bytes in"):
        fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT[:51_200]


def test_a_server_that_asks_for_time_is_given_it(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.retry_after = ["7", "Wed, 21 Oct 2015 07:28:30 GMT", "soon", "Wed, 21 Oct 2015 07:27:00 GMT", "no 30"]
    server.answers += ["429", "503", "429", "429", "429"]
    stop = Noted()
    fetched(f"{server.address}/file", part, attempts=6, stop=stop)
    assert stop.waits == [7, 30, 0, 0, 0]  # the server's clock says 07:28:00
    assert part.read_bytes() == CONTENT


def test_a_server_that_asks_for_too_much_time_is_left(server: Any, part: Path) -> None:
    server.retry_after = ["3600"]
    server.answers += ["429"]
    with pytest.raises(StreamError, match=r"^answered 429 Too Many Requests, and asks for 3,600 s of rest; run again"):
        fetched(f"{server.address}/file", part)
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_half_way_is_left_and_asked_for_the_rest(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["stall"]
    fetched(f"{server.address}/file", part, timeout_s=0.1)
    assert part.read_bytes() == CONTENT
    assert server.asked == ["/file", '/file bytes=1- "first"']


def test_a_server_that_drips_is_left_and_a_drop_is_no_progress(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["drip"] * 3
    with pytest.raises(
        StreamError, match=r"^sent [\d,]+ bytes in 0\.5 s \(2 tries\); run again later, what has come is"
    ):
        fetched(f"{server.address}/file", part, timeout_s=0.5, attempts=2)
    assert 0 < len(part.read_bytes()) < 100
    server.answers.clear()
    fetched(f"{server.address}/file", part)
    assert part.read_bytes() == CONTENT


def test_bytes_of_another_version_are_not_added_to_those_of_the_first(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["half"]
    with pytest.raises(StreamError):
        fetched(f"{server.address}/file", part, attempts=1)
    server.files["/file"], server.etag, server.knows_if_range = CONTENT[::-1], '"second"', False
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=True)
    assert part.read_bytes() == CONTENT[::-1]
    assert server.asked[1:] == ['/file bytes=51200- "first"', "/file"]


def test_a_file_that_changes_with_each_part_is_one_clear_error(server: Any, part: Path) -> None:
    server.files["/file"], server.knows_if_range = CONTENT, False
    server.answers += ["half, then another", "well", "half, then another", "well", "half, then another", "well"]
    with pytest.raises(StreamError, match=r"^sent another version's bytes after 51,200 \(2 tries\); run again later"):
        fetched(f"{server.address}/file", part, attempts=2)
    assert not part.exists()


def test_the_date_of_the_file_tells_its_version_where_there_is_no_etag(server: Any, part: Path) -> None:
    server.files["/file"], server.etag, server.modified = CONTENT, None, "Wed, 21 Oct 2015 07:28:00 GMT"
    server.answers += ["half"]
    fetched(f"{server.address}/file", part)
    assert server.asked[1] == "/file bytes=51200- Wed, 21 Oct 2015 07:28:00 GMT"


def test_more_announced_than_sent_is_asked_for_again(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT
    server.answers += ["promises more"]
    assert fetched(f"{server.address}/file", part) == Streamed(is_sure=False)
    assert part.read_bytes() == CONTENT
    assert server.asked == ["/file", '/file bytes=102400- "first"']


def test_it_stops_when_told_and_keeps_what_has_come(server: Any, part: Path) -> None:
    server.files["/file"] = CONTENT * 10
    stop = Stop()
    with pytest.raises(StoppedError):
        fetched(f"{server.address}/file", part, progress=lambda *_: stop.set(), stop=stop)
    assert 0 < part.stat().st_size < 1_024_000
    server.answers += ["503"]
    with pytest.raises(StoppedError):
        fetched(f"{server.address}/file", part, stop=stop)


def test_a_connection_that_opens_after_the_stop_is_shut_too() -> None:
    ours, theirs = socket.socketpair()
    stop = Stop()
    stop.set()
    stop.heed("connection.connect_tcp.complete", {"return_value": SimpleNamespace(get_extra_info=lambda _: ours)})
    assert ours.recv(1) == b""  # at once: theirs says nothing
    ours.close()
    theirs.close()


@pytest.mark.parametrize("how", ["silent", "stall"])  # before the answer, and within it
def test_it_stops_at_once_while_a_server_says_nothing(server: Any, part: Path, how: str) -> None:
    server.files["/file"] = CONTENT
    server.answers += [how]
    stop, ended = Stop(), threading.Event()

    def fetch() -> None:
        with pytest.raises(StoppedError):
            fetched(f"{server.address}/file", part, attempts=5, timeout_s=3600, stop=stop)
        ended.set()

    threading.Thread(target=fetch, daemon=True).start()
    while not server.asked:
        stop.wait(0.01)
    stop.set()
    assert ended.wait(30)
    assert server.at_once == 1  # it still waits


@pytest.fixture
def proxy(server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server as the environment's proxy."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, server.address)
    monkeypatch.delenv("no_proxy", raising=False)
    return str(server.address)


def test_the_environments_proxy_is_asked(server: Any, proxy: str, part: Path) -> None:
    server.files["http://books.invalid/file"] = CONTENT
    fetched("http://books.invalid/file", part)
    assert part.read_bytes() == CONTENT
    assert server.asked == ["http://books.invalid/file"]


def test_a_tunnel_that_the_proxy_does_not_open_is_said(server: Any, proxy: str, part: Path) -> None:
    server.answers += ["403"]
    said = r"^the proxy answered 403 Forbidden \(1 try\); check HTTPS_PROXY and NO_PROXY"
    with pytest.raises(StreamError, match=said):
        fetched("https://books.invalid/file", part, attempts=1)
    assert server.asked == ["CONNECT books.invalid:443"]


def test_what_no_proxy_names_is_asked_itself(
    server: Any, refused: str, monkeypatch: pytest.MonkeyPatch, part: Path
) -> None:
    server.files["/file"] = CONTENT
    monkeypatch.setenv("http_proxy", refused)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetched(f"{server.address}/file", part)
    assert server.asked == ["/file"]


def test_a_proxy_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, part: Path) -> None:
    monkeypatch.setenv("https_proxy", "carrier-pigeon://loft")
    with pytest.raises(
        StreamError, match=r"carrier-pigeon.*; set HTTPS_PROXY, HTTP_PROXY and ALL_PROXY to http://host:port, or"
    ):
        fetched("https://books.invalid/file", part)


def test_certificates_that_are_not_there_are_said(monkeypatch: pytest.MonkeyPatch, part: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(part))
    with pytest.raises(StreamError, match=r"^certificates: .*No such file.*; check SSL_CERT_FILE and SSL_CERT_DIR"):
        fetched("https://books.invalid/file", part)


def test_a_byte_has_room_on_the_disk_and_an_exabyte_has_not(tmp_path: Path) -> None:
    refuse_without_space(tmp_path, 1)
    with pytest.raises(
        DiskFullError, match=f"^needs 1,000,000,000,000,000,000 more bytes in {tmp_path}, .*; make room"
    ):
        refuse_without_space(tmp_path, 10**18)


def test_an_announced_checksum_is_read_from_the_redirection_and_nothing_is_fetched(server: Any) -> None:
    server.linked["/file"] = f'"{"ab" * 32}"'
    server.answers += ["503", "302"]
    assert announced(f"{server.address}/file") == "ab" * 32
    assert server.asked == ["HEAD /file"] * 2


@pytest.mark.parametrize("named", [None, '"5d41402abc4b2a76b9719d911017c592"'])  # a small file's is no sha256
def test_where_no_sha256_is_announced_there_is_none(named: str | None, server: Any) -> None:
    server.linked |= {"/file": named} if named else {}
    assert announced(f"{server.address}/file", attempts=1) is None


def test_an_announcement_that_fails_is_said(server: Any, refused: str) -> None:
    server.answers += ["404"]
    with pytest.raises(MissingError, match="answered 404 Not Found; check the address"):
        announced(f"{server.address}/file")
    with pytest.raises(StreamError, match=r"no connection: .*; check the network"):
        announced(f"{refused}/file")
