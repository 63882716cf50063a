"""Score a model by the tasks of lm-evaluation-harness (extra `lm-eval`; docs/evaluation.md)."""

import argparse
from pathlib import Path

from pipeline import machine, paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the tasks and how they are asked."""
    parser.add_argument("tasks", nargs="+", help="names of tasks, such as hellaswag")
    parser.add_argument("--model", type=Path, default=paths.BASE, help="a checkpoint's folder (default models/base)")
    parser.add_argument("--shots", type=int, help="worked examples before an item (default: as the task says)")
    parser.add_argument("--limit", type=int, help="most items of a task (default: all)")
    parser.add_argument("--batch-size", type=int, default=16, help="texts read side by side (default 16)")
    parser.add_argument("--include", type=Path, help="a folder of YAML files that describe tasks of your own")
    parser.add_argument("--output", type=Path, help="a JSON file for the results, in the harness's schema")


def run(arguments: argparse.Namespace) -> int:
    """Print the harness's table of results and write them where `--output` says.

    Raises ValueError for a model that does not read the tokenizer's ids, and as `integrations.lm_eval.evaluate` does.
    """
    from components.gpt import checkpoint
    from components.tokenizer.bpe import Tokenizer
    from integrations import lm_eval
    from pipeline import starting

    model, tokenizer = checkpoint.load(arguments.model), Tokenizer.load(paths.TOKENIZER)
    starting.match_tokenizer(arguments.model, model.config, tokenizer.vocab_size)
    results = lm_eval.evaluate(
        model.to(machine.device()),
        tokenizer,
        arguments.tasks,
        shots=arguments.shots,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        folder=arguments.include,
    )
    print(lm_eval.table(results))
    if arguments.output:
        with paths.whole(arguments.output) as temporary:
            temporary.write_text(lm_eval.as_json(results), encoding="utf-8")
    return 0
