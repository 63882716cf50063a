"""First weights: what `start_from` may say, and the model that it names."""

from pathlib import Path

from components.gpt import checkpoint, weights
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from pipeline import paths


def first_weights(start_from: str) -> GPT:
    """Return the model that `start_from` names: `base`, a published size, or a folder with a model.

    The folder holds a checkpoint of ours, or a published GPT-2 of any shape, or a GPT-NeoX as `export` writes it.

    Raises ValueError where it is none of these, or a published size that no source brings, or that is another one.
    """
    if start_from == "base":
        return checkpoint.load(paths.BASE)
    if start_from in PUBLISHED:
        folder = paths.RAW_WEIGHTS / start_from
        if not (folder / checkpoint.WEIGHTS_FILE).is_file():
            raise ValueError(
                f"start_from is {start_from}, but {folder / checkpoint.WEIGHTS_FILE} is not here; add it to "
                f"download.sources (preset gpt2-124M shows how)"
            )
        model = weights.load_published(folder, PUBLISHED[start_from])
        if model.config != PUBLISHED[start_from]:
            raise ValueError(
                f"start_from is {start_from}, but {folder / checkpoint.CONFIG_FILE} says {_shape(model.config)}; "
                f"expected {_shape(PUBLISHED[start_from])}; correct download.sources, or name the folder in start_from"
            )
        return model
    folder = Path(start_from)
    if not folder.is_dir():
        sizes = ", ".join(PUBLISHED)
        raise ValueError(f"start_from is {start_from}; expected scratch, base, {sizes} or a folder with a checkpoint")
    is_published = not {"n_embd", "model_type"}.isdisjoint(checkpoint.read_config(folder))  # ours say neither
    return weights.load_published(folder) if is_published else checkpoint.load(folder)


def check_start(start_from: str, word: str) -> None:
    """Refuse first weights that cannot be: neither `word`, nor a published size, nor a folder that is here."""
    if start_from != word and start_from not in PUBLISHED and not Path(start_from).is_dir():
        raise ValueError(
            f"start_from is {start_from}; expected {word}, {', '.join(PUBLISHED)} or a folder with a model"
        )


def match(config: GPTConfig, vocab_size: int, context_length: int) -> None:
    """Raise ValueError unless a model reads the tokenizer's ids and is long enough for the windows."""
    if config.vocab_size != vocab_size:
        raise ValueError(
            f"the model's vocabulary has {config.vocab_size} tokens, the tokenizer's {vocab_size}; "
            f"GPT-2's weights want tokenize.vocabulary: gpt2"
        )
    if config.context_length < context_length:
        raise ValueError(
            f"the model reads {config.context_length} tokens at once, the windows hold {context_length}; "
            f"lower shard.context_length"
        )


def match_tokenizer(folder: Path, config: GPTConfig, vocab_size: int) -> None:
    """Raise ValueError unless the model in a folder reads the ids of the tokenizer that lies here."""
    if config.vocab_size != vocab_size:
        raise ValueError(
            f"{folder} knows {config.vocab_size} tokens, the tokenizer in {paths.TOKENIZER} {vocab_size}; "
            f"expected a model trained on its ids"
        )


def _shape(config: GPTConfig) -> str:
    tied = "tied" if config.tie_weights else "not tied"
    return (
        f"{config.n_layers} layers of {config.n_heads} heads, {config.emb_dim} wide, {config.context_length} tokens "
        f"of {config.vocab_size}, {tied}, {config.positions} positions"
    )
