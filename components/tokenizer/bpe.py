"""Byte-pair encoding: GPT-2's own vocabulary, or one trained on texts, as a tiktoken Encoding.

Both lie on disk as GPT-2 was published, in two files: `vocab.bpe` (the merges in order), `encoder.json` (token to id).
Ids 0..255 are the bytes in GPT-2's order, 256.. the merges, and the last id is `<|endoftext|>`. Special tokens of one's
own come before that, and are listed in a third file, `special_tokens.json`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import tiktoken
import tiktoken.load
import tokenizers

Ids = npt.NDArray[np.uint32]
"""Ids of a text (token,)."""

END_OF_TEXT = "<|endoftext|>"
"""The special token that every vocabulary has: it ends a document."""

# Both spellings split alike: GPT-2's own is what ByteLevel of `tokenizers` has built in, this is tiktoken's faster one.
# Source: openai/gpt-2, src/encoder.py, and tiktoken_ext/openai_public.py (r50k_pat_str).
SPLIT_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""Where text is cut into words before merging; no merge crosses a cut."""

_SPECIAL_TOKENS = "special_tokens.json"
_PUBLISHED = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
_PUBLISHED_SHA256 = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}


def _alphabet() -> dict[str, bytes]:
    """Return the characters that stand for bytes in GPT-2's files, in id order: printable ones for themselves."""
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): bytes([byte]) for byte in printable} | {chr(256 + n): bytes([b]) for n, b in enumerate(others)}


_ALPHABET = _alphabet()

# Rust's \s; Python's has four more. tiktoken's splitter panics on a million of them before a word, so encode() cuts
# such a run before its last character, where the pattern would cut it too.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LONG_RUN = re.compile(rf"(?<![{_SPACE}])[{_SPACE}]{{100000,}}(?=[{_SPACE}][^{_SPACE}])")


class Tokenizer:
    """Text to ids and back, without loss for any Unicode text.

    `merges` are pairs in GPT-2's alphabet, in the order of merging, each of two single bytes or earlier results.
    `special_tokens` stand for no text: no text encodes to them, one is placed by its id (`special_ids`).

    >>> Tokenizer([("h", "i")]).encode("hi!")
    [256, 0]
    >>> Tokenizer([("h", "i")], ["<|user|>"]).special_ids
    {'<|user|>': 257, '<|endoftext|>': 258}

    Raises ValueError for a merge of unknown parts or with the result of an earlier one, and for a special token that is
    empty, there twice, or the text or the name of another token.
    """

    def __init__(self, merges: Sequence[tuple[str, str]], special_tokens: Sequence[str] = ()) -> None:
        self._merges = list(merges)
        tokens = _merged(self._merges)
        self._special_tokens = list(special_tokens)
        known = {END_OF_TEXT.encode(), *tokens.values()}
        for token in self._special_tokens:
            text = _unicode(token).encode()
            if not text or text in known or token in tokens:
                raise ValueError(
                    f"special_tokens has {token!r}; expected a text that is no token yet: not empty, not there twice, "
                    f"no byte, no merge, not {END_OF_TEXT}"
                )
            known.add(text)
        self._tokens = [*tokens, *self._special_tokens, END_OF_TEXT]
        self.encoding = tiktoken.Encoding(
            f"bpe-{len(self._tokens)}",
            pat_str=SPLIT_PATTERN,
            mergeable_ranks={token: rank for rank, token in enumerate(tokens.values())},
            special_tokens=self.special_ids,
            explicit_n_vocab=len(self._tokens),
        )

    @classmethod
    def gpt2(cls, folder: Path | str | None = None) -> Self:
        """Return GPT-2's tokenizer, from a folder with `vocab.bpe` and `encoder.json`, or from tiktoken's own copy.

        tiktoken keeps its copy in TIKTOKEN_CACHE_DIR, or fetches it. Raises ValueError for any files but the published.
        """
        files = _published() if folder is None else _files(Path(folder))
        for name, expected in _PUBLISHED_SHA256.items():
            if (came := hashlib.sha256(files[name]).hexdigest()) != expected:
                raise ValueError(f"{folder}: {name} is not GPT-2's: expected sha256 {expected}, got {came}")
        return cls._parsed(files, str(folder))

    @classmethod
    def trained(cls, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ()) -> Self:
        """Return the tokenizer whose merges are the most frequent in the texts, one after the other.

        `vocab_size` counts the 256 bytes, the merges, the special tokens and the end of text: 257 means bytes alone.
        Special tokens inside the texts are learned from like any other text. The result depends on the texts alone, not
        on their order or the number of threads. Time grows with the square of the longest word: one of 100,000
        characters takes 15 s.

        Raises ValueError for special tokens as `Tokenizer` does, if `vocab_size` is too small for them and the bytes,
        or if the texts do not hold that many merges.
        Source: Sennrich et al. 2016, algorithm 1, over bytes as in GPT-2; trained by Hugging Face's `tokenizers`.
        """
        least = cls([], special_tokens).vocab_size
        if vocab_size < least:
            few = "".join(f"{token}, " for token in special_tokens)
            raise ValueError(f"vocab_size is {vocab_size}; expected {least} or more (256 bytes, {few}{END_OF_TEXT})")
        learner = tokenizers.Tokenizer(tokenizers.models.BPE())
        learner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size - least + 256, initial_alphabet=list(_ALPHABET), show_progress=False
        )
        learner.train_from_iterator((_unicode(text) for text in texts), trainer)
        merges = [(first, second) for first, second in json.loads(learner.to_str())["model"]["merges"]]
        tokenizer = cls(merges, special_tokens)
        if tokenizer.vocab_size < vocab_size:
            raise ValueError(
                f"vocab_size is {vocab_size}, but the texts are used up at {tokenizer.vocab_size}; "
                "lower vocab_size or add text"
            )
        return tokenizer

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Return the tokenizer that was saved in a folder.

        Raises ValueError if one of its files is missing, cannot be read, or does not fit the others.
        """
        # Not tiktoken's reader of this format: it keeps copies in the temporary folder by path, and would answer with
        # the old file after a new one is written.
        return cls._parsed(_files(Path(folder)), str(folder))

    @classmethod
    def _parsed(cls, files: dict[str, bytes], folder: str) -> Self:
        try:
            lines = files["vocab.bpe"].decode("utf-8").split("\n")[1:-1]  # the first line is "#version: 0.2"
            merges = [(first, second) for first, second in (line.split(" ") for line in lines)]
            _merged(merges)
        except ValueError as error:
            raise ValueError(f"{folder}: vocab.bpe is no list of byte-pair merges: {error}") from error
        special_tokens = _json({_SPECIAL_TOKENS: b"[]", **files}, _SPECIAL_TOKENS, folder)
        if not isinstance(special_tokens, list) or not all(isinstance(token, str) for token in special_tokens):
            raise ValueError(f"{folder}: {_SPECIAL_TOKENS} is no list of strings")
        try:
            tokenizer = cls(merges, special_tokens)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error
        if _json(files, "encoder.json", folder) != {token: id_ for id_, token in enumerate(tokenizer._tokens)}:
            raise ValueError(
                f"{folder}: encoder.json does not fit vocab.bpe; expected 256 bytes in GPT-2's order, "
                f"the {len(lines)} merges in theirs, the {len(special_tokens)} special tokens, and {END_OF_TEXT}"
            )
        return tokenizer

    def save(self, folder: Path | str) -> None:
        """Write `vocab.bpe` and `encoder.json`, each whole or not at all; equal tokenizers give equal bytes.

        And `special_tokens.json`, a list in the order of ids, if it has special tokens of its own.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        merges = ["#version: 0.2", *(f"{first} {second}" for first, second in self._merges)]
        _write(folder / "vocab.bpe", "".join(f"{line}\n" for line in merges))
        _write(folder / "encoder.json", json.dumps({token: id_ for id_, token in enumerate(self._tokens)}))
        if self._special_tokens:
            _write(folder / _SPECIAL_TOKENS, json.dumps(self._special_tokens))
        else:
            (folder / _SPECIAL_TOKENS).unlink(missing_ok=True)

    @property
    def vocab_size(self) -> int:
        """Return the number of ids: 256 bytes, the merges, special tokens, and the end of text."""
        return len(self._tokens)

    @property
    def end_of_text(self) -> int:
        """Return the id that ends a document; no text encodes to it."""
        return len(self._tokens) - 1

    @property
    def special_ids(self) -> dict[str, int]:
        """Return the id of each special token by its text, in order, the end of text last; no text encodes to them."""
        first = self.vocab_size - len(self._special_tokens) - 1
        return {token: id_ for id_, token in enumerate(self._tokens[first:], first)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; `<|endoftext|>` or a special token inside it is text like any other.

        Raises ValueError for a lone surrogate, which tiktoken would replace without a word.
        """
        parts = [self.encoding.encode_ordinary(part) for part in _parts(text)]
        return parts[0] if len(parts) == 1 else [id_ for part in parts for id_ in part]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text as `encode` has them, uint32 (token,).

        Raises ValueError for a lone surrogate.
        """

        def encode(text: str) -> Ids:
            return self.encoding.encode_to_numpy(text, disallowed_special=())

        return [np.concatenate([encode(part) for part in _parts(text)]) for text in texts]

    def encode_joined(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.int64]]:
        """Return the ids of all texts end to end (token,), and where those of each end (text,): little to send.

        They are of the smallest type that holds every id. Raises ValueError for a lone surrogate.

        >>> ids, ends = Tokenizer([("h", "i")]).encode_joined(["hi!", "", "hi"])
        >>> ids.tolist(), ends.tolist(), str(ids.dtype)
        ([256, 0, 256], [2, 2, 3], 'uint16')
        """
        found = [np.zeros(0, np.uint32), *self.encode_batch(texts)]
        ends = np.cumsum([len(each) for each in found[1:]], dtype=np.int64)
        return np.concatenate(found).astype(np.min_scalar_type(self.end_of_text)), ends

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 (a model may write them) become U+FFFD.

        Raises ValueError for an id outside the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids, which may begin and end within a character.

        Raises ValueError for an id outside the vocabulary.
        """
        known = [int(id_) for id_ in ids]
        for id_ in known:
            if not 0 <= id_ < self.vocab_size:
                raise ValueError(f"id {id_} is outside the vocabulary of {self.vocab_size} tokens")
        return self.encoding.decode_bytes(known)


def _merged(merges: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """Return what stands for bytes, in id order: each token's name in GPT-2's alphabet, and its bytes."""
    tokens = dict(_ALPHABET)
    for first, second in merges:
        if first not in tokens or second not in tokens or first + second in tokens:
            raise ValueError(f"merge {first!r} {second!r}: expected two known tokens and a new one of them")
        tokens[first + second] = tokens[first] + tokens[second]
    return tokens


def _json(files: dict[str, bytes], name: str, folder: str) -> object:
    try:
        found: object = json.loads(files[name])
    except ValueError as error:
        raise ValueError(f"{folder}: {name} is not JSON: {error}") from error
    return found


def _files(folder: Path) -> dict[str, bytes]:
    more = [_SPECIAL_TOKENS] if (folder / _SPECIAL_TOKENS).exists() else []
    try:
        return {name: (folder / name).read_bytes() for name in [*_PUBLISHED_SHA256, *more]}
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}; expected vocab.bpe and encoder.json there") from error


def _published() -> dict[str, bytes]:
    try:
        return {name: tiktoken.load.read_file_cached(_PUBLISHED + name, sha) for name, sha in _PUBLISHED_SHA256.items()}
    except OSError as error:  # requests' errors are of this kind
        raise ValueError(
            f"tiktoken has no copy of GPT-2's vocabulary and cannot fetch it from {_PUBLISHED}; "
            "name a folder with vocab.bpe and encoder.json, or set TIKTOKEN_CACHE_DIR"
        ) from error


def _parts(text: str) -> list[str]:
    """Return the parts of a text that can be encoded apart: one, unless whitespace is too long for tiktoken."""
    cuts = [0, *(run.end() for run in _LONG_RUN.finditer(_unicode(text))), len(text)]
    return [text[begin:end] for begin, end in pairwise(cuts)]


def _unicode(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} of the text is a lone surrogate (U+{ord(text[error.start]):04X}), "
            "no Unicode text; decode its source with errors='replace'"
        ) from error
    return text


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(text.encode("utf-8"))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
