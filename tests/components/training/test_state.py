"""States written, damaged by hand, and taken up again."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from components.training import state
from components.training.loop import TrainingSettings, train
from components.training.losses import Batch
from components.training.optimizer import OptimizerSettings, make
from components.training.schedule import ScheduleSettings

CPU = torch.device("cpu")
HOW = TrainingSettings(
    max_steps=6,
    batch_size=4,
    accumulate=1,
    clip_norm=1.0,
    precision="float32",
    compile=False,
    evaluate_every=2,
    evaluate_batches=None,
    optimizer=OptimizerSettings("muon", 0.01, 0.02, 0.1, "matrices", 0.9, 0.95, 0.95),
    schedule=ScheduleSettings("linear", warmup_steps=2, initial=0.0, minimum=0.0, decay_share=0.5),
    seed=3,
)
ROWS = [{"step": 0, "training_loss": 0.1}, {"step": 1, "training_loss": 1 / 3, "validation_loss": 2.5}]


def tiny() -> nn.Module:
    """A block whose matrices Muon moves, dropout, and a head that AdamW moves."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Dropout(0.5)), nn.LayerNorm(6), nn.Linear(6, 2))


def batch_of(index: int) -> Batch:
    return (torch.randn(4, 5, generator=torch.Generator().manual_seed(index)),)


def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    return model(batch[0]).square().sum(), torch.tensor(8)


def trained(steps: int) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    model = tiny()
    optimizers = make(model, HOW.optimizer)
    for step in train(model, batch_of, loss, HOW, device=CPU, optimizers=optimizers):
        if step.step == steps - 1:
            break
    return model, optimizers


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def fresh() -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    model = tiny()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    return model, make(model, HOW.optimizer)


def save(*arguments: Any) -> Path:
    return state.begin(*arguments)()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_taken_up_from_a_state_ends_with_the_same_weights_bit_for_bit(tmp_path):
    model, optimizers = trained(3)
    save(tmp_path, model, optimizers, ROWS, "key")
    through, _ = trained(6)
    taken_up, again = fresh()
    found = state.restore(tmp_path, taken_up, again, "key")
    list(train(taken_up, batch_of, loss, HOW, device=CPU, optimizers=again, first_step=3))
    assert found == state.Restored(ROWS, ())
    assert torch.equal(flat(taken_up), flat(through))


def test_the_same_state_is_the_same_bytes(tmp_path):
    model, optimizers = trained(2)
    folders = [save(tmp_path / name, model, optimizers, ROWS, "key") for name in "ab"]
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == two
    assert set(one) == {"model.safetensors", "optimizer.safetensors", "state.json"}


def test_without_a_state_nothing_changes(tmp_path):
    model, optimizers = fresh()
    before = flat(model)
    assert state.restore(tmp_path / "none", model, optimizers, "key") == state.Restored([], ())
    assert torch.equal(flat(model), before)
    assert optimizers[0].state_dict()["state"] == {}


def test_before_the_first_step_there_is_nothing_to_remember(tmp_path):
    model = tiny()
    save(tmp_path, model, make(model, HOW.optimizer), [], "key")
    other, optimizers = fresh()
    assert state.restore(tmp_path, other, optimizers, "key").rows == []
    assert torch.equal(flat(other), flat(model))


def test_the_last_two_states_are_kept(tmp_path):
    model, optimizers = trained(1)
    for count in range(4):
        save(tmp_path, model, optimizers, ROWS[:1] * count, "key")
    assert names(tmp_path) == ["step-000000002", "step-000000003"]


DAMAGES = {
    "a bit of the weights": lambda folder: flip(folder / "model.safetensors"),
    "a bit of the optimizer": lambda folder: flip(folder / "optimizer.safetensors"),
    "half of the weights": lambda folder: halve(folder / "model.safetensors"),
    "half of the description": lambda folder: halve(folder / "state.json"),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no description": lambda folder: (folder / "state.json").unlink(),
    "another description": lambda folder: (folder / "state.json").write_text("[]"),
    "a number of the rows": lambda folder: change(folder / "state.json", "0.1", "0.2"),
    "no file at all": lambda folder: [path.unlink() for path in folder.iterdir()],
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_it_taken(tmp_path, damage):
    older, optimizers = trained(1)
    save(tmp_path, older, optimizers, ROWS[:1], "key")
    newer, optimizers = trained(2)
    newest = save(tmp_path, newer, optimizers, ROWS, "key")
    DAMAGES[damage](newest)
    model, again = fresh()
    found = state.restore(tmp_path, model, again, "key")
    assert found.rows == ROWS[:1]
    assert torch.equal(flat(model), flat(older))
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith(f"{newest}: ")


def test_a_state_of_other_data_or_settings_is_not_taken(tmp_path):
    model, optimizers = trained(2)
    saved = save(tmp_path, model, optimizers, ROWS, "theirs")
    other, again = fresh()
    before = flat(other)
    found = state.restore(tmp_path, other, again, "ours")
    assert found == state.Restored([], (f"{saved}: of other data or settings (theirs, expected ours)",))
    assert torch.equal(flat(other), before)


def test_what_a_killed_save_left_is_no_state_and_goes_with_the_next(tmp_path):
    model, optimizers = trained(2)
    half = tmp_path / ".step-000000001.partial"
    shutil.copytree(save(tmp_path / "other", model, optimizers, ROWS, "key"), half)
    (half / "state.json").unlink()
    assert state.restore(tmp_path, *fresh(), "key") == state.Restored([], ())
    save(tmp_path, model, optimizers, ROWS, "key")
    assert names(tmp_path) == ["other", "step-000000002"]


def test_a_run_that_begins_anew_keeps_its_own_states_not_the_damaged_ones_of_later_steps(tmp_path):
    model, optimizers = trained(2)
    for count in (7, 8):
        halve(save(tmp_path, model, optimizers, ROWS[:1] * count, "key") / "model.safetensors")
    save(tmp_path, model, optimizers, ROWS[:1], "key")
    assert names(tmp_path) == ["step-000000001"]
    assert state.restore(tmp_path, *fresh(), "key") == state.Restored(ROWS[:1], ())


def test_a_state_saved_again_replaces_the_damaged_one(tmp_path):
    model, optimizers = trained(2)
    halve(save(tmp_path, model, optimizers, ROWS, "key") / "model.safetensors")
    save(tmp_path, model, optimizers, ROWS, "key")
    assert state.restore(tmp_path, *fresh(), "key") == state.Restored(ROWS, ())


def test_a_state_is_of_the_moment_it_began_at(tmp_path):
    model, optimizers = trained(2)
    before, rows = flat(model), [dict(row) for row in ROWS]
    write = state.begin(tmp_path, model, optimizers, rows, "key")
    with torch.no_grad():
        for tensor in (*model.parameters(), *state._tensors(optimizers).values()):
            tensor.zero_()
    rows[-1]["validation_loss"] = 0.0
    assert names(tmp_path) == []
    write()
    other, others = fresh()
    assert state.restore(tmp_path, other, others, "key").rows == ROWS
    assert torch.equal(flat(other), before)
    assert all(tensor.any() for tensor in state._tensors(others).values())


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file hold more than 100 bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_earlier_state(tmp_path):
    model, optimizers = trained(2)
    save(tmp_path, model, optimizers, ROWS, "key")
    later = [*ROWS, ROWS[0]]
    with full_disk(), pytest.raises(OSError):
        save(tmp_path, model, optimizers, later, "key")
    write = state.begin(tmp_path, model, optimizers, later, "key")
    with full_disk(), pytest.raises(OSError, match=r"step-000000003\.partial: cannot be written: File too large"):
        write()
    assert names(tmp_path) == ["step-000000002"]
    assert state.restore(tmp_path, *fresh(), "key").rows == ROWS


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
def test_a_file_of_tensors_is_what_safetensors_reads(tmp_path, monkeypatch, piece_bytes):
    monkeypatch.setattr(state, "_PIECE", piece_bytes)
    tensors = {
        "matrix": torch.randn(3, 5),
        "a number": torch.tensor(2.5),
        "nothing": torch.empty(0, 4),
        "half": torch.randn(9).to(torch.bfloat16),
        "count": torch.arange(4),
    }
    path = tmp_path / "model.safetensors"
    digest = state._write_tensors(path, tensors)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    found = safetensors.torch.load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)


def test_the_description_is_plain_json(tmp_path):
    saved = save(tmp_path, *trained(1), ROWS[:1], "key")
    content = json.loads((saved / "state.json").read_text())
    assert (content["fingerprint"], content["rows"]) == ("key", ROWS[:1])


def test_kept_weights_come_back_when_their_state_is_gone(tmp_path):
    for steps in (1, 2, 3, 4):
        model, optimizers = trained(steps)
        save(tmp_path, model, optimizers, [{"step": float(k)} for k in range(steps)], "f")
        if steps in (1, 2):
            state.keep(tmp_path, steps)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-000000002", "step-000000003", "step-000000004"]
    model, _ = fresh()
    state.take_kept(tmp_path, 2, model, "f")
    assert torch.equal(flat(model), flat(trained(2)[0]))


@pytest.mark.parametrize(
    ("steps", "fingerprint", "damage", "said"),
    [
        (3, "f", None, "best-000000003: state.json cannot be read"),
        (2, "g", None, "of other data or settings"),
        (2, "f", flip, "model.safetensors is not what was written; remove .* and train again"),
    ],
)
def test_kept_weights_that_are_not_whole_are_refused(tmp_path, steps, fingerprint, damage, said):
    model, optimizers = trained(2)
    save(tmp_path, model, optimizers, [{"step": 0.0}, {"step": 1.0}], "f")
    state.keep(tmp_path, 2)
    if damage:
        damage(tmp_path / "best-000000002" / "model.safetensors")
    with pytest.raises(state.Damaged, match=said):
        state.take_kept(tmp_path, steps, model, fingerprint)
