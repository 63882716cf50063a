"""LoRA: what it computes, what of a model it trains, and that merging it changes no answer."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from components.gpt import checkpoint, classifier
from components.gpt.classifier import Classifier
from components.gpt.generate import generate
from components.gpt.lora import LoraLinear, LoraSettings, add, merge
from components.gpt.model import GPT, PUBLISHED

BLOCKS = ("qkv", "out_proj", "up", "down")
ALL = (*BLOCKS, "head")
LENGTHS = torch.tensor([3, 12, 7])


def adapted(model, layers=BLOCKS, rank=3, alpha=6.0):
    """Return a model with LoRA whose change is no longer zero."""
    add(model, LoraSettings(rank, alpha, layers), new=[model.head] if isinstance(model, Classifier) else ())
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoraLinear):
                module.B.normal_(std=0.1)
    return model


def logits(model, seed=None):
    ids = torch.arange(36).view(3, 12) * 7 % 29
    if seed is not None:
        torch.manual_seed(seed)
    with torch.no_grad():
        return model(ids, LENGTHS) if isinstance(model, Classifier) else model(ids)


def trained(model):
    return sorted(name for name, parameter in model.named_parameters() if parameter.requires_grad)


def test_the_change_is_alpha_over_rank_times_x_a_b():
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    layer = LoraLinear(linear, rank=1, scale=0.5)
    layer.A.data = torch.tensor([[2.0, 3.0]])
    layer.B.data = torch.tensor([[10.0], [100.0]])
    # x A = 2 + 3 = 5; times B = 50, 500; times 1/2 = 25, 250
    assert layer(torch.tensor([1.0, 1.0])).tolist() == [26.0, 251.0]
    assert layer.weight.tolist() == [[11.0, 15.0], [100.0, 151.0]]


def test_alpha_is_divided_by_the_rank(tiny):
    model = tiny()
    add(model, LoraSettings(rank=4, alpha=2.0, layers=("up",)))
    assert model.body.blocks[0].feed_forward.up.scale == 0.5


def test_queries_keys_and_values_have_a_change_each():
    linear = nn.Linear(4, 6)
    layer = LoraLinear(linear, rank=2, scale=1.0, parts=3)
    assert (layer.A.shape, layer.B.shape) == ((6, 4), (6, 2))
    nn.init.normal_(layer.B)
    x = torch.randn(5, 4)
    for k in range(3):
        rows, narrow = slice(2 * k, 2 * k + 2), slice(2 * k, 2 * k + 2)
        expected = linear(x)[:, rows] + x @ layer.A[narrow].T @ layer.B[rows].T
        torch.testing.assert_close(layer(x)[:, rows], expected)


def test_a_is_drawn_as_torch_draws_a_linear_and_b_is_zero():
    torch.manual_seed(5)
    expected = nn.Linear(64, 8, bias=False).weight  # uniform within 1 / sqrt(64)
    linear = nn.Linear(64, 32)
    torch.manual_seed(5)
    layer = LoraLinear(linear, rank=8, scale=1.0)
    assert torch.equal(layer.A, expected)
    assert 0.12 < layer.A.abs().max() <= 1 / math.sqrt(64)
    assert not layer.B.any()


@pytest.mark.parametrize("tie_weights", [True, False])
def test_the_first_logits_are_the_plain_models_own_dropout_too(tiny, tie_weights):
    plain, changed = (tiny(drop_rate=0.3, tie_weights=tie_weights).train() for _ in range(2))
    add(changed, LoraSettings(3, 6.0, BLOCKS if tie_weights else ALL))
    assert torch.equal(logits(plain, seed=1), logits(changed, seed=1))
    assert torch.equal(logits(plain.eval()), logits(changed.eval()))


def test_the_124m_classifier_of_the_book_trains_2666528_parameters():
    # Raschka, appendix E: every linear map, rank 16, two labels; 124,441,346 without LoRA.
    with torch.device("meta"):
        model = Classifier(GPT(PUBLISHED["gpt2-124M"]), ("ham", "spam"))
        assert sum(parameter.numel() for parameter in model.parameters()) == 124_441_346
        add(model, LoraSettings(16, 16.0, ALL), new=[model.head])
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == 2_666_528


def test_only_the_changes_of_the_chosen_maps_are_trained(tiny):
    model = tiny(tie_weights=False)
    add(model, LoraSettings(2, 2.0, ("qkv", "down")))
    names = ["attention.qkv", "feed_forward.down"]
    assert trained(model) == [f"body.blocks.{n}.{name}.{matrix}" for n in range(2) for name in names for matrix in "AB"]


def test_a_classifiers_new_head_is_trained_or_where_it_is_chosen_its_change(tiny):
    model = Classifier(tiny(), ("ham", "spam"))
    add(model, LoraSettings(2, 2.0, ("up",)), new=[model.head])
    assert trained(model)[-2:] == ["head.bias", "head.weight"]
    model = Classifier(tiny(), ("ham", "spam"))
    add(model, LoraSettings(2, 2.0, ("up", "head")), new=[model.head])
    assert trained(model)[-2:] == ["head.A", "head.B"]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("tie_weights", [True, False])
def test_a_merged_model_is_plain_and_gives_the_same_logits(tiny, tie_weights, dtype, tolerance):
    plain = tiny(tie_weights=tie_weights).to(dtype)
    model = adapted(tiny(tie_weights=tie_weights).to(dtype), BLOCKS if tie_weights else ALL)
    before = logits(model)
    merge(model)
    assert (logits(model) - before).abs().max() < tolerance
    assert (logits(model) - logits(plain)).abs().max() > 0.1
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert not any(isinstance(module, LoraLinear) for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_merged_model_is_saved_and_loaded_as_any_other(tiny, tmp_path):
    model = adapted(tiny())
    merge(model)
    checkpoint.save(model, tmp_path)
    assert torch.equal(logits(checkpoint.load(tmp_path).eval()), logits(model))


@pytest.mark.parametrize("reads", ["last_token", "last_position"])
def test_a_merged_classifier_is_saved_and_loaded_as_any_other(tiny, reads, tmp_path):
    model = adapted(Classifier(tiny(), ("ham", "spam"), reads=reads).eval(), ALL)
    before = logits(model)
    merge(model)
    classifier.save(model, tmp_path)
    loaded = logits(classifier.load(tmp_path).eval())
    assert torch.equal(loaded, logits(model))
    torch.testing.assert_close(loaded, before, atol=1e-5, rtol=1e-5)


def test_merging_a_plain_model_changes_nothing(tiny):
    model = tiny()
    merge(model)
    assert torch.equal(logits(model), logits(tiny()))


def test_an_unmerged_models_state_is_named_tensors_that_another_takes(tiny, tmp_path):
    model = adapted(tiny(tie_weights=False), ALL)
    checkpoint.write_folder(tmp_path, {}, model.state_dict())
    other = tiny(tie_weights=False)
    add(other, LoraSettings(3, 6.0, ALL))
    other.load_state_dict(checkpoint.read_tensors(tmp_path))
    assert torch.equal(logits(other), logits(model))
    names = [name for name in model.state_dict() if "blocks.1.attention.qkv" in name]
    assert [name.rpartition("qkv.")[2] for name in names] == ["A", "B", "linear.weight", "linear.bias"]


def test_an_unmerged_model_generates_with_its_cache_what_it_does_when_merged(tiny):
    model = adapted(tiny().double())
    ids = torch.tensor([[1, 2, 3]])
    before = generate(model, ids, 8)
    merge(model)
    assert torch.equal(generate(model, ids, 8), before)
    assert not torch.equal(generate(tiny().double(), ids, 8), before)


@pytest.mark.parametrize("optimizer", ["AdamW", "Muon"])
def test_training_moves_the_changes_alone_and_learns(tiny, optimizer):
    model = Classifier(tiny(drop_rate=0.1), ("odd", "even")).train()
    add(model, LoraSettings(4, 8.0, ALL), new=[model.head])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.manual_seed(0)
    ids, lengths = torch.randint(29, (32, 12)), torch.randint(1, 13, (32,))
    labels = ids[torch.arange(32), lengths - 1] % 2
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    moved_by = {
        "AdamW": torch.optim.AdamW(parameters, lr=1e-2),
        "Muon": torch.optim.Muon(parameters, lr=3e-2, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    }[optimizer]
    for _ in range(60):
        moved_by.zero_grad()
        F.cross_entropy(model(ids, lengths), labels).backward()
        moved_by.step()
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if name.endswith((".A", ".B"))}
    assert (model.eval()(ids, lengths).argmax(-1) == labels).float().mean() > 0.9


def test_torch_compile_takes_it_whole(tiny):
    model = adapted(tiny(tie_weights=False), ALL)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    ids = torch.randint(29, (2, 12))
    model(ids).logsumexp(-1).sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.requires_grad}
    model.zero_grad()
    compiled(ids).logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected[name])
    assert len(expected) == 2 * 9


def test_the_head_of_a_tied_model_cannot_be_chosen(tiny):
    model = tiny()
    said = r"^finetune.lora.layers has head, which this model lacks: its output matrix is the token embedding"
    with pytest.raises(ValueError, match=said):
        add(model, LoraSettings(2, 2.0, ALL), section="finetune.lora")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.state_dict().keys() == tiny().state_dict().keys()


def test_a_second_change_is_refused_until_the_first_is_merged(tiny):
    model = adapted(tiny(), ("up",))
    with pytest.raises(ValueError, match="the model has LoRA already; merge it first"):
        add(model, LoraSettings(2, 2.0, ("down",)))
    merge(model)
    add(model, LoraSettings(2, 2.0, ("down",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "rank is 0; expected 1 or more"),
        ({"alpha": 0.0}, "alpha is 0.0; expected a number above 0"),
        ({"alpha": math.nan}, "alpha is nan; expected a number above 0"),
        ({"alpha": math.inf}, "alpha is inf; expected a number above 0"),
        ({"layers": ()}, "layers are none; expected one or more of qkv, out_proj, up, down, head, each once"),
        ({"layers": ("up", "up")}, "layers are up, up; expected"),
        ({"layers": ("c_attn",)}, "layers are c_attn; expected"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        LoraSettings(**{"rank": 8, "alpha": 16.0, "layers": ("qkv",), **changes})
