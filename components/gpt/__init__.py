"""GPT-2 in every published size: the model, its weights on disk, what it writes, and a classifier on its body."""

from components.gpt.checkpoint import load, save
from components.gpt.classifier import Classifier
from components.gpt.generate import complete, generate, stream
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.gpt.weights import load_published, write_published

__all__ = [
    "GPT",
    "PUBLISHED",
    "Classifier",
    "GPTConfig",
    "complete",
    "generate",
    "load",
    "load_published",
    "save",
    "stream",
    "write_published",
]
