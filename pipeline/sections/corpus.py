"""The corpus and its tokens."""

import json
from collections.abc import Mapping
from typing import Any

from components.page.facts import Block, Column, KeyValues, Section, Table, Text
from pipeline import paths, tracking

GPT2_TOKENS = 50_257  # in its vocabulary, as published
DECODED_FROM = "decoded_from_"  # before the name of an encoding, as the stage `tokenize` counts documents


def section() -> Section:
    """Return sources, sizes, how well the vocabulary fits, and the records of both tasks."""
    sources = json.loads(paths.SOURCES.read_text(encoding="utf-8"))
    tokens, shards, records = tracking.recorded("tokenize"), tracking.recorded("shard"), tracking.recorded("prepare")
    by_source: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in sources:
        by_source.setdefault((each["name"], each["file"].partition("/")[0]), []).append(each)
    listed = Table(
        "Sources",
        (Column("source"), Column("for"), Column("licence"), Column("files"), Column("size", "bytes")),
        tuple(
            (name, role, files[0]["licence"], len(files), sum(each["size_bytes"] for each in files))
            for (name, role), files in by_source.items()
        ),
    )
    hashes = KeyValues(
        "SHA-256 of the sources",
        tuple(
            (files[0]["file"], files[0]["sha256"])
            if len(files) == 1
            else (f"{name}, {len(files)} files", f"each in {paths.SOURCES}")
            for (name, _), files in by_source.items()
        ),
    )
    splits = Table(
        "The corpus by split",
        (
            Column("split"),
            Column("documents"),
            Column("bytes"),
            Column("tokens"),
            Column("windows"),
            Column("bytes per token", "", 2),
            Column("tokens per word", "", 2),
        ),
        tuple(
            (
                split,
                tokens[f"{split}_documents"],
                tokens[f"{split}_bytes"],
                tokens[f"{split}_tokens"],
                shards[f"{split}_windows"],
                tokens[f"{split}_bytes"] / tokens[f"{split}_tokens"],
                tokens.get(f"{split}_tokens_per_word"),
            )
            for split in ("train", "validation")
        ),
        "Validation text is held out: neither the vocabulary nor the model has learned from it. "
        "Words are what white space parts. "
        f"Left out: {tokens['duplicates']} duplicates, {tokens['near_duplicates']} near duplicates, "
        f"{tokens['refused']} that could not be read, {tokens['breaches']} that broke the contract.{_decoded(tokens)}",
    )
    tasks = Table(
        "Records of the two tasks by split",
        (Column("task"), Column("train"), Column("validation"), Column("test")),
        tuple(
            (task, *(records[f"{task}_{split}"] for split in ("train", "validation", "test")))
            for task in ("classification", "instructions")
        ),
        f"Without duplicates, none on two sides. Left out: {_left_out(records)}.",
    )
    return Section("The corpus and its tokens", (listed, hashes, splits, _vocabulary(tokens), tasks))


def _left_out(records: Mapping[str, Any]) -> str:
    """Return how many records are left out, by reason."""
    reasons = {
        "duplicate_records": "that stand twice",
        "empty_records": "without text, prompt or answer",
        "instructions_too_long": "instructions that are too long",
        "preferences_too_long": "preferences that are too long",
        "labelled_surplus": "of too common a label",
    }
    return ", ".join(f"{records[name]} {reason}" for name, reason in reasons.items() if name in records)


def _decoded(tokens: Mapping[str, Any]) -> str:
    """Return in a sentence how many documents were not UTF-8, and what they were decoded from."""
    found = {name.removeprefix(DECODED_FROM): count for name, count in tokens.items() if name.startswith(DECODED_FROM)}
    told = ", ".join(f"{count} from {encoding}" for encoding, count in found.items())
    return f" Decoded from another encoding than UTF-8: {told}." if told else ""


def _vocabulary(tokens: Mapping[str, Any]) -> Block:
    """Return how well the vocabulary fits, beside GPT-2's own on the same text."""
    if "gpt2_validation_tokens_per_word" not in tokens:
        return Text(
            "GPT-2's vocabulary was not at hand: with its two files among download.sources, role tokenizer, as "
            "presets/book.yaml names them, it is compared here with this build's."
        )
    fits = ("validation_bytes_per_token", "validation_tokens_per_word")
    return Table(
        "The vocabulary beside GPT-2's, on validation text",
        (
            Column("vocabulary"),
            Column("size", "tokens"),
            Column("bytes per token", "", 2),
            Column("tokens per word", "", 2),
        ),
        (
            ("this build's", tokens["vocab_size"], *(tokens[name] for name in fits)),
            ("GPT-2's", GPT2_TOKENS, *(tokens[f"gpt2_{name}"] for name in fits)),
        ),
        "More bytes per token (compression) and fewer tokens per word (fertility) let a context hold more text. Models "
        "of different vocabularies compare in bits per byte.",
    )
