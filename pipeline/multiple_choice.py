"""Items with endings to choose from: which of them a model takes for the right one, zero-, one- and few-shot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.gpt.likelihood import likelihoods
from components.gpt.model import GPT
from components.tasks import multiple_choice
from components.tasks.multiple_choice import Choice, Item
from components.tokenizer.bpe import Tokenizer
from pipeline import paths


@dataclass(frozen=True)
class MultipleChoiceSettings:
    """Items of which the model chooses the likeliest ending."""

    file: str
    """A file of HellaSwag, JSON lines, in `data/raw/tasks`."""
    shots: tuple[int, ...]
    """Worked examples that stand before an item, drawn from the file's others; each number is scored by itself."""
    most: int | None
    """Most items, drawn by the seed; null takes all."""
    batch_size: int
    """Endings read side by side."""
    seed: int
    """Seed of the items and of the worked examples."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not self.shots or min(self.shots) < 0 or len(set(self.shots)) < len(self.shots):
            raise ValueError(f"shots are {list(self.shots)}; expected different numbers of 0 or more, at least one")
        for name, least in {"most": 1, "batch_size": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; expected {least} or more")


def choices(settings: MultipleChoiceSettings, model: GPT) -> list[Choice]:
    """Return how likely the model finds each ending of each item, for each number of shots.

    Raises ValueError as `read_hellaswag` does and, before anything is scored, where the file is not there, has too few
    items for the worked examples, or an ending longer than the model reads at once.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    items = multiple_choice.read_hellaswag(_file(settings.file))
    asked = multiple_choice.drawn(items, settings.most, settings.seed)
    _check(settings, asked, items, tokenizer, model.config.context_length)
    return [choice for shots in settings.shots for choice in _behind(shots, settings, model, tokenizer, asked, items)]


def _file(name: str) -> Path:
    file = paths.RAW_TASKS / name
    if not file.is_file():
        raise ValueError(
            f"evaluate.multiple_choice.file is {name}, but {file} is not here; name a source with role: tasks"
        )
    return file


def _check(
    settings: MultipleChoiceSettings, asked: Sequence[Item], items: Sequence[Item], tokenizer: Tokenizer, most: int
) -> None:
    """Raise ValueError for an item without enough others, or with an ending of more than `most` tokens."""
    shots = max(settings.shots)
    for item in asked:
        try:
            multiple_choice.context(item, items, shots, settings.seed)
        except ValueError as error:
            raise ValueError(f"evaluate.multiple_choice.shots has {shots}: {error}, or set a lower number") from error
        for number, ending in enumerate(item.endings, start=1):
            _, ids = multiple_choice.pair(item.context, ending, tokenizer.encode)
            if len(ids) > most:
                raise ValueError(
                    f"evaluate.multiple_choice.file is {settings.file}, but ending {number} of {item.id} "
                    f"has {len(ids)} tokens; the model reads {most} at once; take out its row, which its name counts"
                )


def _behind(
    shots: int,
    settings: MultipleChoiceSettings,
    model: GPT,
    tokenizer: Tokenizer,
    asked: Sequence[Item],
    items: Sequence[Item],
) -> list[Choice]:
    """Return what the model makes of each item behind so many worked examples."""
    pairs = []
    for item in asked:
        context = multiple_choice.context(item, items, shots, settings.seed)
        pairs += [multiple_choice.pair(context, ending, tokenizer.encode) for ending in item.endings]
    scored = iter(likelihoods(model, pairs, batch_size=settings.batch_size))
    found = []
    for item in asked:
        own = [next(scored) for _ in item.endings]
        found.append(
            Choice(
                id=item.id,
                group=item.group,
                shots=shots,
                answer=item.answer,
                nats=tuple(each.nats for each in own),
                characters=tuple(len(ending) for ending in item.endings),
                tokens=tuple(each.tokens for each in own),
                is_cut=any(each.tokens_cut for each in own),
            )
        )
    return found


def accuracies(choices: Sequence[Choice]) -> dict[str, float]:
    """Return by name how many items there were, and for each number of shots the share of right choices.

    `accuracy` takes the likeliest ending, `accuracy_norm` the likeliest by character; `contexts_cut` counts the items
    that were too long for the model and lost their beginning. Without choices there is nothing.
    """
    numbers: dict[str, float] = {}
    for shots in dict.fromkeys(each.shots for each in choices):
        own = [each for each in choices if each.shots == shots]
        name = f"multiple_choice_{shots}_shot"
        numbers["multiple_choice_items"] = len(own)
        numbers[f"{name}_accuracy"] = sum(each.likeliest == each.answer for each in own) / len(own)
        numbers[f"{name}_accuracy_norm"] = sum(each.likeliest_by_character == each.answer for each in own) / len(own)
        numbers[f"{name}_contexts_cut"] = sum(each.is_cut for each in own)
    return numbers
