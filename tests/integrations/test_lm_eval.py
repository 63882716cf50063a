"""Our models under lm-evaluation-harness, offline: its numbers are ours on the same items, and come in its schema."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from components.gpt.generate import complete
from components.gpt.likelihood import likelihoods
from components.gpt.model import GPT, GPTConfig
from components.tasks.multiple_choice import context, pair, read_hellaswag
from components.tokenizer.bpe import Tokenizer
from integrations import lm_eval
from pipeline import multiple_choice, paths
from pipeline.multiple_choice import MultipleChoiceSettings

REAL = Path(__file__).parents[3] / "shared/data"
ITEMS = 40
needs_harness = pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra `lm-eval` is not installed")
needs_files = pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")
TASK = """\
include: {harness}/tasks/hellaswag/hellaswag.yaml
task: hellaswag_here
dataset_path: json
dataset_kwargs:
  data_files: {{validation: {file}}}
  cache_dir: {cache}
training_split: null
"""


@pytest.fixture
def tokenizer():
    return Tokenizer.trained(["Return the index of the first item, or -1."], 257)


@pytest.fixture
def model():
    torch.manual_seed(3)
    model = GPT(GPTConfig(257, 512, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))  # so that endings differ in more than their length
    return model.eval()


def asked(*arguments):
    return SimpleNamespace(args=arguments)


@needs_harness
@needs_files
@pytest.mark.filterwarnings("ignore")
def test_the_harness_finds_on_the_same_items_what_evaluate_does(tokenizer, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokenizer.save(paths.TOKENIZER)
    paths.RAW_TASKS.mkdir(parents=True)
    file = paths.RAW_TASKS / "items.jsonl"
    lines = (REAL / "hellaswag/hellaswag_1000.jsonl").read_text(encoding="utf-8").splitlines()[:ITEMS]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "described").mkdir()
    described = TASK.format(harness=Path(find_spec("lm_eval").origin).parent, file=file, cache=tmp_path / "cache")
    (tmp_path / "described/task.yaml").write_text(described)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    how = MultipleChoiceSettings(file="items.jsonl", shots=(0,), most=None, batch_size=8, seed=1)
    choices = multiple_choice.choices(how, model)
    ours = multiple_choice.accuracies(choices)
    results = lm_eval.evaluate(
        model, tokenizer, ["hellaswag_here"], shots=None, limit=None, batch_size=5, folder=tmp_path / "described"
    )

    theirs = results["results"]["hellaswag_here"]
    assert theirs["acc,none"] == pytest.approx(ours["multiple_choice_0_shot_accuracy"])
    assert theirs["acc_norm,none"] == pytest.approx(ours["multiple_choice_0_shot_accuracy_norm"])
    samples = sorted(results["samples"]["hellaswag_here"], key=lambda each: each["doc_id"])
    assert len(samples) == ITEMS
    for choice, sample in zip(choices, samples, strict=True):
        assert [nats for nats, _is_greedy in sample["filtered_resps"]] == pytest.approx(choice.nats, abs=1e-3)

    written = json.loads(lm_eval.as_json(results))
    assert {"results", "configs", "versions", "n-shot", "n-samples", "samples"} <= written.keys()
    assert written["n-samples"] == {"hellaswag_here": {"original": ITEMS, "effective": ITEMS}}
    assert "|hellaswag_here|" in lm_eval.table(results)


@needs_harness
@needs_files
@pytest.mark.parametrize("shots", [0, 1, 5])
def test_behind_any_number_of_examples_the_likelihoods_are_ours(tokenizer, model, shots):
    items = read_hellaswag(REAL / "hellaswag/hellaswag_1000.jsonl")
    item = items[0]
    text = context(item, items, shots, seed=1)
    pairs = [pair(text, ending, tokenizer.encode) for ending in item.endings]
    theirs = lm_eval.adapter(model, tokenizer, 3).loglikelihood(
        [asked(text, f" {ending}") for ending in item.endings], disable_tqdm=True
    )
    ours = likelihoods(model, pairs)
    assert [nats for nats, _ in theirs] == pytest.approx([each.nats for each in ours], abs=1e-3)
    assert [is_greedy for _, is_greedy in theirs] == [each.is_greedy for each in ours]


@needs_harness
def test_a_whole_text_is_as_likely_as_its_tokens_each_scored_once(tokenizer, model):
    text = "Return the index of the first item. " * 30  # 1,080 bytes, of which the model reads 512 at once
    ids = tokenizer.encode(text)
    (whole,) = lm_eval.adapter(model, tokenizer, 2).loglikelihood_rolling([asked(text)])
    logs = []
    for start in range(0, len(ids), 512):  # the last part reads back as far as it can
        end = min(start + 512, len(ids))
        seen = [tokenizer.end_of_text, *ids][max(0, end - 512) : end]
        with torch.no_grad():
            predicted = model(torch.tensor([seen]))[0].log_softmax(-1)
        logs += [predicted[place - end, ids[place]].item() for place in range(start, end)]
    assert len(logs) == len(ids)
    assert whole == pytest.approx(sum(logs), rel=1e-5)


@needs_harness
def test_an_empty_context_is_the_end_of_text(tokenizer, model):
    ((nats, _),) = lm_eval.adapter(model, tokenizer, 2).loglikelihood([asked("", "Return")], disable_tqdm=True)
    (ours,) = likelihoods(model, [([tokenizer.end_of_text], tokenizer.encode("Return"))])
    assert nats == pytest.approx(ours.nats, abs=1e-4)


@needs_harness
def test_requests_are_answered_in_their_order_each_by_its_own_settings(tokenizer, model):
    harness_model = lm_eval.adapter(model, tokenizer, 2)
    prompts = ["Return", "the index", "of", ""]
    short, long = {"max_gen_toks": 3, "until": ["\n\n"]}, {"max_gen_toks": 9, "until": []}
    answers = harness_model.generate_until(
        [asked(*each) for each in zip(prompts, [long, short, long, long], strict=True)]
    )
    ids = [tokenizer.encode(text) or [tokenizer.end_of_text] for text in prompts]
    expected = [tokenizer.decode(each) for each in complete(model, ids, 9, stop_id=tokenizer.end_of_text)]
    expected[1] = tokenizer.decode(complete(model, ids[1:2], 3, stop_id=tokenizer.end_of_text)[0])
    assert answers == expected
    middle = expected[0][len(expected[0]) // 2]
    (cut,) = harness_model.generate_until([asked("Return", {"max_gen_toks": 9, "until": [middle]})])
    assert cut == expected[0][: expected[0].index(middle)]


@needs_harness
@pytest.mark.parametrize("tokens", [512, 513])
def test_so_many_tokens_that_no_prompt_has_room_are_refused(tokenizer, model, tokens):
    said = rf"max_gen_toks is {tokens}; expected less than the 512 tokens that the model reads at once"
    with pytest.raises(ValueError, match=said):
        lm_eval.adapter(model, tokenizer, 2).generate_until([asked("Return", {"max_gen_toks": tokens})])


@needs_harness
def test_a_task_that_the_harness_does_not_know_is_refused(tokenizer, model):
    with pytest.raises(ValueError, match="knows no task hellaswig"):
        lm_eval.evaluate(model, tokenizer, ["hellaswig"], shots=0, limit=1, batch_size=2, folder=None)


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="the extra `lm-eval` is installed")
def test_without_the_harness_it_is_said_how_to_install_it(tokenizer, model):
    with pytest.raises(ValueError, match=r"lm-evaluation-harness is not here; pip install .*'\.\[lm-eval\]'"):
        lm_eval.evaluate(model, tokenizer, ["hellaswag"], shots=0, limit=1, batch_size=2, folder=None)


@pytest.mark.parametrize(
    ("ends", "before"), [([], "a. b"), (["b", "."], "a"), (["x"], "a. b"), ([""], "a. b")], ids=str
)
def test_an_answer_ends_before_the_first_of_its_ends(ends, before):
    assert lm_eval._before("a. b", ends) == before
