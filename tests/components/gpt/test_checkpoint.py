"""A saved model comes back the same, and nothing else comes back at all."""

import hashlib
import json
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.gpt.checkpoint import load, save, sha256


@pytest.fixture
def folder(tiny, tmp_path):
    """Return a folder with a saved model."""
    save(tiny(), tmp_path / "model")
    return tmp_path / "model"


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors", backend="pread")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder, message):
    """Check that loading fails with `message`, in one line that names the folder."""
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    "changes", [{}, {"tie_weights": False}, {"qkv_bias": False, "init": "book"}, {"positions": "rotary"}]
)
def test_a_loaded_model_gives_the_same_logits_and_has_the_same_config(tiny, changes, tmp_path):
    model = tiny(**changes)
    save(model, tmp_path)
    loaded = load(tmp_path)
    ids = torch.randint(29, (2, 12))
    assert loaded.config == model.config
    assert torch.equal(loaded.eval()(ids), model(ids))


def test_a_model_saved_before_there_were_other_positions_is_loaded(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config.pop("positions") == "learned"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert load(folder).config.positions == "learned"


def test_a_loaded_model_is_in_training_mode_and_all_of_it_may_be_trained(folder):
    model = load(folder)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_training_a_loaded_model_leaves_its_file_alone(folder):
    before = sha256(folder)
    with torch.no_grad():
        for parameter in load(folder).parameters():
            parameter.zero_()
    assert sha256(folder) == before


def test_the_dtype_is_kept(tiny, tmp_path):
    save(tiny().to(torch.bfloat16), tmp_path)
    assert {parameter.dtype for parameter in load(tmp_path).parameters()} == {torch.bfloat16}


def test_the_same_weights_are_the_same_bytes_whatever_the_folder_is_called(tiny, tmp_path):
    save(tiny(), tmp_path / "one")
    save(tiny(), tmp_path / "another" / "name")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "another" / "name" / file).read_bytes()


def test_the_hash_is_that_of_the_weights_file(folder):
    assert sha256(folder) == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_folder_holds_two_files_and_is_written_over_by_a_second_save(tiny, folder):
    save(tiny(vocab_size=31), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert load(folder).config.vocab_size == 31


def test_whoever_may_read_one_file_may_read_the_other(folder):
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_a_disk_that_takes_no_more_leaves_the_earlier_model_as_it_was(tiny, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=r"model\.safetensors: cannot be written"):
            save(tiny(vocab_size=31), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_that_cannot_be_put_in_place_leave_the_config_that_describes_the_earlier_ones(tiny, folder):
    before = (folder / "config.json").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(tiny(n_heads=4), folder)
    assert (folder / "config.json").read_bytes() == before
    assert len(list(folder.iterdir())) == 2


def test_a_missing_tensor_is_named(folder):
    change(folder, lambda tensors: tensors.pop("body.final_norm.bias"))
    refused(folder, r"lacks tensor body\.final_norm\.bias; 27 there, 28 expected")


def test_of_many_missing_tensors_three_are_named_and_the_rest_counted(folder):
    change(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".0." in name])
    refused(folder, r"body\.blocks\.0\.attention\.out_proj\.bias, .* and 9 more; 16 there, 28 expected")


def test_an_unknown_tensor_is_named(folder):
    change(folder, lambda tensors: tensors.update(extra=torch.zeros(1)))
    refused(folder, "unknown tensor extra; 29 there, 28 expected")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder):
    change(folder, lambda tensors: tensors.update({"body.final_norm.bias": torch.zeros(17)}))
    refused(folder, r"body\.final_norm\.bias has shape \(17,\), model wants \(16,\)")


def test_a_tensor_of_whole_numbers_is_refused(folder):
    change(folder, lambda tensors: tensors.update({"body.final_norm.bias": torch.zeros(16, dtype=torch.int64)}))
    refused(folder, r"body\.final_norm\.bias holds torch\.int64")


def test_floats_of_two_types_are_refused_by_the_name_of_the_odd_one(folder):
    change(folder, lambda tensors: tensors.update({"body.final_norm.bias": torch.zeros(16, dtype=torch.float16)}))
    refused(folder, r"body\.final_norm\.bias holds torch\.float16, .* torch\.float32; expected one type for all")


@pytest.mark.parametrize("kept_bytes", [0, 5, 1000, -1])
def test_a_truncated_file_is_refused(folder, kept_bytes):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept_bytes])
    refused(folder, "bytes, truncated or not safetensors")


def test_a_loaded_model_outlives_its_file(folder):
    model = load(folder)
    expected = model.body.token_embedding.weight.clone()
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(bytes((folder / "model.safetensors").stat().st_size))
    assert torch.equal(model.body.token_embedding.weight, expected)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    refused(folder, f"{file}: no such file; expected a model's folder")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "holds a list; expected an object"),
        ('{"vocab_size": 29}', "lacks context_length, drop_rate, emb_dim and 5 more"),
    ],
)
def test_a_config_that_is_none_is_refused(folder, text, message):
    (folder / "config.json").write_text(text, encoding="utf-8")
    refused(folder, rf"config\.json: {message}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 3}, "unknown width"),
        ({"n_layers": "2"}, "n_layers is '2'; expected a whole number"),
        ({"positions": "none"}, "positions is 'none'; expected 'learned' or 'rotary'"),
    ],
)
def test_a_config_with_an_unknown_or_impossible_value_is_refused(folder, changes, message):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    refused(folder, rf"config\.json: {message}")
