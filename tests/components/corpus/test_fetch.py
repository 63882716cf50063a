"""A source comes whole and checked, or not at all. The server is real: conftest.py."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from components.corpus.fetch import Fetched, fetch
from components.corpus.source import LINKED, FetchError, Source
from components.corpus.streaming import network

CONTENT = b"All that is gold does not glitter.\n"
SHA256 = "693e4c9e4a97af02090d13e692823190c2f3a8ad4f1356f0e70cad4a448b2b79"
OTHER = b"Not what was asked for.\n"
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens, nothing leaves the machine


def source(*addresses: str, sha256: str | None = SHA256, member: str | None = None) -> Source:
    return Source(role="corpus", addresses=addresses, name="poem", file="book/poem.txt", sha256=sha256, member=member)


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


class Places:
    """A destination and a folder for what is under way, empty both."""

    def __init__(self, folder: Path) -> None:
        self.destination, self.partial = folder / "raw/corpus/book/poem.txt", folder / "work"

    def bring(self, wanted: Source, mirror: str | Path | None = None, **more: Any) -> Fetched:
        patience = {"attempts": more.pop("attempts", 2), "timeout_s": 5.0, "wait": wait_none()}
        mirror = None if mirror is None else str(mirror)
        with network(**patience) as ours:
            return fetch(wanted, self.destination, network=ours, mirror=mirror, partial=self.partial, **more)

    def failure(self, wanted: Source, mirror: str | Path | None = None, **more: Any) -> str:
        """Return the message of a fetch that fails, and see that it leaves nothing half-written."""
        with pytest.raises(FetchError) as caught:
            self.bring(wanted, mirror, **more)
        assert not self.destination.exists()
        assert not self.destination.parent.exists() or not list(self.destination.parent.iterdir())
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("poem: ")
        return str(caught.value)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    (folder / "deep/er").mkdir(parents=True)
    return folder


def test_a_file_comes_from_its_address(server: Any, places: Places) -> None:
    server.files["/texts/poem.txt"] = CONTENT
    address = f"{server.address}/texts/poem.txt"
    assert places.bring(source(address)) == Fetched(address, SHA256, 35)
    assert places.destination.read_bytes() == CONTENT
    assert list(places.partial.iterdir()) == []


def test_it_replaces_what_was_there_only_when_it_is_whole(server: Any, places: Places) -> None:
    places.destination.parent.mkdir(parents=True)
    places.destination.write_bytes(OTHER)
    server.answers += ["404"]
    with pytest.raises(FetchError):
        places.bring(source(f"{server.address}/poem.txt"))
    assert places.destination.read_bytes() == OTHER
    server.files["/poem.txt"] = CONTENT
    places.bring(source(f"{server.address}/poem.txt"))
    assert places.destination.read_bytes() == CONTENT


def test_a_file_that_is_there_already_is_not_asked_for(places: Places) -> None:
    places.destination.parent.mkdir(parents=True)
    places.destination.write_bytes(CONTENT)
    assert places.bring(source(f"{NOBODY}/poem.txt")) == Fetched(str(places.destination), SHA256, 35)


def test_the_second_address_is_asked_when_the_first_fails(server: Any, places: Places) -> None:
    server.files |= {"/wrong.txt": OTHER, "/right.txt": CONTENT}
    names = ("missing.txt", "wrong.txt", "right.txt")
    fetched = places.bring(source(*(f"{server.address}/{name}" for name in names)))
    assert fetched.address == f"{server.address}/right.txt"


def test_a_404_is_named_with_its_address_and_what_was_expected(server: Any, places: Places) -> None:
    address = f"{server.address}/poem.txt"
    assert places.failure(source(address)) == (
        f"poem: could not fetch book/poem.txt (sha256 {SHA256}): {address}: answered 404 Not Found; check the address"
    )


def test_every_address_that_failed_is_named(server: Any, places: Places, refused: str) -> None:
    server.answers += ["500", "500"]
    message = places.failure(source(f"{server.address}/poem.txt", f"{refused}/poem.txt"))
    assert f"{server.address}/poem.txt: answered 500 Internal Server Error (2 tries)" in message
    assert f"{refused}/poem.txt: no connection: " in message
    assert "Connection refused (2 tries)" in message


def test_a_wrong_checksum_is_named_with_both_and_nothing_is_kept(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = OTHER
    message = places.failure(source(f"{server.address}/poem.txt"))
    assert f"{server.address}/poem.txt: 24 bytes have sha256 " in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert f"expected {SHA256}" in message
    assert server.asked == ["/poem.txt"]
    assert [file.name for file in places.partial.iterdir() if file.suffix != ".validator"] == []


def test_a_download_that_stops_half_way_is_resumed_by_the_next_call(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["half"]
    assert "stopped after 18 bytes" in places.failure(source(f"{server.address}/poem.txt"), attempts=1)
    places.bring(source(f"{server.address}/poem.txt"))
    assert server.asked == ["/poem.txt", '/poem.txt bytes=18- "first"']
    assert places.destination.read_bytes() == CONTENT


def test_pieces_that_do_not_fit_together_are_fetched_afresh(server: Any, places: Places) -> None:
    server.etag = None  # the server cannot say that its file has changed
    server.files["/poem.txt"] = OTHER + OTHER
    server.answers += ["half"]
    places.failure(source(f"{server.address}/poem.txt"), attempts=1)
    server.files["/poem.txt"] = CONTENT
    places.bring(source(f"{server.address}/poem.txt"))
    assert places.destination.read_bytes() == CONTENT
    assert server.asked[1:] == ["/poem.txt bytes=24-", "/poem.txt"]


def test_a_file_of_unnamed_length_that_is_cut_is_fetched_afresh(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["unnamed"]
    places.bring(source(f"{server.address}/poem.txt"))
    assert server.asked == ["/poem.txt"] * 2


def test_a_server_that_announces_too_little_gives_a_wrong_file_and_none_is_kept(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["keeps back"]
    message = places.failure(source(f"{server.address}/poem.txt"))
    assert f"25 bytes have sha256 {hashlib.sha256(CONTENT[:25]).hexdigest()}, expected {SHA256}" in message


def test_a_server_that_announces_too_much_gives_the_file(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["promises more"]
    places.bring(source(f"{server.address}/poem.txt"))
    assert places.destination.read_bytes() == CONTENT


def test_progress_is_told(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    told: list[tuple[int, int | None]] = []
    places.bring(source(f"{server.address}/poem.txt"), progress=lambda *each: told.append(each))
    assert told == [(35, 35)]


@pytest.mark.parametrize("place", ["texts/poem.txt", "book/poem.txt", "poem.txt", "deep/er/poem.txt"])
def test_a_mirror_folder_is_asked_first(places: Places, mirror: Path, place: str) -> None:
    (mirror / place).parent.mkdir(exist_ok=True)
    (mirror / place).write_bytes(CONTENT)
    (mirror / place).chmod(0o444)
    fetched = places.bring(source(f"{NOBODY}/texts/poem.txt"), mirror)
    assert fetched.address == str(mirror / place)
    assert places.destination.read_bytes() == CONTENT
    assert places.destination.stat().st_mode & 0o200  # a read-only mirror makes no read-only copy


def test_of_files_with_one_name_the_mirror_gives_the_one_with_the_checksum(places: Places, mirror: Path) -> None:
    (mirror / "poem.txt").write_bytes(OTHER)
    (mirror / "deep/er/poem.txt").write_bytes(CONTENT)
    assert places.bring(source(f"{NOBODY}/poem.txt"), mirror).address == str(mirror / "deep/er/poem.txt")


def test_what_a_mirror_folder_does_not_have_comes_from_the_address(server: Any, places: Places, mirror: Path) -> None:
    server.files["/poem.txt"] = CONTENT
    assert places.bring(source(f"{server.address}/poem.txt"), mirror).address == f"{server.address}/poem.txt"


def test_a_wrong_file_in_a_mirror_is_an_error_that_names_it(server: Any, places: Places, mirror: Path) -> None:
    server.files["/texts/poem.txt"] = CONTENT
    for folder in ("texts", "book"):
        (mirror / folder).mkdir()
        (mirror / folder / "poem.txt").write_bytes(OTHER)
        message = places.failure(source(f"{server.address}/texts/poem.txt"), mirror)
        assert f"the mirror has another file: {mirror / folder / 'poem.txt'}: 24 bytes have sha256" in message
        assert server.asked == []
        assert list(places.partial.iterdir()) == []
        (mirror / folder / "poem.txt").unlink()


def test_another_file_of_the_same_name_in_a_mirror_is_not_the_wanted_one(
    server: Any, places: Places, mirror: Path
) -> None:
    server.files["/b/poem.txt"] = CONTENT
    (mirror / "deep/poem.txt").write_bytes(OTHER)
    assert places.bring(source(f"{server.address}/b/poem.txt"), mirror).address == f"{server.address}/b/poem.txt"
    places.destination.unlink()
    message = places.failure(source(f"{server.address}/c/poem.txt"), mirror)
    assert f"{mirror / 'deep/poem.txt'}: 24 bytes have sha256" in message
    assert "/c/poem.txt: answered 404" in message


def test_an_address_without_a_file_name_is_looked_for_by_the_name_of_the_source(places: Places, mirror: Path) -> None:
    (mirror / "book").mkdir()
    (mirror / "book/poem.txt").write_bytes(CONTENT)
    assert places.bring(source(f"{NOBODY}/?id=3"), mirror).address == str(mirror / "book/poem.txt")


def test_a_mirror_folder_that_is_not_there_is_an_error(places: Places, tmp_path: Path) -> None:
    message = places.failure(source(f"{NOBODY}/poem.txt"), tmp_path / "nowhere")
    assert f"mirror {tmp_path / 'nowhere'}: no such folder" in message


@pytest.mark.parametrize("path", ["/base/texts/poem.txt", "/base/book/poem.txt", "/base/poem.txt"])
def test_a_mirror_server_is_asked_first(server: Any, places: Places, path: str) -> None:
    server.files[path] = CONTENT
    fetched = places.bring(source(f"{NOBODY}/texts/poem.txt"), f"{server.address}/base/")
    assert fetched.address == f"{server.address}{path}"


def test_what_a_mirror_server_does_not_have_comes_from_the_address(server: Any, places: Places) -> None:
    server.files["/texts/poem.txt"] = CONTENT
    fetched = places.bring(source(f"{server.address}/texts/poem.txt"), f"{server.address}/mirror")
    assert fetched.address == f"{server.address}/texts/poem.txt"
    assert [path for path in server.asked if path.startswith("/mirror")] == [
        "/mirror/texts/poem.txt",
        "/mirror/book/poem.txt",
        "/mirror/poem.txt",
    ]


def test_a_wrong_file_on_a_mirror_server_is_an_error_that_names_it(server: Any, places: Places) -> None:
    server.files |= {"/mirror/texts/poem.txt": OTHER, "/texts/poem.txt": CONTENT}
    message = places.failure(source(f"{server.address}/texts/poem.txt"), f"{server.address}/mirror")
    assert f"the mirror has another file: {server.address}/mirror/texts/poem.txt: 24 bytes" in message


def test_a_dead_mirror_is_asked_for_one_address_only_and_then_the_source(
    server: Any, places: Places, refused: str
) -> None:
    server.files["/texts/poem.txt"] = CONTENT
    assert places.bring(source(f"{server.address}/texts/poem.txt"), refused).address.startswith(server.address)
    places.destination.unlink()
    message = places.failure(source(f"{server.address}/missing.txt"), refused)
    assert message.count(refused) == 1


def test_a_mirror_without_the_file_is_named_when_the_address_fails_too(server: Any, places: Places) -> None:
    message = places.failure(source(f"{server.address}/poem.txt"), f"{server.address}/mirror")
    assert f"{server.address}/mirror: the mirror does not have it" in message


@pytest.mark.parametrize("user", ["user:secret", "me:p@secret", "secret"])
def test_user_and_password_are_not_shown(server: Any, places: Places, user: str) -> None:
    server.files["/poem.txt"] = CONTENT
    secret = server.address.replace("://", f"://{user}@")
    assert places.bring(source(f"{NOBODY}/poem.txt"), secret).address == f"{server.address}/poem.txt"
    places.destination.unlink()
    server.files.clear()
    assert "secret" not in places.failure(source(f"{secret}/poem.txt"), secret)


def test_a_member_is_taken_out_of_a_zip_archive(server: Any, places: Places) -> None:
    server.files["/poems.zip"] = zipped(readme=OTHER, poem=CONTENT)
    assert places.bring(source(f"{server.address}/poems.zip", member="poem")).sha256 == SHA256
    assert places.destination.read_bytes() == CONTENT
    assert list(places.partial.iterdir()) == []


def test_a_mirror_may_have_the_archive_or_the_member_itself(places: Places, mirror: Path) -> None:
    wanted = source(f"{NOBODY}/static/poems+all.zip", member="poem")
    (mirror / "deep/poem").write_bytes(CONTENT)
    assert places.bring(wanted, mirror).address == str(mirror / "deep/poem")
    places.destination.unlink()
    (mirror / "poems+all.zip").write_bytes(zipped(poem=CONTENT))
    assert places.bring(wanted, mirror).address == str(mirror / "poems+all.zip")


def test_an_archive_without_the_member_names_what_it_has(server: Any, places: Places) -> None:
    server.files["/poems.zip"] = zipped(readme=OTHER, prose=CONTENT)
    message = places.failure(source(f"{server.address}/poems.zip", member="poem"))
    assert "the archive has no member poem; it has readme, prose" in message


def test_a_file_that_is_no_archive_is_said_to_be_none(server: Any, places: Places) -> None:
    server.files["/poems.zip"] = OTHER
    message = places.failure(source(f"{server.address}/poems.zip", member="poem"))
    assert "24 bytes are no zip archive that can be read" in message


def test_an_archive_that_lost_its_beginning_gives_way_to_the_next_address_and_is_not_kept(
    server: Any, places: Places
) -> None:
    whole = zipped(poem=CONTENT, readme=OTHER)
    server.files |= {"/cut.zip": whole[10:], "/poems.zip": whole}
    cut, right = f"{server.address}/cut.zip", f"{server.address}/poems.zip"
    assert "are no zip archive that can be read" in places.failure(source(cut, member="poem"))
    assert [file.name for file in places.partial.iterdir() if file.suffix != ".validator"] == []
    assert places.bring(source(cut, right, member="poem")).address == right


def test_a_member_with_another_checksum_is_refused(server: Any, places: Places) -> None:
    server.files["/poems.zip"] = zipped(poem=OTHER)
    message = places.failure(source(f"{server.address}/poems.zip", member="poem"))
    assert f"24 bytes have sha256 {hashlib.sha256(OTHER).hexdigest()}" in message


def test_a_local_file_is_copied_checked_or_not(places: Places, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_bytes(CONTENT)
    assert places.bring(source(str(own), sha256=None)) == Fetched(str(own), SHA256, 35)
    assert own.read_bytes() == places.destination.read_bytes() == CONTENT
    places.destination.unlink()
    own.write_bytes(OTHER)
    assert "24 bytes have sha256" in places.failure(source(str(own)))
    own.unlink()
    assert f"{own}: no such file; check the path" in places.failure(source(str(own)))


def test_what_is_checked_of_a_local_file_is_what_comes_and_it_is_read_once(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, digest, digests = tmp_path / "own.txt", hashlib.file_digest, []

    def digest_and_change(*asked: Any) -> Any:
        digests.append(digest(*asked))
        own.write_bytes(OTHER)
        return digests[-1]

    monkeypatch.setattr(hashlib, "file_digest", digest_and_change)
    own.write_bytes(CONTENT)
    places.bring(source(str(own)))
    assert places.destination.read_bytes() == CONTENT
    assert len(digests) == 1


def test_the_embedded_corpus_is_written(places: Places, mirror: Path) -> None:
    fetched = places.bring(source("pydocs:documents", sha256=None), mirror)
    first = json.loads(places.destination.read_text(encoding="utf-8").split("\n")[0])
    assert (fetched.address, first["source"]) == ("pydocs:documents", "__future__")


def test_a_file_too_large_for_the_disk_is_refused_at_once(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["endless"]
    message = places.failure(source(f"{server.address}/poem.txt", f"{server.address}/poem.txt"))
    assert "needs 1,000,000,000,000,000,000 more bytes in" in message
    assert server.asked == ["/poem.txt"]


def test_a_disk_that_fills_up_is_said(server: Any, places: Places) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    server.files["/poem.txt"] = CONTENT
    server.answers += ["half"]
    places.failure(source(f"{server.address}/poem.txt"), attempts=1)
    (part,) = places.partial.glob("*.part")
    part.unlink()
    part.symlink_to("/dev/full")
    assert places.failure(source(f"{server.address}/poem.txt")) == (
        "poem: the disk is full; make room and run again, it resumes"
    )


def test_a_folder_that_cannot_be_made_is_named(places: Places, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"a file where a folder should be")
    own = tmp_path / "own.txt"
    own.write_bytes(CONTENT)
    with pytest.raises(FetchError, match=r"^poem: .*raw.*; check the folder and its rights"):
        places.bring(source(str(own)))


def test_a_destination_on_another_disk_is_reached_by_a_copy_beside_it(places: Places, server: Any) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == places.partial.parent.stat().st_dev:
        pytest.skip("no second file system to write to")
    server.files["/poem.txt"] = CONTENT
    places.partial = shared_memory / f"fetch-test-{id(places)}"
    try:
        places.bring(source(f"{server.address}/poem.txt"))
        assert places.destination.read_bytes() == CONTENT
        assert list(places.partial.iterdir()) == []
        assert [file.name for file in places.destination.parent.iterdir()] == ["poem.txt"]
    finally:
        places.partial.rmdir()


def test_an_announced_checksum_is_what_is_expected(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.linked["/poem.txt"] = f'"{SHA256}"'
    address = f"{server.address}/poem.txt"
    assert places.bring(source(address, sha256=LINKED)) == Fetched(address, SHA256, 35)
    assert server.asked == ["HEAD /poem.txt", "/poem.txt"]


def test_a_file_with_another_checksum_than_announced_is_refused(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = OTHER
    server.linked["/poem.txt"] = f'"{SHA256}"'
    message = places.failure(source(f"{server.address}/poem.txt", sha256=LINKED))
    assert f"24 bytes have sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {SHA256}" in message


def test_an_address_that_announces_no_checksum_is_refused(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    assert "announces no sha256 in x-linked-etag" in places.failure(source(f"{server.address}/poem.txt", sha256=LINKED))
    assert server.asked == ["HEAD /poem.txt"]


def test_a_mirror_is_taken_at_its_word_where_the_address_that_announces_cannot_be_reached(
    server: Any, places: Places, mirror: Path
) -> None:
    (mirror / "poem.txt").write_bytes(OTHER)
    fetched = places.bring(source(f"{NOBODY}/poem.txt", sha256=LINKED), mirror)
    assert fetched == Fetched(str(mirror / "poem.txt"), hashlib.sha256(OTHER).hexdigest(), 24)
    server.files["/poem.txt"] = CONTENT
    assert places.bring(source(f"{NOBODY}/poem.txt", sha256=LINKED), server.address).sha256 == SHA256
    assert "HEAD" not in " ".join(server.asked)


def test_a_mirror_has_the_announced_checksum_where_the_address_can_be_reached(
    server: Any, places: Places, mirror: Path
) -> None:
    server.linked["/poem.txt"] = f'"{SHA256}"'
    wanted = source(f"{NOBODY}/poem.txt", f"{server.address}/poem.txt", sha256=LINKED)
    (mirror / "poem.txt").write_bytes(OTHER)
    message = places.failure(wanted, mirror)
    assert f"the mirror has another file: {mirror / 'poem.txt'}: 24 bytes have sha256" in message
    assert f"expected {SHA256}" in message
    (mirror / "poem.txt").write_bytes(CONTENT)
    assert places.bring(wanted, mirror) == Fetched(str(mirror / "poem.txt"), SHA256, 35)
    assert server.asked == ["HEAD /poem.txt"] * 2


def test_a_file_with_the_announced_checksum_is_not_fetched_again(server: Any, places: Places) -> None:
    server.linked["/poem.txt"] = f'"{SHA256}"'
    places.destination.parent.mkdir(parents=True)
    places.destination.write_bytes(CONTENT)
    fetched = places.bring(source(f"{server.address}/poem.txt", sha256=LINKED))
    assert fetched == Fetched(str(places.destination), SHA256, 35)
    assert server.asked == ["HEAD /poem.txt"]


def test_an_address_that_answers_and_announces_nothing_makes_no_mirror_trusted(
    server: Any, places: Places, mirror: Path
) -> None:
    (mirror / "poem.txt").write_bytes(OTHER)
    message = places.failure(source(f"{server.address}/poem.txt", sha256=LINKED), mirror)
    assert "announces no sha256 in x-linked-etag; write the file's own into the settings" in message


def test_an_address_that_fails_when_asked_quickly_is_asked_again(server: Any, places: Places) -> None:
    server.files["/poem.txt"] = CONTENT
    server.linked["/poem.txt"] = f'"{SHA256}"'
    server.answers += ["500"]
    assert places.bring(source(f"{server.address}/poem.txt", sha256=LINKED)).sha256 == SHA256
    assert server.asked == ["HEAD /poem.txt", "HEAD /poem.txt", "/poem.txt"]


def test_what_came_over_the_network_is_kept_for_others_by_its_checksum(
    server: Any, places: Places, tmp_path: Path
) -> None:
    server.files["/poem.txt"] = CONTENT
    cache, address = tmp_path / "cache", f"{server.address}/poem.txt"
    assert places.bring(source(address), cache=cache).address == address
    places.destination.unlink()
    assert places.bring(source(address), cache=cache) == Fetched(str(cache / SHA256), SHA256, 35)
    assert places.destination.read_bytes() == CONTENT
    assert server.asked == ["/poem.txt"]
    assert [each.name for each in cache.iterdir() if each.suffix != ".lock"] == [SHA256]
    places.destination.write_bytes(OTHER)  # an edit of ours is nobody else's
    assert (cache / SHA256).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_named_and_fetched_again(server: Any, places: Places, tmp_path: Path) -> None:
    server.files["/poem.txt"] = CONTENT
    (tmp_path / SHA256).write_bytes(OTHER)
    told: list[str] = []
    places.bring(source(f"{server.address}/poem.txt"), cache=tmp_path, told=told.append)
    assert told == [f"{tmp_path / SHA256}: damaged; it is removed and fetched again"]
    assert (tmp_path / SHA256).read_bytes() == places.destination.read_bytes() == CONTENT


def test_a_download_into_the_cache_that_stopped_is_resumed(server: Any, places: Places, tmp_path: Path) -> None:
    server.files["/poem.txt"] = CONTENT
    server.answers += ["half"]
    places.failure(source(f"{server.address}/poem.txt"), attempts=1, cache=tmp_path / "cache")
    places.bring(source(f"{server.address}/poem.txt"), cache=tmp_path / "cache")
    assert server.asked[1] == '/poem.txt bytes=18- "first"'


def test_what_is_on_this_machine_is_not_kept_twice(places: Places, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_bytes(CONTENT)
    places.bring(source(str(tmp_path / "own.txt")), cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_member_that_unpacks_to_too_much_is_refused(server: Any, places: Places) -> None:
    server.files["/poems.zip"] = zipped(poem=bytes(10_000_000))
    wanted = replace(source(f"{server.address}/poems.zip", member="poem"), most_unpacked_bytes=1_000_000)
    message = places.failure(wanted)
    assert "poem unpacks to 10,000,000 bytes; most_unpacked_bytes is 1,000,000" in message
