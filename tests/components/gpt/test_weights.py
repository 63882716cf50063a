"""Published weights against transformers, the reference: same weights, same logits."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

from components.gpt import weights
from components.gpt.model import GPT, PUBLISHED
from components.gpt.weights import load_published, write_published

SMALL = {"vocab_size": 61, "n_positions": 20, "n_embd": 12, "n_head": 3, "n_layer": 2}
SMALL_NEOX = {
    "vocab_size": 61,
    "max_position_embeddings": 20,
    "hidden_size": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "hidden_act": "gelu_new",
    "use_parallel_residual": False,
    "rotary_pct": 1.0,
}


def reference(**changes: object) -> GPT2LMHeadModel:
    """Return transformers' GPT-2 with random weights, biases and norms too."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    return randomised(GPT2LMHeadModel(GPT2Config(**{**SMALL, **ids, **changes})))


def neox(**changes: object) -> GPTNeoXForCausalLM:
    """Return transformers' GPT-NeoX, its blocks as GPT-2's, with random weights, biases and norms too."""
    torch.manual_seed(0)
    return randomised(
        GPTNeoXForCausalLM(GPTNeoXConfig(**{**SMALL_NEOX, "bos_token_id": 0, "eos_token_id": 0, **changes}))
    )


def randomised(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = name.endswith("weight") and ("ln_" in name or "layernorm" in name or "layer_norm" in name)
            parameter.normal_(mean=float(is_scale), std=0.1)
    return model.eval()


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


def publish_neox(
    theirs: GPTNeoXForCausalLM, folder: Path, *, prefix: str = "gpt_neox.", masks: bool = True, head: str | None
) -> Path:
    """Write the format by hand, as Pythia was published (prefix, masks, angles): `head` is the output matrix's name."""
    tensors = {prefix + name: tensor.clone() for name, tensor in theirs.gpt_neox.state_dict().items()}
    if masks:
        for layer in range(2):
            attention = f"{prefix}layers.{layer}.attention"
            tensors[f"{attention}.bias"] = torch.ones(1, 1, 20, 20, dtype=torch.bool).tril()
            tensors[f"{attention}.masked_bias"] = torch.tensor(-1e9)
            tensors[f"{attention}.rotary_emb.inv_freq"] = torch.ones(2)
    if head:
        tensors[head] = theirs.lm_head.weight.detach().clone()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(theirs.config.to_json_string(), encoding="utf-8")
    return folder


def rewrite(folder: Path, **changes: object) -> None:
    """Change what config.json says; None takes a field away."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({name: said for name, said in config.items() if said is not None}), encoding="utf-8")


def largest_difference(ours, theirs) -> float:
    ids = torch.randint(theirs.config.vocab_size, (2, min(theirs.config.max_position_embeddings, 64)))
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
        ours = weights._as_published(GPT(PUBLISHED[size]).state_dict(), PUBLISHED[size])
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


@pytest.mark.parametrize("made", [reference, neox])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("files", [1, 10])
def test_what_transformers_saves_is_loaded_from_one_file_or_several(made, tied, files, tmp_path):
    theirs = made(tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path, max_shard_size="5KB" if files > 1 else "5GB")
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (files > 1)
    ours = load_published(tmp_path)
    assert ours.config.tie_weights == tied
    assert ours.config.positions == ("rotary" if made is neox else "learned")
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("prefix", ["", "gpt_neox."])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("head", [None, "embed_out.weight", "lm_head.weight"])
def test_a_neox_may_have_prefix_masks_and_a_copy_of_the_tied_matrix_or_not(prefix, masks, head, tmp_path):
    theirs = neox(tie_word_embeddings=True)
    ours = load_published(publish_neox(theirs, tmp_path / "neox", prefix=prefix, masks=masks, head=head))
    assert ours.config.tie_weights
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("head", ["embed_out.weight", "lm_head.weight"])
def test_a_neox_has_an_output_matrix_of_its_own_under_either_name(head, tmp_path):
    theirs = neox()
    ours = load_published(publish_neox(theirs, tmp_path / "neox", head=head))
    assert not ours.config.tie_weights
    assert largest_difference(ours, theirs) < 1e-5


def test_a_config_of_transformers_4_is_read(tmp_path):
    theirs = neox(hidden_act="gelu_pytorch_tanh")
    folder = publish_neox(theirs, tmp_path / "neox", head="embed_out.weight")
    rewrite(folder, rope_parameters=None, rotary_pct=1.0, rotary_emb_base=10000, attention_bias=None)
    assert largest_difference(load_published(folder), theirs) < 1e-5


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


@pytest.mark.parametrize(("positions", "loader"), [("learned", GPT2LMHeadModel), ("rotary", GPTNeoXForCausalLM)])
@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_what_is_written_transformers_reads_and_so_do_we(tiny, positions, loader, tie_weights, qkv_bias, tmp_path):
    model = tiny(positions=positions, tie_weights=tie_weights, qkv_bias=qkv_bias)
    write_published(model, tmp_path)
    theirs, said = loader.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(said.values())  # no key missing, none too many
    assert largest_difference(model, theirs.eval()) < 1e-4
    ids = torch.randint(29, (2, 12))
    assert torch.equal(load_published(tmp_path).eval()(ids), model(ids))


def test_the_written_config_has_the_dropout_and_the_last_id_as_end_of_text(tiny, tmp_path):
    write_published(tiny(drop_rate=0.25), tmp_path)
    config = GPT2Config.from_pretrained(tmp_path)
    assert (config.embd_pdrop, config.attn_pdrop, config.resid_pdrop) == (0.25, 0.25, 0.25)
    assert (config.bos_token_id, config.eos_token_id) == (28, 28)


def test_the_written_config_of_a_neox_says_the_same_to_transformers_5_and_4(tiny, tmp_path):
    write_published(tiny(positions="rotary", drop_rate=0.25), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["rotary_pct"], config["rotary_emb_base"]) == (1.0, 10000)  # 4 reads these
    turned = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
    config = GPTNeoXConfig.from_pretrained(tmp_path)
    assert config.rope_parameters == turned
    assert (config.attention_dropout, config.hidden_dropout) == (0.25, 0.25)
    assert (config.bos_token_id, config.eos_token_id) == (28, 28)
    assert config.intermediate_size == 64


def test_a_neox_whose_biases_of_queries_keys_and_values_are_not_there_is_written_with_zeros(tiny, tmp_path):
    write_published(tiny(positions="rotary", qkv_bias=False), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(tensors["gpt_neox.layers.1.attention.query_key_value.bias"], torch.zeros(48))


def test_a_neox_has_the_queries_keys_and_values_of_a_head_together(tiny, tmp_path):
    model = tiny(positions="rotary", tie_weights=False)  # 2 heads of 8 numbers
    write_published(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert len(tensors) == 4 + 2 * 12
    assert tensors["embed_out.weight"].shape == (29, 16)
    ours = model.body.blocks[1].attention.qkv
    for kind in ("weight", "bias"):
        theirs = tensors[f"gpt_neox.layers.1.attention.query_key_value.{kind}"]
        queries, keys, values = getattr(ours, kind).chunk(3)
        heads = [queries[:8], keys[:8], values[:8], queries[8:], keys[8:], values[8:]]
        assert torch.equal(theirs, torch.cat(heads))
    assert torch.equal(
        tensors["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"], model.body.blocks[0].feed_forward.up.weight
    )


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


def test_a_neox_that_is_said_to_be_tied_and_is_not_is_refused(tmp_path):
    folder = publish_neox(neox(), tmp_path / "neox", head="embed_out.weight")
    rewrite(folder, tie_word_embeddings=True)
    with pytest.raises(ValueError, match=r"embed_out\.weight differs from embed_in\.weight, and config\.json says"):
        load_published(folder)


def test_a_missing_tensor_of_a_neox_is_named(tmp_path):
    folder = publish_neox(neox(), tmp_path / "neox", head="embed_out.weight")
    change(folder, lambda tensors: tensors.pop("gpt_neox.layers.1.attention.dense.bias"))
    with pytest.raises(ValueError, match=r"lacks tensor layers\.1\.attention\.dense\.bias; 27 there, 28 expected"):
        load_published(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model_type", "llama", "model_type is 'llama'; expected 'gpt2' or 'gpt_neox'$"),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"use_parallel_residual": True},
            "use_parallel_residual is True; expected False, as in GPT-NeoX with GPT-2's blocks",
        ),
        ({"use_parallel_residual": None}, "use_parallel_residual is True; expected False"),  # what they assume
        ({"rope_parameters": None}, r"rotary_pct is 0\.25; expected 1\.0"),
        ({"rope_parameters": None, "rotary_pct": 0.5}, r"rotary_pct is 0\.5; expected 1\.0"),
        (
            {"rope_parameters": None, "rotary_pct": 1.0, "rotary_emb_base": 500},
            "rotary_emb_base is 500; expected 10000",
        ),
        (
            {"rope_parameters": None, "rotary_pct": 1.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope_scaling is .*linear.*; expected None",
        ),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
            r"rope_parameters is .*500\.0.*; expected .*",
        ),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; expected 'gelu_new'"),
        ({"hidden_act": None}, "hidden_act is 'gelu'; expected 'gelu_new'"),
        ({"hidden_act": ["gelu_new"]}, "hidden_act is "),
        ({"layer_norm_eps": 1e-6}, r"layer_norm_eps is 1e-06; expected 1e-05"),
        ({"attention_bias": False}, "attention_bias is False; expected True"),
        ({"intermediate_size": 40}, "intermediate_size is 40; expected 48"),
        ({"intermediate_size": None}, "intermediate_size is 24576; expected 48"),
        ({"num_attention_heads": 4}, "emb_dim is 12 and n_heads 4: 3 numbers a head; rotary positions rotate pairs"),
        ({"hidden_size": None}, "lacks hidden_size; is it a GPT-NeoX"),
    ],
)
def test_a_neox_that_our_model_cannot_be_is_refused_in_one_line(changes, message, tmp_path):
    folder = publish_neox(neox(), tmp_path / "neox", head="embed_out.weight")
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=rf"config\.json: {message}") as error:
        load_published(folder)
    assert "\n" not in str(error.value)


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
