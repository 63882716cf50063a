"""What a model must beat: the answers of those who know next to nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

_MAX_ITERATIONS = 2000  # lbfgs stops far earlier on word counts; its default of 100 does not suffice for long texts

Probabilities = dict[str, float]
"""Of one text: how likely each label is, in the sorted order of the labels; they sum to 1."""


def most_likely(guessed: Sequence[Probabilities]) -> list[str]:
    """Return each text's likeliest label; of equally likely ones the first."""
    return [max(each, key=each.__getitem__) for each in guessed]


def majority(train_labels: Sequence[str], n: int) -> list[Probabilities]:
    """Return the labels' shares of training, `n` times: the likeliest label is the most frequent one.

    Raises ValueError without any training label.
    """
    if not train_labels:
        raise ValueError("there are no training labels")
    counts = Counter(train_labels)
    return [{label: counts[label] / len(train_labels) for label in sorted(counts)}] * n


def bag_of_words(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], *, seed: int
) -> list[Probabilities]:
    """Return the probabilities that a logistic regression on word counts gives the labels of the test texts.

    Words are runs of two or more letters or digits, lower case (scikit-learn's defaults; L2 penalty, C = 1). With one
    label in training there is nothing to learn and every text gets it.

    Raises ValueError for different lengths, and where no training text holds a word.
    """
    _check(len(train_texts), train_labels)
    if not test_texts or len(set(train_labels)) == 1:
        return majority(train_labels, len(test_texts))
    # Late: scikit-learn takes a second, which who asks for a constant need not wait for.
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=_MAX_ITERATIONS, random_state=seed))
    model.fit(list(train_texts), list(train_labels))
    return _named(model.classes_, model.predict_proba(list(test_texts)))


def linear_probe(
    train_vectors: Float[npt.NDArray[np.float32], "train width"],
    train_labels: Sequence[str],
    test_vectors: Float[npt.NDArray[np.float32], "test width"],
    *,
    seed: int,
) -> list[Probabilities]:
    """Return the probabilities that a logistic regression on vectors gives the labels of the test vectors.

    Each dimension has mean 0 and variance 1 in training (L2 penalty, C = 1). On the vectors of a model that was not
    tuned, this is the most that a new linear head alone can make of it.

    Raises ValueError for different lengths, and fewer than two labels.
    Source: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes.
    """
    _check(len(train_vectors), train_labels)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MAX_ITERATIONS, random_state=seed))
    model.fit(train_vectors, list(train_labels))
    return _named(model.classes_, model.predict_proba(test_vectors))


def best_constants(kinds: Sequence[str], expected: Sequence[str]) -> dict[str, str]:
    """Return for each kind of task the one answer that is right most often, white space at both ends left out.

    Taken on the very records that are scored it is the best that any constant can do, which makes it the harder
    baseline. Of equally frequent answers the first in sorted order.

    Raises ValueError where the two have different lengths.
    """
    if len(kinds) != len(expected):
        raise ValueError(f"{len(kinds)} kinds and {len(expected)} expected answers; expected one each per record")
    answers: defaultdict[str, list[str]] = defaultdict(list)
    for kind, answer in zip(kinds, expected, strict=True):
        answers[kind].append(answer.strip())
    return {kind: _most_frequent(answers[kind]) for kind in sorted(answers)}


def _check(texts: int, labels: Sequence[str]) -> None:
    if texts != len(labels):
        raise ValueError(f"{texts} training texts and {len(labels)} labels; expected one label a text")


def _named(labels: Sequence[str], rows: npt.NDArray[np.float64]) -> list[Probabilities]:
    return [dict(zip(map(str, labels), row, strict=True)) for row in rows.tolist()]


def _most_frequent(values: Sequence[str]) -> str:
    if not values:
        raise ValueError("there are no training labels to take the most frequent of")
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))
