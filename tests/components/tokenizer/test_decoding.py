"""Many documents at once are what tiktoken's own `decode_bytes` makes of each."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tokenizer.bpe import Tokenizer
from components.tokenizer.decoding import Decoder

GPT2 = Path(__file__).parents[4] / "shared/data/gpt2_bpe"
TOKENIZER = Tokenizer([("h", "i"), ("\u00c3", "\u00a9")], ["<|user|>"])  # the second is the UTF-8 of an e with acute
DECODER = Decoder(TOKENIZER)


def decoded(documents, tokenizer=TOKENIZER, decoder=DECODER, dtype=np.uint16):
    offsets = np.cumsum([0, *map(len, documents)])
    ids = np.array([id_ for each in documents for id_ in each], dtype)
    data, ends = decoder.utf8(ids, offsets)
    assert (data.dtype, ends.dtype) == (np.uint8, np.int64)
    parts = [part.tobytes() for part in np.split(data, ends)]
    assert parts.pop() == b""
    assert all(part.endswith(b"\n") for part in parts)
    return [part[:-1].decode() for part in parts]


def by_tiktoken(documents, tokenizer=TOKENIZER):
    return [tokenizer.encoding.decode_bytes(list(ids)).decode("utf-8", errors="replace") for ids in documents]


def test_documents_come_back_with_their_special_tokens():
    user, end = TOKENIZER.special_ids.values()
    documents = [[user, *TOKENIZER.encode("hi caf\u00e9\n"), end], [], TOKENIZER.encode("\n")]
    assert decoded(documents) == ["<|user|>hi caf\u00e9\n<|endoftext|>", "", "\n"]


@settings(max_examples=200)
@given(st.lists(st.lists(st.integers(0, TOKENIZER.vocab_size - 1), max_size=12), max_size=5))
def test_arbitrary_ids_are_what_tiktoken_makes_of_them(documents):
    assert decoded(documents) == by_tiktoken(documents)


def test_a_character_that_two_documents_part_is_replaced_in_both():
    first, second = TOKENIZER.encoding.encode_single_token(b"\xe2"), TOKENIZER.encoding.encode_single_token(b"\x82")
    assert decoded([[first], [second], TOKENIZER.encode("hi")]) == ["\ufffd", "\ufffd", "hi"]


@pytest.mark.skipif(not GPT2.exists(), reason="../shared/data is not here")
def test_random_ids_of_gpt2s_vocabulary_are_what_tiktoken_makes_of_them():
    tokenizer = Tokenizer.gpt2(GPT2)
    draw = np.random.default_rng(1)
    documents = [draw.integers(0, tokenizer.vocab_size, size).tolist() for size in (0, 1, 7, 5000, 300)]
    assert decoded(documents, tokenizer, Decoder(tokenizer)) == by_tiktoken(documents, tokenizer)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int64])
def test_the_type_of_the_ids_changes_nothing(dtype):
    assert decoded([TOKENIZER.encode("hi"), [256]], dtype=dtype) == ["hi", "hi"]


@pytest.mark.parametrize("id_", [-1, 260, 2**32 + 65])
def test_an_id_outside_the_vocabulary_is_refused(id_):
    with pytest.raises(ValueError, match=r"ids .* are outside the vocabulary of 260 tokens"):
        DECODER.utf8(np.array([5, id_], np.int64), np.array([0, 2]))
