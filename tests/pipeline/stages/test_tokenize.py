"""From the raw corpus to a tokenizer and a table of ids."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.corpus import documents
from components.corpus.reading import Refused, Text
from components.overlap.near import NearSettings
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from pipeline import checks, encoding, paths, settings
from pipeline.stages.tokenize import TokenizeSettings, encode, without_near

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared/data"


def corpus(**files: bytes) -> None:
    """Make these the raw corpus: names without the ending .txt."""
    shutil.rmtree(paths.RAW_CORPUS)
    paths.RAW_CORPUS.mkdir()
    for name, content in files.items():
        (paths.RAW_CORPUS / f"{name}.txt").write_bytes(content)


def test_the_table_gives_every_document_back_and_both_splits(project):
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    assert tokenizer.vocab_size == 300
    lines = (paths.RAW_CORPUS / "pydocs.jsonl").read_text(encoding="utf-8").split("\n")
    raw = {each["source"]: each["text"] for each in map(json.loads, lines[:3])}
    rows = {row.source: row for row in table.read(paths.TOKENS)}
    assert {name: tokenizer.decode(rows[name].ids.tolist()) for name in raw} == raw
    assert {row.split for row in rows.values()} == {"train", "validation"}


def test_the_numbers_count_what_the_table_holds(project):
    numbers = json.loads(paths.metrics("tokenize").read_text())
    rows = list(table.read(paths.TOKENS, "validation"))
    assert numbers["validation_documents"] == len(rows)
    assert numbers["validation_tokens"] == sum(row.count for row in rows)
    assert numbers["validation_bytes_per_token"] == pytest.approx(
        sum(row.size_bytes for row in rows) / sum(row.count for row in rows)
    )


def test_a_corpus_without_fault_has_an_empty_quarantine(project):
    numbers = json.loads(paths.metrics("tokenize").read_text())
    left_out = [numbers[name] for name in ("refused", "duplicates", "near_duplicates", "breaches")]
    assert left_out == [0, 0, 0, 0]
    assert pq.read_table(paths.QUARANTINE).to_pydict() == {"place": [], "reason": []}


def test_what_cannot_be_read_is_in_quarantine_counted_and_told(run, caplog):
    corpus(tale=b"Once upon a time. " * 9, twin=b"Once upon a time. " * 9, wide="Far away. ".encode("utf-16"))
    (paths.RAW_CORPUS / "rows.jsonl").write_text('{"source": "a", "text": "There was."}\nno JSON\n{"source": "a"}\n')
    caplog.set_level("INFO", "pipeline")
    run("tokenize", {"split": {"by": "position"}, "vocab_size": 257})
    first, second, third = pq.read_table(paths.QUARANTINE).to_pylist()
    assert first["place"] == "rows.jsonl line 2"
    assert first["reason"].startswith("not JSON")
    assert second == {"place": "rows.jsonl line 3", "reason": "expected a string named 'text', got none"}
    assert third == {"place": "twin.txt", "reason": "the same text as tale.txt"}
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert (numbers["refused"], numbers["duplicates"]) == (2, 1)
    assert numbers["decoded_from_utf_16"] == 2  # by position a text is two documents
    assert {row.source for row in table.read(paths.TOKENS)} == {"tale", "wide", "a"}
    told = [each.getMessage() for each in caplog.records if each.name == "pipeline.stages.tokenize"]
    assert told[0].startswith("rows.jsonl line 2: not read: not JSON")
    assert told[0].endswith("; all such are listed in data/quarantine/documents.parquet")
    assert told[1:] == ["wide.txt: not UTF-8, read as utf_16"]


def test_special_tokens_are_in_the_vocabulary_and_no_text_has_them(run):
    corpus(tale=b"<|user|>Once upon a time.<|endoftext|>" * 40)
    special = ["<|user|>", "<|assistant|>"]
    run("tokenize", {"split": {"by": "position"}, "vocab_size": 270, "special_tokens": special})
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    assert tokenizer.special_ids == {"<|user|>": 267, "<|assistant|>": 268, "<|endoftext|>": 269}
    rows = list(table.read(paths.TOKENS))
    assert max(row.ids.max() for row in rows) < 267
    assert "".join(tokenizer.decode(row.ids) for row in rows) == "<|user|>Once upon a time.<|endoftext|>" * 40


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_gpt2s_vocabulary_is_compared_where_its_files_are_among_the_sources(run):
    changes = {"split": {"by": "position", "validation_share": 0.1}, "vocab_size": 300}
    verdict = (REAL / "book/the-verdict.txt").read_bytes()
    corpus(verdict=verdict)
    run("tokenize", changes)
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert [name for name in numbers if name.startswith("gpt2_")] == []
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(REAL / "gpt2_bpe" / name, paths.RAW_TOKENIZER)
    run("tokenize", changes)
    beside = json.loads(paths.metrics("tokenize").read_text())
    assert beside == numbers | {  # tiktoken 0.14.0 and wc on the last tenth
        "gpt2_validation_bytes_per_token": 2048 / 534,
        "gpt2_validation_tokens_per_word": 534 / 385,
    }


def test_near_duplicates_are_left_out_after_exact_ones_counted_and_named(run):
    words = [f"word{n * n % 997}" for n in range(200)]
    text = " ".join(words)
    changed = " ".join([*words[:100], "changed", *words[101:]])  # 191 of 201 n-grams in common: 0.95
    last = " ".join(reversed(words))
    corpus(a=text.encode(), b=changed.encode(), c=changed.encode(), d=text.encode(), e=last.encode())
    changes = {"split": {"by": "position"}, "vocab_size": 257}
    run("tokenize", changes | {"near": {"threshold": 0.8, "words": 5, "permutations": 512, "seed": 1}})
    b, c, d = pq.read_table(paths.QUARANTINE).to_pylist()
    assert (c, d) == (
        {"place": "c.txt", "reason": "the same text as b.txt"},
        {"place": "d.txt", "reason": "the same text as a.txt"},
    )
    assert b["place"] == "b.txt"
    reason, share = b["reason"].removesuffix(")").split(" (")
    assert reason == "nearly the same text as a.txt"
    assert float(share) == pytest.approx(0.95, abs=0.04)
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert (numbers["duplicates"], numbers["near_duplicates"], numbers["refused"]) == (2, 1, 0)
    assert {row.source for row in table.read(paths.TOKENS)} == {"a", "e"}


def test_near_duplicates_are_looked_for_a_little_ahead_however_many_refusals_come():
    read = []

    def found():
        for n in range(20_000):
            read.append(n)
            yield (
                Text("a", f"text {n}", "a.txt")
                if n < 129
                else Refused(f"{n}.txt", "the same text as a.txt", kind="duplicates")
            )

    settings = NearSettings(threshold=0.8, words=5, permutations=128, seed=1)
    ahead = [len(read) - passed for passed, _ in enumerate(without_near(found(), settings))]
    assert len(ahead) == 20_000
    assert max(ahead) == 128


BAD = {"repeated": b"a" * 2000, "garbled": ("caf\ufffd " * 50).encode(), "stub": b"So.\n"}
LIMITS = {
    "size_bytes": {"least": 5, "on_breach": "quarantine"},
    "replaced_share": {"most": 0.1, "on_breach": "quarantine"},
    "bits_per_byte": {"least": 1.0, "on_breach": "quarantine"},
}
BAD_SPLIT = {"by": "document", "validation_share": 0.5, "seed": 1}


def tales(**more: bytes) -> None:
    corpus(**{f"tale{n}": f"Once upon a time {n}. ".encode() * 9 for n in range(8)}, **more)


def test_documents_beyond_a_limit_are_left_out_counted_and_listed(run, caplog):
    tales()
    run("tokenize", {"split": BAD_SPLIT, "vocab_size": 260})
    whole = {row.source: row.ids.tolist() for row in table.read(paths.TOKENS)}
    tales(**BAD)
    run("tokenize", {"split": BAD_SPLIT, "vocab_size": 260, "contract": LIMITS})
    assert pq.read_table(paths.QUARANTINE).to_pylist() == [
        {"place": "garbled.txt", "reason": "replaced_share is 0.428571; expected at most 0.1"},  # 3 of 7 bytes
        {"place": "repeated.txt", "reason": "bits_per_byte is 0; expected at least 1"},
        {"place": "stub.txt", "reason": "size_bytes is 4; expected at least 5"},
    ]
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert (numbers["breaches"], numbers["refused"]) == (3, 0)
    # Neither the table nor the vocabulary has anything of them.
    assert {row.source: row.ids.tolist() for row in table.read(paths.TOKENS)} == whole
    told = [each.getMessage() for each in caplog.records if each.name == "pipeline.stages.tokenize"]
    assert told == [
        "garbled.txt: left out: replaced_share is 0.428571; expected at most 0.1; "
        "all such are listed in data/quarantine/documents.parquet"
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("size_bytes", "expect_column_values_to_be_between(column=size_bytes, min_value=5.0, max_value=None)"),
        ("replaced_share", "expect_column_values_to_be_between(column=replaced_share, min_value=None, max_value=0.1)"),
        ("bits_per_byte", "expect_column_values_to_be_between(column=bits_per_byte, min_value=1.0, max_value=None)"),
    ],
)
def test_a_document_beyond_a_limit_that_stops_ends_the_build_and_is_named(failure, name, said):
    tales(**BAD)
    place = {
        "size_bytes": "stub.txt (4)",
        "replaced_share": "garbled.txt (0.428571)",
        "bits_per_byte": "repeated.txt (0)",
    }
    contract = LIMITS | {name: LIMITS[name] | {"on_breach": "stop"}}
    message = failure("tokenize", {"split": BAD_SPLIT, "vocab_size": 260, "contract": contract})
    assert message.startswith(f"check documents: {said} does not hold; place {place[name]}; ")
    assert message.endswith(f"with tokenize.contract.{name}.on_breach: quarantine it is left out")
    assert not paths.TOKENS.exists()
    before = sorted(each.split()[0] for each in place.values() if each < place[name])
    assert pq.read_table(paths.QUARANTINE)["place"].to_pylist() == before
    (kept,) = json.loads(paths.checks("documents").read_text())["expectations"]
    assert kept["holds"] is False


def test_a_corpus_of_one_word_stops_the_build(failure):
    corpus(tale=b"la " * 9000)
    contract = {"bits_per_token": {"least": 2.0}}  # three bytes have log2(3)
    message = failure("tokenize", {"split": {"by": "position"}, "vocab_size": 257, "contract": contract})
    assert message.startswith(
        "check documents: expect_column_values_to_be_between(column=bits_per_token, min_value=2.0"
    )


DULL_LEFT_OUT = {
    "split": {"by": "position", "validation_share": 0.5},
    "vocab_size": 257,
    "contract": {"bits_per_token": {"least": 2.0, "on_breach": "quarantine"}},
}


@pytest.fixture
def lively(project, monkeypatch):
    """Four texts of the raw corpus; two more are of one word; each half of each is a row group and a file by itself."""
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 1024)
    monkeypatch.setattr(table, "_FILE_IDS", 1024)
    tale = "Once upon a time there was {}. ".format
    texts = {f"{n}tale": "".join(map(tale, range(150))).encode()[n:] for n in range(4)}
    corpus(**texts, **{"1word": b"la " * 1000, "2word": b"lu " * 1000})
    return texts


def written():
    """Return what the stage has written of documents: the table, what was left out, and the numbers."""
    files = [*sorted(paths.TOKENS.iterdir()), paths.QUARANTINE, paths.metrics("tokenize")]
    return {file.name: file.read_bytes() for file in files}


def test_documents_of_a_part_of_one_word_are_left_out_counted_and_listed_where_the_contract_says_so(
    run, lively, caplog
):
    run("tokenize", DULL_LEFT_OUT)
    assert {row.source for row in table.read(paths.TOKENS)} == set(lively)
    reason = "bits_per_token of its part of a row group is 1.58496; expected at least 2"  # log2(3)
    places = ["1word.txt", "1word.txt byte 1500", "2word.txt", "2word.txt byte 1500"]
    assert pq.read_table(paths.QUARANTINE).to_pylist() == [{"place": each, "reason": reason} for each in places]
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert numbers["breaches"] == 4
    words = sum(len(each.decode()[(len(each) + 1) // 2 :].split()) for each in lively.values())
    assert numbers["validation_tokens"] / numbers["validation_tokens_per_word"] == pytest.approx(words, abs=4)
    (told,) = [each.getMessage() for each in caplog.records if each.name == "pipeline.stages.tokenize"]
    assert told == f"1word.txt: left out: {reason}; all such are listed in {paths.QUARANTINE}"


def test_what_is_left_of_row_groups_is_the_same_bytes_whatever_number_of_processes(run, lively, monkeypatch):
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)  # so that each document is a batch
    by_processes = []
    for processes in (1, 2):
        monkeypatch.setattr(encoding, "processes", lambda _, processes=processes: processes)
        run("tokenize", DULL_LEFT_OUT)
        by_processes.append(written())
    assert by_processes[0] == by_processes[1]
    assert len(by_processes[0]) == 8 + 2


def test_a_run_that_was_killed_while_parts_were_left_out_neither_reads_nor_encodes_again(run, lively, monkeypatch):
    run("tokenize", DULL_LEFT_OUT)
    whole = written()

    def failing(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "decode", failing)  # of the first validation that is left out
        with pytest.raises(RuntimeError, match="killed"):
            run("tokenize", DULL_LEFT_OUT)
    assert len(list(paths.WORK.glob("*/sifted/0/*.parquet"))) == 4
    monkeypatch.setattr(documents, "read", failing)
    monkeypatch.setattr(Tokenizer, "encode_batch", failing)
    run("tokenize", DULL_LEFT_OUT)
    assert written() == whole
    assert not list(paths.WORK.glob("*/sifted"))


def test_of_a_corpus_of_one_word_nothing_is_left_to_go_on_with(failure):
    corpus(tale=b"la " * 9000)
    contract = {"bits_per_token": {"least": 2.0, "on_breach": "quarantine"}}
    message = failure("tokenize", {"split": {"by": "position"}, "vocab_size": 257, "contract": contract})
    assert message == (
        "tokenize.contract.bits_per_token.least is 2, which leaves no document for train and validation; all are "
        "listed in data/quarantine/documents.parquet; lower it, or add other text"
    )
    assert pq.read_table(paths.QUARANTINE).num_rows == 2


def test_a_vocabulary_that_the_texts_do_not_hold_leaves_nothing_laid_by(failure):
    tales()
    assert "the texts are used up at" in failure("tokenize", {"split": BAD_SPLIT, "vocab_size": 50257})
    assert not list(paths.WORK.glob("*/*.arrow"))


def test_a_kill_between_laying_by_and_learning_begins_anew(run, monkeypatch):
    tales()
    changes = {"split": BAD_SPLIT, "vocab_size": 260}
    run("tokenize", changes)
    whole = written()

    def failing(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "save", failing)
        with pytest.raises(RuntimeError, match="killed"):
            run("tokenize", changes)
    assert list(paths.WORK.glob("*/*.arrow"))
    run("tokenize", changes)
    assert written() == whole


def missing_its_share(split, monkeypatch):
    """Make a corpus whose validation is not the share that a split asks for."""
    tales()
    if split["by"] == "position":  # a blank half is no document
        corpus(tale=b"Once upon a time. " * 90, half=b"Once upon a time!" * 90 + b" " * 90 * 17)
    else:
        monkeypatch.setattr(
            documents, "_parted", lambda source, text, _: [(text, "validation" if "7" in text else "train")]
        )


MISSED = [
    ({"by": "document", "seed": 1, "validation_share": 0.999}, "min_value=0.6"),  # 0.999 - 0.01 - 8 ** -0.5
    ({"by": "source", "seed": 1, "validation_share": 0.999}, "min_value=0.6"),
    ({"by": "position", "validation_share": 0.5}, "min_value=0.49, max_value=0.51)"),
]


@pytest.mark.parametrize(("split", "said"), MISSED, ids=["document", "source", "position"])
def test_a_split_that_misses_its_share_stops_the_build(project, monkeypatch, run, split, said):
    missing_its_share(split, monkeypatch)
    with pytest.raises(checks.CheckFailed, match=r"check splits: .*validation_share") as failed:
        run("tokenize", {"split": split, "vocab_size": 257, "contract": {"validation_share": {"tolerance": 0.01}}})
    assert said in str(failed.value)
    assert "split validation (" in str(failed.value)


@pytest.mark.parametrize(("split", "said"), MISSED, ids=["document", "source", "position"])
def test_a_split_that_misses_its_share_is_only_said_where_the_contract_says_so(
    project, monkeypatch, run, caplog, split, said
):
    missing_its_share(split, monkeypatch)
    contract = {"validation_share": {"tolerance": 0.01, "on_breach": "report"}}
    run("tokenize", {"split": split, "vocab_size": 257, "contract": contract})
    (told,) = [each.getMessage() for each in caplog.records if each.name == "pipeline.checks"]
    assert said in told
    assert told.endswith("; the build goes on")
    assert [each["holds"] for each in json.loads(paths.checks("splits").read_text())["expectations"]][-1] is False
    assert "validation_documents" in json.loads(paths.metrics("tokenize").read_text())


def test_by_position_the_share_is_of_characters_whatever_bytes_they_have(run):
    chinese = "\u4e00\u4e8c\u4e09\u56db\u4e94 "  # 16 bytes for 6 characters: most of the bytes are in the second half
    corpus(tale=("Once upon a time. " * 90 + chinese * 270).encode())
    split = {"by": "position", "validation_share": 0.5}
    run("tokenize", {"split": split, "vocab_size": 257, "contract": {"validation_share": {"tolerance": 0.01}}})
    train, validation = table.read(paths.TOKENS)
    assert (train.characters, validation.characters) == (1620, 1620)
    assert validation.size_bytes == 16 * 270 > 2 * train.size_bytes


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ({"size_bytes": {"on_breach": "warn"}}, 'tokenize.contract.size_bytes.on_breach is "warn"; expected '),
        ({"size_bytes": {"least": 9, "most": 1}}, "tokenize.contract.size_bytes.least is 9"),
        ({"bits_per_byte": {"least": "low"}}, 'tokenize.contract.bits_per_byte.least is "low"; expected '),
        ({"validation_share": {"tolerance": 0}}, "tokenize.contract.validation_share.tolerance is 0"),
        (
            {"validation_share": {"on_breach": "quarantine"}},
            'tokenize.contract.validation_share.on_breach is "quarantine"; expected ',
        ),
        ({"bits_per_token": {"least": -1}}, "tokenize.contract.bits_per_token.least is -1"),
        ({"bits_per_token": {"on_breach": "warn"}}, 'tokenize.contract.bits_per_token.on_breach is "warn"; expected '),
        ({"schema": {"on_breach": "quarantine"}}, "tokenize.contract.schema is no setting"),
    ],
    ids=str,
)
def test_a_contract_that_cannot_be_kept_is_refused_by_its_dotted_name(contract, said):
    values = settings.read(ROOT / paths.PARAMS)["tokenize"]
    for name, each in contract.items():
        before = values["contract"].get(name)
        values["contract"][name] = before | each if isinstance(before, dict) else each
    with pytest.raises(settings.SettingsError) as refused:
        settings.parse("tokenize", values, TokenizeSettings)
    assert said in str(refused.value)


def test_bytes_without_merges_are_a_vocabulary(run):
    corpus(tale=b"abab " * 40)
    run("tokenize", {"split": {"by": "position"}, "vocab_size": 257})
    numbers = json.loads(paths.metrics("tokenize").read_text())
    assert (numbers["train_tokens"], numbers["train_bytes"]) == (170, 170)  # int(0.85 * 200)


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_the_verdict_in_gpt2s_own_vocabulary_has_the_books_tokens(run):
    corpus(verdict=(REAL / "book/the-verdict.txt").read_bytes())
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(REAL / "gpt2_bpe" / name, paths.RAW_TOKENIZER)
    split = {"by": "position", "validation_share": 0.1}
    run("tokenize", {"split": split, "vocabulary": "gpt2", "vocab_size": 50257})
    train, validation = table.read(paths.TOKENS)
    assert (train.size_bytes + validation.size_bytes, train.split, validation.split) == (20479, "train", "validation")
    assert 5145 <= train.count + validation.count <= 5146  # the whole has 5,145; the cut may part one


def test_a_run_that_was_killed_goes_on_after_its_last_full_file(run, monkeypatch):
    corpus(**{f"tale{n}": f"Once upon a time {n}. ".encode() * 9 for n in range(20)})
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 100)
    monkeypatch.setattr(table, "_FILE_IDS", 1000)
    changes = {"split": {"by": "document", "validation_share": 0.5, "seed": 1}, "vocab_size": 257}
    run("tokenize", changes)
    whole = {file.name: file.read_bytes() for file in paths.TOKENS.iterdir()}
    assert len(whole) == 4  # 20 documents of some 180 bytes
    encode_batch, encoded = Tokenizer.encode_batch, []

    def failing(self, texts):
        if len(encoded) == 12:
            raise RuntimeError("killed")
        return counted(self, texts)

    def counted(self, texts):
        encoded.extend(texts)
        return encode_batch(self, texts)

    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)  # so that each document is a batch
    monkeypatch.setattr(Tokenizer, "encode_batch", failing)
    with pytest.raises(RuntimeError, match="killed"):
        run("tokenize", changes)
    encoded.clear()
    monkeypatch.setattr(Tokenizer, "encode_batch", counted)
    run("tokenize", changes)
    assert {file.name: file.read_bytes() for file in paths.TOKENS.iterdir()} == whole
    assert 8 <= len(encoded) < 20
    assert not list(paths.WORK.glob("*/tokens"))


def test_the_corpus_is_read_once_whatever_the_vocabulary_is_learned_from(run, monkeypatch):
    tales(**BAD)
    read, asked = documents.read, []
    monkeypatch.setattr(documents, "read", lambda *given: asked.append(given) or read(*given))
    run("tokenize", {"split": BAD_SPLIT, "vocab_size": 260, "contract": LIMITS})
    assert len(asked) == 1
    assert json.loads(paths.metrics("tokenize").read_text())["breaches"] == 3
    assert not list(paths.WORK.glob("*/*.arrow"))


def test_a_run_that_was_killed_while_it_encoded_neither_reads_nor_learns_again(run, monkeypatch):
    tales(**BAD)
    changes = {"split": BAD_SPLIT, "vocab_size": 260, "contract": LIMITS}
    run("tokenize", changes)
    outs = (paths.TOKENS / "00000.parquet", paths.TOKENIZER / "vocab.bpe", paths.QUARANTINE, paths.metrics("tokenize"))
    whole = [out.read_bytes() for out in outs]

    def failing(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(encoding, "write", failing)
        with pytest.raises(RuntimeError, match="killed"):
            run("tokenize", changes)
    monkeypatch.setattr(documents, "read", failing)
    monkeypatch.setattr(Tokenizer, "trained", failing)
    run("tokenize", changes)
    assert [out.read_bytes() for out in outs] == whole


@pytest.mark.parametrize(
    ("files", "said", "refused"),
    [
        ({}, "data/raw/corpus: the corpus is empty", []),
        ({"empty": b" \n"}, "data/raw/corpus: nothing can be read; 1 refused, first empty.txt: blank", ["empty.txt"]),
        (
            {"latin": "caf\xe9 and more".encode("latin-1")},
            "first latin.txt: not UTF-8 (byte 0xe9 at offset 3)",
            ["latin.txt"],
        ),
        ({"empty": b"", "one": b"One document alone.\n"}, "leave validation empty; set by: position", ["empty.txt"]),
    ],
    ids=["none", "blank", "not UTF-8", "one document"],
)
@pytest.mark.parametrize("near", [None, {"threshold": 0.8, "words": 5, "permutations": 128, "seed": 1}])
def test_a_corpus_that_cannot_be_used_is_one_line_and_lists_what_was_refused(failure, files, said, refused, near):
    corpus(**files)
    assert said in failure("tokenize", {"split": {"seed": 0, "validation_share": 0.01}, "near": near})
    assert not paths.TOKENS.exists()
    assert pq.read_table(paths.QUARANTINE)["place"].to_pylist() == refused


def test_what_was_refused_before_the_table_could_not_be_made_is_listed(project):
    corpus(empty=b"", one=b"One document alone.\n")
    values = settings.read(ROOT / paths.PARAMS)["tokenize"]
    values["split"] |= {"seed": 0, "validation_share": 0.01}
    with pytest.raises(ValueError, match="leave validation empty"):
        encode.fn(settings.parse("tokenize", values, TokenizeSettings))
    assert pq.read_table(paths.QUARANTINE)["place"].to_pylist() == ["empty.txt"]


def test_a_broken_table_stops_the_build_and_names_the_row(run, monkeypatch):
    corpus(tale=b"Once upon a time. " * 9)
    monkeypatch.setattr(checks, "documents", lambda *_, **__: [checks.between("least_count", 1, 20)])
    with pytest.raises(checks.CheckFailed, match=r"check documents: .*; part 00000\.parquet group 1 train"):
        run("tokenize", {"split": {"by": "position"}, "vocab_size": 257})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"special_tokens": ["<a>", "<a>"]}, "special_tokens has '<a>'; expected a text that is no token yet"),
        (
            {"special_tokens": ["<a>"], "vocab_size": 257},
            "vocab_size is 257; expected at least 258: each byte, <a>, and",
        ),
        (
            {"special_tokens": ["<a>"], "vocabulary": "gpt2", "vocab_size": 50257},
            "special_tokens has '<a>'; GPT-2's own",
        ),
        ({"special_tokens": [1]}, "special_tokens.0 is 1; expected string"),
    ],
)
def test_special_tokens_that_the_vocabulary_cannot_have_are_refused(changes, said):
    values = settings.read(ROOT / paths.PARAMS)["tokenize"] | changes
    with pytest.raises(settings.SettingsError, match=re.escape(f"tokenize.{said}")):
        settings.parse("tokenize", values, TokenizeSettings)


@pytest.mark.parametrize(("vocabulary", "size"), [("trained", 256), ("gpt2", 300)])
def test_a_size_that_the_vocabulary_cannot_have_is_refused(vocabulary, size):
    values = settings.read(ROOT / paths.PARAMS)["tokenize"] | {"vocabulary": vocabulary, "vocab_size": size}
    with pytest.raises(settings.SettingsError, match=rf"tokenize\.vocab_size is {size}"):
        settings.parse("tokenize", values, TokenizeSettings)
