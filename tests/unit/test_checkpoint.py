import pickle

import pytest
import torch
from torch import nn

from vlmrec.core.errors import ArtifactError
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.train.checkpoint import Checkpoints, Progress, parameters_of


def trained(steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.arange(weight.numel()).view_as(weight) / 7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for step in range(steps):
        model(torch.full((1, 3), 1.0 + step)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def saved(folder, total_steps=2):
    model, optimizer = trained()
    progress = Progress(epoch=1, step=3, total_steps=total_steps, best=0.25, loss_total=1.5)
    Checkpoints(folder, "abc").save(model, optimizer, progress, {"weight": torch.ones(2, 3)})
    return model, optimizer, progress


def test_everything_comes_back(tmp_path):
    model, optimizer, progress = saved(tmp_path)
    other, fresh = trained(steps=0)
    restored, best = Checkpoints(tmp_path, "abc").restore(other, fresh)
    assert restored == progress
    assert best is not None
    assert best["weight"].equal(torch.ones(2, 3))
    for one, two in ((model, optimizer), (other, fresh)):
        one(torch.ones(1, 3)).sum().backward()
        two.step()
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_only_the_newest_stays(tmp_path):
    saved(tmp_path, 2)
    saved(tmp_path, 11)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0000000011-000001"]
    Checkpoints(tmp_path, "abc").clear()
    assert not list(tmp_path.iterdir())


def test_of_two_whole_checkpoints_the_newer_counts(tmp_path):
    saved(tmp_path, 2)
    older = next(tmp_path.iterdir())
    older.rename(tmp_path / "aside")
    saved(tmp_path, 11)
    (tmp_path / "aside").rename(older)
    model, optimizer = trained(0)
    assert Checkpoints(tmp_path, "abc").restore(model, optimizer)[0].total_steps == 11


def test_a_half_written_checkpoint_is_no_checkpoint(tmp_path):
    saved(tmp_path)
    half = tmp_path / ".checkpoint-0000000099-000009.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    model, optimizer = trained(0)
    assert Checkpoints(tmp_path, "abc").restore(model, optimizer)[0].total_steps == 2


def test_nothing_there_starts_from_the_beginning(tmp_path):
    model, optimizer = trained(0)
    assert Checkpoints(tmp_path, "abc").restore(model, optimizer) == (Progress(), None)


def test_another_configuration_is_not_continued(tmp_path):
    saved(tmp_path)
    model, optimizer = trained(0)
    with pytest.raises(ArtifactError, match="another model, dataset or configuration"):
        Checkpoints(tmp_path, "other").restore(model, optimizer)


@pytest.mark.parametrize("name", ["model", "optimizer", "best"])
def test_a_damaged_file_is_said(tmp_path, name):
    saved(tmp_path)
    path = next(tmp_path.glob(f"checkpoint-*/{name}.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    before = trained(0)
    with pytest.raises(ArtifactError, match=rf"{name}\.safetensors' is missing or damaged"):
        Checkpoints(tmp_path, "abc").restore(*before)
    path.unlink()
    with pytest.raises(ArtifactError, match="Remove the checkpoint folder"):
        Checkpoints(tmp_path, "abc").restore(*before)


def test_damaged_state_is_said(tmp_path):
    saved(tmp_path)
    state = next(tmp_path.glob("checkpoint-*/state.json"))
    state.write_text("{")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        Checkpoints(tmp_path, "abc").restore(*trained(0))
    state.write_text('{"config_hash": "abc"}')
    with pytest.raises(ArtifactError, match=r"state\.json' is damaged"):
        Checkpoints(tmp_path, "abc").restore(*trained(0))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize("kind", ["torch", "pickle", "pickle2"])
def test_a_pickle_is_refused_unopened(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    if kind == "torch":
        torch.save({"a": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(), protocol=2 if kind == "pickle2" else 5))
    with pytest.raises(ArtifactError, match=r"looks like a pickle; .*refused"):
        load_tensors(path)


def test_tensors_go_both_ways_and_damage_is_said(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.arange(6).view(2, 3).T})
    assert load_tensors(path)["x"].equal(torch.arange(6).view(2, 3).T)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match="is damaged: it is not a readable safetensors file"):
        load_tensors(path)
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        load_tensors(tmp_path / "none.safetensors")


def test_best_weights_are_copies():
    model, _ = trained(0)
    copies = parameters_of(model)
    with torch.no_grad():
        model.weight.zero_()
    assert copies["weight"].any()


def test_what_a_kill_left_of_a_checkpoint_is_removed(tmp_path):
    (tmp_path / ".checkpoint-0000000001-000001.abc").mkdir()
    Checkpoints(tmp_path, "abc").clear()
    assert not list(tmp_path.iterdir())
