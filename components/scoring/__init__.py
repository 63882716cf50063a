"""Answers judged: text metrics, a model as judge, intervals, baselines."""

from components.scoring.baselines import bag_of_words, best_constants, majority
from components.scoring.classification import Classification, classification
from components.scoring.judge import Judge, JudgeError, JudgeSettings
from components.scoring.metrics import chrf, exact_match
from components.scoring.score import Score
from components.scoring.statistics import Interval, bootstrap, paired_difference

__all__ = [
    "Classification",
    "Interval",
    "Judge",
    "JudgeError",
    "JudgeSettings",
    "Score",
    "bag_of_words",
    "best_constants",
    "bootstrap",
    "chrf",
    "classification",
    "exact_match",
    "majority",
    "paired_difference",
]
