import json

import pandas as pd
import pytest

from pipeline import checks
from pipeline.checks import CheckFailed

DOCUMENTS = pd.DataFrame(
    {
        "part": [f"00000.parquet group {n} train" for n in range(7)] + ["00000.parquet group 6 validation"],
        "schema": ["count int64"] * 8,
        "split": ["train"] * 7 + ["validation"],
        "disordered": [0] * 8,
        "least_count": [5] * 8,
        "least_bytes": [20] * 8,
        "most_bytes": [90] * 8,
        "most_replaced_share": [0.0] * 8,
        "bits_per_token": [3.0] * 7 + [None],
        "min_id": [0] * 8,
        "max_id": [9] * 8,
        "most_bytes_place": [f"news.jsonl line {n}" for n in range(8)],
    }
)
DOCUMENTS_EXPECTED = checks.documents(
    10, "count int64", least_bytes=20, most_bytes=90, most_replaced_share=0.5, least_bits_per_token=1.0
)


def failure(border, frame, expectations):
    with pytest.raises(CheckFailed) as failed:
        checks.check(border, frame, expectations)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def kept(project, border):
    return json.loads((project / "data" / "checks" / f"{border}.json").read_text(encoding="utf-8"))


def test_a_good_table_passes_and_the_outcome_is_kept(project):
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    found = kept(project, "documents")
    assert (found["border"], found["rows"]) == ("documents", 8)
    assert len(found["expectations"]) == 12
    assert all(each["holds"] for each in found["expectations"])
    assert {
        "expectation": "expect_column_values_to_be_between",
        "arguments": {"column": "max_id", "min_value": 0, "max_value": 9},
        "holds": True,
        "stops": True,
        "unexpected": 0,
    } in found["expectations"]


def test_the_same_table_gives_the_same_bytes(project):
    path = project / "data" / "checks" / "documents.json"
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    first = path.read_bytes()
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    assert path.read_bytes() == first


def test_outcomes_are_kept_in_the_order_of_the_expectations(project):
    wanted = DOCUMENTS_EXPECTED
    checks.check("documents", DOCUMENTS, wanted)
    found = [
        (each["expectation"], each["arguments"].get("column")) for each in kept(project, "documents")["expectations"]
    ]
    assert found[:3] == [
        ("expect_column_values_to_be_in_set", "schema"),
        ("expect_table_row_count_to_be_between", None),
        ("expect_column_values_to_be_between", "disordered"),
    ]


def test_the_rows_that_break_a_check_are_named_and_the_outcome_is_kept(project):
    told = failure("documents", DOCUMENTS.assign(max_id=[9, 10, 9, 12, 9, 9, 9, 9]), DOCUMENTS_EXPECTED)
    assert told == (
        "check documents: expect_column_values_to_be_between(column=max_id, min_value=0, max_value=9) does not hold; "
        "part 00000.parquet group 1 train (10), 00000.parquet group 3 train (12)"
    )
    (broken,) = [each for each in kept(project, "documents")["expectations"] if not each["holds"]]
    assert (broken["arguments"]["column"], broken["unexpected"]) == ("max_id", 2)


def test_of_many_rows_the_first_five_are_named(project):
    told = failure("documents", DOCUMENTS.assign(least_count=0, part=list("01234567")), DOCUMENTS_EXPECTED)
    assert told.endswith("part 0 (0), 1 (0), 2 (0), 3 (0), 4 (0) and 3 more")


@pytest.mark.parametrize(
    ("expectation", "frame", "told"),
    [
        (checks.unique("id"), {"id": ["a", "b", "a"]}, "id a, a"),
        (checks.present("label"), {"id": ["a", "b"], "label": ["x", None]}, "id b"),
        (checks.among("label", ["ham"]), {"id": ["a", "b"], "label": ["ham", "eggs"]}, "id b (eggs)"),
        (checks.all_of("label", ["ham", "spam"]), {"id": ["a"], "label": ["ham"]}, "there is no spam"),
        (checks.rows(2), {"id": ["a"]}, "found 1"),
        (checks.together_unique("x", "y"), {"id": [1, 2, 3], "x": [1, 1, 1], "y": [2, 3, 2]}, "id 1, 3"),
        (checks.between("n", 1), {"id": ["a", "b"], "n": [1, 0]}, "id b (0)"),
        (checks.between("n", 1), {"id": ["a", "b"], "n": [1, 0], "n_place": ["x", "y"]}, "id b (0 at y)"),
    ],
    ids=["unique", "present", "among", "all_of", "rows", "together_unique", "between", "place"],
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
    frame = frame.assign(log_likelihood=[-9.0, None])
    checks.check("scores", frame, checks.scores(["j"], 2))
    told = failure("scores", frame.assign(value=[101.0, 50.0]), checks.scores(["j"], 2))
    assert told.endswith("id a (101)")
    told = failure("scores", frame.assign(log_likelihood=[-9.0, 0.5]), checks.scores(["j"], 2))
    assert told.endswith("id b (0.5)")


def test_every_model_answers_every_record_once(project):
    frame = pd.DataFrame({"id": ["a", "a", "b", "b"], "model": ["tuned", "untuned", "tuned", "tuned"]})
    assert "expect_compound_columns_to_be_unique" in failure("r", frame, checks.responses(["tuned", "untuned"], 2))


@pytest.mark.parametrize(
    ("change", "told", "setting"),
    [
        ({"schema": ["count string"] + ["count int64"] * 7}, "part 00000.parquet group 0 train (count string)", ""),
        ({"least_bytes": [19] + [20] * 7}, "part 00000.parquet group 0 train (19)", "size_bytes.least"),
        (
            {"most_bytes": [90] * 7 + [91]},
            "part 00000.parquet group 6 validation (91 at news.jsonl line 7)",
            "size_bytes.most",
        ),
        ({"most_replaced_share": [0.6] + [0.0] * 7}, "part 00000.parquet group 0 train (0.6)", "replaced_share.most"),
        ({"bits_per_token": [0.25] + [None] * 7}, "part 00000.parquet group 0 train (0.25)", "bits_per_token.least"),
        ({"split": ["train"] * 8}, "there is no validation", ""),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_each_contract_on_documents_can_be_broken_and_its_setting_is_named(project, change, told, setting):
    message = failure("documents", DOCUMENTS.assign(**change), DOCUMENTS_EXPECTED)
    assert f"{next(iter(change))}, " in message
    limit = f"; the limit is tokenize.contract.{setting}" if setting else ""
    assert message.endswith(f" does not hold; {told}{limit}")


def test_of_a_table_with_other_columns_the_columns_are_told_first(project):
    known = pd.DataFrame({"part": ["00000.parquet group 1"], "schema": ["count string"]})
    told = failure("documents", known.reindex(columns=DOCUMENTS.columns), DOCUMENTS_EXPECTED)
    assert told == (
        "check documents: expect_column_values_to_be_in_set(column=schema, value_set=['count int64']) does not hold; "
        "part 00000.parquet group 1 (count string)"
    )


def test_documents_without_limits_may_be_of_any_length_and_badly_decoded(project):
    expected = checks.documents(
        10, "count int64", least_bytes=None, most_bytes=None, most_replaced_share=None, least_bits_per_token=0.0
    )
    frame = DOCUMENTS.assign(least_bytes=1, most_bytes=10**12, most_replaced_share=1.0, bits_per_token=0.0)
    checks.check("documents", frame, expected)


@pytest.mark.parametrize(
    ("share", "bits", "told", "setting"),
    [
        (
            *(0.31, 9.0, "validation_share, min_value=0.1, max_value=0.3) does not hold; split validation (0.31)"),
            "validation_share.tolerance",
        ),
        (
            *(0.2, 0.5, "bits_per_token, min_value=1.0, max_value=None) does not hold; split train (0.5)"),
            "bits_per_token.least",
        ),
    ],
)
def test_a_split_of_another_share_or_of_one_token_is_broken_and_the_setting_named(project, share, bits, told, setting):
    frame = pd.DataFrame(
        {"split": ["train", "validation"], "bits_per_token": [9.0, 9.0], "validation_share": [None, 0.2]}
    )
    expected = checks.splits(0.2, 0.1, 1.0, stops=True)
    checks.check("splits", frame, expected)
    broken = frame.assign(validation_share=[None, share], bits_per_token=[bits, 9.0])
    message = failure("splits", broken, expected).replace("0.30000000000000004", "0.3")
    assert message.endswith(f"{told}; the limit is tokenize.contract.{setting}")


def test_a_document_beyond_a_limit_is_named_by_its_place(project):
    frame = pd.DataFrame([{"place": "a.txt line 3", "bits_per_byte": 0.5}])
    told = failure("documents", frame, checks.document("bits_per_byte", 1.0, None))
    assert told.endswith(
        "(column=bits_per_byte, min_value=1.0, max_value=None) does not hold; place a.txt line 3 (0.5)"
    )


def page(project, border):
    return (project / "data" / "checks" / f"{border}.html").read_text(encoding="utf-8")


def test_data_docs_have_a_page_of_each_border_that_says_what_was_expected(project):
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    found = page(project, "documents")
    assert "<h1>Data Docs: documents</h1>" in found
    assert "Succeeded" in found
    assert "Must have greater than or equal to" in found
    assert "most_replaced_share" in found


def test_data_docs_of_a_broken_border_show_what_broke_it(project):
    failure("documents", DOCUMENTS.assign(most_bytes=[90] * 7 + [91]), DOCUMENTS_EXPECTED)
    found = page(project, "documents")
    assert "Failed" in found
    assert "news.jsonl line 7" in found


def test_data_docs_ask_no_network_run_no_script_and_know_no_clock(project):
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    first = page(project, "documents")
    assert "http://" not in first
    assert "https://" not in first
    assert "default-src 'none'" in first
    failure("documents", DOCUMENTS.head(1), DOCUMENTS_EXPECTED)
    broken = page(project, "documents")
    failure("documents", DOCUMENTS.head(1), DOCUMENTS_EXPECTED)
    assert page(project, "documents") == broken
    checks.check("documents", DOCUMENTS, DOCUMENTS_EXPECTED)
    assert page(project, "documents") == first


def test_a_share_that_is_only_reported_is_said_and_kept_and_what_stops_still_does(project, caplog):
    frame = pd.DataFrame(
        {"split": ["train", "validation"], "bits_per_token": [9.0, 9.0], "validation_share": [None, 0.5]}
    )
    reported = checks.splits(0.2, 0.1, 1.0, stops=False)
    checks.check("splits", frame, reported)
    (said,) = [each.getMessage() for each in caplog.records if each.name == "pipeline.checks"]
    assert said.endswith(
        "split validation (0.5); the limit is tokenize.contract.validation_share.tolerance; the build goes on"
    )
    kept = json.loads((project / "data/checks/splits.json").read_text())["expectations"]
    assert [(each["holds"], each["stops"]) for each in kept] == [(True, True), (True, True), (False, False)]
    assert "Failed" in page(project, "splits")
    told = failure("splits", frame.assign(bits_per_token=0.5), list(reversed(reported)))
    assert "bits_per_token" in told


def test_a_label_that_is_rare_is_named(project):
    expectations, columns = TABLES["classification"]
    frame = pd.DataFrame(columns).assign(label_share=[0.96, 0.04, 0.96], label_share_place=["x", "y", "x"])
    told = failure("classification", frame, expectations)
    assert told.endswith("id 2 (0.04 at y); the limit is prepare.contract.label_share.least")


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
        checks.classification(["x", "y"], least_label_share=0.05),
        {
            "id": ["1", "2", "3"],
            "text": ["a", "b", "c"],
            "characters": [1, 1, 1],
            "label": ["x", "y", "x"],
            "label_share": [2 / 3, 1 / 3, 2 / 3],
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
    "preferences": (
        checks.preferences("plain"),
        {
            "id": ["1", "2", "3"],
            "instruction": ["a", "a", "a"],
            "input": ["x", "y", "z"],
            "instruction_characters": [1, 1, 1],
            "chosen_characters": [1, 1, 1],
            "rejected_characters": [1, 1, 1],
            "split": ["train", "validation", "test"],
        },
    ),
}


def test_without_a_task_of_preferences_a_pair_is_one_too_many(project):
    checks.check("preferences", pd.DataFrame({"id": []}), checks.preferences(None))
    assert "does not hold; found 1" in failure("preferences", pd.DataFrame({"id": ["1"]}), checks.preferences(None))


@pytest.mark.parametrize("border", TABLES)
def test_a_suite_holds_for_a_good_table_and_not_for_its_first_row_twice(project, border):
    expectations, columns = TABLES[border]
    frame = pd.DataFrame(columns)
    checks.check(border, frame, expectations)
    first = frame.columns[0]
    assert f"column={first}" in failure(border, pd.concat([frame, frame.head(1)]), expectations)
