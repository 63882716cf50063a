"""Bytes in known encodings, by Python's own codecs, and such as are none."""

import pytest

from components.corpus.encoding import decoded, utf8

GERMAN = "\u00dcber die Stra\u00dfe gehen h\u00e4ufig gr\u00f6\u00dfere V\u00f6gel, die sich fr\u00fch zeigen.\n"
RUSSIAN = (
    "\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b\u0435 \u0441\u0435\u043c\u044c\u0438\n"
)
CHINESE = (
    "\u65e0\u540d\u5929\u5730\u4e4b\u59cb\uff1b\u6709\u540d\u4e07\u7269\u4e4b"
    "\u6bcd\u3002\u6545\u5e38\u65e0\u6b32\uff0c\u4ee5\u89c2\u5176\u5999\uff1b\n"
)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE, ""])
def test_utf8_is_read_as_it_is(text: str) -> None:
    assert utf8(text.encode()) == text
    assert decoded(text.encode()) == (text, "utf-8")


def test_what_is_not_utf8_names_its_first_wrong_byte() -> None:
    with pytest.raises(ValueError, match=r"^not UTF-8 \(byte 0xe9 at offset 3\)$"):
        utf8(b"caf\xe9 and \xff")


@pytest.mark.parametrize(
    ("text", "encoding"), [(RUSSIAN, "utf-16"), (RUSSIAN, "utf-32"), (RUSSIAN, "iso8859-5"), (CHINESE, "gb18030")]
)
def test_another_encoding_is_found_where_it_is_certain(text: str, encoding: str) -> None:
    content = (text * 9).encode(encoding)
    found, its = decoded(content)
    assert found == text * 9
    assert found.encode(its) == content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            "caf\u00e9 and more".encode("latin-1"),
            "not UTF-8 (byte 0xe9 at offset 3), and no other encoding is certain; convert it",
        ),
        ((GERMAN * 9).encode() + b"caf\xe9\n", "no other encoding is certain"),
        ((GERMAN * 30).encode("latin-1") + (GERMAN * 30).encode(), "but UTF-8 elsewhere: mixed encodings"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 (byte 0x89 at offset 0), and a NUL at offset 8"),
    ],
    ids=["one letter", "one byte in UTF-8", "mixed", "a picture"],
)
def test_what_is_not_certain_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as told:
        decoded(content)
    assert reason in str(told.value)
