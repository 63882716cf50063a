"""Let the tuned model, the preferred one if it is another, and the untuned model answer every test instruction."""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from components.gpt import checkpoint
from components.gpt.generate import PastContext, complete
from components.gpt.likelihood import likelihoods
from components.gpt.model import GPT
from components.scoring.response import PREFERRED, SHOWN, TUNED, UNTUNED, Response
from components.scoring.score import LIKELIHOOD, NATS, Score
from components.tasks.files import read_records, write_records
from components.tasks.instructions import Instruction, answer_in, completion, full, prompt, read_template
from components.tasks.templates import Template, openings
from components.tokenizer.bpe import Tokenizer
from pipeline import checks, machine, paths, starting, tracking
from pipeline.orchestration import gpu, io, stage

log = logging.getLogger(__name__)

BETWEEN = "\n\n"


@dataclass(frozen=True)
class RespondSettings:
    """How answers are written."""

    max_new_tokens: int
    """Longest answer, tokens."""
    batch_size: int
    """Prompts answered side by side."""
    temperature: float
    """0 takes the likeliest token."""
    top_k: int | None
    """Draw among so many likeliest tokens; null among all."""
    top_p: float | None
    """Draw among the likeliest tokens that together have this share; null among all."""
    past_context: PastContext
    """What happens past the tokens that the model reads at once: it reads the last ones, or the stage ends."""
    seed: int
    """Seed of the drawing; each record draws by itself, from this and its id."""
    examples: int
    """Most worked examples of the same kind that the untuned model is shown in a second round; 0 for no such round."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; expected a share above 0 up to 1")
        leasts = {"max_new_tokens": 1, "batch_size": 1, "temperature": 0, "top_k": 1, "seed": 0, "examples": 0}
        for name, least in leasts.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; expected {least} or more")


@stage
def respond(respond: RespondSettings) -> None:
    """Write `data/responses`: every model's answers, and how likely each finds the expected ones."""
    numbers = answer(respond)
    check(bool(respond.examples))
    record(numbers)


@dataclass(frozen=True)
class Round:
    """One model, asked each record."""

    name: str
    """Whose answers they are."""
    model: GPT
    """Who answers."""
    prompts: list[str]
    """What it is shown, a text for each record."""


@gpu
def answer(settings: RespondSettings) -> dict[str, int]:
    """Answer with each model and write the responses, records in their order; return what was cut or left out."""
    records = read_records(paths.INSTRUCTIONS / "test.jsonl", Instruction)
    template = read_template(paths.INSTRUCTIONS / "task.json")
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    tuned = checkpoint.load(paths.ASSISTANT)
    room = tuned.config.context_length - settings.max_new_tokens
    if room < 1:
        raise ValueError(
            f"respond.max_new_tokens is {settings.max_new_tokens}; expected less than the "
            f"{tuned.config.context_length} tokens that the model reads at once"
        )
    ids = [record.id for record in records]
    ends = ends_of_example(records, template)
    expected = [tokenizer.encode(completion(record, template)) for record in records]
    responses: list[Response] = []
    expectations: list[Score] = []
    too_long = 0
    for each in rounds(tuned, records, template, settings.examples, room, tokenizer):
        prompts = [tokenizer.encode(text) for text in each.prompts]
        too_long += sum(len(its) > room for its in prompts)
        answers = write(each.model.to(machine.device()), prompts, ids, settings, tokenizer)
        if each.name == SHOWN:
            answers = [cut(text, ends) for text in answers]
        responses += [
            Response(
                each.name,
                record.id,
                record.kind,
                record.group,
                record.instruction,
                record.input,
                record.output,
                answer_in(text, template),
            )
            for record, text in zip(records, answers, strict=True)
        ]
        expectations += of_expected(each, ids, prompts, expected, settings.batch_size)
    with paths.whole(paths.RESPONSES) as folder:
        write_records(responses, folder / paths.RESPONSE_LINES.name)
        write_records(expectations, folder / paths.LIKELIHOOD_LINES.name)
    return {"records": len(records), "responses": len(responses), "prompts_cut": too_long}


def rounds(
    tuned: GPT, records: Sequence[Instruction], template: Template, examples: int, room: int, tokenizer: Tokenizer
) -> list[Round]:
    """Return the models with what each is shown; the untuned one a second time with worked examples, where asked."""
    origin = json.loads((paths.ASSISTANT / "origin.json").read_text(encoding="utf-8"))
    untuned = starting.first_weights(origin["start_from"])
    plain = [prompt(record, template) for record in records]
    found = [Round(TUNED, tuned, plain)]
    if has_preferred():
        found.append(Round(PREFERRED, checkpoint.load(paths.PREFERRED), plain))
    found.append(Round(UNTUNED, untuned, plain))
    if examples:
        train = read_records(paths.INSTRUCTIONS / "train.jsonl", Instruction)
        found.append(Round(SHOWN, untuned, with_examples(records, train, template, examples, room, tokenizer)))
    return found


def write(
    model: GPT, prompts: Sequence[Sequence[int]], ids: Sequence[str], settings: RespondSettings, tokenizer: Tokenizer
) -> list[str]:
    """Return what a model writes after each prompt, without white space around it."""
    written = complete(
        model,
        prompts,
        settings.max_new_tokens,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        stop_id=tokenizer.end_of_text,
        seeds=[seed_of(id, settings.seed) for id in ids],
        past_context=settings.past_context,
        batch_size=settings.batch_size,
    )
    return [tokenizer.decode(each).strip() for each in written]


def has_preferred() -> bool:
    """Return whether the preferred model is another than the tuned one: else it would only say the same again."""
    return checkpoint.sha256(paths.PREFERRED) != checkpoint.sha256(paths.ASSISTANT)


def of_expected(
    asked: Round,
    ids: Sequence[str],
    prompts: Sequence[Sequence[int]],
    expected: Sequence[Sequence[int]],
    batch_size: int,
) -> list[Score]:
    """Return how likely a model finds each expected answer after its prompt: nats per token, mean, the end left out.

    Null where the answer alone is longer than the model reads at once.
    """
    most = asked.model.config.context_length
    fitting = [place for place, answer in enumerate(expected) if len(answer) <= most]
    found = likelihoods(asked.model, [(prompts[place], expected[place]) for place in fitting], batch_size=batch_size)
    values = {place: its.nats_per_token for place, its in zip(fitting, found, strict=True)}
    scores = []
    for place, (id, answer) in enumerate(zip(ids, expected, strict=True)):
        value = values.get(place)
        reason = "" if value is not None else f"{len(answer)} tokens; the model reads {most} at once"
        scores.append(Score(asked.name, id, LIKELIHOOD, value, NATS, reason))
    return scores


def seed_of(id: str, seed: int) -> int:
    """Return the seed of one record's drawing, so that its answer depends on no other record."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{id}".encode()).digest()[:7])


def with_examples(
    records: Sequence[Instruction],
    shown: Sequence[Instruction],
    template: Template,
    most: int,
    room: int,
    tokenizer: Tokenizer,
) -> list[str]:
    """Return each record's prompt behind worked examples of its kind, others for each, as many as fit in `room`."""
    by_kind: defaultdict[str, list[Instruction]] = defaultdict(list)
    for each in shown:
        by_kind[each.kind].append(each)
    prompts = []
    for place, record in enumerate(records):
        same = by_kind[record.kind]
        chosen = [full(same[(place * most + k) % len(same)], template) for k in range(most)] if same else []
        parts = [*chosen, prompt(record, template)]
        while len(parts) > 1 and len(tokenizer.encode(BETWEEN.join(parts))) > room:
            del parts[0]
        prompts.append(BETWEEN.join(parts))
    return prompts


def ends_of_example(records: Sequence[Instruction], template: Template) -> list[str]:
    """Return what an answer behind examples ends before, the first of them that comes.

    An untuned model does not stop by itself: its answer ends where those of the examples do. That is at a line's end;
    where completions have several lines, at a blank line; where they have blank lines, at one before what the next
    prompt begins with, which a template whose prompts begin with the record's own text does not tell.
    """
    completions = [completion(each, template).strip() for each in records]
    for end in ("\n", BETWEEN):
        if not any(end in text for text in completions):
            return [end]
    return [BETWEEN + each for each in openings(template)]


def cut(text: str, ends: Sequence[str]) -> str:
    """Return a text up to the first of some ends, without white space around it."""
    return text[: min((text.find(end) for end in ends if end in text), default=len(text))].strip()


@io
def check(has_examples: bool) -> None:
    """Check that each model has answered each record."""
    models = [TUNED, *([PREFERRED] if has_preferred() else []), UNTUNED, *([SHOWN] if has_examples else [])]
    responses = read_records(paths.RESPONSE_LINES, Response)
    frame = pd.DataFrame([{"id": each.id, "model": each.model, "characters": len(each.answer)} for each in responses])
    records = read_records(paths.INSTRUCTIONS / "test.jsonl", Instruction)
    checks.check("responses", frame, checks.responses(models, len(records)))


@io
def record(numbers: dict[str, int]) -> None:
    """Record how much was answered."""
    responses = read_records(paths.RESPONSE_LINES, Response)
    empty = sum(not each.answer for each in responses if each.model == TUNED)
    weights = {"weights_sha256": checkpoint.sha256(paths.ASSISTANT)}
    if has_preferred():
        weights["preferred_weights_sha256"] = checkpoint.sha256(paths.PREFERRED)
    tracking.record("respond", {**numbers, "empty_answers": empty, **weights})
    tracking.keep(paths.RESPONSES)
