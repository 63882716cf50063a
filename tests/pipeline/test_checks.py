import json

import pandas as pd
import pytest

from pipeline import checks
from pipeline.checks import CheckFailed

DOCUMENTS = pd.DataFrame(
    {
        "part": [f"00000.parquet group {n} train" for n in range(7)] + ["00000.parquet group 6 validation"],
        "split": ["train"] * 7 + ["validation"],
        "disordered": [0] * 8,
        "least_count": [5] * 8,
        "least_bytes": [20] * 8,
        "min_id": [0] * 8,
        "max_id": [9] * 8,
    }
)


def failure(border, frame, expectations):
    with pytest.raises(CheckFailed) as failed:
        checks.check(border, frame, expectations)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def kept(project, border):
    return json.loads((project / "data" / "checks" / f"{border}.json").read_text(encoding="utf-8"))


def test_a_good_table_passes_and_the_outcome_is_kept(project):
    checks.check("documents", DOCUMENTS, checks.documents(vocab_size=10))
    found = kept(project, "documents")
    assert (found["border"], found["rows"]) == ("documents", 8)
    assert len(found["expectations"]) == 8
    assert all(each["holds"] for each in found["expectations"])
    assert {
        "expectation": "expect_column_values_to_be_between",
        "arguments": {"column": "max_id", "min_value": 0, "max_value": 9},
        "holds": True,
        "unexpected": 0,
    } in found["expectations"]


def test_the_same_table_gives_the_same_bytes(project):
    path = project / "data" / "checks" / "documents.json"
    checks.check("documents", DOCUMENTS, checks.documents(10))
    first = path.read_bytes()
    checks.check("documents", DOCUMENTS, checks.documents(10))
    assert path.read_bytes() == first


def test_outcomes_are_kept_in_the_order_of_the_expectations(project):
    wanted = checks.documents(10)
    checks.check("documents", DOCUMENTS, wanted)
    found = [
        (each["expectation"], each["arguments"].get("column")) for each in kept(project, "documents")["expectations"]
    ]
    assert found[:3] == [
        ("expect_table_row_count_to_be_between", None),
        ("expect_column_values_to_be_between", "disordered"),
        ("expect_column_values_to_be_between", "least_count"),
    ]


def test_the_rows_that_break_a_check_are_named_and_the_outcome_is_kept(project):
    told = failure("documents", DOCUMENTS.assign(max_id=[9, 10, 9, 12, 9, 9, 9, 9]), checks.documents(10))
    assert told == (
        "check documents: expect_column_values_to_be_between(column=max_id, min_value=0, max_value=9) does not hold; "
        "part 00000.parquet group 1 train, 00000.parquet group 3 train"
    )
    (broken,) = [each for each in kept(project, "documents")["expectations"] if not each["holds"]]
    assert (broken["arguments"]["column"], broken["unexpected"]) == ("max_id", 2)


def test_of_many_rows_the_first_five_are_named(project):
    told = failure("documents", DOCUMENTS.assign(least_count=0, part=list("01234567")), checks.documents(10))
    assert told.endswith("part 0, 1, 2, 3, 4 and 3 more")


@pytest.mark.parametrize(
    ("expectation", "frame", "told"),
    [
        (checks.unique("id"), {"id": ["a", "b", "a"]}, "id a, a"),
        (checks.present("label"), {"id": ["a", "b"], "label": ["x", None]}, "id b"),
        (checks.among("label", ["ham"]), {"id": ["a", "b"], "label": ["ham", "eggs"]}, "id b"),
        (checks.all_of("label", ["ham", "spam"]), {"id": ["a"], "label": ["ham"]}, "there is no spam"),
        (checks.rows(2), {"id": ["a"]}, "found 1"),
        (checks.together_unique("x", "y"), {"id": [1, 2, 3], "x": [1, 1, 1], "y": [2, 3, 2]}, "id 1, 3"),
        (checks.between("n", 1), {"id": ["a", "b"], "n": [1, 0]}, "id b"),
    ],
    ids=["unique", "present", "among", "all_of", "rows", "together_unique", "between"],
)
def test_each_expectation_finds_what_breaks_it(project, expectation, frame, told):
    assert failure("border", pd.DataFrame(frame), [expectation]).endswith(f" does not hold; {told}")


def test_a_column_that_is_not_there_is_told(project):
    told = failure("border", pd.DataFrame({"id": ["a"]}), [checks.unique("id"), checks.present("label")])
    assert told.startswith("check border: expect_column_values_to_not_be_null(column=label) could not be judged: ")
    assert "label" in told
    assert [each["holds"] for each in kept(project, "border")["expectations"]] == [True, False]


def test_an_unreadable_score_is_no_broken_score(project):
    frame = pd.DataFrame({"id": ["a", "b"], "model": ["m", "m"], "judge": ["j", "j"], "value": [None, 50.0]})
    checks.check("scores", frame, checks.scores(["j"], 2))
    told = failure("scores", frame.assign(value=[101.0, 50.0]), checks.scores(["j"], 2))
    assert told.endswith("id a")


def test_every_model_answers_every_record_once(project):
    frame = pd.DataFrame({"id": ["a", "a", "b", "b"], "model": ["tuned", "untuned", "tuned", "tuned"]})
    assert "expect_compound_columns_to_be_unique" in failure("r", frame, checks.responses(["tuned", "untuned"], 2))


TABLES = {
    "raw": (checks.raw(), {"file": ["a"], "size_bytes": [1], "sha256": ["00"], "licence": ["MIT"]}),
    "shards": (
        checks.shards(10),
        {
            "file": ["a", "b"],
            "split": ["train", "validation"],
            "count": [1, 1],
            "min_id": [0, 0],
            "max_id": [9, 9],
            "is_damaged": [0, 0],
        },
    ),
    "classification": (
        checks.classification(["x", "y"]),
        {
            "id": ["1", "2", "3"],
            "text": ["a", "b", "c"],
            "characters": [1, 1, 1],
            "label": ["x", "y", "x"],
            "split": ["train", "validation", "test"],
        },
    ),
    "instructions": (
        checks.instructions(),
        {
            "id": ["1", "2", "3"],
            "instruction": ["a", "a", "a"],
            "input": ["x", "y", "z"],
            "instruction_characters": [1, 1, 1],
            "output_characters": [1, 1, 1],
            "split": ["train", "validation", "test"],
        },
    ),
}


@pytest.mark.parametrize("border", TABLES)
def test_a_suite_holds_for_a_good_table_and_not_for_its_first_row_twice(project, border):
    expectations, columns = TABLES[border]
    frame = pd.DataFrame(columns)
    checks.check(border, frame, expectations)
    first = frame.columns[0]
    assert f"column={first}" in failure(border, pd.concat([frame, frame.head(1)]), expectations)
