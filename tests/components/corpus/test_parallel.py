"""Many files come at a time; one that fails ends the others, and what has come stays."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from components.corpus.parallel import fetch_all
from components.corpus.source import FetchError, Source

FILES = {f"/page-{number}.txt": f"page {number}\n".encode() * 1000 for number in range(12)}


def wanted(server: Any, folder: Path) -> list[tuple[Source, Path]]:
    return [
        (
            Source(role="corpus", addresses=(server.address + path,), sha256=hashlib.sha256(content).hexdigest()),
            folder / path[1:],
        )
        for path, content in FILES.items()
    ]


def test_every_file_comes_and_is_told_of_in_order(server: Any, tmp_path: Path) -> None:
    server.files |= FILES
    came = fetch_all(wanted(server, tmp_path / "raw"), threads=4, partial=tmp_path / "partial")
    assert [each.address for each in came] == [server.address + path for path in FILES]
    assert {f"/{file.name}": file.read_bytes() for file in (tmp_path / "raw").iterdir()} == FILES
    assert list((tmp_path / "partial").iterdir()) == []


def test_every_byte_that_comes_is_told_once(server: Any, tmp_path: Path) -> None:
    server.files |= FILES
    told: list[int] = []
    fetch_all(wanted(server, tmp_path / "raw"), threads=4, partial=tmp_path / "partial", on_bytes=told.append)
    assert sum(told) == sum(map(len, FILES.values()))
    assert min(told) > 0


def test_as_many_are_asked_for_at_a_time_as_allowed_and_no_more(server: Any, tmp_path: Path) -> None:
    server.files |= FILES
    server.crowd = threading.Barrier(3)
    fetch_all(wanted(server, tmp_path / "raw"), threads=3, partial=tmp_path / "partial")
    assert server.most_at_once == 3


def test_two_files_with_one_content_do_not_meet(server: Any, tmp_path: Path) -> None:
    server.files["/same.txt"] = b"the same" * 10_000
    same = hashlib.sha256(server.files["/same.txt"]).hexdigest()
    asked = [
        (Source(role="corpus", addresses=(f"{server.address}/same.txt",), file=name, sha256=same), tmp_path / name)
        for name in ("a", "b", "c", "d")
    ]
    fetch_all(asked, threads=4, partial=tmp_path / "partial")
    assert {(tmp_path / name).read_bytes() for name in "abcd"} == {server.files["/same.txt"]}


def test_one_that_fails_is_named_ends_the_others_and_the_next_call_goes_on(server: Any, tmp_path: Path) -> None:
    server.files |= FILES
    del server.files["/page-3.txt"]
    jobs = wanted(server, tmp_path / "raw")
    with pytest.raises(FetchError, match=r"could not fetch page-3\.txt .*answered 404 Not Found"):
        fetch_all(jobs, threads=1, partial=tmp_path / "partial")
    assert sorted(file.name for file in (tmp_path / "raw").iterdir()) == ["page-0.txt", "page-1.txt", "page-2.txt"]
    server.files |= FILES
    server.asked.clear()
    fetch_all(jobs, threads=4, partial=tmp_path / "partial")
    assert sorted(server.asked) == sorted(list(FILES)[3:])


def test_a_wait_of_another_is_cut_short_by_a_failure(server: Any, tmp_path: Path) -> None:
    server.files["/page-1.txt"] = b"another text"
    server.retry_after = ["300"]
    server.refusing = {"/page-0.txt": "429"}
    server.crowd = threading.Barrier(2)
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"could not fetch page-1\.txt .*expected"):
        fetch_all(wanted(server, tmp_path / "raw")[:2], threads=2, partial=tmp_path / "partial")
    assert time.monotonic() - started < 60


def test_a_proxy_that_is_none_does_not_matter_to_files_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "carrier-pigeon://loft")
    (tmp_path / "own.txt").write_text("mine")
    fetch_all(
        [(Source(role="corpus", addresses=(str(tmp_path / "own.txt"),)), tmp_path / "raw/own.txt")],
        threads=2,
        partial=tmp_path / "partial",
    )
    assert (tmp_path / "raw/own.txt").read_text() == "mine"


def test_a_proxy_that_is_none_is_told_with_the_file_it_was_wanted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "carrier-pigeon://loft")
    books = Source(role="corpus", addresses=("https://books.invalid/file.txt",), sha256="0" * 64)
    with pytest.raises(
        FetchError, match=r"could not fetch file\.txt .*carrier-pigeon.*; set HTTPS_PROXY, HTTP_PROXY and"
    ):
        fetch_all([(books, tmp_path / "raw/file.txt")], threads=2, partial=tmp_path / "partial")
