"""The base model."""

import json
import re

from components.page.facts import KeyValues, Sample, Section, Text
from pipeline import paths, tracking
from pipeline.findings.findings import Findings
from pipeline.sections import training
from pipeline.sections.wording import estimate, percent


def section(found: Findings) -> Section:
    """Return the base model's curve, its losses beside the compressor, and samples."""
    given = tracking.recorded("evaluate")
    ours, theirs = found.bits_per_byte.mean, given["xz_bits_per_byte"]
    said = (
        f"On {given['scored_bytes']:,} of {given['bytes']:,} bytes of held-out text the base model needs "
        f"{ours:.2f} bits per byte, and "
        f"xz -9e on all of them {theirs:.2f}: the model needs {100 * abs(1 - ours / theirs):.0f} % "
        f"{'less' if ours < theirs else 'more'}."
    )
    scored = KeyValues(
        "The base model on all validation windows",
        (
            ("loss, nats per token", given["validation_loss"]),
            ("perplexity", given["perplexity"]),
            ("bits per byte", estimate(found.bits_per_byte, 1)),
            ("bits per byte, xz -9e", theirs),
            (
                f"bits per byte, xz -9e after {given['xz_training_bytes']:,} bytes of training text",
                given["xz_after_training_text_bits_per_byte"],
            ),
            ("windows", given["windows"]),
            ("tokens", given["tokens"]),
        ),
        f"Brackets hold the {percent(found.confidence)} bootstrap interval over that text's passages; of several "
        "sources each one's are drawn together. A single passage has none.",
    )
    samples = json.loads(paths.SAMPLES.read_text(encoding="utf-8"))
    shown = [Sample(f"Sample, {each['kind']}", _shortened(each["text"]), each["prompt"]) for each in samples]
    return Section(
        "The base model", (Text(said), training.curves("pretrain", "Training of the base model"), scored, *shown)
    )


def _shortened(text: str) -> str:
    """Return a sample with long runs of line ends counted instead of shown: a model of few steps writes little else."""
    return re.sub(r"\n{4,}", lambda run: f"\n[{len(run[0])} line ends]\n", text)
