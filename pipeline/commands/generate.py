"""Let a model go on from a text."""

import argparse
from pathlib import Path

from pipeline import machine, paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the text and how to go on from it."""
    parser.add_argument("text", help="the beginning")
    parser.add_argument("--model", type=Path, default=paths.BASE, help="a checkpoint's folder (default models/base)")
    parser.add_argument("--tokens", type=int, default=60, help="tokens to write at most (default 60)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token (default)")
    parser.add_argument("--top-k", type=int, help="draw among so many likeliest tokens (default: all)")
    parser.add_argument(
        "--top-p", type=float, help="draw among the likeliest that together have this share (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawing (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Print the text and what the model adds, as it comes.

    Raises ValueError for a model that does not read the tokenizer's ids.
    """
    import torch  # late: the other commands' help need not wait for it

    from components.gpt import checkpoint
    from components.gpt.generate import stream
    from components.tokenizer.bpe import Tokenizer
    from pipeline import starting

    device = machine.device()
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = checkpoint.load(arguments.model).to(device)
    starting.match_tokenizer(arguments.model, model.config, tokenizer.vocab_size)
    written = stream(
        model,
        tokenizer.encode(arguments.text) or [tokenizer.end_of_text],
        arguments.tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        stop_id=tokenizer.end_of_text,
        generator=torch.Generator(device).manual_seed(arguments.seed),
    )
    print(arguments.text, end="", flush=True)
    ids: list[int] = []
    shown = ""
    for new in written:
        ids.append(new)
        text = tokenizer.decode(ids).rstrip("\N{REPLACEMENT CHARACTER}")  # a letter may take several tokens
        print(text.removeprefix(shown), end="", flush=True)
        shown = text
    print(tokenizer.decode(ids).removeprefix(shown))
    return 0
