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
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawing (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Print the text and what the model adds.

    Raises ValueError for a model that does not read the tokenizer's ids.
    """
    import torch  # late: the other commands' help need not wait for it

    from components.gpt import checkpoint
    from components.gpt.generate import generate
    from components.tokenizer.bpe import Tokenizer

    device = machine.device()
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = checkpoint.load(arguments.model).to(device)
    known = model.config.vocab_size
    if known != tokenizer.vocab_size:
        raise ValueError(
            f"{arguments.model} knows {known} tokens, the tokenizer in {paths.TOKENIZER} {tokenizer.vocab_size}; "
            f"expected a model trained on its ids"
        )
    ids = torch.tensor([tokenizer.encode(arguments.text) or [tokenizer.end_of_text]], device=device)
    written = generate(
        model,
        ids,
        arguments.tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        stop_id=tokenizer.end_of_text,
        generator=torch.Generator(device).manual_seed(arguments.seed),
    )
    print(arguments.text + tokenizer.decode(written[0, ids.shape[1] :].tolist()))
    return 0
