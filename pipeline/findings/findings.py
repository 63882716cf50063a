"""All that a build has found."""

from dataclasses import dataclass

from components.scoring.response import Response
from components.scoring.statistics import Interval
from components.tasks.files import read_records
from pipeline import paths
from pipeline.findings import assistant, base_model, calibration, classifier, leakage, multiple_choice, preferences
from pipeline.findings.assistant import Comparison, Standing
from pipeline.findings.calibration import Calibrated
from pipeline.findings.classifier import Classified
from pipeline.findings.leakage import Clean
from pipeline.findings.multiple_choice import Chosen
from pipeline.findings.preferences import Preferences
from pipeline.findings.resampling import Resampling


@dataclass(frozen=True)
class Findings:
    """All that is resampled, each once."""

    confidence: float
    """Share inside the intervals."""
    bits_per_byte: Interval
    """Of the base model, over the passages of the validation text."""
    classifier: Classified
    """How well the classifier and those it must beat label the test texts."""
    standings: tuple[Standing, ...]
    """By judge, then by model, in the order of the scores."""
    comparisons: tuple[Comparison, ...]
    """By judge, other model and kind; all kinds first, single ones only where there are several."""
    clean: Clean
    """Bits per byte, labels and standings once more, without what overlaps."""
    calibration: tuple[Calibrated, ...]
    """Each judge beside a rater whose scores are known; empty without any."""
    multiple_choice: tuple[Chosen, ...] = ()
    """Choices among endings, by number of shots; empty where there were none."""
    preferences: tuple[Preferences, ...] = ()
    """By held-out split; empty where nothing was taught."""

    @property
    def judges(self) -> list[str]:
        """Every judge once, in the order of the scores."""
        return list(dict.fromkeys(each.judge for each in self.standings))

    def standing(self, judge: str, model: str) -> Standing:
        """Return how one model stands by one judge."""
        return next(each for each in self.standings if (each.judge, each.model) == (judge, model))


def gather(how: Resampling) -> Findings:
    """Return all intervals of the build."""
    asked = {each.id: each for each in read_records(paths.RESPONSE_LINES, Response)}
    its = tuple(assistant.standings(how, asked)), tuple(assistant.comparisons(how, asked))
    judges = calibration.calibrate(how.agreement)
    bits = base_model.bits_per_byte(how, base_model.passages())
    labels = classifier.gather(how.statistics)
    more = multiple_choice.gather(how.mean), preferences.gather(how.mean)
    return Findings(how.confidence, bits, labels, *its, leakage.clean(how, asked), judges, *more)
