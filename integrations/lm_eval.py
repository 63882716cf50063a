"""lm-evaluation-harness over our models: its tasks, its metrics, its schema of results, our weights and tokenizer."""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.gpt.generate import complete
from components.gpt.likelihood import likelihoods
from components.gpt.model import GPT
from components.tokenizer.bpe import Tokenizer

TOKENS = 256
"""Tokens that are written for a request that does not say how many: as many as the harness's own models write."""


def evaluate(
    model: GPT,
    tokenizer: Tokenizer,
    tasks: Sequence[str],
    *,
    shots: int | None,
    limit: int | None,
    batch_size: int,
    folder: Path | None,
) -> dict[str, Any]:
    """Return the harness's results of some of its tasks, or of those that a folder of YAML files describes.

    `shots` None: as many worked examples as each task says. `limit`: most items of each. What was asked and answered
    item by item stands under `samples`. Most tasks fetch their items from the model hub at first use.

    Raises ValueError where the harness is not installed, for a task that it does not know, and for one that has more
    tokens written than the model reads at once.
    Source: github.com/EleutherAI/lm-evaluation-harness, docs/interface.md, version 0.4.
    """
    harness_model = adapter(model, tokenizer, batch_size)  # first, for it says what to install
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=None if folder is None else str(folder))
    if unknown := sorted(set(tasks) - set(manager.all_tasks)):
        raise ValueError(f"lm-evaluation-harness knows no task {', '.join(unknown)}; name a folder that describes it")
    found: dict[str, Any] = lm_eval.simple_evaluate(
        harness_model, tasks=list(tasks), num_fewshot=shots, limit=limit, task_manager=manager
    )
    return found


def table(results: Mapping[str, Any]) -> str:
    """Return results as the harness prints them, in Markdown."""
    from lm_eval.utils import make_table

    made: str = make_table(results)
    return made


def as_json(results: Mapping[str, Any]) -> str:
    """Return results as the harness writes them into its files."""
    from lm_eval.utils import handle_non_serializable

    return json.dumps(results, indent=2, default=handle_non_serializable, ensure_ascii=False) + "\n"


def adapter(model: GPT, tokenizer: Tokenizer, batch_size: int) -> Any:
    """Return the model as the harness knows models: an `lm_eval.api.model.LM`.

    Its likelihoods are those of `components.gpt.likelihood`. Behind an empty context stands the end of text. It writes
    greedily, or draws where a request says `do_sample`; an answer ends before the first of the strings in `until`.

    Raises ValueError where the harness is not installed; the model does where a request leaves its context no room.
    """
    if find_spec("lm_eval") is None:
        raise ValueError(
            "lm-evaluation-harness is not here; "
            "pip install --constraint constraints.txt --constraint constraints-lm-eval.txt --editable '.[lm-eval]'"
        )
    from lm_eval.api.model import TemplateLM
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    class Adapter(TemplateLM):  # type: ignore[misc]
        """Our model behind the harness's words."""

        @property
        def eot_token_id(self) -> int:
            """The id that ends a text, and stands before one without a context."""
            return tokenizer.end_of_text

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            """Return the ids of a text; there are no special tokens to add."""
            return tokenizer.encode(string)

        def _loglikelihood_tokens(self, requests: Sequence[Any], **_: Any) -> list[tuple[float, bool]]:
            pairs = [(context, ending) for _texts, context, ending in requests]
            return [(each.nats, each.is_greedy) for each in likelihoods(model, pairs, batch_size=batch_size)]

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            """Return the log-likelihood of whole texts, each read in windows that overlap by no scored token."""
            windows = [self._windows(tokenizer.encode(request.args[0])) for request in requests]
            scored = iter(likelihoods(model, [pair for each in windows for pair in each], batch_size=batch_size))
            return [sum(next(scored).nats for _ in each) for each in windows]

        def _windows(self, ids: list[int]) -> list[tuple[list[int], list[int]]]:
            most = model.config.context_length
            found = get_rolling_token_windows(ids, self.prefix_token_id, max_seq_len=most, context_len=1)
            return [make_disjoint_window(each) for each in found]

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            """Return what follows each context."""
            answers = [""] * len(requests)
            alike: dict[str, list[int]] = {}  # requests by their settings: those of one kind run side by side
            for place, request in enumerate(requests):
                alike.setdefault(repr(sorted(request.args[1].items())), []).append(place)
            for places in alike.values():
                written = self._written([requests[place].args[0] for place in places], requests[places[0]].args[1])
                for place, answer in zip(places, written, strict=True):
                    answers[place] = answer
            return answers

        def _written(self, contexts: Sequence[str], how: Mapping[str, Any]) -> list[str]:
            tokens = int(how.get("max_gen_toks", TOKENS))
            room = model.config.context_length - tokens  # of a longer context the last tokens are read
            if room < 1:
                raise ValueError(
                    f"max_gen_toks is {tokens}; expected less than the {model.config.context_length} tokens that the "
                    f"model reads at once (a task says it in generation_kwargs; {TOKENS} where it does not)"
                )
            is_drawn = bool(how.get("do_sample", False))
            written = complete(
                model,
                [(tokenizer.encode(text) or [tokenizer.end_of_text])[-room:] for text in contexts],
                tokens,
                temperature=float(how.get("temperature", 1.0)) if is_drawn else 0.0,
                top_k=how.get("top_k"),
                top_p=how.get("top_p"),
                stop_id=tokenizer.end_of_text,
                seeds=range(len(contexts)),
                batch_size=batch_size,
            )
            until = how.get("until") or []
            ends = [until] if isinstance(until, str) else until
            return [_before(tokenizer.decode(ids), ends) for ids in written]

    return Adapter()


def _before(text: str, ends: Sequence[str]) -> str:
    """Return a text up to the first of some strings.

    >>> _before("4. Question: 5", ["Question:", "."])
    '4'
    """
    return text[: min((place for end in ends if end and (place := text.find(end)) >= 0), default=len(text))]
