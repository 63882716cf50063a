"""How the build came about: its graph, what was checked, weights, versions and machine."""

import json
from collections.abc import Mapping
from typing import Any

from components.page.facts import Column, Graph, KeyValues, Section, Table, Value
from pipeline import dag, machine, paths, tracking
from pipeline.sections import training

MACHINE = ("system", "device", "threads", "cpu_capability", "processor")  # as the training stages record it


def graph() -> Section:
    """Return the stages and what runs before what."""
    stages = dag.stages()
    edges = tuple((before, name) for name, parents in dag.parents(stages).items() for before in parents)
    note = "Read from dvc.yaml. Arrows that others imply are left out."
    drawn = Graph("Stages, each below those whose products it reads", tuple(each.name for each in stages), edges, note)
    return Section("The graph", (drawn,))


def checks() -> Section:
    """Return what was expected at each border, and whether it held."""
    rows: list[tuple[Value, ...]] = []
    for path in (path for stage in dag.stages() for path in stage.outs if path == paths.checks(path.stem)):
        kept = json.loads(path.read_text(encoding="utf-8"))
        expected = "\n".join(_expectation(each) for each in kept["expectations"])
        rows.append((kept["border"], kept["rows"], expected, all(each["holds"] for each in kept["expectations"])))
    columns = (Column("border"), Column("rows"), Column("expectations"), Column("all hold"))
    note = (
        "Great Expectations; a border that does not hold ends the build, unless a setting says that it is reported. "
        f"Its Data Docs, a page for each border, are in {paths.CHECKS}; what was left out, with its place and reason, "
        f"is in {paths.QUARANTINE.parent}."
    )
    return Section("Data checks", (Table("Tables checked between stages", columns, tuple(rows), note),))


def origin() -> Section:
    """Return hashes of the weights, versions, and the machine of each training."""
    weights = tuple((each, tracking.recorded(each)["weights_sha256"]) for each in training.STAGES)
    scored = (("scored by evaluate", tracking.recorded("evaluate")["weights_sha256"]),)
    answered = (("answering in respond", tracking.recorded("respond")["weights_sha256"]),)
    machines = tuple((each, *(tracking.recorded(each)[name] for name in MACHINE)) for each in training.STAGES)
    columns = (Column("stage"), *(Column(name.replace("_", " ")) for name in MACHINE))
    return Section(
        "Weights, versions and machine",
        (
            KeyValues("SHA-256 of the weights, as trained and as used", (*weights, *scored, *answered)),
            KeyValues("Versions", tuple(machine.versions().items())),
            Table(
                "The machine of each training", columns, machines, "On an equal machine the weights are these again."
            ),
        ),
    )


def _expectation(kept: Mapping[str, Any]) -> str:
    """Return an expectation of Great Expectations in a few words."""
    given = kept["arguments"]
    low, high = given.get("min_value"), given.get("max_value")
    ends = [f"{word} {end:,.10g}" for word, end in (("at least", low), ("at most", high)) if end is not None]
    limits = f"exactly {low:,.10g}" if low is not None and low == high else " and ".join(ends)
    column = given.get("column", "")
    columns = ", ".join(given.get("column_list", []))
    values = "; ".join(given.get("value_set", []))
    said = {
        "expect_table_row_count_to_be_between": f"number of rows is {limits}",
        "expect_column_values_to_be_between": f"{column} is {limits}",
        "expect_column_values_to_not_be_null": f"{column} is there",
        "expect_column_values_to_be_unique": f"{column} is unique",
        "expect_compound_columns_to_be_unique": f"{columns} are unique together",
        "expect_column_values_to_be_in_set": f"{column} is one of {values}",
        "expect_column_distinct_values_to_contain_set": f"{column} has each of {values}",
    }
    words = said.get(kept["expectation"], f"{column} {kept['expectation']}".strip())
    if kept["holds"]:
        return words
    return f"{words}: DOES NOT HOLD" if kept["stops"] else f"{words}: DOES NOT HOLD; the build went on"
