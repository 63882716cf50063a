"""Write a language model as a folder that transformers loads, with the tokenizer beside it."""

import argparse
from pathlib import Path

from pipeline import paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the model and where it goes."""
    parser.add_argument("model", type=Path, help="a checkpoint's folder, such as models/base or models/assistant")
    parser.add_argument("target", type=Path, help="the new folder; it is not there yet, or empty")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, whole or not at all: transformers' `AutoModelForCausalLM` and `AutoTokenizer` take it so.

    They find a `GPT2LMHeadModel`, or with rotary positions a `GPTNeoXForCausalLM`, and a `GPT2Tokenizer`.

    Raises ValueError for a target with something in it, a folder without a language model, and a tokenizer of another
    size.
    """
    from components.gpt import checkpoint  # late: the other commands' help need not wait for torch
    from components.gpt.weights import write_published
    from components.tokenizer.bpe import Tokenizer

    model_folder, target = arguments.model, arguments.target
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{target} is there already; expected a new folder, or an empty one")
    if "labels" in checkpoint.read_config(model_folder):
        raise ValueError(f"{model_folder} holds a classifier; expected a language model, such as {paths.BASE}")
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = checkpoint.load(model_folder)
    if model.config.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"{model_folder} knows {model.config.vocab_size} tokens, the tokenizer in {paths.TOKENIZER} "
            f"{tokenizer.vocab_size}; expected a model trained on its ids"
        )
    with paths.whole(target) as folder:
        write_published(model, folder)
        tokenizer.save(folder)
        for ours, theirs in {"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"}.items():
            (folder / ours).rename(folder / theirs)
        # Or a GPT-NeoX would get a tokenizer with a token more than the model knows, or none (transformers 4).
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}\n', encoding="utf-8")
    (loaded_by,) = checkpoint.read_config(target)["architectures"]
    print(f"{target}: {loaded_by} of {model.n_parameters:,} parameters and its GPT2Tokenizer")
    return 0
