"""Train a classifier and hold its test results against baselines that know no language."""

import csv
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from components.gpt import classifier, lora
from components.gpt.classifier import Classifier, Reads, Train
from components.gpt.lora import LoraSettings
from components.page.charts import confusion_png
from components.page.facts import ConfusionMatrix
from components.scoring.baselines import bag_of_words, majority
from components.scoring.classification import classification
from components.tasks.classification import Batches, Labelled
from components.tasks.files import read_records
from components.tokenizer.bpe import Tokenizer
from components.training.loop import TrainingSettings
from components.training.losses import label
from pipeline import fitting, launch, machine, paths, starting, tracking
from pipeline.orchestration import gpu, io, stage
from pipeline.work import work

PREDICTIONS = "predictions.csv"
PICTURE = "confusion.png"


@dataclass(frozen=True)
class FinetuneClassifierSettings(TrainingSettings):
    """First weights, what is trained and settings."""

    start_from: str
    """`base`, a published size such as `gpt2-124M`, or a folder with a checkpoint."""
    train: Train
    """What learns: the new head, the last block and final norm too (the book), or everything."""
    lora: LoraSettings | None
    """Instead of `train`: the new head, and of the chosen maps a change of low rank; null for none."""
    reads: Reads
    """Whose vector the head reads: the last token's, or the last position's, padding or not (the book)."""
    max_length: int | None
    """Longest text, tokens, longer ones are cut; null is the longest training text, as in the book."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and first weights that cannot be."""
        super().__post_init__()
        starting.check_start(self.start_from, "base")
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length is {self.max_length}; expected 1 or more")


@stage
def finetune_classifier(finetune_classifier: FinetuneClassifierSettings) -> None:
    """Train `models/classifier` and write `data/predictions`."""
    train(finetune_classifier)
    predict(finetune_classifier)
    record(finetune_classifier.seed)


@gpu
def train(settings: FinetuneClassifierSettings) -> None:
    """Train the classifier; write it and its curve whole."""
    with work("finetune_classifier") as folder:
        launch.run(fit, settings, folder)


def fit(settings: FinetuneClassifierSettings, folder: Path) -> None:
    """Train the classifier with its work in progress in `folder`, in one process or many."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    task = json.loads((paths.CLASSIFICATION / "task.json").read_text(encoding="utf-8"))
    gpt = starting.first_weights(settings.start_from)
    starting.match(gpt.config, tokenizer.vocab_size, 1)
    torch.manual_seed(settings.seed)
    model = Classifier(gpt, tuple(task["labels"]), reads=settings.reads)
    if settings.lora is None:
        classifier.choose_trained(model, settings.train)
    else:
        lora.add(model, settings.lora, new=[model.head], section="finetune_classifier.lora")
    batches = {name: batches_of(name, model, tokenizer, settings) for name in ("train", "validation")}
    curve = fitting.fit(
        model,
        batches["train"],
        label,
        settings,
        lambda: islice(batches["validation"].in_order(), settings.evaluate_batches),
        folder,
    )
    tracking.write_curve("finetune_classifier", curve)
    lora.merge(model)
    with paths.whole(paths.CLASSIFIER) as made:
        classifier.save(model, made)


@gpu
def predict(settings: FinetuneClassifierSettings) -> None:
    """Write the true and the predicted label of every test text, and the confusion matrix as a picture."""
    device = machine.device()
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = classifier.load(paths.CLASSIFIER).to(device).eval()
    predicted: list[str] = []
    with torch.no_grad():
        for ids, lengths, _ in batches_of("test", model, tokenizer, settings).in_order():
            best = model(ids.to(device), lengths.to(device)).argmax(dim=1)
            predicted += [model.labels[place] for place in best.tolist()]
    records = read_records(paths.CLASSIFICATION / "test.jsonl", Labelled)
    true = [each.label for each in records]
    matrix = classification(true, predicted, model.labels).confusion
    with paths.whole(paths.PREDICTIONS) as folder:
        folder.mkdir()
        with (folder / PREDICTIONS).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "group", "actual", "predicted"])
            writer.writerows(
                (each.id, each.group, each.label, label) for each, label in zip(records, predicted, strict=True)
            )
        picture = confusion_png(ConfusionMatrix("Test texts by label", model.labels, matrix))
        (folder / PICTURE).write_bytes(picture)


def batches_of(split: str, model: Classifier, tokenizer: Tokenizer, settings: FinetuneClassifierSettings) -> Batches:
    """Return a split's texts as padded batches."""
    longest = settings.max_length or max(len(ids) for ids in _encoded("train", tokenizer))
    labels = [each.label for each in read_records(paths.CLASSIFICATION / f"{split}.jsonl", Labelled)]
    return Batches(
        _encoded(split, tokenizer),
        [model.labels.index(each) for each in labels],
        settings.batch_size if split == "train" else min(settings.batch_size, len(labels)),
        settings.seed,
        pad_id=tokenizer.end_of_text,
        max_length=min(longest, model.body.config.context_length),
        pad="max_length" if settings.reads == "last_position" else "batch",
    )


def _encoded(split: str, tokenizer: Tokenizer) -> list[list[int]]:
    records = read_records(paths.CLASSIFICATION / f"{split}.jsonl", Labelled)
    return [tokenizer.encode(each.text) for each in records]


@io
def record(seed: int) -> None:
    """Record the test results and those of both baselines, the last losses, the hash of the weights and the machine."""
    with (paths.PREDICTIONS / PREDICTIONS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    true = [row["actual"] for row in rows]
    trained, tested = (read_records(paths.CLASSIFICATION / f"{name}.jsonl", Labelled) for name in ("train", "test"))
    texts, labels = [each.text for each in trained], [each.label for each in trained]
    known = sorted(set(labels))
    guesses = {
        "": [row["predicted"] for row in rows],
        "bag_of_words_": bag_of_words(texts, labels, [each.text for each in tested], seed=seed),
        "majority_": majority(labels, len(tested)),
    }
    numbers = fitting.facts(tracking.read_curve("finetune_classifier"), paths.CLASSIFIER) | {"test_texts": len(rows)}
    for name, guessed in guesses.items():
        found = classification(true, guessed, known)
        numbers |= {
            f"{name}accuracy": found.accuracy,
            f"{name}precision": found.precision,
            f"{name}recall": found.recall,
            f"{name}f1": found.f1,
        }
    tracking.record("finetune_classifier", numbers)
    tracking.keep(paths.PREDICTIONS)
