"""What a model must beat: the answers of those who know next to nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

_MAX_ITERATIONS = 2000  # lbfgs stops far earlier on word counts; its default of 100 does not suffice for long texts


def majority(train_labels: Sequence[str], n: int) -> list[str]:
    """Return the label most frequent in training, `n` times; of equally frequent ones the first in sorted order.

    Raises ValueError without any training label.
    """
    return [_most_frequent(train_labels)] * n


def bag_of_words(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], *, seed: int
) -> list[str]:
    """Return the labels that a logistic regression on word counts gives the test texts.

    Words are runs of two or more letters or digits, lower case (scikit-learn's defaults; L2 penalty, C = 1). With one
    label in training there is nothing to learn and every text gets it.

    Raises ValueError for different lengths, and where no training text holds a word.
    """
    if len(train_texts) != len(train_labels):
        raise ValueError(f"{len(train_texts)} training texts and {len(train_labels)} labels; expected one label a text")
    if not test_texts or len(set(train_labels)) == 1:
        return majority(train_labels, len(test_texts))
    # Late: scikit-learn takes a second, which who asks for a constant need not wait for.
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=_MAX_ITERATIONS, random_state=seed))
    model.fit(list(train_texts), list(train_labels))
    return [str(label) for label in model.predict(list(test_texts))]


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


def _most_frequent(values: Sequence[str]) -> str:
    if not values:
        raise ValueError("there are no training labels to take the most frequent of")
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))
