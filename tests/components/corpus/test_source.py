"""What a source says of a file is refused where it makes no sense."""

from pathlib import Path
from typing import Any

import pytest

from components.corpus.source import LINKED, Source, local

SHA256 = "693e4c9e4a97af02090d13e692823190c2f3a8ad4f1356f0e70cad4a448b2b79"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../poem.txt"}, "file of poem is '../poem.txt'; expected a relative path"),
        ({"file": "/poem.txt"}, "file of poem is '/poem.txt'"),
        ({"addresses": ("https://example.org/?id=3",), "file": ""}, "file of poem is ''"),
        ({"addresses": ("..",), "file": ""}, "file of poem is '..'"),
        ({"manifest": True, "member": "poem.txt"}, "member of poem is 'poem.txt'; expected null, for a manifest"),
        ({"most_unpacked_bytes": 0}, "most_unpacked_bytes of poem is 0; expected at least 1"),
        ({"addresses": ()}, "addresses of poem are empty"),
        ({"addresses": ("ftp://example.org/poem",)}, "have 'ftp://example.org/poem'; expected http"),
        ({"addresses": ("pydocs:words",)}, "have 'pydocs:words'; expected pydocs:documents or pydocs:entries"),
        ({"sha256": "abc"}, "sha256 of poem is 'abc'; expected 64"),
        ({"sha256": None}, "sha256 of poem is null; a file that comes over the network needs one"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    right = {
        "name": "poem",
        "file": "book/poem.txt",
        "role": "corpus",
        "addresses": ("https://example.org/poem.txt",),
        "sha256": SHA256,
        "licence": "public domain",
        "member": None,
    }
    assert Source(**right).file == "book/poem.txt"
    with pytest.raises(ValueError, match=message):
        Source(**(right | change))


def test_an_archives_announced_checksum_is_not_its_members() -> None:
    with pytest.raises(ValueError, match="x-linked-etag, which is the archive's; expected the member's own"):
        Source(role="corpus", addresses=("https://example.org/poem.zip",), sha256=LINKED, member="poem.txt")


@pytest.mark.parametrize(
    ("address", "more", "file"),
    [
        ("/home/me/texts", {}, "texts"),
        ("/home/me/texts/", {}, "texts"),
        ("/home/me/notes.txt", {}, "notes.txt"),
        ("/home/me/texts/*.txt", {}, "texts"),
        ("/home/me/texts/**/*.md", {}, "texts"),
        ("/home/me/texts/SHA256SUMS", {"manifest": True}, "texts"),
        ("pydocs:documents", {}, "pydocs.jsonl"),
        ("https://example.org/a%20poem.txt?raw=1", {"sha256": SHA256}, "a poem.txt"),
        ("https://example.org/poems.zip", {"sha256": SHA256, "member": "all/poem.txt"}, "poem.txt"),
        ("https://example.org/poems/SHA256SUMS", {"sha256": SHA256, "manifest": True}, "poems"),
    ],
)
def test_role_and_address_are_enough(address: str, more: dict[str, Any], file: str) -> None:
    source = Source(role="corpus", addresses=(address,), **more)
    assert (source.name, source.file, source.licence) == (address, file, None)


def test_a_name_that_is_the_address_has_no_password() -> None:
    source = Source(role="corpus", addresses=("https://me:secret@example.org/poem.txt",), sha256=SHA256)
    assert source.name == "https://example.org/poem.txt"


def test_the_users_folder_is_a_tilde() -> None:
    assert local("~/texts") == Path.home() / "texts"


def test_a_users_folder_that_is_not_known_is_named() -> None:
    expected = (
        "addresses have '~no-such-user/a.txt', in a user's folder that is not known here; expected ~/ or the whole"
    )
    with pytest.raises(ValueError, match=expected):
        Source(role="corpus", addresses=("~no-such-user/a.txt",))


def test_a_path_that_may_not_be_looked_at_makes_sense() -> None:
    too_long = "a" * 300  # the system refuses to look at it, whoever asks
    assert Source(role="corpus", addresses=(too_long,)).file == too_long
