"""Where a mirror is asked for a file, likeliest first."""

from pathlib import Path

from components.corpus.mirrors import Place, mirrored
from components.corpus.source import Source

SMS = Source(
    "sms", "spam/messages", "tasks", ("https://example.org/228/sms+spam.zip",), "0" * 64, "CC BY 4.0", "messages.txt"
)


def test_a_server_is_asked_for_the_addresss_path_then_for_the_file_then_for_bare_names() -> None:
    assert mirrored(SMS, "http://mirror/base/") == [
        Place("http://mirror/base/228/sms+spam.zip", "messages.txt"),
        Place("http://mirror/base/spam/messages", None),
        Place("http://mirror/base/sms+spam.zip", "messages.txt"),
        Place("http://mirror/base/messages.txt", None),
    ]


def test_a_folder_is_asked_for_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/messages.txt").touch()
    assert mirrored(SMS, str(tmp_path)) == [Place(str(tmp_path / "deep/messages.txt"), None)]


def test_no_mirror_is_asked_for_a_file_of_this_machine(tmp_path: Path) -> None:
    own = Source("own", "own.txt", "corpus", ("/texts/own.txt",), None, "mine", None)
    assert mirrored(own, str(tmp_path)) == []
    assert mirrored(SMS, None) == []
