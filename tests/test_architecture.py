"""The rules of the house, as tests: what imports what, and that dvc.yaml says what the code says."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path

import pytest

from pipeline import dag, paths, stages
from pipeline.comparison import builds

ROOT = Path(__file__).parents[1]
STAGES = dag.stages(ROOT / paths.GRAPH)
EXTRAS = ("lm_eval", "ray")
TOOLS = {"prefect": "orchestration.py", "mlflow": "tracking.py", "great_expectations": "checks.py"}
MODULES = sorted(path for top in ("components", "integrations", "pipeline") for path in (ROOT / top).rglob("*.py"))


def imported(path: Path, nodes: Callable[[ast.AST], Iterable[ast.AST]] = ast.walk) -> set[str]:
    """Return the modules that a file imports anywhere, or in the nodes given, by their full names."""
    found: set[str] = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def file_of(module: str) -> Path | None:
    """Return the file of a module of ours, relative to the root; none for a package, a name or another's module."""
    path = Path(*module.split(".")).with_suffix(".py")
    return path if (ROOT / path).is_file() else None


def code_deps(stage_file: Path) -> set[Path]:
    """Return a stage's file, the component modules that it reaches, and the pipeline modules that lead to them."""
    reached = {stage_file}
    waiting = [stage_file]
    while waiting:
        for module in imported(ROOT / waiting.pop()):
            file = file_of(module)
            if file is None or file in reached or file.parts[0] not in ("components", "pipeline"):
                continue
            if file.parts[0] == "pipeline" and not leads_to_components(file):
                continue
            reached.add(file)
            waiting.append(file)
    return reached


def leads_to_components(file: Path) -> bool:
    return any(module.startswith("components.") for module in imported(ROOT / file))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stages_params_are_its_arguments(stage):
    assert list(stage.params) == list(signature(stages.find(stage.name)).parameters)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stages_code_deps_are_what_it_imports(stage):
    expected = code_deps(Path("pipeline/stages") / f"{stage.name}.py") | {paths.CONSTRAINTS}
    declared = {path for path in stage.deps if path.suffix == ".py" or path == paths.CONSTRAINTS}
    assert declared == expected


def test_the_stage_that_keeps_a_build_waits_for_all_that_is_kept_of_it():
    (report,) = [stage for stage in STAGES if stage.name == builds.REPORT]
    assert [path for path in builds.OUTPUTS if {path, *path.parents}.isdisjoint(report.deps)] == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stages_command_names_it(stage):
    assert stage.command == f"python -m pipeline {stage.name}"


def test_every_product_is_made_by_one_stage_and_is_a_constant_of_paths():
    products = [product for stage in STAGES for product in stage.products]
    assert len(products) == len(set(products))
    known = {value for value in vars(paths).values() if isinstance(value, Path)}
    numbers = {paths.metrics(stage.name) for stage in STAGES} | {paths.curve(stage.name) for stage in STAGES}
    unknown = [path for path in products if path not in known | numbers and path.parent != paths.CHECKS]
    assert unknown == []


def test_params_yaml_has_a_section_per_stage_in_running_order():
    from pipeline import settings

    assert list(settings.read(ROOT / paths.PARAMS)) == [stage.name for stage in STAGES]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_imported_by_one_file(tool):
    users = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if any(name == tool or name.startswith(f"{tool}.") for name in imported(path))
    }
    assert users == {f"pipeline/{TOOLS[tool]}"}


def test_what_an_extra_brings_is_imported_by_integrations_alone_and_late():
    for path in MODULES:
        extra = {name for name in imported(path) if name.split(".")[0] in EXTRAS}
        assert extra == set() or path.parent.name == "integrations", path
        at_once = {name for name in imported(path, nodes=ast.iter_child_nodes) if name.split(".")[0] in EXTRAS}
        assert at_once == set(), path


def test_the_environment_is_read_in_one_file():
    words = ("os.environ", "os.getenv", "os.putenv", "import environ", "import getenv")
    readers = [path.relative_to(ROOT).as_posix() for path in MODULES if any(word in path.read_text() for word in words)]
    assert readers == ["pipeline/machine.py"]


def test_every_module_has_its_test_at_the_mirrored_path():
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if path.name != "__init__.py"
        and not (ROOT / "tests" / path.relative_to(ROOT)).with_name(f"test_{path.stem.strip('_')}.py").exists()
    ]
    assert missing == []


def test_importing_every_module_makes_nothing_and_reaches_nobody(tmp_path):
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES if path.stem != "__main__"]
    program = "\n".join(
        [
            "import importlib, os, sys",
            "seen = []",
            "def hook(event, arguments):",
            "    writes = event == 'open' and isinstance(arguments[1], str) and set(arguments[1]) & set('wax+')",
            "    if writes and arguments[0] != os.devnull or event in ('os.mkdir', 'socket.connect'):",
            "        seen.append((event, arguments[0]))",
            "import great_expectations, matplotlib.font_manager, mlflow, prefect, torch  # theirs is not ours",
            "sys.addaudithook(hook)",
            f"[importlib.import_module(name) for name in {names!r}]",
            "print(seen)",
        ]
    )
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
