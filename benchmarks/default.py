"""Tell whether the default build has learned what it promises: `python -m benchmarks.default`, after `make repro`.

Reads `data/metrics/report.json`, prints each mark beside what was reached, and ends with status 1 where one is missed.
"""

import json
import sys
from pathlib import Path

REPORT = Path("data/metrics/report.json")
PREPARE = Path("data/metrics/prepare.json")
LEAST_QUESTIONS = 200
MOST_BITS_PER_BYTE = 2.0
LEAST_LEAD = -0.01  # the classifier's accuracy over the bag of words'


def marks(report: dict[str, float], prepare: dict[str, float]) -> list[tuple[str, float, str, float, bool]]:
    """Return (what, reached, "at most" or "at least" or "above", the mark, whether it is met), one row a mark."""
    lead = report["classifier_accuracy"] - report["bag_of_words_accuracy"]
    bits, questions = report["bits_per_byte"], prepare["instructions_test"]
    rows = [
        ("validation bits per byte", bits, "at most", MOST_BITS_PER_BYTE, bits <= MOST_BITS_PER_BYTE),
        ("classifier minus bag of words, accuracy", lead, "at least", LEAST_LEAD, lead >= LEAST_LEAD),
        ("held-out questions", questions, "at least", LEAST_QUESTIONS, questions >= LEAST_QUESTIONS),
    ]
    lows = ["classifier_minus_untuned_classifier_accuracy_low"]
    lows += [name for name in report if name.startswith("tuned_minus_") and name.endswith("_exact_match_low")]
    rows += [(f"{name.removesuffix('_low')}, low end", report[name], "above", 0.0, report[name] > 0) for name in lows]
    return rows


def main() -> int:
    """Print the marks; return 1 where one is missed."""
    report, prepare = (json.loads(path.read_text(encoding="utf-8")) for path in (REPORT, PREPARE))
    rows = marks(report, prepare)
    for what, reached, word, mark, is_met in rows:
        print(f"{'reached' if is_met else 'MISSED '}  {what}: {reached:.4g}, {word} {mark:g}")
    return 0 if all(is_met for *_, is_met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
