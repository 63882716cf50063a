"""Tell the label of a text, or of each text in a file."""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline import machine, paths

BATCH = 64  # texts read, told and printed together


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a text or a file of texts."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("text", nargs="?", help="a text")
    given.add_argument("--file", type=Path, help="a file: a text each line, or in .jsonl an object with a `text`")
    parser.add_argument("--model", type=Path, default=paths.CLASSIFIER, help="its folder (default models/classifier)")


def run(arguments: argparse.Namespace) -> int:
    """Print for each text, in its order and as it is told, a JSON object: label, probability, and those of all labels.

    Raises ValueError for an empty text, by file and row, and for a model that does not read the tokenizer's ids.
    """
    from components.gpt import classifier  # late: the other commands' help need not wait for torch
    from components.tokenizer.bpe import Tokenizer
    from pipeline import starting

    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = classifier.load(arguments.model).to(machine.device())
    starting.match_tokenizer(arguments.model, model.body.config, tokenizer.vocab_size)
    texts = iter([_checked("the text", arguments.text)]) if arguments.file is None else _texts(arguments.file)
    while some := list(islice(texts, BATCH)):
        ids = [tokenizer.encode(text) for text in some]
        for row in classifier.probabilities(model, ids, pad_id=tokenizer.end_of_text, batch_size=BATCH).tolist():
            label = model.labels[row.index(max(row))]  # before rounding, which makes near shares equal
            shares = {label: round(share, 6) for label, share in zip(model.labels, row, strict=True)}
            told = {"label": label, "probability": shares[label], "probabilities": shares}
            print(json.dumps(told, ensure_ascii=False), flush=True)
    return 0


def _texts(file: Path) -> Iterator[str]:
    """Yield the texts of a file, line by line."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{file}, row {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"{where}: not UTF-8; save it as UTF-8") from error
            yield _checked(where, _field(where, text) if file.suffix == ".jsonl" else text)


def _field(where: str, line: str) -> str:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error.msg}); expected an object with a text") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ValueError(f"{where}: expected an object with the field 'text', got {line[:60]}")
    return str(row["text"])


def _checked(where: str, text: str) -> str:
    if not text.strip():
        raise ValueError(f"{where}: the text is empty; expected some words")
    return text
