import json

import pytest

from components.page.facts import Curves, Estimate, Sample, Text
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import base_model

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_the_base_model_stands_beside_xz(build):
    made = base_model.section(gather(HOW))
    text, curves, scored, sample = made.blocks
    assert text == Text(
        "On 190 of 200 bytes of held-out text the base model needs 1.50 bits per byte, and xz -9e on all of them 2.00: "
        "the model needs 25 % less."
    )
    assert isinstance(curves, Curves)
    assert ("loss, nats per token", 2.25) in scored.items
    assert ("bits per byte", Estimate(*map(pytest.approx, (1.5, 1.0, 3.0)))) in scored.items
    assert scored.note.startswith("Brackets hold the 95 % bootstrap interval over that text's passages")
    assert ("bits per byte, xz -9e after 1,200 bytes of training text", 1.75) in scored.items
    assert sample == Sample("Sample, greedy", " upon a time", "Once")


def test_long_runs_of_line_ends_in_a_sample_are_counted_not_shown(build):
    (build / "data/samples.json").write_text('[{"prompt": "p", "kind": "greedy", "text": "a\\n\\n\\nb\\n\\n\\n\\n"}]')
    assert base_model.section(gather(HOW)).blocks[-1].text == "a\n\n\nb\n[4 line ends]\n"


def test_a_base_model_that_needs_more_than_xz_is_said_to(build):
    path = build / "data/metrics/evaluate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"xz_bits_per_byte": 1.0}))
    assert base_model.section(gather(HOW)).blocks[0].text.endswith("the model needs 50 % more.")
