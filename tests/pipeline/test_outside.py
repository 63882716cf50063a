import hashlib
import json
import logging
import os

import pytest

from pipeline import outside, paths

UNLOOKABLE = "a" * 300  # a name at which the system refuses to look, whoever asks


@pytest.fixture
def texts(project):
    (project / "texts/old").mkdir(parents=True)
    (project / "data").mkdir()
    for name, text in (("b.txt", "one"), ("old/a.txt", "three")):
        (project / "texts" / name).write_text(text)
        os.utime(project / "texts" / name, ns=(7, 1_000_000_007))
    return project / "texts"


def noted(*sources):
    paths.PARAMS.write_text(json.dumps({"download": {"sources": sources}}))  # JSON is YAML
    outside.note()
    return paths.OUTSIDE.read_text() if paths.OUTSIDE.exists() else None


def source(*addresses, **more):
    return {"role": "corpus", "addresses": [str(each) for each in addresses], **more}


def line(address, *states):
    listing = "".join(f"{state}\n" for state in states)
    return f"{hashlib.sha256(listing.encode()).hexdigest()} {len(states)} {address}\n"


def test_a_source_is_a_line_with_a_checksum_of_its_files_sizes_and_times(texts):
    a, b = f"5 1000000007 {texts}/old/a.txt", f"3 1000000007 {texts}/b.txt"
    assert noted(source(texts)) == line(texts, b, a)
    assert noted(source(texts / "old/*.txt")) == line(texts / "old/*.txt", a)
    assert noted(source(texts / "b.txt"), source("pydocs:documents")) == line(texts / "b.txt", b)
    assert noted(source(texts / "b.txt"), source(texts / "old")) == line(texts / "b.txt", b) + line(texts / "old", a)


def test_a_new_text_and_a_changed_one_are_noticed(texts):
    first = noted(source(texts))
    (texts / "c.txt").write_text("new")
    second = noted(source(texts))
    os.utime(texts / "c.txt", ns=(7, 2_000_000_000))
    assert len({first, second, noted(source(texts))}) == 3


def test_of_several_paths_the_first_that_is_there_counts(texts):
    address = "https://example.org/a.txt"
    b = f"3 1000000007 {texts}/b.txt"
    assert noted(source("gone.txt", texts / "b.txt")) == line("gone.txt", b)
    assert noted(source(address, texts / "b.txt", sha256="0" * 64)) == line(texts / "b.txt", b)


def test_where_nothing_has_changed_nothing_is_written(texts):
    noted(source(texts))
    os.utime(paths.OUTSIDE, ns=(1, 1))
    noted(source(texts))
    assert paths.OUTSIDE.stat().st_mtime_ns == 1


def test_sources_without_a_path_make_no_file(texts):
    address = "https://example.org/a.txt"
    assert noted(source("pydocs:documents"), source(address, sha256="0" * 64)) is None


@pytest.mark.parametrize("away", ["gone.txt", "gone/*.txt", UNLOOKABLE, f"{UNLOOKABLE}/*.txt"])
def test_a_source_that_cannot_be_listed_keeps_its_line_and_hides_no_other(texts, away, caplog):
    paths.OUTSIDE.write_text(f"aa 3 elsewhere\nbb 1 {away}\n")
    with caplog.at_level(logging.WARNING, "pipeline"):
        now = noted(source(away), source(texts / "b.txt"), source("gone too"))
    assert now == f"bb 1 {away}\n" + line(texts / "b.txt", f"3 1000000007 {texts}/b.txt")
    said = [each.getMessage() for each in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("download.sources: one cannot be listed and counts as unchanged: ")
    assert said[1].endswith(": gone too: no such file; check the path")


def test_a_file_that_no_longer_reads_as_lines_of_sources_is_written_anew(texts):
    paths.OUTSIDE.write_text(f"<<<<<<< HEAD\n\n3 1000000007 {texts}/b.txt\n=======\n")
    assert noted(source(texts / "b.txt")) == line(texts / "b.txt", f"3 1000000007 {texts}/b.txt")


@pytest.mark.parametrize(
    "sources", [[{"role": "corpus"}], ["a.txt"], [None], {"a": 1}, None, "a.txt", [source("~no-such/a")]]
)
def test_where_the_settings_make_no_sense_all_stays_as_it_is(texts, sources):
    before = noted(source(texts))
    for section in ({"sources": sources}, sources):
        paths.PARAMS.write_text(json.dumps({"download": section}))
        outside.note()
        assert paths.OUTSIDE.read_text() == before
