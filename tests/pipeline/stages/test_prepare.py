"""Both tasks from the embedded corpus, and from files of the book's formats."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.tasks.classification import Labelled
from components.tasks.files import read_records
from components.tasks.instructions import Instruction, full, prompt, read_template
from components.tasks.preferences import Preference
from components.tasks.splits import Shares
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from pipeline import paths, settings
from pipeline.stages.prepare import PreferenceSettings, PrepareSettings, divided

ROOT = Path(__file__).parents[3]
REAL = Path(__file__).parents[4] / "shared/data/book"
SPLITS = ("train", "validation", "test")
TASKS = ((paths.CLASSIFICATION, Labelled), (paths.INSTRUCTIONS, Instruction))


def records(folder, kind):
    return {split: read_records(folder / f"{split}.jsonl", kind) for split in SPLITS}


@pytest.mark.parametrize(("folder", "kind"), TASKS)
def test_no_module_of_the_tests_is_one_that_the_base_model_or_training_has_seen(project, folder, kind):
    trained = table.sources(paths.TOKENS, "train")
    groups = {split: {each.group for each in found} for split, found in records(folder, kind).items()}
    assert groups["train"] <= trained
    assert not groups["test"] & (trained | groups["validation"])
    assert not groups["validation"] & trained


@pytest.mark.parametrize(("folder", "kind"), TASKS)
def test_no_content_stands_twice(project, folder, kind):
    contents = [each.content for found in records(folder, kind).values() for each in found]
    assert len(contents) == len(set(contents))


def test_held_out_splits_have_at_most_as_many_as_the_settings_say(project):
    numbers = json.loads(paths.metrics("prepare").read_text())
    assert (numbers["classification_test"], numbers["classification_validation"]) == (40, 40)
    assert (numbers["instructions_test"], numbers["instructions_validation"]) == (8, 8)
    assert numbers["classification_train"] > 2000


def test_records_longer_than_the_settings_say_are_left_out_and_counted(project):
    encode = Tokenizer.load(paths.TOKENIZER).encode
    found = [each for part in records(paths.INSTRUCTIONS, Instruction).values() for each in part]
    # Prompt and answer are encoded apart, which can only be longer.
    assert max(len(encode(full(each, "plain"))) for each in found) <= 48
    assert {each.kind for each in found} == {"name", "count"}
    assert json.loads(paths.metrics("prepare").read_text())["instructions_too_long"] > 0


def test_where_the_corpus_has_no_module_the_shares_say_what_is_tested(run):
    corpus = project_corpus("Once upon a time. " * 9)
    run("tokenize", {"split": {"by": "position"}, "vocab_size": 257})
    assert corpus.exists()
    run("prepare", {"instructions": {"max_tokens": 120, "most": 30}, "classification": {"balance": True}})
    for folder, kind in TASKS:
        found = records(folder, kind)
        groups = [{each.group for each in found[split]} for split in SPLITS]
        assert not groups[0] & (groups[1] | groups[2])
        assert not groups[1] & groups[2]
        assert len(groups[0]) > len(groups[1] | groups[2])


def project_corpus(text: str) -> Path:
    shutil.rmtree(paths.RAW_CORPUS)
    paths.RAW_CORPUS.mkdir()
    file = paths.RAW_CORPUS / "tale.txt"
    file.write_text(text)
    return file


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_the_books_two_files_become_tasks_without_duplicates(run):
    for name in ("SMSSpamCollection", "instruction-data.json"):
        shutil.copy(REAL / name, paths.RAW_TASKS)
    sms = {"source": "sms", "file": "SMSSpamCollection", "balance": True, "most": None}
    alpaca = {"source": "alpaca", "file": "instruction-data.json", "template": "alpaca", "max_tokens": None}
    shares = {"train": 0.85, "validation": 0.05, "test": 0.1}
    run("prepare", {"classification": sms, "instructions": alpaca | {"shares": shares, "most": None}})
    texts = records(paths.CLASSIFICATION, Labelled)
    # 747 spam and 4,827 ham less 403 exact duplicates: 653 spam are left, and as many ham are drawn.
    assert Counter(each.label for found in texts.values() for each in found) == {"ham": 653, "spam": 653}
    asked = records(paths.INSTRUCTIONS, Instruction)
    # 1,100 less 25 duplicates of (instruction, input): int(0.85 * 1075), int(0.1 * 1075), the rest.
    assert [len(asked[split]) for split in SPLITS] == [913, 55, 107]
    assert asked["train"][0].instruction.startswith("Evaluate the following phrase")
    task = json.loads((paths.CLASSIFICATION / "task.json").read_text())
    shares = {"ham": pytest.approx(4518 / 5171), "spam": pytest.approx(653 / 5171)}
    assert task == {"labels": ["ham", "spam"], "shares": shares}
    assert json.loads((paths.INSTRUCTIONS / "task.json").read_text()) == {"template": "alpaca"}


SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def test_without_a_file_of_preferences_their_folder_is_there_and_empty(project):
    assert records(paths.PREFERENCES, Preference) == {split: [] for split in SPLITS}
    assert json.loads((paths.PREFERENCES / "task.json").read_text()) == {"template": None}
    assert json.loads(paths.checks("preferences").read_text())["rows"] == 0
    assert not [name for name in json.loads(paths.metrics("prepare").read_text()) if name.startswith("preferences")]


def test_a_preference_is_on_the_side_of_the_instruction_that_asks_the_same(run):
    asked = records(paths.INSTRUCTIONS, Instruction)
    answers = {"chosen": "yes", "rejected": "no"}
    rows = [
        {"instruction": each.instruction, "input": each.input, **answers}
        for split in SPLITS
        for each in asked[split][:8]
    ]
    others = [{"instruction": f"Other {n}?", "input": "", **answers} for n in range(30)]
    twice = [rows[0] | {"chosen": "again"}]
    long = [{"instruction": "Long?", "input": "", "chosen": "no", "rejected": "no. " * 60}]
    (paths.RAW_TASKS / "pairs.json").write_text(json.dumps([*rows, *others, *twice, *long]))
    run("prepare", {"preferences": {"file": "pairs.json", "max_tokens": 60, "shares": SHARES, "seed": 1}})
    found = records(paths.PREFERENCES, Preference)
    side = {each.content: split for split in SPLITS for each in asked[split]}
    for split in SPLITS:
        assert sum(side.get(each.content) == split for each in found[split]) == 8
        assert {side.get(each.content, split) for each in found[split]} == {split}
    numbers = json.loads(paths.metrics("prepare").read_text())
    assert sum(numbers[f"preferences_{split}"] for split in SPLITS) == 24 + 30
    assert numbers["preferences_too_long"] == 1
    assert found["train"][0].chosen == "yes"
    assert json.loads((paths.PREFERENCES / "task.json").read_text()) == {"template": "plain"}


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_the_books_pairs_without_equal_answers_keep_the_sides_of_its_instructions(run):
    for name in ("instruction-data.json", "instruction-data-with-preference.json"):
        shutil.copy(REAL / name, paths.RAW_TASKS)
    shares = {"train": 0.85, "validation": 0.05, "test": 0.1}
    alpaca = {"source": "alpaca", "file": "instruction-data.json", "template": "alpaca", "max_tokens": None}
    pairs = {"file": "instruction-data-with-preference.json", "max_tokens": None, "shares": shares, "seed": 123}
    run(
        "prepare",
        {
            "contract": {"on_empty": "quarantine"},
            "instructions": alpaca | {"shares": shares, "most": None},
            "preferences": pairs,
        },
    )
    asked, found = records(paths.INSTRUCTIONS, Instruction), records(paths.PREFERENCES, Preference)
    for split in SPLITS:
        assert {each.content for each in found[split]} <= {each.content for each in asked[split]}
    # 1,100 less 6 pairs of two equal answers, less 25 duplicates of (instruction, input).
    assert [len(found[split]) for split in SPLITS] == [907, 55, 107]  # 113 steps of 8, as the preset counts on
    left_out = pq.read_table(paths.TASKS_QUARANTINE).to_pylist()
    assert {
        "place": "instruction-data-with-preference.json row 123",
        "reason": "chosen and rejected are the same; expected two different answers",
    } in left_out
    assert {"place": "instruction-data.json: instruction-324", "reason": "the same as instruction-126"} in left_out
    numbers = json.loads(paths.metrics("prepare").read_text())
    assert (numbers["empty_records"], numbers["duplicate_records"]) == (6, 25 + 25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rejected": "yes"}, "data/raw/tasks/pairs.json, row 1: chosen and rejected are the same; expected two"),
        ({}, "prepare.preferences: the validation split is empty (train 1, validation 0, test 0 records)"),
    ],
)
def test_a_file_of_preferences_that_cannot_be_used_is_one_line(failure, change, said):
    row = {"instruction": "Is it?", "input": "", "chosen": "yes", "rejected": "no"}
    (paths.RAW_TASKS / "pairs.json").write_text(json.dumps([row | change]))
    pairs = {"file": "pairs.json", "max_tokens": None, "shares": SHARES, "seed": 1}
    assert said in failure("prepare", {"preferences": pairs})
    assert not paths.PREFERENCES.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("ham\thello\nspam free\n", "row 2: expected 2 columns (label, tab, text), got 1"),
        ("ham\thello\neggs\tfree\n", "row 2: unknown label 'eggs'; expected 'ham' or 'spam'"),
        ("ham\t \n", "row 1: the text is empty"),
    ],
)
def test_a_task_file_of_labels_that_cannot_be_used_is_one_line(failure, lines, said):
    (paths.RAW_TASKS / "sms.txt").write_text(lines)
    message = failure("prepare", {"classification": {"source": "sms", "file": "sms.txt"}})
    assert message.startswith("data/raw/tasks/sms.txt, ")
    assert said in message
    assert not paths.CLASSIFICATION.exists()


@pytest.mark.parametrize("balance", [True, False])
def test_a_label_with_a_single_record_is_one_line(failure, balance):
    lines = [f"ham\ttext {k}\n" for k in range(50)] + ["spam\tfree\n", "spam\tfree\n"]  # without duplicates one
    (paths.RAW_TASKS / "sms.txt").write_text("".join(lines))
    said = failure("prepare", {"classification": {"source": "sms", "file": "sms.txt", "balance": balance}})
    assert said.startswith("the label 'spam' has 1 record(s), the first is sms-51; expected 3 or more, one for each")
    assert not paths.CLASSIFICATION.exists()


def test_a_label_that_no_training_record_has_is_one_line(failure):
    lines = [f"ham\ttext {k}\n" for k in range(60)] + [f"spam\tfree {k}\n" for k in range(3)]
    (paths.RAW_TASKS / "sms.txt").write_text("".join(lines))
    task = {"source": "sms", "file": "sms.txt", "balance": False}
    thin = {"train": 0.2, "validation": 0.4, "test": 0.4}  # with this seed all three are held out
    said = failure("prepare", {"classification": task | {"seed": 0, "shares": thin}})
    assert "split has the label 'spam', which no training record has (ham)" in said


def test_texts_that_stand_many_times_stand_on_one_side_alone(run):
    lines = [f"{'spam' if k % 3 else 'ham'}\ttext {k % 60}\n" for k in range(240)]
    (paths.RAW_TASKS / "sms.txt").write_text("".join(lines))
    run("prepare", {"classification": {"source": "sms", "file": "sms.txt", "balance": False}})
    texts = [each.text for found in records(paths.CLASSIFICATION, Labelled).values() for each in found]
    assert sorted(texts) == sorted(f"text {k}" for k in range(60))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"instruction": "Add.", "input": "1 1"}], "row 1: the field 'output' is missing"),
        ([{"instruction": "Add.", "input": "1 1", "output": " "}], "row 1: the output is empty"),
        ([{"instruction": "Add.", "input": "1 1", "output": "2"}], "the train split is empty"),
    ],
)
def test_a_task_file_of_instructions_that_cannot_be_used_is_one_line(failure, rows, said):
    (paths.RAW_TASKS / "asked.json").write_text(json.dumps(rows))
    assert said in failure("prepare", {"instructions": {"source": "alpaca", "file": "asked.json"}})
    assert not paths.INSTRUCTIONS.exists()


def test_empty_records_are_left_out_counted_and_listed_where_the_contract_says_so(run):
    rows = [{"instruction": f"Add {n}.", "input": "", "output": str(n)} for n in range(20)]
    rows[3]["output"] = " "
    rows[5]["instruction"] = ""
    (paths.RAW_TASKS / "asked.json").write_text(json.dumps(rows))
    texts = [f"{('ham', 'spam')[n % 2]}\ttext {n}\n" for n in range(60)]
    (paths.RAW_TASKS / "sms.txt").write_text("".join([*texts[:2], "ham\t\n", *texts[2:]]))
    alpaca = {"source": "alpaca", "file": "asked.json", "max_tokens": None}
    sms = {"source": "sms", "file": "sms.txt", "most": None}
    run("prepare", {"contract": {"on_empty": "quarantine"}, "instructions": alpaca, "classification": sms})
    assert pq.read_table(paths.TASKS_QUARANTINE).to_pylist() == [
        {"place": "sms.txt row 3", "reason": "the text is empty"},
        {"place": "asked.json row 4", "reason": "the output is empty"},
        {"place": "asked.json row 6", "reason": "the instruction is empty"},
    ]
    assert json.loads(paths.metrics("prepare").read_text())["empty_records"] == 3
    assert sum(map(len, records(paths.INSTRUCTIONS, Instruction).values())) == 18
    assert sum(map(len, records(paths.CLASSIFICATION, Labelled).values())) == 60


def test_of_tasks_without_fault_only_what_is_too_long_is_in_quarantine(project):
    numbers = json.loads(paths.metrics("prepare").read_text())
    assert [numbers[name] for name in ("empty_records", "duplicate_records", "labelled_surplus")] == [0, 0, 0]
    left_out = pq.read_table(paths.TASKS_QUARANTINE).to_pylist()
    assert len(left_out) == numbers["instructions_too_long"] > 0
    assert {each["reason"] for each in left_out} == {"more tokens than max_tokens, which is 48"}


def test_an_empty_prompt_stops_the_build(failure):
    (paths.RAW_TASKS / "asked.json").write_text(json.dumps([{"instruction": " ", "input": "", "output": "2"}]))
    said = failure("prepare", {"instructions": {"source": "alpaca", "file": "asked.json"}})
    assert said == "data/raw/tasks/asked.json, row 1: the instruction is empty"


def rarely_spam() -> dict[str, object]:
    """Make 5 texts of 100 spam, and return the settings of the task."""
    texts = [f"{'spam' if n % 20 == 0 else 'ham'}\ttext {n}\n" for n in range(100)]
    (paths.RAW_TASKS / "sms.txt").write_text("".join(texts))
    return {"source": "sms", "file": "sms.txt", "most": None}


@pytest.mark.parametrize("balance", [False, True])
def test_a_label_that_is_rare_before_balancing_stops_the_build_and_is_named(failure, balance):
    sms = rarely_spam() | {"balance": balance}
    said = failure("prepare", {"contract": {"label_share": {"least": 0.06}}, "classification": sms})
    assert said.startswith(
        "check classification: expect_column_values_to_be_between(column=label_share, min_value=0.06, max_value=None) "
        "does not hold; id sms-"
    )
    assert "(0.05 at spam)" in said
    assert said.endswith("; the limit is prepare.contract.label_share.least")


def test_texts_of_a_commoner_label_are_left_out_counted_and_listed_where_the_contract_says_so(run, caplog):
    sms = rarely_spam() | {"balance": False}
    contract = {"label_share": {"least": 0.06, "on_breach": "quarantine"}}
    run("prepare", {"contract": contract, "classification": sms})
    kept = [each for its in records(paths.CLASSIFICATION, Labelled).values() for each in its]
    assert Counter(each.label for each in kept) == {"ham": 78, "spam": 5}  # 5 / 83 is above 0.06, 5 / 84 is not
    assert json.loads(paths.metrics("prepare").read_text())["labelled_surplus"] == 17
    (told,) = [each.getMessage() for each in caplog.records if each.name == "pipeline.stages.prepare"]
    assert told.startswith("17 texts are left out: label_share of 'spam' is 0.05; expected at least 0.06; this one is ")
    listed = pq.read_table(paths.TASKS_QUARANTINE).to_pylist()
    left_out = [each for each in listed if each["place"].startswith("sms.txt")]
    assert {each["reason"] for each in left_out} == {
        "label_share of 'spam' is 0.05; expected at least 0.06; this one is 'ham'"
    }
    ids = {each["place"].removeprefix("sms.txt: ") for each in left_out}
    assert len(ids) == 17
    assert not ids & {each.id for each in kept}


def test_a_share_that_no_two_labels_can_have_stops_the_build(failure):
    contract = {"label_share": {"least": 0.6, "on_breach": "quarantine"}}
    said = failure("prepare", {"contract": contract, "classification": rarely_spam() | {"balance": False}})
    assert "min_value=0.6, max_value=None) does not hold; id sms-" in said
    assert "(0.5 at " in said


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ({"on_empty": "warn"}, 'prepare.contract.on_empty is "warn"; expected '),
        ({"label_share": {"least": 2, "on_breach": "stop"}}, "prepare.contract.label_share.least is 2"),
        (
            {"label_share": {"least": 0.05, "on_breach": "report"}},
            'prepare.contract.label_share.on_breach is "report"; expected ',
        ),
        ({"on_rare_label": "quarantine"}, "prepare.contract.on_rare_label is no setting"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused_by_its_dotted_name(contract, said):
    values = settings.read(ROOT / paths.PARAMS)["prepare"]
    values["contract"] |= contract
    with pytest.raises(settings.SettingsError) as refused:
        settings.parse("prepare", values, PrepareSettings)
    assert said in str(refused.value)


OWN = {"prompt": "Q: {instruction} {input}\nA:", "no_input": None, "response": " {output}"}


def test_an_own_template_is_kept_with_the_task(run):
    run("prepare", {"instructions": {"template": OWN}})
    template = read_template(paths.INSTRUCTIONS / "task.json")
    assert prompt(Instruction("1", "k", "g", "Add.", "1, {2}", "3"), template) == "Q: Add. 1, {2}\nA:"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("alpacca", "template is \"alpacca\"; expected 'alpaca', 'phi3' or 'plain'"),
        ({"prompt": "{instruction} {input}", "no_input": None}, "template.response is missing"),
        (OWN | {"response": "Yes."}, "template.response has no place for {output}; expected {output}"),
        (
            OWN | {"prompt": "{question}"},
            "template.prompt has a place for {question}; expected {instruction} and {input}, and {{ or }} for a brace",
        ),
        (OWN | {"system": "You are."}, "template.system is no setting"),
    ],
    ids=str,
)
def test_a_template_that_cannot_be_used_is_refused_by_its_dotted_name(template, said):
    values = settings.read(ROOT / paths.PARAMS)["prepare"]
    values["instructions"]["template"] = template
    with pytest.raises(settings.SettingsError) as refused:
        settings.parse("prepare", values, PrepareSettings)
    assert str(refused.value) == f"prepare.instructions.{said}"


def test_a_task_file_that_is_not_here_is_one_line(failure):
    said = failure("prepare", {"classification": {"file": "other.jsonl"}})
    assert said.startswith("prepare.classification.file is other.jsonl, but data/raw/tasks/other.jsonl is not here")


@pytest.mark.parametrize("wrong", [{"most": 0}, {"max_tokens": 0}, {"kinds": ["joke"]}], ids=str)
def test_settings_that_leave_no_record_are_one_line(failure, wrong):
    assert next(iter(wrong)) in failure("prepare", {"instructions": wrong})


def preferences(*names):
    return [Preference(name, name, name, "", "yes", "no") for name in names]


def test_an_empty_side_of_the_preferences_names_their_section():
    settings = PreferenceSettings("pairs.json", None, Shares(**SHARES), 1)
    with pytest.raises(ValueError, match=r"^prepare\.preferences: the validation split is empty \(train 1, "):
        divided(preferences("Is it?"), {}, settings)


def test_shares_are_not_blamed_where_every_pair_asks_what_an_instruction_asks():
    settings = PreferenceSettings("pairs.json", None, Shares(**SHARES), 1)
    pairs = preferences("One?", "Two?")
    said = (
        r"^prepare\.preferences: each of the 2 pairs asks what an instruction asks and is on its side \(train 2, "
        r"validation 0, test 0\), whatever the shares; add pairs that ask something else"
    )
    with pytest.raises(ValueError, match=said):
        divided(pairs, {each.content: "train" for each in pairs}, settings)
