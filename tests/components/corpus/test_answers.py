"""What a server's answer says, read without a server; with one: test_streaming.py."""

from pathlib import Path

import httpx
import pytest

from components.corpus.answers import (
    MissingError,
    PassingError,
    StreamError,
    first_byte,
    keep_validator,
    refuse_failures,
    request_headers,
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"etag": '"one"', "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, '"one"'),
        ({"etag": 'W/"one"', "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ({"etag": 'W/"one"'}, None),
        ({}, None),
    ],
)
def test_the_rest_is_asked_for_as_far_as_the_first_answer_told_its_version(
    part: Path, headers: dict[str, str], condition: str | None
) -> None:
    keep_validator(httpx.Response(200, headers=headers), part)
    assert request_headers(part, 5).get("if-range") == condition
    assert request_headers(part, 5)["range"] == "bytes=5-"
    assert request_headers(part, 0) == {"accept-encoding": "identity"}


@pytest.mark.parametrize(
    ("status", "kind"), [(404, MissingError), (403, MissingError), (400, StreamError), (503, PassingError)]
)
def test_an_answer_without_a_file_is_refused(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^answered {status} "):
        refuse_failures(httpx.Response(status))


def test_a_wait_of_five_minutes_is_granted_and_a_longer_one_is_not() -> None:
    with pytest.raises(PassingError) as caught:
        refuse_failures(httpx.Response(429, headers={"retry-after": "300"}))
    assert caught.value.asked_wait_s == 300
    with pytest.raises(StreamError, match="asks for 301 s of rest"):
        refuse_failures(httpx.Response(429, headers={"retry-after": "301"}))


def test_a_range_of_another_version_is_refused_and_the_part_is_gone(part: Path) -> None:
    part.write_bytes(b"first")
    keep_validator(httpx.Response(200, headers={"etag": '"one"'}), part)
    rest = {"content-range": "bytes 5-9/10"}
    assert first_byte(httpx.Response(206, headers=rest | {"etag": '"one"'}), part, 5) == 5
    with pytest.raises(PassingError, match="sent another version's bytes after 5"):
        first_byte(httpx.Response(206, headers=rest | {"etag": '"two"'}), part, 5)
    assert not part.exists()
