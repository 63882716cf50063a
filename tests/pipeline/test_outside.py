import json
import os

import pytest

from pipeline import outside, paths


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


def test_the_files_behind_a_path_are_written_down_with_size_and_time(texts):
    assert noted(source(texts)) == f"3 1000000007 {texts}/b.txt\n5 1000000007 {texts}/old/a.txt\n"
    assert noted(source(texts / "old/*.txt")) == f"5 1000000007 {texts}/old/a.txt\n"
    assert noted(source(texts / "b.txt"), source("pydocs:documents")) == f"3 1000000007 {texts}/b.txt\n"


def test_a_new_text_and_a_changed_one_are_noticed(texts):
    first = noted(source(texts))
    (texts / "c.txt").write_text("new")
    second = noted(source(texts))
    os.utime(texts / "c.txt", ns=(7, 2_000_000_000))
    assert len({first, second, noted(source(texts))}) == 3


def test_where_nothing_has_changed_nothing_is_written(texts):
    noted(source(texts))
    os.utime(paths.OUTSIDE, ns=(1, 1))
    noted(source(texts))
    assert paths.OUTSIDE.stat().st_mtime_ns == 1


def test_sources_without_a_path_make_no_file(texts):
    address = "https://example.org/a.txt"
    assert noted(source("pydocs:documents"), source(address, sha256="0" * 64)) is None


@pytest.mark.parametrize("wrong", [source("gone.txt"), source("gone/*.txt"), {"role": "corpus"}])
def test_what_is_not_here_or_makes_no_sense_leaves_it_as_it_is(texts, wrong):
    before = noted(source(texts))
    assert noted(source(texts), wrong) == before
