"""Many files come at a time; one that fails ends the others, and what has come stays."""

import hashlib
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


def test_no_more_are_asked_for_at_a_time_than_allowed(server: Any, tmp_path: Path) -> None:
    server.files |= FILES
    fetch_all(wanted(server, tmp_path / "raw"), threads=3, partial=tmp_path / "partial")
    assert 1 <= server.most_at_once <= 3


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
    server.retry_after = ["299"]
    server.refusing = {"/page-0.txt": "429"}
    with pytest.raises(FetchError, match=r"could not fetch page-1\.txt .*expected"):
        fetch_all(wanted(server, tmp_path / "raw")[:2], threads=2, partial=tmp_path / "partial")
