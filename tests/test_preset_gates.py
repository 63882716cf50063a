"""Every preset passes its gate: `screen` with the preset's own numbers, over its real files from a mirror.

`make repro` shows it of the default; `preferences` lies upon `book`, and has its sides too.
"""

import json
import shutil
import warnings
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import paths, stages
from pipeline.commands import use

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared/data"
CHOICES = "hellaswag_val.jsonl"  # no model is loaded and nothing is to be chosen
PRESETS = sorted({path.stem for path in (ROOT / "presets").glob("*.yaml")} - {"default", "book"})


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")
@pytest.mark.parametrize("name", PRESETS)
def test_no_more_is_held_out_and_trained_on_than_the_preset_lets(name, prefect_server, project, store, monkeypatch):
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    for each in ("dvc.yaml", "constraints.txt"):
        shutil.copy(ROOT / each, project)
    for each in ("components", "pipeline", "presets"):
        (project / each).symlink_to(ROOT / each)
    monkeypatch.setenv("PIPELINE_MIRROR", str(REAL))
    sections = YAML(typ="safe", pure=True).load(use.combined(name))
    sources = sections["download"]["sources"]
    left = [each for each in sources if each["role"] != "weights" and each["file"] != CHOICES]
    sections["download"]["sources"] = left
    paths.PARAMS.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="great_expectations|mlflow")
        for stage in ("download", "tokenize", "prepare", "screen"):
            stages.run(stage)
    assert paths.PASSED.exists()
