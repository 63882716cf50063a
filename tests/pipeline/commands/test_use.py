import shutil
from pathlib import Path

import pytest
from dvc.utils.serialize import parse_yaml

from pipeline import settings
from pipeline.commands import use

ROOT = Path(__file__).parents[3]
DEFAULT = """\
# What this file is.

# Files [download.py]
download:
  sources:
    - name: docs
      addresses: ["pydocs:documents"]
      sha256: null # differs

# The model [pretrain.py]
pretrain:
  # two seeds
  seed: 123 # of the weights
  optimizer:
    name: muon # muon | adamw
    rate: 0.01
  prompts: [one, "two: three"]

# Scores
score:
  judge: null # or a mapping
"""
OTHER = """\
# An overlay; its comments are its own.
download:
  sources:
    - name: tale
      addresses: [ "http://a.b/c.txt", "x:y" ]
      sha256: 00ff # of the tale

pretrain:
  optimizer:
    rate: 3e-4
  prompts: ["yes", "a: b", '3', ""]
score:
  judge: {kind: ollama, model: "llama3:8b"}
"""


@pytest.fixture
def presets(project):
    (project / "presets").mkdir()
    (project / "presets" / "default.yaml").write_text(DEFAULT, encoding="utf-8")
    (project / "presets" / "other.yaml").write_text(OTHER, encoding="utf-8")
    return project / "params.yaml"


def test_the_default_is_written_to_the_letter(presets, main):
    assert main(["use", "default"]) == 0
    assert presets.read_text(encoding="utf-8") == DEFAULT


def test_an_overlay_changes_what_it_names_and_keeps_the_comments(presets, main, capsys):
    assert main(["use", "default"]) == 0
    capsys.readouterr()
    assert main(["use", "other"]) == 0
    assert (
        presets.read_text(encoding="utf-8")
        == """\
# What this file is.

# Files [download.py]
download:
  sources:
    - name: tale
      addresses:
        - http://a.b/c.txt
        - x:y
      sha256: 00ff

# The model [pretrain.py]
pretrain:
  # two seeds
  seed: 123 # of the weights
  optimizer:
    name: muon # muon | adamw
    rate: 0.0003
  prompts:
    - yes
    - 'a: b'
    - '3'
    - ''

# Scores
score:
  judge:      # or a mapping
    kind: ollama
    model: llama3:8b
"""
    )
    told = capsys.readouterr().out.splitlines()
    assert "pretrain.optimizer.rate: 0.01 -> 0.0003" in told
    assert 'download.sources.0.name: "docs" -> "tale"' in told
    assert "score.judge: null -> -" in told
    assert 'score.judge.model: - -> "llama3:8b"' in told
    assert not any("pretrain.seed" in line for line in told)
    assert told[-1] == "params.yaml is preset other; 12 values changed"


def test_dvc_reads_the_same_values_as_we_do(presets, main):
    main(["use", "other"])
    text = presets.read_text(encoding="utf-8")
    assert parse_yaml(text, "params.yaml") == settings.read()
    assert settings.read()["pretrain"]["prompts"] == ["yes", "a: b", "3", ""]


def test_the_same_preset_again_changes_nothing(presets, main, capsys):
    main(["use", "other"])
    before = presets.read_bytes()
    capsys.readouterr()
    main(["use", "other"])
    assert capsys.readouterr().out == "params.yaml is preset other; 0 values changed\n"
    assert presets.read_bytes() == before


def test_an_overlay_is_gone_with_the_next_preset(presets, main):
    main(["use", "other"])
    main(["use", "default"])
    assert presets.read_text(encoding="utf-8") == DEFAULT


def test_hand_edits_are_kept_unless_forced(presets, main, capsys):
    edited = DEFAULT.replace("seed: 123", "seed: 7")
    presets.write_text(edited, encoding="utf-8")
    assert main(["use", "other"]) == 1
    assert capsys.readouterr().err == "error: params.yaml was edited by hand; keep a copy, then add --force\n"
    assert presets.read_text(encoding="utf-8") == edited
    assert main(["use", "default", "--force"]) == 0
    assert capsys.readouterr().out == "pretrain.seed: 7 -> 123\nparams.yaml is preset default; 1 values changed\n"
    assert presets.read_text(encoding="utf-8") == DEFAULT


def test_params_that_cannot_be_read_are_replaced_by_force_alone(presets, main, capsys):
    presets.write_text("a: [\n", encoding="utf-8")
    assert main(["use", "default"]) == 1
    assert capsys.readouterr().err.startswith("error: params.yaml is no valid YAML")
    assert main(["use", "default", "--force"]) == 0
    assert presets.read_text(encoding="utf-8") == DEFAULT


def test_an_unknown_preset_is_told_with_those_there_are(presets, main, capsys):
    assert main(["use", "nonsense"]) == 1
    assert capsys.readouterr().err == "error: no preset nonsense; expected one of default, other\n"
    assert not presets.exists()


@pytest.mark.parametrize(
    ("overlay", "told"),
    [
        ("pretrain: {optimizer: {momentum: 1}}\n", "pretrain.optimizer.momentum is no setting of the default"),
        ("pretrian: {seed: 1}\n", "pretrian is no section of the default"),
    ],
)
def test_an_overlay_of_something_else_is_refused(presets, main, capsys, overlay, told):
    (presets.parent / "presets" / "other.yaml").write_text(overlay, encoding="utf-8")
    assert main(["use", "other"]) == 1
    assert told in capsys.readouterr().err
    assert not presets.exists()


def test_a_preset_may_lie_upon_another(presets, main):
    above = "# Above.\nupon: other\n\nscore:\n  judge: null\n"
    (presets.parent / "presets" / "above.yaml").write_text(above, encoding="utf-8")
    assert main(["use", "above"]) == 0
    sections = settings.read(presets)
    assert sections["pretrain"] == {
        "seed": 123,
        "optimizer": {"name": "muon", "rate": 3e-4},
        "prompts": ["yes", "a: b", "3", ""],
    }
    assert sections["score"] == {"judge": None}


@pytest.mark.parametrize(
    ("upon", "told"),
    [("above", "preset above lies upon itself: above upon above"), ("nowhere", "no preset nowhere; expected one of ")],
)
def test_a_preset_upon_itself_or_none_is_refused(presets, main, capsys, upon, told):
    (presets.parent / "presets" / "above.yaml").write_text(f"upon: {upon}\n", encoding="utf-8")
    assert main(["use", "above"]) == 1
    assert told in capsys.readouterr().err


def test_params_yaml_is_the_default_preset():
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "presets" / "default.yaml").read_bytes()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_is_read_alike_by_dvc_and_us_and_keeps_the_sections(project, name):
    shutil.copytree(ROOT / "presets", "presets")
    text = use.combined(name)
    found = settings.sections(text, Path("params.yaml"))
    assert parse_yaml(text, "params.yaml") == found
    default = (ROOT / "presets" / "default.yaml").read_text(encoding="utf-8").splitlines()
    own_lines = [line for line in default if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == own_lines
    assert list(found) == list(settings.read(ROOT / "presets" / "default.yaml"))
