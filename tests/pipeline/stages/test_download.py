"""Sources from files and from a server that misbehaves, into the folders of their roles."""

import hashlib
import json

import pytest

from pipeline import paths, settings
from pipeline.stages.download import DownloadSettings

TEXT = "It is a truth universally acknowledged.\n"
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


def source(address, sha256=SHA256, **changes):
    given = {"name": "novel", "file": "novel.txt", "role": "corpus", "licence": "public domain", "member": None}
    return given | {"addresses": [str(address)], "sha256": sha256} | changes


def test_the_default_build_has_both_texts_and_says_what_they_are(project):
    documents = (paths.RAW_CORPUS / "pydocs.jsonl").read_bytes()
    assert json.loads(documents.split(b"\n")[0]).keys() == {"source", "text"}
    kept = json.loads(paths.SOURCES.read_text())
    assert [each["file"] for each in kept] == ["corpus/pydocs.jsonl", "tasks/pydocs.jsonl"]
    assert kept[0]["sha256"] == hashlib.sha256(documents).hexdigest()
    assert kept[0]["size_bytes"] == len(documents)
    assert json.loads(paths.metrics("download").read_text())["files"] == 2
    assert json.loads(paths.checks("raw").read_text())["rows"] == 2


def test_a_role_without_a_source_has_a_bare_folder(project):
    assert [each.name for each in paths.RAW_WEIGHTS.iterdir()] == [".keep"]
    assert [each.name for each in paths.RAW_TOKENIZER.iterdir()] == [".keep"]


def test_what_earlier_sources_have_left_under_way_stays_out(project, run, tmp_path):
    (tmp_path / "novel.txt").write_text(TEXT)
    (project / ".work/download/corpus").mkdir(parents=True)
    (project / ".work/download/corpus/other.txt").write_text("from a download that was given up\n")
    weights = source(tmp_path / "novel.txt", file="small/model.safetensors", role="weights")
    run("download", {"sources": [source(tmp_path / "novel.txt"), weights]})
    assert sorted(each.name for each in paths.RAW_CORPUS.iterdir()) == [".keep", "novel.txt"]
    assert (paths.RAW_WEIGHTS / "small/model.safetensors").read_text() == TEXT
    assert not (project / ".work/download").exists()


def test_a_mirror_is_asked_first(run, monkeypatch, httpserver):
    httpserver.expect_request("/books/novel.txt").respond_with_data(TEXT)
    monkeypatch.setenv("PIPELINE_MIRROR", httpserver.url_for("/"))
    run("download", {"sources": [source("http://127.0.0.1:9/books/novel.txt")]})
    assert (paths.RAW_CORPUS / "novel.txt").read_text() == TEXT


def test_a_wrong_checksum_is_one_line_and_leaves_nothing(failure, httpserver):
    httpserver.expect_request("/novel.txt").respond_with_data("Another text.\n")
    said = failure("download", {"sources": [source(httpserver.url_for("/novel.txt"))]})
    assert said.startswith("novel: could not fetch novel.txt")
    assert f"expected {SHA256}" in said
    assert not paths.RAW_CORPUS.exists()


def test_a_missing_file_is_one_line_and_leaves_nothing(failure, httpserver):
    httpserver.expect_request("/gone.txt").respond_with_data(status=404)
    said = failure("download", {"sources": [source(httpserver.url_for("/gone.txt"), file="gone.txt")]})
    assert "could not fetch gone.txt" in said
    assert "check the address" in said
    assert not paths.RAW_CORPUS.exists()


def parsed(*sources):
    return settings.parse("download", {"sources": list(sources)}, DownloadSettings)


def test_a_build_without_a_corpus_is_refused():
    with pytest.raises(settings.SettingsError, match=r"download\.sources hold no corpus"):
        parsed(source("novel.txt", role="tasks"))


def test_two_sources_for_one_file_are_refused():
    with pytest.raises(settings.SettingsError, match=r"sources name the file novel\.txt of role corpus twice"):
        parsed(source("a.txt"), source("b.txt"))
