"""Text metrics: an answer against the expected one, no server needed."""

from __future__ import annotations

from sacrebleu.metrics import CHRF


def exact_match(answer: str, expected: str) -> float:
    """Return 1.0 when the two texts are the same, else 0.0; white space at both ends does not count.

    Nothing else is forgiven: letter case, punctuation and inner spaces do count.

    >>> exact_match(" 4", "4"), exact_match("four", "4")
    (1.0, 0.0)
    """
    return float(answer.strip() == expected.strip())


def chrf(answer: str, expected: str) -> float:
    """Return the character n-gram F-score of an answer, 0..100 (chrF2: n = 1..6, beta = 2, no words, spaces left out).

    Two texts without any character score 0, as does an empty answer.

    Source: Popovic 2015, chrF: character n-gram F-score for automatic MT evaluation; sacrebleu's implementation and
    its defaults.
    """
    return float(CHRF().sentence_score(answer, [expected]).score)
