import json

import pytest

from components.page.facts import Graph, KeyValues, Table
from pipeline.sections import provenance


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_graph_is_that_of_dvc_yaml(build):
    (drawn,) = blocks(provenance.graph(), Graph)
    assert drawn.nodes == ("download", "pretrain", "report")
    assert set(drawn.edges) == {("download", "pretrain"), ("download", "report"), ("pretrain", "report")}


def test_data_checks_say_what_was_expected_and_whether_it_held(build):
    (table,) = blocks(provenance.checks(), Table)
    assert table.rows == (("raw", 1, "number of rows is at least 1\nfile is unique", True),)


@pytest.mark.parametrize(("stops", "said"), [(True, ""), (False, "; the build went on")])
def test_a_check_that_did_not_hold_is_told_and_whether_the_build_went_on(build, stops, said):
    path = build / "data/checks/raw.json"
    kept = json.loads(path.read_text())
    kept["expectations"][1] |= {"holds": False, "stops": stops}
    path.write_text(json.dumps(kept))
    (table,) = blocks(provenance.checks(), Table)
    assert table.rows[0][2:] == (f"number of rows is at least 1\nfile is unique: DOES NOT HOLD{said}", False)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("expect_table_row_count_to_be_between", {"min_value": 8, "max_value": 8}, "number of rows is exactly 8"),
        ("expect_column_values_to_be_between", {"column": "count", "min_value": 1.0}, "count is at least 1"),
        (
            "expect_column_values_to_be_between",
            {"column": "max_id", "min_value": 0.0, "max_value": 2047.0},
            "max_id is at least 0 and at most 2,047",
        ),
        ("expect_column_values_to_not_be_null", {"column": "sha256"}, "sha256 is there"),
        ("expect_column_values_to_be_in_set", {"column": "split", "value_set": ["a", "b"]}, "split is one of a; b"),
        (
            "expect_column_distinct_values_to_contain_set",
            {"column": "split", "value_set": ["a", "b"]},
            "split has each of a; b",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["model", "id"]},
            "model, id are unique together",
        ),
        ("expect_something_else", {"column": "x"}, "x expect_something_else"),
    ],
)
def test_an_expectation_is_put_in_a_few_words(build, name, arguments, words):
    kept = {"border": "raw", "rows": 1, "expectations": [{"expectation": name, "arguments": arguments, "holds": True}]}
    (build / "data/checks/raw.json").write_text(json.dumps(kept))
    (table,) = blocks(provenance.checks(), Table)
    assert table.rows[0][2] == words


def test_the_origin_names_weights_versions_and_the_machine_of_each_training(build):
    weights, versions = blocks(provenance.origin(), KeyValues)
    (machines,) = blocks(provenance.origin(), Table)
    assert dict(weights.items) == {
        "pretrain": "aa",
        "finetune_classifier": "bb",
        "finetune_instructions": "cc",
        "prefer": "cc",
        "scored by evaluate": "aa",
        "answering in respond": "cc",
    }
    assert {"python", "torch"} <= dict(versions.items).keys()
    titles = ["stage", "system", "device", "threads", "cpu capability", "processor"]
    assert [column.title for column in machines.columns] == titles
    assert machines.rows[1] == ("finetune_classifier", "Linux x86_64", "cuda", "2", "AVX512", "Xeon")
