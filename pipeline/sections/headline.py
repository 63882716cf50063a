"""The headline figures."""

from components.page.facts import Figure, Headline, Section, Text
from components.scoring.response import TUNED
from components.scoring.score import NATS
from pipeline import tracking
from pipeline.findings.findings import Findings
from pipeline.sections.assistant import conclusion
from pipeline.sections.wording import estimate, percent, readable, scale, spoken

HEADLINE_JUDGES = 3  # with loss and accuracy five figures, as many as read well


def section(found: Findings) -> Section:
    """Return the headline figures, and in words what they come to."""
    base = tracking.recorded("evaluate")
    classifier, *baselines = found.classifier.scores
    figures = [
        Figure(
            "Base model",
            estimate(found.bits_per_byte, 1),
            "bits per byte",
            2,
            f"xz on the same held-out text {base['xz_bits_per_byte']:.2f}",
        ),
        Figure(
            "Classifier, test accuracy",
            estimate(classifier.accuracy, 100),
            "%",
            1,
            ", ".join(f"{each.who} {100 * each.accuracy.mean:.1f}" for each in baselines),
        ),
    ]
    of_answers = [each for each in found.standings if each.model == TUNED and each.unit != NATS]
    for tuned in of_answers[:HEADLINE_JUDGES]:
        judge = tuned.judge
        factor, unit, _ = scale(tuned.unit)
        others = [each for each in found.standings if each.judge == judge and each.model != TUNED and each.mean]
        note = ", ".join(f"{readable(each.model)} {factor * each.mean.mean:.1f}" for each in others if each.mean)
        value = estimate(tuned.mean, factor) if tuned.mean else None
        figures.append(Figure(f"Assistant, {spoken(judge)}", value, unit, 1, note))
    said = [conclusion(found, judge) for judge in found.judges]
    interval = f"Brackets hold {percent(found.confidence)} bootstrap intervals; "
    interval += "questions of one group (a module) are drawn together."
    return Section("Headline figures", (Headline(tuple(figures)), Text("\n\n".join([*said, interval]))))
