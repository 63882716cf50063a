from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from pipeline import settings
from pipeline.settings import SettingsError


@dataclass(frozen=True)
class OptimizerSettings:
    learning_rate: float
    name: Literal["adamw", "muon"]


@dataclass(frozen=True)
class TrainingSettings:
    max_steps: int
    clip_norm: float | None
    is_packed: bool
    optimizer: OptimizerSettings

    def __post_init__(self) -> None:
        if self.max_steps < 0:
            raise ValueError(f"max_steps is {self.max_steps}; expected 0 or more")


@dataclass(frozen=True)
class PretrainSettings:
    training: TrainingSettings
    prompts: tuple[str, ...] = ()


def pretrain(pretrain: PretrainSettings) -> None:
    """A stage with one section."""


def score(pretrain: PretrainSettings, optimizer: OptimizerSettings) -> None:
    """A stage with two."""


GOOD = """
pretrain:
  training:
    max_steps: 3
    clip_norm: null
    is_packed: true
    optimizer: {learning_rate: 3e-4, name: muon}
  prompts: [a, "b: c"]
"""


def read(text: str) -> PretrainSettings:
    return settings.arguments(pretrain, settings.sections(text, Path("params.yaml")))["pretrain"]


def refusal(old: str, new: str) -> str:
    assert old in GOOD
    with pytest.raises(SettingsError) as refused:
        read(GOOD.replace(old, new))
    return str(refused.value)


def test_a_section_becomes_its_dataclass():
    optimizer = OptimizerSettings(learning_rate=0.0003, name="muon")
    assert read(GOOD) == PretrainSettings(TrainingSettings(3, None, True, optimizer), ("a", "b: c"))


def test_3e_4_is_a_number_as_it_is_for_dvc():
    assert read(GOOD).training.optimizer.learning_rate == 0.0003


def test_a_whole_number_will_do_for_a_number():
    assert read(GOOD.replace("3e-4", "1")).training.optimizer.learning_rate == 1.0


def test_a_text_is_no_number():
    expected = 'pretrain.training.optimizer.learning_rate is "3e-4"; expected number'
    assert refusal("3e-4", "'3e-4'") == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_steps: 3", "max_steps: 3.0", "pretrain.training.max_steps is 3.0; expected integer"),
        ("max_steps: 3", "max_steps: true", "pretrain.training.max_steps is true; expected integer"),
        ("is_packed: true", "is_packed: 1", "pretrain.training.is_packed is 1; expected boolean"),
        ("max_steps: 3", "max_steps: 2024-01-01", 'pretrain.training.max_steps is "2024-01-01"; expected integer'),
        ("name: muon", "name: sgd", "pretrain.training.optimizer.name is \"sgd\"; expected 'adamw' or 'muon'"),
        ("[a, ", "[7, ", "pretrain.prompts.0 is 7; expected string"),
        ("max_steps: 3", "max_steps: -3", "pretrain.training.max_steps is -3; expected 0 or more"),
    ],
)
def test_a_wrong_value_is_told_with_its_dotted_name(old, new, expected):
    assert refusal(old, new) == expected


def test_all_that_is_wrong_is_told_together():
    text = GOOD.replace("    max_steps: 3\n", "    steps: 3\n").replace("clip_norm: null", "clip_norm: much")
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert sorted(str(refused.value).split("; ")) == [
        "expected number",
        'pretrain.training.clip_norm is "much"',
        "pretrain.training.max_steps is missing",
        "pretrain.training.steps is no setting",
    ]


def test_two_sections_are_told_together():
    with pytest.raises(SettingsError) as refused:
        settings.arguments(score, {"optimizer": {"name": "muon"}})
    assert str(refused.value) == (
        "pretrain is missing from params.yaml; expected a section for the stage; optimizer.learning_rate is missing"
    )


def test_a_section_where_a_number_is_expected_is_not_told_at_length():
    told = refusal("max_steps: 3", f"max_steps: {{{', '.join(f'a{k}: {k}' for k in range(100))}}}")
    assert told.startswith('pretrain.training.max_steps is {"a0": 0, "a1": 1')
    assert len(told) < 140


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "params.yaml is not here; run from the project's root"),
        (b"a: [1\n", "params.yaml is no valid YAML: "),
        (b"a: 1\na: 2\n", "params.yaml is no valid YAML: "),
        (b"just words\n", "params.yaml holds no sections; expected one per stage"),
        (b"a: \xe9\n", "params.yaml is not UTF-8 at byte 3; save it as UTF-8"),
    ],
)
def test_a_file_without_settings_is_refused_in_one_line(project, content, expected):
    if content is not None:
        (project / "params.yaml").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        settings.read()
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def test_nested_values_are_flattened_to_dotted_names():
    values = {"pretrain": {"optimizer": {"name": "adamw"}, "none": []}, "seeds": (1, 2)}
    assert settings.flatten(values) == {
        "pretrain.optimizer.name": "adamw",
        "pretrain.none": [],
        "seeds.0": 1,
        "seeds.1": 2,
    }
