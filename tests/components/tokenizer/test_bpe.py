"""Truth from outside: tiktoken's own GPT-2, and the library that trains (Hugging Face's tokenizers)."""

import functools
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tiktoken.load
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tokenizer.bpe import END_OF_TEXT, Tokenizer

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
GPT2 = SHARED / "gpt2_bpe"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data (real texts, GPT-2's files) is absent")
deterministic = settings(derandomize=True, deadline=None, database=None, max_examples=200)

ADDRESS = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
SMALL = ["low lower lowest", "new newer newest", "wide wider widest", "the lowest, the newest; the widest!"] * 3


def shared_texts():
    """Every file of ../shared/data as text; the one that is not UTF-8 as ISO-8859-1."""
    for path in sorted(path for path in SHARED.rglob("*") if path.is_file()):
        yield path.name, path.read_bytes().decode("iso-8859-1" if "latin1" in path.name else "utf-8")


@pytest.fixture(scope="module")
def small():
    return Tokenizer.trained(SMALL, 275)


@pytest.fixture(scope="module")
def tiktoken_copy(tmp_path_factory):
    """GPT-2's two files where tiktoken looks for them: under the SHA-1 of their addresses."""
    cache = tmp_path_factory.mktemp("tiktoken")
    for name in ("vocab.bpe", "encoder.json"):
        copy = cache / hashlib.sha1((ADDRESS + name).encode()).hexdigest()
        copy.write_bytes((GPT2 / name).read_bytes())
    assert {path.name for path in cache.iterdir()} == {
        "6d1cbeee0f20b3d9449abfede4726ed8212e3aee",
        "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
        yield tiktoken.get_encoding("gpt2")


@pytest.fixture(scope="module")
def gpt2(tiktoken_copy):
    return Tokenizer.gpt2(GPT2)


@needs_shared
def test_gpt2_gives_the_ids_of_tiktoken_on_every_shared_text(gpt2, tiktoken_copy):
    for name, text in shared_texts():
        assert gpt2.encode(text) == tiktoken_copy.encode_ordinary(text), name


@needs_shared
def test_gpt2_gives_the_ids_that_the_book_prints(gpt2):
    # Raschka, chapter 2.6 (between the two sentences the book has 50256) and The Verdict's 5,145 tokens.
    assert gpt2.encode("Hello, do you like tea? ") == [15496, 11, 466, 345, 588, 8887, 30, 220]
    assert gpt2.encode(" In the sunlit terracesof someunknownPlace.") == [
        554, 262, 4252, 18250, 8812, 2114, 1659, 617, 34680, 27271, 13,
    ]  # fmt: skip
    assert len(gpt2.encode((SHARED / "book/the-verdict.txt").read_text(encoding="utf-8"))) == 5145


@needs_shared
def test_gpt2_without_a_folder_is_the_copy_of_tiktoken(gpt2, tiktoken_copy):
    tokenizer = Tokenizer.gpt2()
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (50257, 50256)
    assert tokenizer.encoding._mergeable_ranks == tiktoken_copy._mergeable_ranks == gpt2.encoding._mergeable_ranks


@needs_shared
def test_gpt2_saved_is_byte_for_byte_what_was_published(gpt2, tmp_path):
    gpt2.save(tmp_path)
    for name in ("vocab.bpe", "encoder.json"):
        assert (tmp_path / name).read_bytes() == (GPT2 / name).read_bytes()


def test_gpt2_without_a_copy_or_a_network_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ValueError, match=r"no copy of GPT-2's vocabulary.*set TIKTOKEN_CACHE_DIR"):
        Tokenizer.gpt2()


def test_gpt2_refuses_another_vocabulary(small, tmp_path):
    small.save(tmp_path)
    with pytest.raises(ValueError, match=r"vocab\.bpe is not GPT-2's: expected sha256 1ce1664773"):
        Tokenizer.gpt2(tmp_path)


def trained_by_the_library(texts, vocab_size):
    """Train as its documentation says, without our code; ids as the library numbers them."""
    learner = tokenizers.ByteLevelBPETokenizer()
    learner.train_from_iterator(texts, vocab_size=vocab_size, min_frequency=0, show_progress=False)
    return learner


@needs_shared
def test_a_trained_tokenizer_gives_the_ids_of_the_library_that_trained_it_on_every_shared_text():
    texts = [text for name, text in shared_texts() if name in ("tinyshakespeare.txt", "instruction-data.json")]
    ours, theirs = Tokenizer.trained(texts, 2001), trained_by_the_library(texts, 2000)
    assert ours.vocab_size == 2001
    for name, text in shared_texts():
        assert ours.encode(text) == theirs.encode(text).ids, name


@deterministic
@given(text=st.text())
def test_a_trained_tokenizer_gives_the_ids_of_the_library_on_any_unicode(text):
    ours, theirs = trained_pair()
    assert ours.encode(text) == theirs.encode(text).ids


@functools.cache  # hypothesis refuses fixtures that are made anew for each test
def trained_pair():
    return Tokenizer.trained(SMALL, 275), trained_by_the_library(SMALL, 274)


@deterministic
@given(text=st.text())
def test_any_unicode_text_survives_the_round_trip(text):
    for tokenizer in (trained_pair()[0], Tokenizer([])):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@needs_shared
def test_any_unicode_text_survives_the_round_trip_through_gpt2(gpt2):
    @deterministic
    @given(text=st.text())
    def holds(text):
        assert gpt2.decode(gpt2.encode(text)) == text

    holds()


def test_training_merges_the_most_frequent_pair_first():
    # "ab" three times, then "ab" + "c" twice; ids of single bytes are their place in GPT-2's order ("!" is 0).
    tokenizer = Tokenizer.trained(["abc", "abc", "ab"], 259)
    assert tokenizer.encode("abc") == [257]
    assert tokenizer.encode("ab!") == [256, 0]
    assert tokenizer.end_of_text == 258


TRAIN_AND_SAVE = """
import sys
from components.tokenizer.bpe import Tokenizer
texts = [f"word{n % 97} other{n % 89} {n}" for n in range(20_000)]
Tokenizer.trained(texts[::int(sys.argv[2])], 600).save(sys.argv[1])
"""


def test_training_gives_the_same_bytes_with_any_number_of_threads_and_order_of_texts(tmp_path):
    for name, threads, order in (("one", "1", "1"), ("four", "4", "1"), ("backwards", "2", "-1")):
        subprocess.run(
            [sys.executable, "-c", TRAIN_AND_SAVE, str(tmp_path / name), order],
            env=os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)},
            check=True,
        )
    for name in ("vocab.bpe", "encoder.json"):
        one, four, backwards = ((tmp_path / run / name).read_bytes() for run in ("one", "four", "backwards"))
        assert one == four == backwards


def test_257_tokens_are_the_bytes_alone():
    tokenizer = Tokenizer.trained(SMALL, 257)
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (257, 256)
    assert tokenizer.encode("!~") == [0, 93]
    assert len(tokenizer.encode("low lowest \u20ac")) == 11 + 3


def test_fewer_than_257_tokens_are_refused():
    with pytest.raises(ValueError, match="vocab_size is 256; expected 257 or more"):
        Tokenizer.trained(SMALL, 256)


def test_a_vocabulary_that_the_texts_cannot_fill_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="vocab_size is 1000, but the texts are used up at 259"):
        Tokenizer.trained(["abc", "abc", "ab"], 1000)


def test_saved_and_loaded_it_is_the_same_tokenizer(small, tmp_path):
    small.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.encoding._mergeable_ranks == small.encoding._mergeable_ranks
    assert (loaded.vocab_size, loaded.end_of_text) == (275, 274)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.json", "vocab.bpe"]


def test_the_saved_files_are_read_by_tiktoken_itself(small, tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # keeps no copies
    small.save(tmp_path)
    ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(str(tmp_path / "vocab.bpe"), str(tmp_path / "encoder.json"))
    assert ranks == small.encoding._mergeable_ranks
    assert json.loads((tmp_path / "encoder.json").read_bytes())[END_OF_TEXT] == 274


def test_a_folder_written_again_is_read_again(small, tmp_path):
    small.save(tmp_path)
    Tokenizer.load(tmp_path)
    Tokenizer.trained(SMALL, 257).save(tmp_path)
    assert Tokenizer.load(tmp_path).vocab_size == 257


def test_end_of_text_inside_a_text_stays_text(small):
    ids = small.encode("a<|endoftext|>b")
    assert small.end_of_text not in ids
    assert small.decode(ids) == "a<|endoftext|>b"
    assert small.decode([small.end_of_text]) == "<|endoftext|>"
    assert small.end_of_text not in Tokenizer.trained(["<|endoftext|>"] * 9 + SMALL, 275).encode("<|endoftext|>")


SPECIAL = ["<|user|>", "<|assistant|>"]


@pytest.fixture(scope="module")
def chatty():
    return Tokenizer.trained(SMALL, 275, SPECIAL)


def test_special_tokens_have_the_ids_between_the_merges_and_the_end_of_text(small, chatty):
    assert chatty.special_ids == {"<|user|>": 272, "<|assistant|>": 273, "<|endoftext|>": 274}
    assert (chatty.vocab_size, chatty.end_of_text) == (275, 274)
    assert small.special_ids == {"<|endoftext|>": 274}
    assert chatty.encode(SMALL[0]) == Tokenizer.trained(SMALL, 273).encode(SMALL[0])  # the first 16 merges


def test_special_tokens_inside_a_text_stay_text_and_their_ids_decode_to_theirs(chatty):
    text = "<|user|>low<|assistant|>lower<|endoftext|>"
    ids = chatty.encode(text)
    assert max(ids) < 272
    assert chatty.decode(ids) == text
    assert [each.tolist() for each in chatty.encode_batch([text])] == [ids]
    assert chatty.decode([272, *chatty.encode("low"), 273]) == "<|user|>low<|assistant|>"
    assert max(Tokenizer.trained([text] * 9 + SMALL, 275, SPECIAL).encode(text)) < 272


def test_special_tokens_saved_and_loaded_are_the_same(chatty, small, tmp_path):
    chatty.save(tmp_path)
    assert json.loads((tmp_path / "special_tokens.json").read_bytes()) == SPECIAL
    ids = json.loads((tmp_path / "encoder.json").read_bytes())
    assert list(ids.items())[-3:] == [("<|user|>", 272), ("<|assistant|>", 273), ("<|endoftext|>", 274)]
    assert Tokenizer.load(tmp_path).special_ids == chatty.special_ids
    small.save(tmp_path)
    assert Tokenizer.load(tmp_path).special_ids == {"<|endoftext|>": 274}


@pytest.mark.parametrize(
    ("special", "shown"),
    [
        ([""], "''"),
        (["<a>", "<b>", "<a>"], "'<a>'"),
        (["<|endoftext|>"], "'<|endoftext|>'"),
        (["!"], "'!'"),
        (["\n"], r"'\\n'"),  # the text of a byte
        (["\u010a"], "'\u010a'"),  # and its name in the files
        (["low"], "'low'"),
        ([" low"], "' low'"),
    ],
)
def test_a_special_token_that_is_no_new_token_is_refused(special, shown):
    with pytest.raises(ValueError, match=rf"special_tokens has {shown}; expected a text that is no token yet"):
        Tokenizer([("l", "o"), ("lo", "w"), ("\u0120", "low")], special)


def test_a_vocabulary_without_room_for_its_special_tokens_is_refused():
    assert Tokenizer.trained(SMALL, 259, SPECIAL).vocab_size == 259
    with pytest.raises(ValueError, match=r"vocab_size is 258; expected 259 or more \(256 bytes, <\|user\|>, <\|assist"):
        Tokenizer.trained(SMALL, 258, SPECIAL)


def test_each_text_of_a_batch_is_encoded_for_itself(small):
    texts = ["lowest", "", "the newest \u20ac", "wide", " " * 150_000 + "wide", "a<|endoftext|>b"]
    found = small.encode_batch(texts)
    assert [ids.tolist() for ids in found] == [small.encode(text) for text in texts]
    assert {ids.dtype for ids in found} == {np.dtype(np.uint32)}


def test_a_tokenizer_sent_to_another_process_encodes_as_here(small):
    assert pickle.loads(pickle.dumps(small)).encode("the newest \u20ac") == small.encode("the newest \u20ac")


def test_a_lone_surrogate_is_refused(small):
    for refuse in (
        small.encode,
        lambda text: small.encode_batch([text]),
        lambda text: Tokenizer.trained([text], 257),
    ):
        with pytest.raises(ValueError, match=r"character 2 of the text is a lone surrogate \(U\+D800\)"):
            refuse("ab\ud800c")


def test_a_million_spaces_before_a_word_are_no_crash(small):
    # tiktoken's splitter alone panics here (0.14.0); the last space belongs to the word, "wide" being one of SMALL's.
    assert small.encode(" " * 1_000_000 + "wide") == small.encode(" " * 999_999) + small.encode(" wide")
    assert (
        small.decode(small.encode("\n" * 1_000_000 + "b" + " " * 1_000_000)) == "\n" * 1_000_000 + "b" + " " * 1_000_000
    )


def test_cutting_long_runs_of_space_changes_no_id(small):
    for text in (" " * 150_000 + "wide", "a" + "\n\t\u3000" * 50_000 + "b" + "\x1c" * 3, " " * 99_999 + "\x1ca"):
        assert small.encode(text) == small.encoding.encode_ordinary(text)


def test_ids_outside_the_vocabulary_are_refused(small):
    for id_ in (275, -1):
        with pytest.raises(ValueError, match=f"id {id_} is outside the vocabulary of 275 tokens"):
            small.decode([0, id_])


def test_bytes_that_are_no_text_decode_to_the_replacement_character(small):
    euro = small.encode("\u20ac")
    assert small.decode(euro[:1]) == "\ufffd"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.bpe", b"#version: 0.2\na b c\n", "vocab.bpe is no list of byte-pair merges"),
        ("vocab.bpe", b"#version: 0.2\nab c\n", "merge 'ab' 'c': expected two known tokens"),
        ("vocab.bpe", b"\xff\xfe", "vocab.bpe is no list of byte-pair merges"),
        ("vocab.bpe", b"#version: 0.2\n", "encoder.json does not fit vocab.bpe"),
        ("encoder.json", b'{"!": 0', "encoder.json is not JSON"),
        ("encoder.json", b"[]", "encoder.json does not fit vocab.bpe"),
        ("special_tokens.json", b"[", "special_tokens.json is not JSON"),
        ("special_tokens.json", b'"<a>"', "special_tokens.json is no list of strings"),
        ("special_tokens.json", b"[1]", "special_tokens.json is no list of strings"),
        ("special_tokens.json", b'["l"]', "special_tokens has 'l'"),
        ("special_tokens.json", b'["<a>"]', "encoder.json does not fit vocab.bpe"),
    ],
)
def test_broken_files_are_refused(small, tmp_path, name, content, message):
    small.save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Tokenizer.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"vocab\.bpe: No such file or directory"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(("vocab_size", "name"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_texts_encoded_end_to_end_are_those_encoded_one_by_one(vocab_size, name):
    tokenizer = Tokenizer([], [f"<{number}>" for number in range(vocab_size - 257)])
    texts = ["caf\u00e9", "", "\U0001f600!"]
    ids, ends = tokenizer.encode_joined(texts)
    assert ids.dtype.name == name
    assert [part.tolist() for part in np.split(ids, ends[:-1])] == [tokenizer.encode(text) for text in texts]
    assert [each.tolist() for each in tokenizer.encode_joined([])] == [[], []]
