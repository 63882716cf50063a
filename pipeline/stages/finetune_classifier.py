"""Train a classifier and hold its test results against those of the untuned model and of two baselines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch

from components.gpt import classifier, lora
from components.gpt.classifier import Classifier, Reads, Train
from components.gpt.lora import LoraSettings
from components.page.charts import confusion_png
from components.page.facts import ConfusionMatrix
from components.scoring.baselines import bag_of_words, linear_probe, majority, most_likely
from components.scoring.classification import classification
from components.tasks.classification import Batches, Labelled
from components.tasks.files import read_records
from components.tasks.splits import SPLITS
from components.tokenizer.bpe import Tokenizer
from components.training.loop import TrainingSettings
from components.training.losses import label
from pipeline import fitting, launch, machine, paths, predictions, starting, tracking
from pipeline.orchestration import gpu, io, stage
from pipeline.predictions import CLASSIFIER, MAJORITY, UNTUNED, WORDS
from pipeline.selection import Selection
from pipeline.work import work

PICTURE = "confusion.png"


@dataclass(frozen=True)
class FinetuneClassifierSettings(TrainingSettings):
    """First weights, what is trained and settings."""

    start_from: str
    """`base`, a published size such as `gpt2-124M`, or a folder with a checkpoint."""
    train: Train
    """What learns: the new head, the last blocks and the final norm too, or everything."""
    last_blocks: int
    """How many blocks learn where `train` says so; 1..n_layers; 1 is the book's."""
    lora: LoraSettings | None
    """Instead of `train`: the new head, and of the chosen maps a change of low rank; null for none."""
    reads: Reads
    """Whose vector the head reads: the last token's, or the last position's, padding or not (the book)."""
    max_length: int | None
    """Longest text, tokens, at most the model's context; longer ones are cut. Null is the longest training text, as in
    the book, or the context where that is shorter."""
    keep: Literal["last", "best"]
    """The weights after the last step, or those with the lowest validation loss of all evaluations."""
    patience: int | None
    """Evaluations in a row without a lower validation loss after which training ends, 1 or more; null never does."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and first weights that cannot be."""
        super().__post_init__()
        starting.check_start(self.start_from, "base")
        for name in ("max_length", "last_blocks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more")
        _ = self.selection  # which refuses what it cannot be

    @property
    def selection(self) -> Selection:
        """When the training ends and which weights it leaves."""
        return Selection(self.keep, self.patience)


@stage
def finetune_classifier(finetune_classifier: FinetuneClassifierSettings) -> None:
    """Train `models/classifier` and write `data/predictions`."""
    train(finetune_classifier)
    predict(finetune_classifier)
    record(finetune_classifier.selection)


@gpu
def train(settings: FinetuneClassifierSettings) -> None:
    """Train the classifier; write it and its curve whole."""
    with work("finetune_classifier") as folder:
        launch.run(fit, settings, folder)


def fit(settings: FinetuneClassifierSettings, folder: Path) -> None:
    """Train the classifier with its work in progress in `folder`, in one process or many."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    torch.manual_seed(settings.seed)
    model = untrained(tokenizer, settings)
    refuse_unseen(model.labels)
    if settings.lora is None:
        classifier.choose_trained(model, settings.train, settings.last_blocks, section="finetune_classifier")
    else:
        lora.add(model, settings.lora, new=[model.head], section="finetune_classifier.lora")
    with fitting.in_section("finetune_classifier"):
        batches = {name: batches_of(name, model, tokenizer, settings) for name in ("train", "validation")}
    curve = fitting.fit(
        model,
        batches["train"],
        label,
        settings,
        lambda: islice(batches["validation"].in_order(), settings.evaluate_batches),
        folder,
        settings.selection,
    )
    tracking.write_curve("finetune_classifier", curve)
    lora.merge(model)
    with paths.whole(paths.CLASSIFIER) as made:
        classifier.save(model, made)


def untrained(tokenizer: Tokenizer, settings: FinetuneClassifierSettings) -> Classifier:
    """Return the first weights with a new head, drawn from torch's global generator.

    Raises ValueError for a max_length that the model's context does not hold; training texts that it does not are cut.
    """
    task = json.loads((paths.CLASSIFICATION / "task.json").read_text(encoding="utf-8"))
    gpt = starting.first_weights(settings.start_from)
    starting.match(gpt.config, tokenizer.vocab_size, 1)
    context = gpt.config.context_length
    if settings.max_length is not None and settings.max_length > context:
        raise ValueError(
            f"finetune_classifier.max_length is {settings.max_length}; expected 1..{context} (the model's context), or "
            "null for the longest training text"
        )
    length = settings.max_length or min(max(map(len, _encoded("train", tokenizer))), context)
    return Classifier(gpt, tuple(task["labels"]), reads=settings.reads, max_length=length)


def refuse_unseen(labels: Sequence[str]) -> None:
    """Raise ValueError, naming the record, for a label of any split that is not among these, those of training."""
    for split in SPLITS:
        for each in _records(split):
            if each.label not in labels:
                raise ValueError(
                    f"{paths.CLASSIFICATION}: record {each.id} of the {split} split has the label {each.label!r}; "
                    f"training has {', '.join(labels)} alone; run prepare again"
                )


def batches_of(split: str, model: Classifier, tokenizer: Tokenizer, settings: FinetuneClassifierSettings) -> Batches:
    """Return a split's texts as padded batches."""
    records = _records(split)
    return Batches(
        _encoded(split, tokenizer),
        [model.labels.index(each.label) for each in records],
        settings.batch_size if split == "train" else min(settings.batch_size, len(records)),
        settings.seed,
        pad_id=tokenizer.end_of_text,
        max_length=model.max_length,
        pad="max_length" if settings.reads == "last_position" else "batch",
    )


@gpu
def predict(settings: FinetuneClassifierSettings) -> None:
    """Write what the classifier and each baseline make of every test text, and the confusion matrix as a picture.

    The untuned model is the one that training began with, frozen, under a head of its own that was fitted to all
    training texts: a head that is only drawn would say nothing of the model.
    """
    trained, tested = _records("train"), _records("test")
    texts, labels = [each.text for each in trained], [each.label for each in trained]
    guessed = {
        CLASSIFIER: _classified(settings),
        UNTUNED: _probed(labels, settings),
        WORDS: bag_of_words(texts, labels, [each.text for each in tested], seed=settings.seed),
        MAJORITY: majority(labels, len(tested)),
    }
    true = [each.label for each in tested]
    predicted = {who: most_likely(each) for who, each in guessed.items()}
    known = tuple(guessed[CLASSIFIER][0])
    matrix = classification(true, predicted[CLASSIFIER], known).confusion
    with paths.whole(paths.PREDICTIONS) as folder:
        folder.mkdir()
        records = [(each.id, each.group, each.label) for each in tested]
        for who, each in guessed.items():
            predictions.write(folder / predictions.file(who).name, records, predicted[who], each)
        picture = confusion_png(ConfusionMatrix("Test texts by label", known, matrix))
        (folder / PICTURE).write_bytes(picture)


def _classified(settings: FinetuneClassifierSettings) -> list[dict[str, float]]:
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = classifier.load(paths.CLASSIFIER).to(machine.device())
    texts = _encoded("test", tokenizer)
    found = classifier.probabilities(model, texts, pad_id=tokenizer.end_of_text, batch_size=settings.batch_size)
    return [dict(zip(model.labels, row, strict=True)) for row in found.tolist()]


def _probed(labels: list[str], settings: FinetuneClassifierSettings) -> list[dict[str, float]]:
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = untrained(tokenizer, settings).to(machine.device())
    train, test = (
        classifier.vectors(model, texts, pad_id=tokenizer.end_of_text, batch_size=settings.batch_size).numpy()
        for texts in (_encoded("train", tokenizer), _encoded("test", tokenizer))
    )
    return linear_probe(train, labels, test, seed=settings.seed)


def _records(split: str) -> list[Labelled]:
    return read_records(paths.CLASSIFICATION / f"{split}.jsonl", Labelled)


def _encoded(split: str, tokenizer: Tokenizer) -> list[list[int]]:
    return [tokenizer.encode(each.text) for each in _records(split)]


@io
def record(selection: Selection) -> None:
    """Record the results of all, the last losses, the step whose weights were kept, and the machine."""
    curve = tracking.read_curve("finetune_classifier")
    numbers = fitting.facts(curve, paths.CLASSIFIER)
    if curve:
        numbers["kept_step"] = selection.kept(curve)
        numbers["kept_validation_loss"] = curve[selection.kept(curve)]["validation_loss"]
    for who in predictions.WHO:
        its = predictions.read(who)
        true, predicted = ([its.labels[place] for place in each.tolist()] for each in (its.true, its.predicted))
        found = classification(true, predicted, its.labels)
        prefix = "" if who == CLASSIFIER else f"{predictions.file(who).stem}_"
        given = predictions.measured(who) | {"precision": found.precision, "recall": found.recall}
        numbers |= {f"{prefix}{name}": value for name, value in given.items()}
    tracking.record("finetune_classifier", numbers | {"test_texts": len(_records("test"))})
    tracking.keep(paths.PREDICTIONS)
