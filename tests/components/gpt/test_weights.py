"""Published weights against transformers, the reference: same weights, same logits."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from components.gpt import weights
from components.gpt.model import GPT, PUBLISHED
from components.gpt.weights import load_published, write_published

SMALL = {"vocab_size": 61, "n_positions": 20, "n_embd": 12, "n_head": 3, "n_layer": 2}


def reference(**changes: object) -> GPT2LMHeadModel:
    """Return transformers' GPT-2 with random weights, biases and norms too."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(**{**SMALL, **ids, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=1.0 if "ln_" in name and "weight" in name else 0.0, std=0.1)
    return model


def publish(theirs: GPT2LMHeadModel, folder: Path, *, prefix: str = "", masks: bool = True, head: bool = False) -> Path:
    """Write the format by hand: as published (no prefix, masks, no head) unless told otherwise."""
    tensors = {prefix + name: tensor.clone() for name, tensor in theirs.transformer.state_dict().items()}
    if masks:
        size = theirs.config.n_positions
        for layer in range(theirs.config.n_layer):
            tensors[f"{prefix}h.{layer}.attn.bias"] = torch.ones(size, size).tril().view(1, 1, size, size)
    if head:
        tensors["lm_head.weight"] = theirs.lm_head.weight.detach().clone()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(theirs.config.to_json_string(), encoding="utf-8")
    return folder


def largest_difference(ours, theirs) -> float:
    ids = torch.randint(theirs.config.vocab_size, (2, min(theirs.config.n_positions, 64)))
    with torch.no_grad():
        return (ours.eval()(ids) - theirs(ids).logits).abs().max().item()


def change(folder: Path, edit) -> None:
    tensors = load_file(folder / "model.safetensors", backend="pread")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def their_shape(size: str) -> dict[str, int]:
    ours = PUBLISHED[size]
    return {"n_embd": ours.emb_dim, "n_head": ours.n_heads, "n_layer": ours.n_layers}


@pytest.mark.parametrize("size", PUBLISHED)
def test_names_and_shapes_are_those_of_transformers_for_each_published_size(size):
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(GPT2Config(**their_shape(size))).transformer.state_dict()
        ours = weights._as_published(GPT(PUBLISHED[size]).state_dict())
    assert {name: tensor.shape for name, tensor in ours.items()} == {name: t.shape for name, t in theirs.items()}


@pytest.mark.parametrize("cut", ["all layers, 4 wide a head", "full width, two layers"])
@pytest.mark.parametrize("size", PUBLISHED)
def test_each_published_size_comes_from_transformers_and_goes_back_with_equal_logits(size, cut):
    shape = their_shape(size)
    shape |= {"n_layer": 2} if cut == "full width, two layers" else {"n_embd": 4 * shape["n_head"]}
    theirs = reference(**shape)
    with TemporaryDirectory() as folder:  # pytest keeps what is in tmp_path
        theirs.save_pretrained(f"{folder}/theirs")
        ours = load_published(f"{folder}/theirs")
        write_published(ours, f"{folder}/ours")
        back = GPT2LMHeadModel.from_pretrained(f"{folder}/ours").eval()
    assert largest_difference(ours, theirs) < 1e-4
    assert largest_difference(ours, back) < 1e-4


def test_the_124m_comes_from_transformers_and_goes_back_with_equal_logits():
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config()).eval()  # transformers' defaults are the 124M
    with TemporaryDirectory() as folder:  # half a gigabyte each
        ours = load_published(publish(theirs, Path(folder) / "theirs"))
        write_published(ours, f"{folder}/ours")
        back = GPT2LMHeadModel.from_pretrained(f"{folder}/ours").eval()
    assert ours.config == PUBLISHED["gpt2-124M"]
    assert ours.n_parameters == 124_439_808
    assert largest_difference(ours, theirs) < 1e-4
    assert largest_difference(ours, back) < 1e-4


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("head", [True, False])
def test_prefix_masks_and_a_copy_of_the_tied_matrix_may_be_there_or_not(prefix, masks, head, tmp_path):
    theirs = reference()
    ours = load_published(publish(theirs, tmp_path / "gpt2", prefix=prefix, masks=masks, head=head))
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("files", [1, 10])
def test_what_transformers_saves_is_loaded_from_one_file_or_several(tied, files, tmp_path):
    theirs = reference(tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path, max_shard_size="5KB" if files > 1 else "5GB")
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (files > 1)
    ours = load_published(tmp_path)
    assert ours.config.tie_weights == tied
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-100])])
def test_a_missing_or_truncated_file_of_several_is_named(damage, tmp_path):
    reference().save_pretrained(tmp_path, max_shard_size="5KB")
    first = min(tmp_path.glob("*.safetensors"))
    damage(first)
    with pytest.raises(ValueError, match=rf"{first.name}: named in model\.safetensors\.index\.json, but cannot be "):
        load_published(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 5}', '{"weight_map": ["a"]}'])
def test_an_index_that_names_no_files_is_refused(text, tmp_path):
    reference().save_pretrained(tmp_path, max_shard_size="5KB")
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.json: expected JSON with a weight_map") as error:
        load_published(tmp_path)
    assert "\n" not in str(error.value)


def test_an_untied_output_matrix_is_loaded(tmp_path):
    theirs = reference(tie_word_embeddings=False)
    ours = load_published(publish(theirs, tmp_path / "gpt2", head=True))
    assert not ours.config.tie_weights
    assert largest_difference(ours, theirs) < 1e-5


def test_half_precision_weights_become_float32(tmp_path):
    ours = load_published(publish(reference().to(torch.bfloat16), tmp_path / "gpt2"))
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_what_is_written_transformers_reads_and_so_do_we(tiny, tie_weights, qkv_bias, tmp_path):
    model = tiny(tie_weights=tie_weights, qkv_bias=qkv_bias)
    write_published(model, tmp_path)
    assert largest_difference(model, GPT2LMHeadModel.from_pretrained(tmp_path).eval()) < 1e-4
    ids = torch.randint(29, (2, 12))
    assert torch.equal(load_published(tmp_path).eval()(ids), model(ids))


def test_the_written_config_has_the_dropout_and_the_last_id_as_end_of_text(tiny, tmp_path):
    write_published(tiny(drop_rate=0.25), tmp_path)
    config = GPT2Config.from_pretrained(tmp_path)
    assert (config.embd_pdrop, config.attn_pdrop, config.resid_pdrop) == (0.25, 0.25, 0.25)
    assert (config.bos_token_id, config.eos_token_id) == (28, 28)


def test_written_names_and_layouts_are_the_published_ones(tiny, tmp_path):
    write_published(tiny(), tmp_path)
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    assert len(shapes) == 4 + 2 * 12
    assert shapes["wte.weight"] == (29, 16)
    assert shapes["h.1.attn.c_attn.weight"] == (16, 48)
    assert shapes["h.1.mlp.c_proj.weight"] == (64, 16)


def test_a_missing_tensor_is_named(tmp_path):
    folder = publish(reference(), tmp_path / "gpt2")
    change(folder, lambda tensors: tensors.pop("h.1.mlp.c_fc.bias"))
    with pytest.raises(ValueError, match=r"model\.safetensors: lacks tensor h\.1\.mlp\.c_fc\.bias; 27 there, 28"):
        load_published(folder)


def test_an_unknown_tensor_is_named(tmp_path):
    folder = publish(reference(), tmp_path / "gpt2")
    change(folder, lambda tensors: tensors.update({"h.2.ln_1.bias": torch.zeros(12)}))
    with pytest.raises(ValueError, match=r"unknown tensor h\.2\.ln_1\.bias; 29 there, 28 expected"):
        load_published(folder)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    folder = publish(reference(), tmp_path / "gpt2")
    change(folder, lambda tensors: tensors.update({"h.0.attn.c_attn.weight": torch.zeros(36, 12)}))
    with pytest.raises(ValueError, match=r"h\.0\.attn\.c_attn\.weight has shape \(36, 12\), model wants \(12, 36\)"):
        load_published(folder)


def test_a_truncated_file_is_refused(tmp_path):
    folder = publish(reference(), tmp_path / "gpt2")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=f"{len(whole) - 100} bytes, truncated or not safetensors") as error:
        load_published(folder)
    assert "\n" not in str(error.value)


def test_an_output_matrix_that_is_said_to_be_tied_and_is_not_is_refused(tmp_path):
    folder = publish(reference(), tmp_path / "gpt2", head=True)
    change(folder, lambda tensors: tensors["lm_head.weight"].zero_())
    with pytest.raises(ValueError, match=r"lm_head\.weight differs from wte\.weight"):
        load_published(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model_type", "llama", "model_type is 'llama'; expected 'gpt2'"),
        ("activation_function", "relu", "activation_function is 'relu'; expected 'gelu_new'"),
        ("n_inner", 40, "n_inner is 40; expected None"),
        ("n_head", 5, r"emb_dim is 12; expected a multiple of n_heads \(5\)"),
        ("n_layer", "two", "n_layers is 'two'"),
    ],
)
def test_another_architecture_is_refused(name, value, message, tmp_path):
    folder = publish(reference(), tmp_path / "gpt2")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, name: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"config\.json: {message}"):
        load_published(folder)


def test_a_folder_that_a_gpt_was_saved_into_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"vocab_size": 29}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json: lacks n_positions, n_embd, n_head, n_layer"):
        load_published(tmp_path)


def test_a_folder_of_weights_alone_is_read_in_the_shape_given(tmp_path):
    theirs = reference()
    folder = publish(theirs, tmp_path / "gpt2")
    config = load_published(folder).config
    (folder / "config.json").unlink()
    assert largest_difference(load_published(folder, config), theirs) < 1e-5
    with pytest.raises(ValueError, match=r"config\.json: no such file"):
        load_published(folder)
    with pytest.raises(ValueError, match=r"wte.weight has shape \(61, 12\), model wants \(50257, 768\)|lacks tensor"):
        load_published(folder, PUBLISHED["gpt2-124M"])


def test_a_folders_own_config_counts_more_than_the_shape_given(tmp_path):
    theirs = reference()
    ours = load_published(publish(theirs, tmp_path / "gpt2"), PUBLISHED["gpt2-124M"])
    assert (ours.config.vocab_size, ours.config.emb_dim) == (61, 12)
