"""Say where the text of a window stands."""

import argparse

from pipeline import paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the window."""
    parser.add_argument("split", choices=("train", "validation"))
    parser.add_argument("window", type=int, help="its number, from 0")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each document that the window reads: where its text stands, which bytes of it, and the text.

    Bytes are counted as Python slices them, in UTF-8, in the text as it was read: without a byte order mark or Project
    Gutenberg's header, line ends as line feeds.

    Raises ValueError for a window that is not there, and for shards of other tokens.
    """
    from components.tokenizer import table  # late: the other commands' help need not wait for them
    from components.tokenizer.bpe import Tokenizer
    from components.windows.windows import Windows

    windows = Windows(paths.SHARDS, arguments.split)
    if not 0 <= arguments.window < len(windows):
        raise ValueError(f"{arguments.split} has no window {arguments.window}; expected 0..{len(windows) - 1}")
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    ids = windows[arguments.window].tolist()
    for document, first, last in windows.documents(arguments.window):
        row = table.find(paths.TOKENS, document)
        read, here = row.ids[first:last].tolist(), ids[: last - first]
        if here[: len(read)] != read:
            raise ValueError(f"{paths.SHARDS} is of other tokens than {paths.TOKENS}; run dvc repro shard")
        ids = ids[last - first :]
        begin = row.begin + len(tokenizer.decode_bytes(row.ids[:first].tolist()))
        text = tokenizer.decode_bytes(read)
        if read:
            shown = text.decode("utf-8", errors="replace")
            print(f"document {document}, {row.source}: {row.place}, bytes {begin}:{begin + len(text)}: {shown!r}")
    return 0
