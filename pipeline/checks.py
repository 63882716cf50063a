"""Great Expectations at each border: what every table of the build must be, and what is said where it is not.

The tables reach it as pandas frames of scalars, a row per row group, shard, record, answer or score; the first column
names the row. (List columns are judged wrongly without a word.) Where one document, record or label decides a number,
the column of the same name and `_place` tells it.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import paths

log = logging.getLogger(__name__)

NAMED_ROWS = 5
PLACE = "_place"
TEMPLATE = "checks.html.j2"
LEAST_BITS = "tokenize.contract.bits_per_token.least"


@dataclass(frozen=True)
class Expectation:
    """One expectation by its Great Expectations class and its arguments."""

    name: str
    arguments: dict[str, Any]
    setting: str | None = None
    """Dotted name of the setting that it takes a limit from."""
    stops: bool = True
    """Whether the build ends where it does not hold; else that is said, and kept with the outcome."""


class CheckFailed(ValueError):
    """A border that does not hold; the message names expectation and rows."""


def between(column: str, low: float | None, high: float | None = None, *, setting: str | None = None) -> Expectation:
    """Expect every value of a column in `low..high`, both included; None leaves that side open."""
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Expectation("ExpectColumnValuesToBeBetween", arguments, setting)


def present(column: str) -> Expectation:
    """Expect no null in a column."""
    return Expectation("ExpectColumnValuesToNotBeNull", {"column": column})


def unique(column: str) -> Expectation:
    """Expect each value of a column once."""
    return Expectation("ExpectColumnValuesToBeUnique", {"column": column})


def among(column: str, values: Iterable[str]) -> Expectation:
    """Expect every value of a column among the given."""
    return Expectation("ExpectColumnValuesToBeInSet", {"column": column, "value_set": sorted(values)})


def all_of(column: str, values: Iterable[str]) -> Expectation:
    """Expect each of the given values at least once in a column."""
    return Expectation("ExpectColumnDistinctValuesToContainSet", {"column": column, "value_set": sorted(values)})


def rows(low: int, high: int | None = None) -> Expectation:
    """Expect `low..high` rows."""
    return Expectation("ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high})


def together_unique(*columns: str) -> Expectation:
    """Expect each combination of values of some columns once."""
    return Expectation("ExpectCompoundColumnsToBeUnique", {"column_list": list(columns)})


def raw() -> list[Expectation]:
    """Every fetched file: there, of some size where that is told, with the hash of its content."""
    return [rows(1), unique("file"), between("size_bytes", 1), present("sha256"), present("licence")]


def document(measure: str, least: float | None, most: float | None) -> list[Expectation]:
    """One document: what was measured of it within its limits."""
    return [between(measure, least, most)]


def documents(
    vocab_size: int,
    columns: str,
    *,
    least_bytes: float | None,
    most_bytes: float | None,
    most_replaced_share: float | None,
    least_bits_per_token: float,
) -> list[Expectation]:
    """Every row group of tokenized documents: the columns, in order, some ids each, inside the vocabulary, both splits.

    No document shorter, longer or worse decoded than it may be, and ids that differ enough.
    """
    return [
        among("schema", [columns]),  # first: where it does not hold, no other column is known
        rows(2),
        between("disordered", 0, 0),
        between("least_count", 1),
        between("min_id", 0, vocab_size - 1),
        between("max_id", 0, vocab_size - 1),
        between("least_bytes", least_bytes or 1, setting="tokenize.contract.size_bytes.least"),
        between("most_bytes", 1, most_bytes, setting="tokenize.contract.size_bytes.most"),
        between(
            "most_replaced_share",
            0,
            1 if most_replaced_share is None else most_replaced_share,
            setting="tokenize.contract.replaced_share.most",
        ),
        between("bits_per_token", least_bits_per_token, setting=LEAST_BITS),
        all_of("split", ["train", "validation"]),
        among("split", ["train", "validation"]),
    ]


def splits(validation_share: float, tolerance: float, least_bits_per_token: float, *, stops: bool) -> list[Expectation]:
    """Both sides of the corpus: ids that differ enough, about as much validation as was asked for, else it `stops`."""
    share = between(
        "validation_share",
        validation_share - tolerance,
        validation_share + tolerance,
        setting="tokenize.contract.validation_share.tolerance",
    )
    return [
        all_of("split", ["train", "validation"]),
        between("bits_per_token", least_bits_per_token, setting=LEAST_BITS),
        replace(share, stops=stops),
    ]


def shards(vocab_size: int) -> list[Expectation]:
    """Every shard: some ids, inside the vocabulary, the file as it was written, both splits there."""
    return [
        rows(2),
        unique("file"),
        between("count", 1),
        between("min_id", 0, vocab_size - 1),
        between("max_id", 0, vocab_size - 1),
        between("is_damaged", 0, 0),
        all_of("split", ["train", "validation"]),
    ]


def classification(labels: Iterable[str], least_label_share: float) -> list[Expectation]:
    """Every labelled text: its own id, some text, a known label that is not too rare, no text on two sides."""
    known = list(labels)
    return [
        unique("id"),
        unique("text"),
        between("characters", 1),
        among("label", known),
        all_of("label", known),
        between("label_share", least_label_share, setting="prepare.contract.label_share.least"),
        all_of("split", ["train", "validation", "test"]),
    ]


def instructions() -> list[Expectation]:
    """Every instruction record: its own id, a prompt and an output, no prompt twice."""
    return [
        unique("id"),
        between("instruction_characters", 1),
        between("output_characters", 1),
        together_unique("instruction", "input"),
        all_of("split", ["train", "validation", "test"]),
    ]


def preferences(template: object) -> list[Expectation]:
    """Every pair of answers: its own id, a prompt and both answers, no prompt twice; no pair at all without a task."""
    if template is None:
        return [rows(0, 0)]
    return [
        unique("id"),
        between("instruction_characters", 1),
        between("chosen_characters", 1),
        between("rejected_characters", 1),
        together_unique("instruction", "input"),
        all_of("split", ["train", "validation", "test"]),
    ]


def responses(models: Iterable[str], n_records: int) -> list[Expectation]:
    """Every response: one per model and test record, from a known model."""
    known = list(models)
    n_responses = len(known) * n_records
    return [rows(n_responses, n_responses), among("model", known), together_unique("model", "id")]


def scores(judges: Iterable[str], n_scores: int) -> list[Expectation]:
    """Every score: one per answer and judge, from a known judge, 0 to 100 where it could be read; likelihoods apart."""
    return [
        rows(n_scores, n_scores),
        among("judge", judges),
        together_unique("model", "id", "judge"),
        between("value", 0, 100),
        between("log_likelihood", None, 0),
    ]


def check(border: str, frame: pd.DataFrame, expectations: list[Expectation]) -> None:
    """Check a table at a border and keep the outcome in `data/checks`, as `<border>.json` and as a page of Data Docs.

    Raises CheckFailed that names the first expectation that does not hold, its first rows, by the first column, and the
    setting that limits them; where that does not stop the build, the log has it as a warning.
    """
    import great_expectations as gx  # late: 2.8 s

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset(border)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(
        border,
        expectations=[
            getattr(gx.expectations, each.name)(**each.arguments, meta={"position": position})
            for position, each in enumerate(expectations)
        ],
    )
    key = str(frame.columns[0])
    told = [key, *(str(name) for name in frame.columns if str(name).endswith(PLACE))]
    outcome = batch.validate(suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": told})
    outcome.results.sort(key=lambda result: result.expectation_config.meta["position"])  # errors come first otherwise
    results = [result.to_json_dict() for result in outcome.results]
    judged = list(zip(expectations, results, strict=True))
    _keep(border, len(frame), judged)
    _write_page(border, outcome)
    for expectation, result in judged:
        if not result["success"]:
            arguments = ", ".join(f"{name}={value}" for name, value in expectation.arguments.items())
            expected = f"{result['expectation_config']['type']}({arguments})"
            limited = f"; the limit is {expectation.setting}" if expectation.setting else ""
            said = f"check {border}: {expected} {_complaint(key, expectation, result)}{limited}"
            if expectation.stops:
                raise CheckFailed(said)
            log.warning("%s; the build goes on", said)


def _keep(border: str, n_rows: int, judged: list[tuple[Expectation, dict[str, Any]]]) -> None:
    kept = {
        "border": border,
        "rows": n_rows,
        "expectations": [
            {
                "expectation": result["expectation_config"]["type"],
                "arguments": expectation.arguments,
                "holds": result["success"],
                "stops": expectation.stops,
                "unexpected": result["result"].get("unexpected_count", 0),
            }
            for expectation, result in judged
        ],
    }
    with paths.whole(paths.checks(border)) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_page(border: str, outcome: Any) -> None:
    """Write Great Expectations' own page of an outcome, by a template of ours: theirs shows little without a network.

    It has no clock and no drawn names, so that equal outcomes give equal bytes.
    """
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    outcome.meta = {"great_expectations_version": outcome.meta["great_expectations_version"]}
    view = DefaultJinjaPageView(custom_views_directory=str(Path(__file__).parent))
    view.env.filters["generate_html_element_uuid"] = str
    page = view.render(ValidationResultsPageRenderer(run_info_at_end=True).render(outcome), TEMPLATE, border=border)
    with paths.whole(paths.data_docs(border)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _complaint(key: str, expectation: Expectation, result: dict[str, Any]) -> str:
    """Return what is wrong: the rows by their key where they are known, else what was found instead."""
    if errors := _errors(result["exception_info"]):
        return f"could not be judged: {errors[0]}"
    found = result["result"]
    if named := [_named(key, expectation, row) for row in found.get("unexpected_index_list") or []]:
        more = f" and {len(named) - NAMED_ROWS} more" if len(named) > NAMED_ROWS else ""
        return f"does not hold; {key} {', '.join(named[:NAMED_ROWS])}{more}"
    if missing := found.get("partial_missing_list"):
        return f"does not hold; there is no {', '.join(map(str, missing))}"
    return f"does not hold; found {found.get('observed_value')}"


def _named(key: str, expectation: Expectation, row: dict[str, Any]) -> str:
    """Return a row's key, and of a value that has limits what it is and where."""
    if not {"min_value", "value_set"} & expectation.arguments.keys():
        return str(row[key])
    column = expectation.arguments["column"]
    value, place = row[column], row.get(f"{column}{PLACE}")
    shown = f"{value:.6g}" if isinstance(value, float) else value
    return f"{row[key]} ({shown}{f' at {place}' if place else ''})"


def _errors(told: dict[str, Any]) -> list[str]:
    """Return the messages of the errors: Great Expectations tells one by itself, or several by what they were at."""
    each = [told, *(inner for inner in told.values() if isinstance(inner, dict))]
    return [one["exception_message"] for one in each if one.get("exception_message")]
