"""How a training went, as curves."""

from collections.abc import Sequence

from components.page.facts import Block, Curves, Line, Panel, Text
from pipeline import tracking

STAGES = ("pretrain", "finetune_classifier", "finetune_instructions", "prefer")


def curves(stage: str, title: str) -> Block:
    """Return the losses and the learning rate of a training stage by step, or a sentence where it took none."""
    rows = tracking.read_curve(stage)
    if not rows:
        return Text(f"{stage} took no step: the first weights stayed as they were.")
    columns = {"training_loss": "training", "validation_loss": "validation"}
    losses = tuple(_line(rows, name, label) for name, label in columns.items())
    rate = Panel("learning rate", (_line(rows, "learning_rate", "learning rate"),))
    note = "Training loss is that of each step's own batch. Steps count from 0."
    return Curves(title, "step", (Panel("loss (nats)", losses), rate), note)


def _line(rows: Sequence[dict[str, float]], name: str, label: str) -> Line:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return Line(label, tuple(x for x, _ in points), tuple(y for _, y in points))
