"""Text metrics: an answer against the expected one, no server needed."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

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


def rouge_l(answer: str, expected: str) -> float:
    """Return ROUGE-L's F-score of an answer, 0..1: how much of both is their longest common subsequence of words.

    A word is a run of letters and digits, lower case, not stemmed; two texts without any word score 0. Of texts in
    ASCII these are rouge-score's own words. Its default drops every other letter, so that no answer in Greek or
    Chinese could score.

    Source: Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries, section 3; Google's rouge-score.
    """
    return float(_rouge_scorer().score(expected, answer)["rougeL"].fmeasure)


class _Words:
    """What cuts a text into words, as rouge-score wants it."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # late: it imports nltk, 1.3 s

    return RougeScorer(["rougeL"], tokenizer=_Words())
