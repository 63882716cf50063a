"""Long texts in parts."""

from collections.abc import Iterator

_ENDS = ("\n\n", "\n", " ")  # of a paragraph, a line, a word


def cut(text: str, most_characters: int) -> Iterator[str]:
    r"""Yield a text in parts of at most so many characters; joined they are the text again.

    Each but the last ends with its last empty line, or else its last line end, or else its last space; with none of
    these it has all the characters that it may.

    >>> list(cut("One.\n\nTwo.\nThree four", 12))
    ['One.\n\n', 'Two.\n', 'Three four']
    """
    begin = 0
    while len(text) - begin > most_characters:
        limit = begin + most_characters
        ends = (found + len(end) for end in _ENDS if (found := text.rfind(end, begin, limit)) >= 0)
        end = next(ends, limit)
        yield text[begin:end]
        begin = end
    yield text[begin:]
