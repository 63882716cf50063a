"""The model against the book's printed numbers, the published parameter counts, transformers, and itself."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import tiktoken
import torch
import torch.nn.functional as F
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from components.gpt.model import GPT, PUBLISHED, GPTConfig

SHARED = Path(__file__).resolve().parents[4] / "shared"
BOOK_124M = replace(PUBLISHED["gpt2-124M"], context_length=256, qkv_bias=False, tie_weights=False, init="book")


def counted(config: GPTConfig) -> int:
    with torch.device("meta"):
        return GPT(config).n_parameters


@pytest.mark.parametrize(
    ("size", "parameters"),  # as published
    [
        ("gpt2-124M", 124_439_808),
        ("gpt2-355M", 354_823_168),
        ("gpt2-774M", 774_030_080),
        ("gpt2-1558M", 1_557_611_200),
    ],
)
def test_a_published_size_has_its_number_of_parameters(size, parameters):
    assert counted(PUBLISHED[size]) == parameters


@pytest.mark.parametrize(("tie_weights", "parameters"), [(False, 163_009_536), (True, 124_412_160)])
def test_the_books_124m_has_its_number_of_parameters(tie_weights, parameters):
    config = replace(PUBLISHED["gpt2-124M"], qkv_bias=False, tie_weights=tie_weights)  # chapter 4
    assert counted(config) == parameters


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared: The Verdict and GPT-2's vocabulary")
def test_seed_123_gives_the_books_losses_on_the_verdict():
    # Chapter 5, before training: train 10.98758347829183, validation 10.98110580444336. float32, CPU, torch 2.13.0.
    text = (SHARED / "data/book/the-verdict.txt").read_text(encoding="utf-8")
    vocabulary = SHARED / "data/gpt2_bpe"
    ranks = data_gym_to_mergeable_bpe_ranks(str(vocabulary / "vocab.bpe"), str(vocabulary / "encoder.json"))
    encoding = tiktoken.Encoding("gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={})
    torch.manual_seed(123)
    model = GPT(BOOK_124M).eval()

    def mean_loss(part: str) -> float:
        ids = torch.tensor(encoding.encode_ordinary(part))
        windows = [ids[start : start + 257] for start in range(0, len(ids) - 256, 256)]
        inputs, targets = torch.stack([w[:-1] for w in windows]), torch.stack([w[1:] for w in windows])
        with torch.no_grad():
            losses = [
                F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
                for x, y in zip(inputs.split(2), targets.split(2), strict=True)
            ]
        return sum(losses) / len(losses)

    split = int(0.9 * len(text))
    assert mean_loss(text[:split]) == pytest.approx(10.98758347829183, abs=1e-4)
    assert mean_loss(text[split:]) == pytest.approx(10.98110580444336, abs=1e-4)


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_the_books_first_weights_are_torchs_own_drawn_in_the_books_order(qkv_bias):
    config = GPTConfig(11, 5, 6, 2, 2, 0.0, qkv_bias, tie_weights=False, init="book")
    torch.manual_seed(123)
    drawn = [nn.Embedding(11, 6), nn.Embedding(5, 6)]
    for _ in range(2):
        drawn += [nn.Linear(6, 6, bias=qkv_bias) for _ in range(3)]
        drawn += [nn.Linear(6, 6), nn.Linear(6, 24), nn.Linear(24, 6)]
    drawn += [nn.Linear(6, 11, bias=False)]

    torch.manual_seed(123)
    model = GPT(config)

    second = model.body.blocks[1]
    assert torch.equal(model.body.position_embedding.weight, drawn[1].weight)
    assert torch.equal(second.attention.qkv.weight, torch.cat([part.weight for part in drawn[8:11]]))
    if qkv_bias:
        assert torch.equal(second.attention.qkv.bias, torch.cat([part.bias for part in drawn[8:11]]))
    assert torch.equal(second.feed_forward.down.bias, drawn[13].bias)
    assert torch.equal(model.head.weight, drawn[-1].weight)


def test_gpt2s_first_weights_have_deviation_002_and_less_where_they_add_to_the_stream():
    torch.manual_seed(0)
    model = GPT(GPTConfig(500, 64, 96, 4, 8, 0.0, qkv_bias=True, tie_weights=True, init="gpt2"))
    block = model.body.blocks[3]

    assert model.body.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert block.attention.out_proj.weight.std().item() == pytest.approx(0.005, rel=0.03)  # 0.02 / sqrt(2 x 8)
    assert block.feed_forward.down.weight.std().item() == pytest.approx(0.005, rel=0.03)
    assert not block.attention.qkv.bias.any()
    assert (block.attention_norm.weight == 1).all()


def test_a_fresh_gpt2_knows_nothing_its_loss_is_the_logarithm_of_the_vocabulary():
    torch.manual_seed(0)
    model = GPT(GPTConfig(1000, 16, 32, 4, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2"))
    ids = torch.randint(1000, (8, 16))
    assert F.cross_entropy(model(ids).flatten(0, 1), ids.roll(1).flatten()).item() == pytest.approx(
        math.log(1000), abs=0.05
    )


def test_blocks_that_begin_at_zero_leave_the_tokens_as_they_are():
    torch.manual_seed(0)
    model = GPT(GPTConfig(29, 12, 16, 2, 2, 0.0, True, tie_weights=True, init="zero", positions="rotary"))
    ids = torch.randint(29, (3, 12))
    tokens = model.body.token_embedding(ids)
    assert torch.equal(model.hidden(ids), F.layer_norm(tokens, (16,)))
    assert tokens.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_the_same_seed_draws_the_same_weights_and_another_seed_others(positions):
    config = GPTConfig(29, 12, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2", positions=positions)

    def first_weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(GPT(config).parameters())

    assert torch.equal(first_weights(1), first_weights(1))
    assert not torch.equal(first_weights(1), first_weights(2))


@pytest.mark.parametrize("init", ["gpt2", "zero", "book"])
def test_on_the_meta_device_nothing_is_drawn(init):
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        model = GPT(replace(PUBLISHED["gpt2-1558M"], init=init))
    assert all(parameter.is_meta for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_later_token_never_changes_an_earlier_logit(tiny, positions):
    model = tiny(positions=positions)
    ids = torch.randint(29, (3, 12))
    changed = ids.clone()
    changed[:, 7:] = (ids[:, 7:] + 1) % 29
    with torch.no_grad():
        before, after = model(ids), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.isclose(before[:, 7:], after[:, 7:]).all(-1).any()


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_an_earlier_token_changes_every_later_logit(tiny, positions):
    model = tiny(positions=positions)
    ids = torch.randint(29, (3, 12))
    changed = ids.clone()
    changed[:, 2] = (ids[:, 2] + 1) % 29
    assert not torch.isclose(model(ids)[:, 2:], model(changed)[:, 2:]).all(-1).any()


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_cache_filled_by_a_prompt_and_then_token_by_token_gives_the_same_logits(tiny, positions):
    model = tiny(positions=positions)
    ids = torch.randint(29, (3, 12))
    cache = model.cache(12)
    parts = [model.hidden(ids[:, :5], cache), *(model.hidden(ids[:, i : i + 1], cache) for i in range(5, 12))]
    torch.testing.assert_close(model.logits(torch.cat(parts, dim=1)), model(ids), atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only(tiny):
    model = tiny(drop_rate=0.5)
    ids = torch.randint(29, (2, 12))
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_without_dropout_training_and_evaluation_give_the_same_logits(tiny):
    model = tiny()
    ids = torch.randint(29, (2, 12))
    evaluated = model(ids)
    assert torch.equal(model.train()(ids), evaluated)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("tie_weights", [True, False])
def test_every_parameter_gets_a_gradient(tiny, positions, tie_weights):
    model = tiny(positions=positions, tie_weights=tie_weights)
    model(torch.randint(29, (2, 12))).logsumexp(-1).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_more_tokens_than_the_context_are_refused(tiny, positions):
    with pytest.raises(ValueError, match="ids are 13 tokens long; the model reads at most 12"):
        tiny(positions=positions)(torch.zeros(1, 13, dtype=torch.int64))


@pytest.mark.parametrize("tie_weights", [True, False])
def test_with_rotary_positions_it_is_transformers_gpt_neox(tiny, tie_weights):
    model = tiny(positions="rotary", tie_weights=tie_weights)
    shape = {"vocab_size": 29, "max_position_embeddings": 12, "hidden_size": 16, "intermediate_size": 64}
    shape |= {"num_attention_heads": 2, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 0}
    config = GPTNeoXConfig(**shape, hidden_act="gelu_new", use_parallel_residual=False, rotary_pct=1.0)
    theirs = GPTNeoXForCausalLM(config).eval()
    theirs.lm_head.weight = nn.Parameter(model.output_weight.detach())
    body = theirs.gpt_neox
    pairs = [(body.embed_in, model.body.token_embedding), (body.final_layer_norm, model.body.final_norm)]
    for block, ours in zip(body.layers, model.body.blocks, strict=True):
        pairs += [(block.input_layernorm, ours.attention_norm), (block.attention.dense, ours.attention.out_proj)]
        pairs += [(block.post_attention_layernorm, ours.feed_forward_norm)]
        pairs += [(block.mlp.dense_h_to_4h, ours.feed_forward.up), (block.mlp.dense_4h_to_h, ours.feed_forward.down)]
        together = [0, 2, 4, 1, 3, 5]  # their query, key and value of the first head, then of the second
        with torch.no_grad():
            for name, parameter in block.attention.query_key_value.named_parameters():
                heads = getattr(ours.attention.qkv, name).detach().split(8)
                parameter.copy_(torch.cat([heads[place] for place in together]))
    for part, ours in pairs:
        part.load_state_dict(ours.state_dict())
    ids = torch.randint(29, (3, 12))
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, atol=1e-4, rtol=0)


def test_rotary_positions_are_no_parameters(tiny):
    learned, rotary = (tiny(positions=positions).state_dict().keys() for positions in ("learned", "rotary"))
    assert learned - rotary == {"body.position_embedding.weight"}
    assert rotary <= learned
    assert tiny(positions="rotary").n_parameters == tiny().n_parameters - 12 * 16  # context_length x emb_dim


def test_rotary_positions_tell_the_order_of_the_tokens(tiny):
    model = tiny(positions="rotary")
    with torch.no_grad():
        one, other = model(torch.tensor([[3, 1, 4], [1, 3, 4]]))[:, -1]
    assert not torch.isclose(one, other).any()


def test_rotary_positions_train_under_bfloat16_as_in_float32(tiny):
    model = tiny(positions="rotary").train()
    ids = torch.randint(29, (4, 12))

    def gradient(is_autocast):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            loss = F.cross_entropy(model(ids).flatten(0, 1).float(), ids.roll(-1, dims=1).flatten())
        loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    exact, rounded = gradient(is_autocast=False), gradient(is_autocast=True)
    assert rounded.dtype == torch.float32
    assert F.cosine_similarity(exact, rounded, dim=0) > 0.99
    assert not torch.equal(exact, rounded)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocab_size", 0, "vocab_size is 0; expected a whole number of at least 1"),
        ("n_layers", -1, "n_layers is -1"),
        ("context_length", 2.5, r"context_length is 2\.5"),
        ("emb_dim", True, "emb_dim is True"),
        ("n_heads", 7, r"emb_dim is 768; expected a multiple of n_heads \(7\)"),
        ("drop_rate", 1.0, r"drop_rate is 1\.0; expected 0 <= drop_rate < 1"),
        ("drop_rate", float("nan"), "drop_rate is nan"),
        ("qkv_bias", "no", "qkv_bias is 'no'; expected true or false"),
        ("init", "zeros", "init is 'zeros'; expected 'gpt2', 'zero' or 'book'"),
        ("positions", "none", "positions is 'none'; expected 'learned' or 'rotary'"),
    ],
)
def test_an_impossible_setting_is_refused_by_name_and_value(field, value, message):
    with pytest.raises(ValueError, match=message):
        GPTConfig(**{**asdict(PUBLISHED["gpt2-124M"]), field: value})


def test_rotary_positions_want_an_even_count_of_numbers_a_head(tiny):
    tiny(emb_dim=18, n_heads=2)
    with pytest.raises(ValueError, match="emb_dim is 18 and n_heads 2: 9 numbers a head; rotary positions"):
        tiny(emb_dim=18, n_heads=2, positions="rotary")
