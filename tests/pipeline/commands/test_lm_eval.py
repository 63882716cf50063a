from importlib.util import find_spec

import pytest

from components.gpt import checkpoint
from components.gpt.model import GPT, GPTConfig
from components.tokenizer.bpe import Tokenizer
from pipeline import paths


@pytest.fixture
def model(project):
    """Make a model that knows bytes alone, untrained, and its tokenizer."""
    Tokenizer.trained(["Return the index of the first item."], 257).save(paths.TOKENIZER)
    checkpoint.save(GPT(GPTConfig(257, 16, 8, 2, 1, 0.0, qkv_bias=False, tie_weights=True, init="gpt2")), paths.BASE)


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="the extra `lm-eval` is installed")
def test_without_the_extra_it_is_one_line_that_says_what_to_install(model, main, capsys):
    assert main(["lm_eval", "hellaswag"]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "constraints-lm-eval.txt" in said[0]


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra `lm-eval` is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_table_is_printed_and_the_results_are_written(model, main, capsys, tmp_path):
    described = tmp_path / "described"
    described.mkdir()
    (tmp_path / "items.jsonl").write_text('{"asked": "one", "given": "two"}\n')
    (described / "task.yaml").write_text(
        "task: counting\noutput_type: multiple_choice\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{validation: {tmp_path}/items.jsonl}}, cache_dir: {tmp_path}/cache}}\n"
        "validation_split: validation\ndoc_to_text: '{{asked}}'\ndoc_to_choice: ['two', 'three']\n"
        "doc_to_target: '{{given}}'\nmetric_list: [{metric: acc}]\n"
    )
    output = tmp_path / "results.json"
    assert main(["lm_eval", "counting", "--include", str(described), "--output", str(output)]) == 0
    assert "|counting|" in capsys.readouterr().out
    assert '"counting"' in output.read_text(encoding="utf-8")
