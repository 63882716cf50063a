"""Where a mirror is asked for a file, likeliest first."""

from pathlib import Path
from urllib.parse import quote

from components.corpus.mirrors import Place, mirrored
from components.corpus.source import Source

SMS = Source(
    role="tasks",
    addresses=("https://example.org/228/sms+spam.zip",),
    file="spam/messages",
    sha256="0" * 64,
    member="messages.txt",
)


def test_a_server_is_asked_for_the_addresss_path_then_for_the_file_then_for_bare_names() -> None:
    assert list(mirrored(SMS, "http://mirror/base/")) == [
        Place("http://mirror/base/228/sms+spam.zip", "messages.txt"),
        Place("http://mirror/base/spam/messages", None),
        Place("http://mirror/base/sms+spam.zip", "messages.txt"),
        Place("http://mirror/base/messages", None),
        Place("http://mirror/base/messages.txt", None),
    ]


def test_a_folder_is_asked_for_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/messages.txt").touch()
    assert list(mirrored(SMS, str(tmp_path))) == [Place(str(tmp_path / "deep/messages.txt"), None)]


def test_a_folder_may_have_the_file_by_the_sources_own_name_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/messages").touch()
    assert list(mirrored(SMS, str(tmp_path))) == [Place(str(tmp_path / "deep/messages"), None)]


def test_the_path_is_asked_for_before_the_name_which_is_a_guess(tmp_path: Path) -> None:
    for place in ("poem.txt", "deep/poem.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    poem = Source(role="corpus", addresses=("https://example.org/poem.txt",), sha256="0" * 64)
    places = [(each.address, each.is_guess) for each in mirrored(poem, str(tmp_path))]
    assert places == [(f"{tmp_path}/poem.txt", False), (f"{tmp_path}/deep/poem.txt", True)]


def test_no_path_leads_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret.txt").touch()
    for path in (quote(f"{tmp_path}/secret.txt", safe=""), "%2E%2E/secret.txt", "..%2Fsecret.txt"):
        wanted = Source(role="corpus", addresses=(f"https://example.org/{path}",), file="own", sha256="0" * 64)
        assert list(mirrored(wanted, str(tmp_path / "mirror"))) == []


def test_no_mirror_is_asked_for_a_file_of_this_machine(tmp_path: Path) -> None:
    own = Source(role="corpus", addresses=("/texts/own.txt",))
    assert list(mirrored(own, str(tmp_path))) == []
    assert list(mirrored(SMS, None)) == []
