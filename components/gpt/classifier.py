"""A GPT that reads a text and names its class: the body, and one linear map where the language model had its head.

Source: Raschka, Build a Large Language Model (From Scratch), chapter 6; Radford et al. 2018, section 3.2.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from components.gpt.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    fill,
    parse_config,
    read_config,
    read_tensors,
    write_folder,
)
from components.gpt.model import GPT, Body

Reads = Literal["last_token", "last_position"]
"""Whose vector is classified: that of the text's last token or, as in the book, of the padded row's last position."""

Train = Literal["head", "last_block", "all"]
"""What fine-tuning changes: the new head; that, the last block and the final norm, as in the book; everything."""


class Classifier(nn.Module):
    """A score for each label, for each text.

    The body is `gpt`'s own, not a copy; the head is new, drawn as torch does from its global generator.

    Raises ValueError for fewer than two labels, or one twice.
    """

    def __init__(self, gpt: GPT, labels: tuple[str, ...], *, reads: Reads = "last_token") -> None:
        super().__init__()
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise ValueError(f"labels are {', '.join(labels) or 'none'}; expected two or more, each once")
        if reads not in ("last_token", "last_position"):
            raise ValueError(f"reads is {reads!r}; expected 'last_token' or 'last_position'")
        self.labels = labels
        self.reads = reads
        self.body: Body = gpt.body
        self.head = nn.Linear(gpt.config.emb_dim, len(labels))

    def forward(
        self, ids: Int64[Tensor, "batch token"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch label"]:
        """Return the logits of the labels, in the order of `labels`.

        `ids` are padded on the right; `lengths` are the texts' own, 1 or more. What pads does not matter to
        "last_token": attention looks back only.

        Raises ValueError for more tokens than context_length.
        """
        hidden = self.body(ids)
        rows = torch.arange(ids.shape[0], device=ids.device)
        logits: Tensor = self.head(hidden[rows, lengths - 1] if self.reads == "last_token" else hidden[:, -1])
        return logits


def choose_trained(classifier: Classifier, train: Train) -> None:
    """Let an optimizer change what `train` says, and freeze the rest.

    Raises ValueError for another word.
    """
    chosen: dict[Train, list[nn.Module]] = {
        "head": [classifier.head],
        "last_block": [classifier.head, classifier.body.final_norm, classifier.body.blocks[-1]],
        "all": [classifier],
    }
    if train not in chosen:
        raise ValueError(f"train is {train!r}; expected one of {', '.join(chosen)}")
    classifier.requires_grad_(False)
    for module in chosen[train]:
        module.requires_grad_(True)


def save(classifier: Classifier, directory: Path | str) -> None:
    """Write `classifier` into `directory`, as `checkpoint.save` writes a GPT; the labels are in config.json.

    Raises OSError if the disk takes no more.
    """
    body = dataclasses.asdict(classifier.body.config)
    config = {"labels": classifier.labels, "reads": classifier.reads, "body": body}
    write_folder(Path(directory), config, classifier.state_dict())


def load(directory: Path | str) -> Classifier:
    """Return the classifier that `save` wrote; all of it may be trained.

    Raises ValueError as `checkpoint.load` does, and for a folder that holds another kind of model.
    """
    folder = Path(directory)
    path = folder / CONFIG_FILE
    config = read_config(folder)
    if config.keys() != {"labels", "reads", "body"} or not isinstance(config["body"], dict):
        raise ValueError(f"{path}: has {', '.join(config)}; expected a classifier's labels, reads and body")
    labels, reads = config["labels"], config["reads"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{path}: labels are {labels!r}; expected a list of names")
    body = parse_config(config["body"], path)
    with torch.device("meta"):
        try:
            classifier = Classifier(GPT(body), tuple(labels), reads=reads)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    fill(classifier, read_tensors(folder), folder / WEIGHTS_FILE)
    return classifier
