"""Documents are read from files and split without a text on both sides."""

import json
import sqlite3
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.corpus import documents
from components.corpus.documents import Document, SplitSettings
from components.corpus.reading import ReadingSettings, Refused, Text

READING = ReadingSettings("text", "source", gutenberg=False, most_unpacked_bytes=10**6, most_line_bytes=10**6)
BY_DOCUMENT = SplitSettings(by="document", validation_share=0.5, seed=1)
BY_POSITION = SplitSettings(by="position", validation_share=0.1, seed=1)
DATA = Path(__file__).parents[4] / "shared" / "data"


def found(folder: Path, split: SplitSettings) -> list[Document | Refused]:
    return list(documents.read(folder, split, READING))


def read(folder: Path, split: SplitSettings) -> list[Document]:
    return [each for each in found(folder, split) if isinstance(each, Document)]


def left_out(folder: Path) -> list[Refused]:
    return [each for each in found(folder, BY_DOCUMENT) if isinstance(each, Refused)]


def texts(documents: list[Document], split: str) -> list[str]:
    return [document.text for document in documents if document.split == split]


HELD_BY_TEXT = ["e"]
HELD_BY_SOURCE = ["e", "g", "j"]


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    for letter in "abcdefghij":
        (tmp_path / f"{letter}.txt").write_text(f"text {letter}", encoding="utf-8")
    return tmp_path


def test_a_txt_file_is_one_document_cut_as_the_book_cuts_it(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("abcdefghijklmnopqrs", encoding="utf-8")  # 19 characters, int(0.9 * 19) = 17
    assert read(tmp_path, BY_POSITION) == [
        Document("story", 0, "abcdefghijklmnopq", "train", "story.txt"),
        Document("story", 1, "rs", "validation", "story.txt", begin=17),
    ]


def test_where_a_part_begins_is_counted_in_bytes(tmp_path: Path) -> None:
    text = "caf\u00e9 \u20ac and more"  # 15 characters, of which int(0.5 * 15) = 7 train
    (tmp_path / "story.txt").write_text(text, encoding="utf-8")
    (_, second) = read(tmp_path, SplitSettings(by="position", validation_share=0.5, seed=1))
    assert (second.text, second.begin) == ("and more", 10)


def test_the_same_text_in_members_of_one_name_is_one_document(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", "the same")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.txt", "the same")
    (tmp_path / "b.txt").write_text("another", encoding="utf-8")
    assert len(read(tmp_path, SplitSettings(by="position", validation_share=0.5, seed=1))) == 4


def test_a_disk_without_room_for_the_index_is_one_line(letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = documents._index

    def small() -> sqlite3.Connection:
        index = made()
        index.execute("PRAGMA max_page_count = 1")
        return index

    monkeypatch.setattr(documents, "_index", small)
    with pytest.raises(OSError, match=r"the index of texts cannot be written: .*; set SQLITE_TMPDIR to a folder"):
        for n in range(1000):
            (letters / f"more{n}.txt").write_text(f"{n}")
        found(letters, BY_DOCUMENT)


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data on this machine")
def test_the_verdict_trains_with_its_first_18431_characters(tmp_path: Path) -> None:
    (tmp_path / "the-verdict.txt").write_bytes((DATA / "book/the-verdict.txt").read_bytes())
    training, validation = read(tmp_path, BY_POSITION)
    assert (len(training.text), len(validation.text)) == (18431, 2048)  # the book: 20,479 characters, int(0.9 n)


def test_a_line_of_a_jsonl_file_is_one_document_with_its_own_source(tmp_path: Path) -> None:
    lines = [{"source": "json", "text": "first\u2028line"}, {"source": "csv", "text": "second"}]
    rows = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (tmp_path / "two.jsonl").write_text(rows, encoding="utf-8")
    documents = read(tmp_path, SplitSettings(by="position", validation_share=0.5, seed=0))
    assert [(document.source, document.text) for document in documents] == [
        ("json", "first"),
        ("json", "\u2028line"),
        ("csv", "sec"),
        ("csv", "ond"),
    ]


def test_by_document_the_side_is_drawn_from_seed_and_text(letters: Path) -> None:
    # From `printf '7\\ntext a' | sha256sum` and so on: those whose first two digits are below 4d, which is 0.3 of 256.
    documents = read(letters, SplitSettings(by="document", validation_share=0.3, seed=7))
    assert [document.source for document in documents if document.split == "validation"] == HELD_BY_TEXT
    assert [document.index for document in documents] == list(range(10))


def test_by_source_an_edited_document_keeps_its_side(letters: Path) -> None:
    by_source = SplitSettings(by="source", validation_share=0.3, seed=7)
    held = [document.source for document in read(letters, by_source) if document.split == "validation"]
    assert held == HELD_BY_SOURCE
    for file in letters.iterdir():
        file.write_text(f"{file.read_text()} and more")
    assert [document.source for document in read(letters, by_source) if document.split == "validation"] == held


def test_a_document_stays_on_its_side_when_others_come_and_go(letters: Path) -> None:
    before = texts(read(letters, BY_DOCUMENT), "validation")
    (letters / "0-new.txt").write_text("a new one, sorted first", encoding="utf-8")
    (letters / "j.txt").unlink()
    after = texts(read(letters, BY_DOCUMENT), "validation")
    assert [each for each in before if each != "text j"] == [
        each for each in after if each != "a new one, sorted first"
    ]


def test_another_seed_draws_another_split(letters: Path) -> None:
    other = SplitSettings(by="document", validation_share=0.5, seed=2)
    assert texts(read(letters, BY_DOCUMENT), "train") != texts(read(letters, other), "train")


def test_a_text_that_stands_again_is_left_out_and_says_where_it_stood_first(letters: Path) -> None:
    (letters / "again.txt").write_text("text c", encoding="utf-8")
    (letters / "lines.jsonl").write_text('{"source": "again", "text": "text d"}\n', encoding="utf-8")
    assert sorted(document.text for document in read(letters, BY_DOCUMENT)) == [
        f"text {letter}" for letter in "abcdefghij"
    ]
    assert left_out(letters) == [
        Refused("c.txt", "the same text as again.txt", kind="duplicates"),
        Refused("lines.jsonl line 1", "the same text as d.txt", kind="duplicates"),
    ]


def test_files_are_read_in_the_order_of_their_paths_and_folders_too(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}", encoding="utf-8")
    documents = read(tmp_path, BY_POSITION)
    assert [document.source for document in documents if document.split == "train"] == ["z", "b", "c"]


def test_what_cannot_be_read_is_kept_beside_the_documents(letters: Path) -> None:
    (letters / "blank.txt").write_text(" \n\n", encoding="utf-8")
    (letters / "rows.jsonl").write_text('{"source": "k", "text": "text k"}\n["a"]\n', encoding="utf-8")
    assert len(read(letters, BY_DOCUMENT)) == 11
    assert left_out(letters) == [
        Refused("blank.txt", "blank; expected text"),
        Refused("rows.jsonl line 2", "list; expected an object with a string 'text'"),
    ]
    assert {each.encoding for each in read(letters, BY_DOCUMENT)} == {"utf-8"}


def test_the_encoding_of_a_file_that_is_not_utf8_is_told(letters: Path) -> None:
    (letters / "wide.txt").write_bytes("text w\n".encode("utf-16"))
    (wide,) = [each for each in read(letters, BY_DOCUMENT) if each.encoding != "utf-8"]
    assert (wide.place, wide.encoding, wide.text) == ("wide.txt", "utf_16", "text w\n")


def test_a_corpus_of_refusals_alone_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "page.html").touch()
    with pytest.raises(ValueError, match=r"nothing can be read; 2 refused, first empty\.txt: blank"):
        read(tmp_path, BY_DOCUMENT)


def test_an_empty_split_names_the_other_way_to_split(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("only one", encoding="utf-8")
    with pytest.raises(ValueError, match=r"1 document\(s\) split by document .* leave \w+ empty; set by: position, "):
        read(tmp_path, BY_DOCUMENT)
    with pytest.raises(ValueError, match="set by: position, by: document with most_characters, or another validation_"):
        read(tmp_path, SplitSettings(by="source", validation_share=0.3, seed=1))
    with pytest.raises(ValueError, match="leave train empty; set by: document, or another validation_share"):
        read(tmp_path, SplitSettings(by="position", validation_share=0.99, seed=1))


def test_a_long_text_is_cut_at_paragraphs_and_each_part_drawn_for_itself(tmp_path: Path) -> None:
    text = "".join(f"Paragraph {n} of the caf\u00e9.\n\n" for n in range(40))
    (tmp_path / "tale.txt").write_text(text, encoding="utf-8")
    (tmp_path / "short.txt").write_text("Short.", encoding="utf-8")
    short, *parts = read(tmp_path, SplitSettings("document", 0.4, 1, most_characters=60))
    assert (short.text, short.begin) == ("Short.", 0)
    assert "".join(part.text for part in parts) == text
    assert {len(part.text.strip().split("\n\n")) for part in parts} == {2}
    assert all(text.encode()[part.begin :].startswith(part.text.encode()) for part in parts)
    assert [part.index for part in parts] == list(range(1, 21))
    assert {part.place for part in parts} == {"tale.txt"}
    assert {part.split for part in parts} == {"train", "validation"}


def test_by_source_all_parts_are_on_one_side_and_by_position_nothing_is_cut(letters: Path) -> None:
    (letters / "long.txt").write_text("".join(f"w{n:03d} " for n in range(50)), encoding="utf-8")
    by_source = SplitSettings("source", 0.3, 7, most_characters=20)
    sides = [each.split for each in read(letters, by_source) if each.source == "long"]
    assert len(sides) == 13
    assert len(set(sides)) == 1
    by_position = SplitSettings("position", 0.3, 7, most_characters=20)
    assert [len(each.text) for each in read(letters, by_position) if each.source == "long"] == [175, 75]


def test_a_blank_part_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "gap.txt").write_text("a\n\n" + "\n" * 20 + "b", encoding="utf-8")
    parts = read(tmp_path, SplitSettings("document", 0.5, 3, most_characters=7))
    assert [(part.text.strip(), part.begin) for part in parts] == [("a", 0), ("b", 21)]


def test_parts_that_stand_twice_are_left_out_and_say_where(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("caf\u00e9\n\nsame\n\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("other\n\nsame\n\nmore\n\nsame\n\n", encoding="utf-8")
    by_document = SplitSettings("document", 0.5, 1, most_characters=7)
    assert [each for each in found(tmp_path, by_document) if isinstance(each, Refused)] == [
        Refused("b.txt byte 7", "the same text as a.txt byte 7", kind="duplicates"),
        Refused("b.txt byte 19", "the same text as a.txt byte 7", kind="duplicates"),
    ]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.text("ab ", min_size=1, max_size=4).filter(str.strip), min_size=4, max_size=12), st.data())
def test_a_document_that_comes_moves_no_other(tmp_path: Path, those: set[str], data: st.DataObject) -> None:
    others = sorted(those)
    come = data.draw(st.sets(st.sampled_from(others), min_size=1, max_size=3))

    def sides(some: list[str]) -> dict[str, str]:
        rows = "".join(json.dumps({"source": "s", "text": each}) + "\n" for each in some)
        (tmp_path / "rows.jsonl").write_text(rows)
        drawn = {}
        with suppress(ValueError):  # one side may be empty, which is told at the end
            for each in documents.read(tmp_path, BY_DOCUMENT, READING):
                assert isinstance(each, Document)
                drawn[each.text] = each.split
        return drawn

    before = sides([each for each in others if each not in come])
    after = sides(data.draw(st.permutations(others)))
    assert len(after) == len(others)
    assert before.items() <= after.items()


def test_what_is_sifted_out_is_left_out_before_the_split_and_after_exact_duplicates(letters: Path) -> None:
    (letters / "again.txt").write_text("text c", encoding="utf-8")

    def sift(those: documents.Found) -> documents.Found:
        for each in those:
            is_alike = isinstance(each, Text) and each.text in ("text c", "text d")
            yield Refused(each.place, "nearly the same text as b.txt", kind="near_duplicates") if is_alike else each

    left = list(documents.read(letters, BY_DOCUMENT, READING, sift=sift))
    assert [each for each in left if isinstance(each, Refused)] == [
        Refused("again.txt", "nearly the same text as b.txt", kind="near_duplicates"),
        Refused("c.txt", "the same text as again.txt", kind="duplicates"),
        Refused("d.txt", "nearly the same text as b.txt", kind="near_duplicates"),
    ]
    assert [each.index for each in left if isinstance(each, Document)] == list(range(8))


def test_less_than_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="most_characters is 0; expected at least 1, or null"):
        SplitSettings("document", 0.5, 1, most_characters=0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="validation_share is"):
        SplitSettings(by="document", validation_share=share, seed=1)


def test_an_unknown_way_to_split_is_refused() -> None:
    with pytest.raises(ValueError, match="by is 'line'"):
        SplitSettings(by="line", validation_share=0.1, seed=1)  # type: ignore[arg-type]
