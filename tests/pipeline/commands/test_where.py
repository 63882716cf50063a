"""A window is led back to the bytes of its documents."""

import json
import re
from dataclasses import replace

import pytest

from components.corpus import documents
from components.corpus.documents import Document, SplitSettings
from components.corpus.reading import ReadingSettings
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows import shards
from components.windows.windows import Windows
from pipeline import encoding, paths

READING = ReadingSettings("text", "source", gutenberg=False, most_unpacked_bytes=10**6, most_line_bytes=10**6)
LINE = re.compile(r"document \d+, (\S+): (\S+?)(?: line (\d+))?, bytes (\d+):(\d+): (.*)")
RECORDS = [{"source": f"page{n}", "text": f"Text {n}: caf\u00e9 \u20ac {'more ' * n}end."} for n in range(12)]


@pytest.fixture
def shown(project, main, capsys):
    """What makes tokens and shards of the corpus and returns what `where` prints."""
    paths.RAW_CORPUS.mkdir(parents=True)

    def shown(by: str, split: str, window: int, most_characters: int | None = None) -> list[str]:
        read = documents.read(paths.RAW_CORPUS, SplitSettings(by, 0.3, 1, most_characters), READING)
        found = [each for each in read if isinstance(each, Document)]
        tokenizer = Tokenizer.trained((each.text for each in found), 270)
        tokenizer.save(paths.TOKENIZER)
        encoding.write(found, tokenizer, paths.TOKENS, processes=1)
        written = [
            shards.write(
                table.ids(paths.TOKENS, name),
                paths.SHARDS,
                name,
                end_of_text=tokenizer.end_of_text,
                vocab_size=270,
                shard_size=100,
                size_bytes=1,
            )
            for name in ("train", "validation")
        ]
        shards.write_index(paths.SHARDS, written, context_length=32, stride=16, vocab_size=270)
        assert main(["where", split, str(window)]) == 0
        return capsys.readouterr().out.splitlines()

    return shown


def test_each_line_names_the_bytes_that_stand_where_it_says(shown):
    (paths.RAW_CORPUS / "pages.jsonl").write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    lines = shown("document", "train", 3)
    assert len(lines) > 1
    for line in lines:
        source, file, number, begin, end, text = LINE.fullmatch(line).groups()
        assert file == "pages.jsonl"
        record = RECORDS[int(number) - 1]
        assert record["source"] == source
        assert repr(record["text"].encode()[int(begin) : int(end)].decode(errors="replace")) == text


def test_the_end_of_a_text_is_found_in_the_whole(shown):
    text = "".join(f"Line {n} of the caf\u00e9.\n" for n in range(60))
    (paths.RAW_CORPUS / "tale.txt").write_text(text, encoding="utf-8")
    (line,) = shown("position", "validation", 0)
    source, file, _, begin, end, shown_text = LINE.fullmatch(line).groups()
    assert (source, file, int(begin)) == ("tale", "tale.txt", len(text[: int(0.7 * len(text))].encode()))
    assert repr(text.encode()[int(begin) : int(end)].decode(errors="replace")) == shown_text


def test_a_part_of_a_long_text_is_found_in_the_whole(shown):
    text = "".join(f"Line {n} of the caf\u00e9.\n\n" for n in range(60))
    (paths.RAW_CORPUS / "tale.txt").write_text(text, encoding="utf-8")
    begins = []
    for line in shown("document", "validation", 3, most_characters=50):
        source, file, _, begin, end, shown_text = LINE.fullmatch(line).groups()
        assert (source, file) == ("tale", "tale.txt")
        assert repr(text.encode()[int(begin) : int(end)].decode(errors="replace")) == shown_text
        begins.append(int(begin))
    assert len(begins) > 1
    assert min(begins) > 50


@pytest.mark.parametrize("window", ["-1", "1000000"])
def test_a_window_that_is_not_there_is_one_line(shown, main, capsys, window):
    (paths.RAW_CORPUS / "pages.jsonl").write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    shown("document", "train", 0)
    count = len(Windows(paths.SHARDS, "train"))
    assert main(["where", "train", f"{window}"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"error: train has no window {window}; expected 0..{count - 1}"


def test_without_shards_it_says_so(project, main, capsys):
    assert main(["where", "train", "0"]) == 1
    assert "no folder of shards" in capsys.readouterr().err


def test_shards_of_other_tokens_are_told(shown, main, capsys):
    page = paths.RAW_CORPUS / "pages.jsonl"
    page.write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    shown("document", "train", 0)
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    rows = [replace(row, ids=row.ids[::-1]) for row in table.read(paths.TOKENS)]
    paths.remove(paths.TOKENS)
    table.write(rows, paths.TOKENS, tokenizer.vocab_size)
    assert main(["where", "train", "0"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: data/shards is of other tokens than data/tokens; run dvc repro shard"
    )
