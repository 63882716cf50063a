"""What a source says of a file is refused where it makes no sense."""

from typing import Any

import pytest

from components.corpus.source import LINKED, Source

SHA256 = "693e4c9e4a97af02090d13e692823190c2f3a8ad4f1356f0e70cad4a448b2b79"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../poem.txt"}, "file of poem is '../poem.txt'; expected a relative path"),
        ({"file": "/poem.txt"}, "file of poem is '/poem.txt'"),
        ({"file": ""}, "file of poem is ''"),
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
        Source("poem", "poem.txt", "corpus", ("https://example.org/poem.zip",), LINKED, "public domain", "poem.txt")
