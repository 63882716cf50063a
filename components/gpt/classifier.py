"""A GPT that reads a text and names its class: the body, and one linear map where the language model had its head.

Source: Raschka, Build a Large Language Model (From Scratch), chapter 6; Radford et al. 2018, section 3.2.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from components.gpt.batching import by_length
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

Train = Literal["head", "last_blocks", "all"]
"""What fine-tuning changes: the new head; that, the final norm and the last block, as in the book, or more blocks;
everything."""


class Classifier(nn.Module):
    """A score for each label, for each text.

    The body is `gpt`'s own, not a copy; the head is new, drawn as torch does from its global generator. `max_length` is
    that of the texts it is trained on, tokens: `probabilities` cuts longer ones. None: the whole context.

    Raises ValueError for fewer than two labels, or one twice, and for a max_length that the context does not hold.
    """

    def __init__(
        self, gpt: GPT, labels: tuple[str, ...], *, reads: Reads = "last_token", max_length: int | None = None
    ) -> None:
        super().__init__()
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise ValueError(f"labels are {', '.join(labels) or 'none'}; expected two or more, each once")
        if reads not in ("last_token", "last_position"):
            raise ValueError(f"reads is {reads!r}; expected 'last_token' or 'last_position'")
        context = gpt.config.context_length
        if max_length is not None and not 1 <= max_length <= context:
            raise ValueError(f"max_length is {max_length}; expected 1..{context} (the model's context)")
        self.labels = labels
        self.reads = reads
        self.max_length = max_length or context
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
        logits: Tensor = self.head(self.read(ids, lengths))
        return logits

    def read(
        self, ids: Int64[Tensor, "batch token"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch emb_dim"]:
        """Return the vector of each text that the head classifies; the arguments are those of `forward`."""
        hidden: Tensor = self.body(ids)
        rows = torch.arange(ids.shape[0], device=ids.device)
        return hidden[rows, lengths - 1] if self.reads == "last_token" else hidden[:, -1]


def choose_trained(classifier: Classifier, train: Train, last_blocks: int = 1, *, section: str = "classifier") -> None:
    """Let an optimizer change what `train` says, and freeze the rest; `last_blocks` is read where it says so.

    `section` is the dotted name of the settings, said where something is wrong with them.

    Raises ValueError for another word, and for fewer blocks than one or more than there are.
    """
    blocks = list(classifier.body.blocks)
    if train == "last_blocks" and not 1 <= last_blocks <= len(blocks):
        raise ValueError(f"{section}.last_blocks is {last_blocks}; expected 1..{len(blocks)} (the blocks there are)")
    chosen: dict[Train, list[nn.Module]] = {
        "head": [classifier.head],
        "last_blocks": [classifier.head, classifier.body.final_norm, *blocks[-last_blocks:]],
        "all": [classifier],
    }
    if train not in chosen:
        raise ValueError(f"{section}.train is {train!r}; expected one of {', '.join(chosen)}")
    classifier.requires_grad_(False)
    for module in chosen[train]:
        module.requires_grad_(True)


def probabilities(
    classifier: Classifier, texts: Sequence[Sequence[int]], *, pad_id: int, batch_size: int
) -> Float[Tensor, "text label"]:
    """Return the probability of each label for each text, as float32 in main memory, in the order of the texts.

    `texts` are token ids, one or more each, cut to `max_length`. Texts of like length share a batch, so that little is
    padded; "last_position" has all of them padded to `max_length`, as it was trained. In evaluation mode.
    """
    return _in_batches(classifier, texts, classifier, pad_id, batch_size).softmax(dim=1)


def vectors(
    classifier: Classifier, texts: Sequence[Sequence[int]], *, pad_id: int, batch_size: int
) -> Float[Tensor, "text emb_dim"]:
    """Return the vector that the head reads of each text; all else is as in `probabilities`."""
    return _in_batches(classifier, texts, classifier.read, pad_id, batch_size)


@torch.no_grad()
def _in_batches(
    classifier: Classifier,
    texts: Sequence[Sequence[int]],
    function: Callable[[Tensor, Tensor], Tensor],
    pad_id: int,
    batch_size: int,
) -> Float[Tensor, "text any"]:
    classifier.eval()
    device = classifier.head.weight.device
    cut = [list(text[: classifier.max_length]) for text in texts]
    order: list[int] = []
    found = []
    for places in by_length(cut, batch_size):
        order += places
        rows = [cut[place] for place in places]
        longest = classifier.max_length if classifier.reads == "last_position" else len(rows[-1])
        ids = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows], device=device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        found.append(function(ids, lengths).float().cpu())
    sorted_rows = torch.cat(found)
    return torch.empty_like(sorted_rows).index_copy_(0, torch.tensor(order), sorted_rows)


def save(classifier: Classifier, directory: Path | str) -> None:
    """Write `classifier` into `directory`, as `checkpoint.save` writes a GPT; the labels are in config.json.

    Raises OSError if the disk takes no more.
    """
    body = dataclasses.asdict(classifier.body.config)
    told = {"labels": classifier.labels, "reads": classifier.reads, "max_length": classifier.max_length}
    config = told | {"body": body}
    write_folder(Path(directory), config, classifier.state_dict())


def load(directory: Path | str) -> Classifier:
    """Return the classifier that `save` wrote; all of it may be trained.

    Raises ValueError as `checkpoint.load` does, and for a folder that holds another kind of model.
    """
    folder = Path(directory)
    path = folder / CONFIG_FILE
    config = read_config(folder)
    if config.keys() != {"labels", "reads", "max_length", "body"} or not isinstance(config["body"], dict):
        raise ValueError(f"{path}: has {', '.join(config)}; expected a classifier's labels, reads, max_length and body")
    labels, reads, max_length = config["labels"], config["reads"], config["max_length"]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{path}: labels are {labels!r}; expected a list of names")
    if not isinstance(max_length, int):
        raise ValueError(f"{path}: max_length is {max_length!r}; expected a number of tokens")
    body = parse_config(config["body"], path)
    with torch.device("meta"):
        try:
            classifier = Classifier(GPT(body), tuple(labels), reads=reads, max_length=max_length)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    fill(classifier, read_tensors(folder), folder / WEIGHTS_FILE)
    return classifier
