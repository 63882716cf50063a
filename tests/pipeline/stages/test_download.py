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


def rows():
    return {each["file"]: each for each in json.loads(paths.SOURCES.read_text())}


def test_a_role_and_a_folder_are_enough(run, tmp_path, caplog):
    texts = tmp_path / "texts"
    (texts / "old").mkdir(parents=True)
    (texts / "novel.txt").write_text(TEXT)
    (texts / "old/tale.md").write_text("Once upon a time.\n")
    for number in range(6):
        (texts / f"round-{number}").symlink_to(texts)
    run("download", {"sources": [{"role": "corpus", "addresses": [str(texts)]}]})
    assert (paths.RAW_CORPUS / "texts/old/tale.md").read_text() == "Once upon a time.\n"
    assert rows()["corpus/texts/novel.txt"] == {
        "file": "corpus/texts/novel.txt",
        "name": str(texts),
        "sha256": SHA256,
        "size_bytes": 40,
        "licence": "not stated",
    }
    said = [each.message for each in caplog.records if each.name == "pipeline.stages.download"]
    assert said[0] == f"{texts}: skipped {texts}/round-0: a link to a folder, which is not followed"
    assert said[5:] == [f"{texts}: skipped 1 more", f"{texts}: 58 bytes in 2 files"]


def test_a_manifest_brings_each_of_its_files_checked(run, failure, httpserver):
    pages = {f"page {number}.txt": f"This is page {number}.\n" for number in range(20)}
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in pages.items()]
    manifest = "".join(lines)
    httpserver.expect_request("/pages/SHA256SUMS").respond_with_data(manifest)
    for name, text in pages.items():
        httpserver.expect_request(f"/pages/{name}").respond_with_data(text)
    wanted = {
        "role": "corpus",
        "addresses": [httpserver.url_for("/pages/SHA256SUMS")],
        "sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "manifest": True,
    }
    run("download", {"sources": [wanted]})
    assert {each.name: each.read_text() for each in paths.RAW_CORPUS.glob("pages/*")} == pages
    assert len(rows()) == 20
    httpserver.clear()
    httpserver.expect_request("/pages/SHA256SUMS").respond_with_data(manifest)
    httpserver.expect_request("/pages/page 0.txt").respond_with_data("Not that page.\n")
    said = failure("download", {"sources": [wanted]})
    assert "could not fetch pages/page" in said


def test_an_empty_file_of_a_corpus_is_set_aside_later_and_ends_no_download(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/tale.txt").write_text(TEXT)
    (tmp_path / "texts/empty.txt").touch()
    run("download", {"sources": [{"role": "corpus", "addresses": [str(tmp_path / "texts")]}]})
    assert {each["file"]: each["size_bytes"] for each in json.loads(paths.SOURCES.read_text())} == {
        "corpus/texts/empty.txt": 0,
        "corpus/texts/tale.txt": len(TEXT),
    }


def test_an_empty_file_of_a_task_ends_the_download(failure, tmp_path):
    (tmp_path / "novel.txt").write_text(TEXT)
    (tmp_path / "asked.json").touch()
    task = source(tmp_path / "asked.json", sha256=None, file="asked.json", role="tasks")
    said = failure("download", {"sources": [source(tmp_path / "novel.txt"), task]})
    assert said.startswith("check raw: ")
    assert "does not hold; file tasks/asked.json (0" in said


def test_a_second_build_takes_from_the_cache_what_the_first_has_fetched(run, monkeypatch, tmp_path, httpserver):
    httpserver.expect_ordered_request("/novel.txt").respond_with_data(TEXT)
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        run("download", {"sources": [source(httpserver.url_for("/novel.txt"))]})
        assert (paths.RAW_CORPUS / "novel.txt").read_text() == TEXT
    assert len(httpserver.log) == 1


def parsed(*sources):
    return settings.parse("download", {"sources": list(sources)}, DownloadSettings)


def test_a_build_without_a_corpus_is_refused():
    with pytest.raises(settings.SettingsError, match=r"download\.sources hold no corpus"):
        parsed(source("novel.txt", role="tasks"))


def test_two_sources_for_one_file_are_refused():
    with pytest.raises(
        settings.SettingsError, match=r"sources name the file novel\.txt of role corpus twice; give one another"
    ):
        parsed(source("a.txt"), source("b.txt"))


def test_a_file_inside_the_folder_of_another_source_is_refused():
    with pytest.raises(settings.SettingsError, match=r"sources name corpus/texts/a\.txt, which is below corpus/texts;"):
        parsed(source("/home/me/texts", file="texts"), source("a.txt", file="texts/a.txt"))


def test_what_is_left_out_has_its_default():
    (short,) = parsed({"role": "corpus", "addresses": ["/home/me/texts"]}).sources
    assert (short.name, short.file) == ("/home/me/texts", "texts")
    assert (short.sha256, short.licence, short.member, short.manifest) == (None, None, None, False)
